//! The functions, with their limits, variables and policies.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::error::{TemplateError, part};
use super::intrinsic::Scope;

/// Lambda's own default when the template gives no `Timeout`.
const TIMEOUT_DEFAULT_S: u64 = 3;
/// Lambda's own default when the template gives no `MemorySize`.
const MEMORY_DEFAULT_MB: u32 = 128;

/// What the Lambda service has to know about a function.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// How long one invocation may take.
    pub timeout: Duration,
    /// `MemorySize`.
    pub memory_mb: u32,
    /// `Environment.Variables`, with every intrinsic function evaluated.
    pub environment: BTreeMap<String, String>,
    /// The statements of `Policies`, likewise. Nobody asks for permission on one machine; the tests do.
    pub policy: Vec<Value>,
}

/// Reads a function. GLOBALS is what all have that don't say it themselves.
pub(super) fn function(
    id: &str,
    properties: &Value,
    globals: &Value,
    scope: &Scope<'_>,
) -> Result<Function, TemplateError> {
    let path = |name: &str| format!("Resources.{id}.Properties.{name}");
    let property = |name: &str| match &properties[name] {
        Value::Null => &globals[name],
        own => own,
    };
    let number = |name: &str| scope.number(property(name), &path(name));
    let mut environment = BTreeMap::new();
    for source in [globals, properties] {
        let variables = source["Environment"]["Variables"].as_object();
        for (name, value) in variables.into_iter().flatten() {
            environment.insert(name.clone(), scope.text(value, &path(&format!("Environment.Variables.{name}")))?);
        }
    }
    let policies = scope.value(&properties["Policies"], &path("Policies"))?.unwrap_or_default();
    let statements = |document: &Value| document["Statement"].as_array().cloned().unwrap_or_default();
    let policy = policies.as_array().into_iter().flatten().flat_map(statements).collect();
    Ok(Function {
        policy,
        timeout: Duration::from_secs(number("Timeout")?.unwrap_or(TIMEOUT_DEFAULT_S)),
        memory_mb: number("MemorySize")?
            .map_or(Ok(MEMORY_DEFAULT_MB), u32::try_from)
            .map_err(|_| part(path("MemorySize"), "is more than Lambda gives"))?,
        environment,
    })
}
