//! The queues, and the functions that work them off.

use std::time::Duration;

use serde_json::Value;

use super::error::{TemplateError, part};
use super::intrinsic::Scope;

/// SQS's own default when the template gives no `VisibilityTimeout`.
const VISIBILITY_DEFAULT_S: u64 = 30;
/// SQS's own default when the template gives no `MessageRetentionPeriod`.
const RETENTION_DEFAULT_S: u64 = 4 * 86_400;

/// A queue. Its name on one machine is its name in the template.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueDefinition {
    /// The resource's name.
    pub name: String,
    /// How long a message that was received is hidden.
    pub visibility: Duration,
    /// How long a message is kept.
    pub retention: Duration,
    /// What becomes of messages that are received too often.
    pub redrive: Option<Redrive>,
}

/// Where messages go that are received too often.
#[derive(Clone, Debug, PartialEq)]
pub struct Redrive {
    /// The dead-letter queue.
    pub dead_letters: String,
    /// How often a message is received before.
    pub receives_max: u32,
}

/// A function that works a queue off.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSource {
    /// The queue.
    pub queue: String,
    /// The function.
    pub function: String,
    /// How many messages it gets at once, at most.
    pub batch_size: usize,
    /// How long messages are gathered for a batch.
    pub window: Duration,
    /// How many batches are worked on at the same time.
    pub concurrency_max: usize,
}

/// Reads the queues.
pub(super) fn queues(scope: &Scope<'_>) -> Result<Vec<QueueDefinition>, TemplateError> {
    let queues = scope.resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::SQS::Queue");
    let queue = |(id, resource): (&String, &Value)| {
        let properties = &resource["Properties"];
        let path = |name: &str| format!("Resources.{id}.Properties.{name}");
        let seconds = |name: &str, default| {
            Ok(Duration::from_secs(scope.number(&properties[name], &path(name))?.unwrap_or(default)))
        };
        let redrive = match &properties["RedrivePolicy"] {
            Value::Null => None,
            policy => Some(Redrive {
                dead_letters: queue_of(&policy["deadLetterTargetArn"], &path("RedrivePolicy"))?,
                receives_max: small_number(&policy["maxReceiveCount"], &path("RedrivePolicy.maxReceiveCount"))?,
            }),
        };
        let visibility = seconds("VisibilityTimeout", VISIBILITY_DEFAULT_S)?;
        let retention = seconds("MessageRetentionPeriod", RETENTION_DEFAULT_S)?;
        Ok(QueueDefinition { name: id.clone(), visibility, retention, redrive })
    };
    queues.map(queue).collect()
}

/// What an event of type SQS asks for.
pub(super) fn event_source(function: &str, properties: &Value, path: &str) -> Result<EventSource, TemplateError> {
    let number = |value: &Value, name: &str| small_number(value, &format!("{path}.{name}"));
    let responses = properties["FunctionResponseTypes"].as_array();
    if !responses.is_some_and(|types| types.iter().any(|kind| kind == "ReportBatchItemFailures")) {
        return Err(part(path, "must have the FunctionResponseTypes [ReportBatchItemFailures] on one machine"));
    }
    let window = number(&properties["MaximumBatchingWindowInSeconds"], "MaximumBatchingWindowInSeconds")?;
    let concurrency = &properties["ScalingConfig"]["MaximumConcurrency"];
    Ok(EventSource {
        queue: queue_of(&properties["Queue"], path)?,
        function: function.to_owned(),
        batch_size: number(&properties["BatchSize"], "BatchSize")? as usize,
        window: Duration::from_secs(window.into()),
        concurrency_max: number(concurrency, "ScalingConfig.MaximumConcurrency")? as usize,
    })
}

/// The queue whose ARN this is: `!GetAtt NAME.Arn`.
fn queue_of(arn: &Value, path: &str) -> Result<String, TemplateError> {
    match arn["Fn::GetAtt"].as_array().map(Vec::as_slice) {
        Some([Value::String(id), Value::String(attribute)]) if attribute == "Arn" => Ok(id.clone()),
        _ => Err(part(path, "must name its queue as !GetAtt QUEUE.Arn")),
    }
}

/// A number that is written out.
fn small_number(value: &Value, path: &str) -> Result<u32, TemplateError> {
    let number = value.as_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| part(path, "must be a whole number"))
}
