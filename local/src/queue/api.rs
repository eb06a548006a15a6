//! The calls to SQS that this machine answers, in the JSON protocol that the SDKs speak:
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html>.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::queues::{Message, Queues};

/// What a batch takes.
const BATCH_MAX: usize = 10;

impl Queues {
    /// Answers one call: its status and its body.
    #[must_use]
    pub fn answer(&self, operation: &str, request: &Value) -> (u16, Value) {
        let url = request["QueueUrl"].as_str().unwrap_or_default();
        let queue = url.rsplit('/').next().unwrap_or_default();
        let done = match operation {
            "SendMessage" => self.send_one(queue, request),
            "SendMessageBatch" => self.send_batch(queue, &request["Entries"]),
            "ReceiveMessage" => {
                let max = request["MaxNumberOfMessages"].as_u64().and_then(|max| usize::try_from(max).ok());
                let received = self.receive(queue, max.unwrap_or(1).min(BATCH_MAX));
                let messages: Vec<Value> = received.into_iter().map(Message::json).collect();
                Ok(json!({ "Messages": messages }))
            }
            "ChangeMessageVisibility" => {
                let changed = self.change_visibility(queue, handle(request), seconds(&request["VisibilityTimeout"]));
                if changed { Ok(json!({})) } else { Err("ReceiptHandleIsInvalid") }
            }
            "DeleteMessage" => {
                self.delete(queue, handle(request));
                Ok(json!({}))
            }
            _ => Err("UnsupportedOperation"),
        };
        match done {
            Ok(answer) => (200, answer),
            Err(code) => {
                let kind = format!("com.amazonaws.sqs#{code}");
                (400, json!({ "__type": kind, "message": format!("{operation} on {url:?}") }))
            }
        }
    }

    fn send_one(&self, queue: &str, entry: &Value) -> Result<Value, &'static str> {
        let body = entry["MessageBody"].as_str().filter(|body| !body.is_empty()).ok_or("InvalidParameterValue")?;
        let attributes = entry["MessageAttributes"].as_object().cloned().unwrap_or_else(Map::new);
        let id = self.send(queue, body.to_owned(), attributes, seconds(&entry["DelaySeconds"]));
        Ok(json!({ "MessageId": id.ok_or("QueueDoesNotExist")? }))
    }

    fn send_batch(&self, queue: &str, entries: &Value) -> Result<Value, &'static str> {
        let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
        match entries.len() {
            0 => return Err("EmptyBatchRequest"),
            1..=BATCH_MAX => {}
            _ => return Err("TooManyEntriesInBatchRequest"),
        }
        let (mut sent, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            match self.send_one(queue, entry) {
                Ok(mut answer) => {
                    answer["Id"] = entry["Id"].clone();
                    sent.push(answer);
                }
                Err("QueueDoesNotExist") => return Err("QueueDoesNotExist"),
                Err(code) => failed.push(json!({ "Id": entry["Id"], "Code": code, "SenderFault": true })),
            }
        }
        Ok(json!({ "Successful": sent, "Failed": failed }))
    }
}

impl Message {
    /// As a receiver gets it.
    fn json(self) -> Value {
        json!({
            "MessageId": self.id, "ReceiptHandle": self.handle, "Body": self.body,
            "Attributes": { "ApproximateReceiveCount": self.receives.to_string() },
            "MessageAttributes": self.attributes,
        })
    }
}

fn handle(request: &Value) -> &str {
    // No message has it: an id is never empty.
    request["ReceiptHandle"].as_str().filter(|handle| !handle.is_empty()).unwrap_or("-")
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::queues::of_the_template;

    #[tokio::test]
    async fn a_call_that_sqs_refuses_is_refused() {
        let queues = of_the_template();
        let entry = json!({ "Id": "0", "MessageBody": "a" });
        for (operation, request, code) in [
            ("PurgeQueue", json!({ "QueueUrl": "Queue" }), "UnsupportedOperation"),
            ("SendMessage", json!({ "QueueUrl": "other", "MessageBody": "a" }), "QueueDoesNotExist"),
            ("SendMessage", json!({ "QueueUrl": "Queue" }), "InvalidParameterValue"),
            ("SendMessageBatch", json!({ "QueueUrl": "Queue", "Entries": [] }), "EmptyBatchRequest"),
            (
                "SendMessageBatch",
                json!({ "QueueUrl": "Queue", "Entries": vec![entry; 11] }),
                "TooManyEntriesInBatchRequest",
            ),
            ("ChangeMessageVisibility", json!({ "QueueUrl": "Queue" }), "ReceiptHandleIsInvalid"),
        ] {
            let (status, answer) = queues.answer(operation, &request);
            assert_eq!((status, &answer["__type"]), (400, &json!(format!("com.amazonaws.sqs#{code}"))));
        }
        let entries = json!([{ "Id": "good", "MessageBody": "a" }, { "Id": "bad", "MessageBody": "" }]);
        let (status, answer) = queues.answer("SendMessageBatch", &json!({ "QueueUrl": "Queue", "Entries": entries }));
        assert_eq!(
            (status, &answer["Successful"][0]["Id"], &answer["Failed"][0]["Id"]),
            (200, &json!("good"), &json!("bad"))
        );
    }
}
