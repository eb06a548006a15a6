//! Called with a batch of a queue's messages.

use serde::Deserialize;
use serde_json::{Value, json};

use super::event::{InvokeError, read, refused};
use super::trigger::{Handling, Invocation, Supply, Trigger};
use crate::app::App;
use crate::config::ConfigError;
use crate::queue::Received;

/// Works off a batch; gives the ids of those messages that stay in the queue.
pub struct OnBatch(pub for<'a> fn(&'a App, Vec<Received>) -> Handling<'a, Vec<String>>);

impl Trigger for OnBatch {
    type With = App;

    fn with(&self, supply: &(impl Supply + ?Sized)) -> Result<App, ConfigError> {
        supply.app(None)
    }

    async fn warm(app: &App) {
        app.warm().await;
    }

    async fn answer(&self, app: &App, event: Value, _: Invocation<'_>) -> Result<Value, InvokeError> {
        let Batch { records } = read(event)?;
        let stay = (self.0)(app, records.into_iter().map(Received::from).collect()).await.map_err(refused)?;
        let stay: Vec<Value> = stay.into_iter().map(|id| json!({ "itemIdentifier": id })).collect();
        Ok(json!({ "batchItemFailures": stay }))
    }
}

/// What a function gets from a queue.
#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

/// One message of a queue.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: String,
    receipt_handle: String,
    body: String,
    attributes: Attributes,
}

/// What SQS says of a message.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    approximate_receive_count: String,
}

impl From<Record> for Received {
    fn from(record: Record) -> Self {
        // A number in a text; one that can't be read counts as the first.
        let receives = record.attributes.approximate_receive_count.parse().unwrap_or(1);
        Self { id: record.message_id, handle: record.receipt_handle, body: record.body, receives }
    }
}
