//! What a function gets from a queue.

use serde::Deserialize;

use crate::queue::Received;

/// What a function gets from a queue: of SQS's event only what is used. The type that `aws_lambda_events` has of it would
/// bring 20 packages.
#[derive(Deserialize)]
pub(super) struct QueueEvent {
    #[serde(rename = "Records")]
    pub(super) records: Vec<QueueRecord>,
}

/// One message of a queue.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueueRecord {
    message_id: String,
    receipt_handle: String,
    body: String,
    attributes: QueueAttributes,
}

/// What SQS says of a message.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueueAttributes {
    approximate_receive_count: String,
}

impl From<QueueRecord> for Received {
    fn from(record: QueueRecord) -> Self {
        // A number in a text; one that can't be read counts as the first.
        let receives = record.attributes.approximate_receive_count.parse().unwrap_or(1);
        Self { id: record.message_id, handle: record.receipt_handle, body: record.body, receives }
    }
}
