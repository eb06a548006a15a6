//! The intrinsic functions: `Ref`, `Fn::Sub`, `Fn::GetAtt` and `Fn::If`, and the conditions.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{TemplateError, part};
use super::names::{ACCOUNT_ID, API_ID, BUCKET_NAME, REGION, SECRET_ARN, TABLE_NAME};

/// What intrinsic functions can refer to.
pub(super) struct Scope<'a> {
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) conditions: &'a Value,
    pub(super) resources: &'a Map<String, Value>,
    pub(super) websocket_endpoint: &'a str,
}

impl Scope<'_> {
    /// A value of any shape with its intrinsic functions evaluated; nothing where it is `AWS::NoValue`.
    pub(super) fn value(&self, value: &Value, path: &str) -> Result<Option<Value>, TemplateError> {
        match value {
            Value::Array(list) => {
                let list: Result<Vec<_>, _> = list.iter().map(|value| self.value(value, path)).collect();
                Ok(Some(list?.into_iter().flatten().collect()))
            }
            Value::Object(map) => match map.iter().next() {
                Some((name, Value::String(id))) if name == "Ref" && id == "AWS::NoValue" => Ok(None),
                Some((name, choice)) if name == "Fn::If" => self.value(self.chosen(choice, path)?, path),
                Some((name, _)) if name == "Ref" || name.starts_with("Fn::") => {
                    self.text(value, path).map(|text| Some(Value::String(text)))
                }
                _ => {
                    let mut evaluated = Map::new();
                    for (name, value) in map {
                        if let Some(value) = self.value(value, path)? {
                            evaluated.insert(name.clone(), value);
                        }
                    }
                    Ok(Some(Value::Object(evaluated)))
                }
            },
            scalar => Ok(Some(scalar.clone())),
        }
    }

    /// What `Fn::If` chooses.
    fn chosen<'b>(&self, choice: &'b Value, path: &str) -> Result<&'b Value, TemplateError> {
        match choice.as_array().map(Vec::as_slice) {
            Some([Value::String(name), then, otherwise]) => {
                Ok(if self.holds(&self.conditions[name], &format!("Conditions.{name}"))? { then } else { otherwise })
            }
            _ => Err(part(path, "Fn::If takes a condition and two values")),
        }
    }

    /// Whether a condition holds.
    pub(super) fn holds(&self, condition: &Value, path: &str) -> Result<bool, TemplateError> {
        let function = condition.as_object().and_then(|map| map.iter().next());
        match function.map(|(name, of)| (name.as_str(), of)) {
            Some(("Condition", Value::String(name))) => {
                self.holds(&self.conditions[name], &format!("Conditions.{name}"))
            }
            Some(("Fn::Equals", Value::Array(of))) if of.len() == 2 => {
                Ok(self.text(&of[0], path)? == self.text(&of[1], path)?)
            }
            Some(("Fn::Not", Value::Array(of))) if of.len() == 1 => Ok(!self.holds(&of[0], path)?),
            Some((name @ ("Fn::And" | "Fn::Or"), Value::Array(of))) => {
                let each: Result<Vec<bool>, _> = of.iter().map(|one| self.holds(one, path)).collect();
                Ok(if name == "Fn::And" { each?.into_iter().all(|it| it) } else { each?.into_iter().any(|it| it) })
            }
            _ => Err(part(path, "must be Fn::Equals, Fn::Not, Fn::And or Fn::Or of existing conditions")),
        }
    }

    /// A scalar with its intrinsic function evaluated.
    pub(super) fn text(&self, value: &Value, path: &str) -> Result<String, TemplateError> {
        let text = match value {
            Value::String(text) => return Ok(text.clone()),
            Value::Object(function) if function.len() == 1 => match function.iter().next() {
                Some((name, Value::String(id))) if name == "Ref" => self.reference(id),
                Some((name, Value::String(text))) if name == "Fn::Sub" => self.substitute(text),
                Some((name, Value::Array(of))) if name == "Fn::GetAtt" => match of.as_slice() {
                    [Value::String(id), Value::String(attribute)] => self.attribute(id, attribute),
                    _ => Err("Fn::GetAtt takes a resource and an attribute".to_owned()),
                },
                Some((name, choice)) if name == "Fn::If" => return self.text(self.chosen(choice, path)?, path),
                Some((name, _)) => Err(format!("one machine doesn't evaluate this form of {name}")),
                None => Err("is empty".to_owned()),
            },
            Value::Null => Err("is missing".to_owned()),
            _ => Err("must be a scalar".to_owned()),
        };
        text.map_err(|problem| part(path, problem))
    }

    /// A whole number, if there is one.
    pub(super) fn number(&self, value: &Value, path: &str) -> Result<Option<u64>, TemplateError> {
        if value.is_null() {
            return Ok(None);
        }
        let number = self.text(value, path)?.parse();
        number.map(Some).map_err(|_| part(path, "must be a whole number"))
    }

    fn reference(&self, id: &str) -> Result<String, String> {
        if let Some(value) = self.parameters.get(id) {
            return Ok(value.clone());
        }
        match id {
            "AWS::Region" => return Ok(REGION.to_owned()),
            "AWS::AccountId" => return Ok(ACCOUNT_ID.to_owned()),
            "AWS::Partition" => return Ok("aws".to_owned()),
            "AWS::StackName" => return Ok("parley".to_owned()),
            "AWS::URLSuffix" => return Ok("amazonaws.com".to_owned()),
            _ => {}
        }
        let resource = self.resources.get(id).ok_or_else(|| format!("refers to {id}, which doesn't exist"))?;
        match resource["Type"].as_str() {
            Some("AWS::DynamoDB::Table") => Ok(TABLE_NAME.to_owned()),
            Some("AWS::SQS::Queue") => Ok(format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{id}")),
            Some("AWS::Serverless::WebSocketApi" | "AWS::Serverless::HttpApi") => Ok(API_ID.to_owned()),
            Some("AWS::SecretsManager::Secret") => Ok(SECRET_ARN.to_owned()),
            Some("AWS::S3::Bucket") => Ok(BUCKET_NAME.to_owned()),
            kind => Err(format!("refers to {id} of type {kind:?}, which one machine doesn't have")),
        }
    }

    fn attribute(&self, id: &str, attribute: &str) -> Result<String, String> {
        let name = self.reference(id)?;
        match (self.resources[id]["Type"].as_str(), attribute) {
            (Some("AWS::DynamoDB::Table"), "Arn") => Ok(format!("arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{name}")),
            (Some("AWS::SecretsManager::Secret"), "Id") => Ok(name),
            (Some("AWS::S3::Bucket"), "Arn") => Ok(format!("arn:aws:s3:::{name}")),
            (Some("AWS::SQS::Queue"), "Arn") => Ok(format!("arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{id}")),
            _ => Err(format!("one machine doesn't know {id}.{attribute}")),
        }
    }

    /// `Fn::Sub`: `${NAME}` is what `Ref` gives, `${NAME.ATTRIBUTE}` what `Fn::GetAtt` gives, `${!TEXT}` is `${TEXT}`.
    /// The WebSocket API's address on AWS becomes the one on this machine.
    fn substitute(&self, text: &str) -> Result<String, String> {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or("has a ${ without a }")?;
            result.push_str(before);
            match (name.strip_prefix('!'), name.split_once('.')) {
                (Some(literal), _) => result.push_str(&format!("${{{literal}}}")),
                (None, Some((id, attribute))) => result.push_str(&self.attribute(id, attribute)?),
                (None, None) => result.push_str(&self.reference(name)?),
            }
            rest = after;
        }
        result.push_str(rest);
        let on_aws = format!("https://{API_ID}.execute-api.{REGION}.amazonaws.com/");
        Ok(if result.starts_with(&on_aws) { self.websocket_endpoint.to_owned() } else { result })
    }
}
