//! The queue of pushes that failed, or that are too many for one function: the only place that knows SQS.
//!
//! A message of it names a push, never a content: that is read from the log when the push is tried again. Whatever goes
//! wrong here, the message itself is in the log, and the next `sync` brings it.

use aws_sdk_sqs::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};
use wire::{ConnectionId, ConversationId, Seq, Status, UserId};

use crate::aws::timeouts;
use crate::jitter;
use crate::limits::{DELIVER_BACKOFF, QUEUE_ATTEMPT_TIMEOUT, QUEUE_ATTEMPTS_MAX, QUEUE_BATCH_MAX, QUEUE_CALL_TIMEOUT};
use crate::telemetry::chain;

/// A push that waits for its turn: of `message:new`, which is to be tried again, or of a mark. Which, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Whose connection it is.
    pub user: UserId,
    /// Where the push failed. Of a mark, nobody's: it is for all of the user's.
    pub connection: ConnectionId,
    /// The message's conversation.
    pub conversation: ConversationId,
    /// The message's number in it.
    pub seq: Seq,
    /// What is told instead of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<MarkToTell>,
    /// What the lines of the request carry whose push failed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

/// The connection of a [`Delivery`] that tells of a mark. A function of before marks were queued finds none with this id, takes the
/// push for done, and so tells nothing wrong: the horizon is kept, and whoever asks sees it.
const NOBODYS_CONNECTION: &str = "-";

/// A mark that is told by way of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarkToTell {
    /// Whose.
    pub by: UserId,
    /// Which horizon.
    pub status: Status,
    /// The connection that has the answer, and needn't be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<ConnectionId>,
}

impl Delivery {
    /// Tells USER, on every connection, of a mark.
    ///
    /// # Panics
    /// Never: what stands there is a connection's id.
    pub fn of_mark(
        user: UserId,
        conversation: ConversationId,
        seq: Seq,
        mark: MarkToTell,
        correlation_id: Option<String>,
    ) -> Self {
        let connection = NOBODYS_CONNECTION.parse().expect("a connection's id");
        Self { user, connection, conversation, seq, mark: Some(mark), correlation_id }
    }
}

/// A message of the queue, as the function gets it that works it off.
#[derive(Clone, Debug)]
pub struct Received {
    /// The queue's id of it.
    pub id: String,
    /// What changes it in the queue, until it is received again.
    pub handle: String,
    /// What was sent.
    pub body: String,
    /// How often it was received, this time included.
    pub receives: u32,
}

impl Received {
    /// What it says.
    ///
    /// # Errors
    /// Why it isn't a [`Delivery`].
    pub fn delivery(&self) -> Result<Delivery, String> {
        serde_json::from_str(&self.body).map_err(|error| format!("not a delivery: {error}"))
    }

    /// How many seconds it waits after this failure: whole ones, as SQS counts them, and never none.
    fn backoff_s(&self) -> i32 {
        i32::try_from(jitter::wait(DELIVER_BACKOFF, self.receives).as_secs() + 1).unwrap_or(i32::MAX)
    }
}

/// The queue, and the dead-letter queue behind it.
#[derive(Clone)]
pub struct PushQueue {
    client: aws_sdk_sqs::Client,
    url: String,
    dead_letter_url: String,
}

impl PushQueue {
    /// How a client calls SQS: soon given up, as a request waits for it.
    pub fn settings(sdk: &SdkConfig) -> aws_sdk_sqs::config::Builder {
        aws_sdk_sqs::config::Builder::from(sdk)
            .timeout_config(timeouts(QUEUE_ATTEMPT_TIMEOUT, QUEUE_CALL_TIMEOUT))
            .retry_config(RetryConfig::standard().with_max_attempts(QUEUE_ATTEMPTS_MAX))
            // The default one is shared by all clients of a process: a slow queue would use up the store's retries.
            .retry_partition(RetryPartition::custom("queue").build())
    }

    /// The queues at these addresses.
    pub fn new(settings: aws_sdk_sqs::config::Builder, url: String, dead_letter_url: String) -> Self {
        Self { client: aws_sdk_sqs::Client::from_conf(settings.build()), url, dead_letter_url }
    }

    /// Has pushes made later. Where that fails it is only logged: `sync` brings what they would have, and who asks sees how far
    /// others are.
    pub async fn later(&self, deliveries: &[Delivery]) {
        for batch in deliveries.chunks(QUEUE_BATCH_MAX) {
            if let Err(problem) = self.send(batch).await {
                tracing::warn!(
                    pushes = batch.len(),
                    problem,
                    "pushes could not be queued; sync will bring what they would have"
                );
            }
        }
    }

    /// Sends up to [`QUEUE_BATCH_MAX`] messages.
    async fn send(&self, batch: &[Delivery]) -> Result<(), String> {
        let mut call = self.client.send_message_batch().queue_url(&self.url);
        for (n, delivery) in batch.iter().enumerate() {
            let body = serde_json::to_string(delivery).map_err(|error| error.to_string())?;
            let entry = SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(body).build();
            call = call.entries(entry.map_err(|error| error.to_string())?);
        }
        let answer = call.send().await.map_err(|error| chain(&error))?;
        // A batch that is answered may have failed in parts.
        match answer.failed.first() {
            None => Ok(()),
            Some(failed) => Err(format!("{} of them: {}", answer.failed.len(), failed.code)),
        }
    }

    /// Leaves a message in the queue until its next turn. Where that fails it comes after the queue's visibility timeout.
    pub async fn postpone(&self, received: &Received) {
        let call = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(&received.handle);
        if let Err(error) = call.visibility_timeout(received.backoff_s()).send().await {
            tracing::warn!(problem = chain(&error), "a push waits longer than it should");
        }
    }

    /// Puts a copy of a message into the dead-letter queue, with the reason as its attribute `reason`; says whether it is
    /// there. If not, the message must stay where it is.
    pub async fn bury(&self, received: &Received, reason: &str) -> bool {
        let attribute = MessageAttributeValue::builder().data_type("String").string_value(reason).build();
        let call = self.client.send_message().queue_url(&self.dead_letter_url).message_body(&received.body);
        let sent = async {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let sent = call.message_attributes("reason", attribute).send().await;
            sent.map_err(|error| chain(&error))
        };
        match sent.await {
            Ok(_) => true,
            Err(problem) => {
                tracing::warn!(message = received.id, problem, "could not be dead-lettered");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::limits::DELIVER_RECEIVES_MAX;

    #[test]
    fn a_message_waits_for_whole_seconds_up_to_a_longest_that_doubles() {
        fastrand::seed(7);
        for receives in 1..DELIVER_RECEIVES_MAX {
            let received = Received { id: String::new(), handle: String::new(), body: String::new(), receives };
            let waits: BTreeSet<i32> = (0..20_000).map(|_| received.backoff_s()).collect();
            let longest = i32::try_from(DELIVER_BACKOFF.as_secs()).expect("a small number") << (receives - 1);
            assert_eq!(waits, (1..=longest).collect(), "{receives}: all of them, and no other");
        }
    }

    #[test]
    fn what_is_no_delivery_says_why() {
        for body in ["", "[]", "{\"user\":\"ann\"}", r#"{"user":"","connection":"c","conversation":"d","seq":1}"#] {
            let received = Received { id: String::new(), handle: String::new(), body: body.to_owned(), receives: 1 };
            assert!(received.delivery().expect_err("is refused").starts_with("not a delivery: "));
        }
    }
}
