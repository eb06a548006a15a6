//! How resources are found, and how they refer to each other.

use serde_json::{Map, Value};

use super::error::{TemplateError, part};

/// The one resource of this type.
pub(super) fn only<'a>(resources: &'a Map<String, Value>, kind: &str) -> Result<(&'a str, &'a Value), TemplateError> {
    let mut of_kind = resources.iter().filter(|(_, resource)| resource["Type"] == kind);
    match (of_kind.next(), of_kind.next()) {
        (Some((id, resource)), None) => Ok((id, &resource["Properties"])),
        _ => Err(part("Resources", format!("must have exactly one {kind}"))),
    }
}

/// The function whose ARN this is: `!GetAtt NAME.Arn`.
pub(super) fn function_of(resources: &Map<String, Value>, arn: &Value, path: &str) -> Result<String, TemplateError> {
    match arn["Fn::GetAtt"].as_array().map(Vec::as_slice) {
        Some([Value::String(id), Value::String(attribute)]) if attribute == "Arn" => function_name(resources, id),
        _ => Err(part(path, "must be !GetAtt FUNCTION.Arn")),
    }
}

/// The last part of a function's `CodeUri`, which is the name of its folder.
pub(super) fn function_name(resources: &Map<String, Value>, id: &str) -> Result<String, TemplateError> {
    let path = format!("Resources.{id}");
    let resource = resources.get(id).ok_or_else(|| part(&path, "doesn't exist"))?;
    let code = resource["Properties"]["CodeUri"].as_str();
    let folder = code.and_then(|uri| uri.trim_end_matches('/').rsplit('/').next());
    folder.map(str::to_owned).ok_or_else(|| part(path, "has no CodeUri"))
}
