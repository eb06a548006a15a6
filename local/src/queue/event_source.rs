//! What Lambda does with a queue: receives batches, has the function work on each, and deletes what the function doesn't
//! report as failed. See <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use tracing::Level;

use super::queues::{Message, Queues};
use crate::invoker::Invoker;
use crate::logs;
use crate::template::{ACCOUNT_ID, EventSource, REGION};

/// Works a queue off for good, in as many batches at the same time as the template allows.
pub async fn run(source: EventSource, queues: Queues, invoker: Invoker) {
    join_all((0..source.concurrency_max).map(|_| poll(&source, &queues, &invoker))).await;
}

async fn poll(source: &EventSource, queues: &Queues, invoker: &Invoker) {
    loop {
        queues.readable(&source.queue).await;
        tokio::time::sleep(source.window).await;
        // Another may have been faster.
        let batch = queues.receive(&source.queue, source.batch_size);
        if !batch.is_empty() {
            work(source, queues, invoker, batch).await;
        }
    }
}

/// Has the function work on a batch.
async fn work(source: &EventSource, queues: &Queues, invoker: &Invoker, batch: Vec<Message>) {
    let records: Vec<Value> = batch.iter().map(|message| record(&source.queue, message)).collect();
    match invoker.invoke(&source.function, json!({ "Records": records })).await {
        Ok(answer) => {
            let ids: BTreeSet<&str> = batch.iter().map(|message| message.id.as_str()).collect();
            let failed = failed(&answer);
            // As on AWS an id that isn't of the batch fails all of it.
            if failed.is_subset(&ids) {
                for message in batch.iter().filter(|message| !failed.contains(message.id.as_str())) {
                    queues.delete(&source.queue, &message.handle);
                }
            }
        }
        // The whole batch stays until its visibility timeout is over.
        Err(error) => logs::line("queue", None, Level::ERROR, &format!("{} failed: {error}", source.function)),
    }
}

/// The ids of the messages that a function reports as failed.
fn failed(answer: &Value) -> BTreeSet<&str> {
    let failures = answer["batchItemFailures"].as_array().into_iter().flatten();
    failures.map(|failure| failure["itemIdentifier"].as_str().unwrap_or_default()).collect()
}

/// A message in the form that functions get.
fn record(queue: &str, message: &Message) -> Value {
    json!({
        "messageId": message.id,
        "receiptHandle": message.handle,
        "body": message.body,
        "attributes": { "ApproximateReceiveCount": message.receives.to_string() },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{queue}"),
        "awsRegion": REGION,
    })
}
