//! The mark that a machine leaves beside its table, so that no second one works on it: what people here say, a gateway elsewhere
//! would not push to its people, as it knows none of them.
//!
//! It is an item of a table of its own: what the functions keep isn't touched. Its machine counts on in it, and whoever finds it
//! watches whether it does. So no clock is asked, and what a machine has left that was killed is in the way for seconds.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use tokio::task::JoinSet;
use tracing::Level;

use super::error::EngineError;
use super::table::{causes, client, refused, wait_for_table};
use crate::{ids, logs};

/// The mark's table.
const MARK_TABLE: &str = "parley-machine";
const KEY: &str = "pk";
const THE_MARK: &str = "machine";
/// How often a machine counts on in its mark.
const BEAT: Duration = Duration::from_secs(2);
/// For how long a mark is watched: a machine that doesn't count on for so long has ended.
const WATCHED: Duration = Duration::from_secs(10);

/// Who has the table.
#[derive(Clone, Debug)]
struct Holder {
    /// An id that no other machine has.
    id: String,
    /// Where it listens.
    url: String,
    /// Its process.
    process: String,
    /// How far it has counted.
    beat: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} at {}", self.process, self.url)
    }
}

/// What becomes of a write to the mark.
enum Outcome {
    Done,
    /// It is another's.
    Lost,
}

/// This machine's mark. While this lives, it is kept.
#[derive(Debug)]
pub struct Mark {
    client: Client,
    id: String,
    _beating: JoinSet<()>,
}

impl Mark {
    /// Marks the table at this endpoint as that of the machine at URL. Where it `is_alone`, nobody else can have it (the data directory is
    /// locked, or new), so a mark that is there was left by a machine that was killed.
    ///
    /// # Errors
    /// [`EngineError::TableTaken`] when another machine has it; [`EngineError::Request`].
    pub async fn leave(endpoint: &str, url: &str, is_alone: bool) -> Result<Self, EngineError> {
        let client = client(endpoint);
        let failed = |(operation, problem)| refused(endpoint, operation, problem);
        ensure_mark_table(&client).await.map_err(failed)?;
        let mine = Holder {
            id: ids::id(),
            url: url.to_owned(),
            process: std::process::id().to_string(),
            beat: "0".to_owned(),
        };
        let found = find(&client).await.map_err(failed)?;
        if let Some(found) = found.as_ref().filter(|_| !is_alone) {
            let text =
                format!("{endpoint} may have another machine ({found}): watching it for {} s", WATCHED.as_secs());
            logs::line("engine", None, Level::WARN, &text);
            tokio::time::sleep(WATCHED).await;
        }
        // Nobody has begun, or gone on, since it was looked at.
        if let Outcome::Lost = write(&client, &mine, found.as_ref()).await.map_err(failed)? {
            let holder = find(&client).await.map_err(failed)?.or(found);
            // One whose answer was lost has been written.
            if let Some(holder) = holder.filter(|holder| holder.id != mine.id) {
                return Err(EngineError::TableTaken { endpoint: endpoint.to_owned(), holder: holder.to_string() });
            }
        }
        let mut beating = JoinSet::new();
        beating.spawn(beat(client.clone(), endpoint.to_owned(), mine.clone()));
        Ok(Self { client, id: mine.id, _beating: beating })
    }

    /// Takes the mark away again.
    pub async fn take_away(self) {
        let Self { client, id, _beating } = self;
        drop(_beating);
        let delete = client.delete_item().table_name(MARK_TABLE).key(KEY, text(THE_MARK));
        let delete = delete.condition_expression("id = :id").expression_attribute_values(":id", text(&id));
        // What stays is in the way for seconds.
        let _ = delete.send().await;
    }
}

/// Counts on, until another has the mark.
async fn beat(client: Client, endpoint: String, mut mark: Holder) {
    for beat in 1_u64.. {
        tokio::time::sleep(BEAT).await;
        let next = Holder { beat: beat.to_string(), ..mark.clone() };
        match write(&client, &next, Some(&mark)).await {
            Ok(Outcome::Done) => mark = next,
            // One whose answer was lost has been written.
            Ok(Outcome::Lost) => match find(&client).await {
                Ok(Some(found)) if found.id == mark.id => mark = found,
                Ok(found) => {
                    let by = found.map_or_else(|| "somebody".to_owned(), |holder| holder.to_string());
                    let text = format!(
                        "{by} has taken the table at {endpoint}: stop one of the two, their people don't hear each other"
                    );
                    return logs::line("engine", None, Level::ERROR, &text);
                }
                Err(_) => {}
            },
            // An engine that doesn't answer has other complaints in the log; the next beat may find it again.
            Err(_) => {}
        }
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Writes a mark in the place of the one that was found there, or where there was none.
async fn write(client: &Client, mark: &Holder, found: Option<&Holder>) -> Result<Outcome, (&'static str, String)> {
    let mut put = client.put_item().table_name(MARK_TABLE).item(KEY, text(THE_MARK));
    for (name, value) in [("id", &mark.id), ("url", &mark.url), ("process", &mark.process), ("beat", &mark.beat)] {
        put = put.item(name, text(value));
    }
    put = match found {
        None => put.condition_expression("attribute_not_exists(pk)"),
        Some(found) => put
            .condition_expression("id = :id AND beat = :beat")
            .expression_attribute_values(":id", text(&found.id))
            .expression_attribute_values(":beat", text(&found.beat)),
    };
    match put.send().await {
        Ok(_) => Ok(Outcome::Done),
        Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(Outcome::Lost),
        Err(error) => Err(("PutItem", causes(&error))),
    }
}

/// The mark that is there.
async fn find(client: &Client) -> Result<Option<Holder>, (&'static str, String)> {
    let get = client.get_item().table_name(MARK_TABLE).key(KEY, text(THE_MARK)).consistent_read(true);
    let found = get.send().await.map_err(|error| ("GetItem", causes(&error)))?;
    let holder = |item: HashMap<String, AttributeValue>| {
        let of = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        Holder { id: of("id"), url: of("url"), process: of("process"), beat: of("beat") }
    };
    Ok(found.item.map(holder))
}

async fn ensure_mark_table(client: &Client) -> Result<(), (&'static str, String)> {
    match client.describe_table().table_name(MARK_TABLE).send().await {
        Ok(_) => return Ok(()),
        Err(SdkError::ServiceError(error)) if error.err().is_resource_not_found_exception() => {}
        Err(error) => return Err(("DescribeTable", causes(&error))),
    }
    let invalid = |error: aws_sdk_dynamodb::error::BuildError| ("CreateTable", error.to_string());
    let key = KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash).build().map_err(invalid)?;
    let attribute = AttributeDefinition::builder().attribute_name(KEY).attribute_type(ScalarAttributeType::S);
    let create = client.create_table().table_name(MARK_TABLE).billing_mode(BillingMode::PayPerRequest);
    let create = create.key_schema(key).attribute_definitions(attribute.build().map_err(invalid)?);
    match create.send().await {
        Ok(_) => {}
        // Another machine was faster, or a repeat of this very call.
        Err(SdkError::ServiceError(error)) if error.err().is_resource_in_use_exception() => {}
        Err(error) => return Err(("CreateTable", causes(&error))),
    }
    wait_for_table(client, MARK_TABLE).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Port};

    #[tokio::test]
    async fn a_table_has_one_machine() {
        let engine = Engine::start(None, Port::Exactly(0)).expect("starts");
        let endpoint = engine.endpoint();
        let first = Mark::leave(&endpoint, "http://127.0.0.1:1", false).await.expect("is free");
        let error = Mark::leave(&endpoint, "http://127.0.0.1:2", false).await.expect_err("is taken").to_string();
        let says = format!(
            "the table at {endpoint} is in use by another parley (process {} at http://127.0.0.1:1)",
            std::process::id()
        );
        assert!(error.starts_with(&says), "{error}");
        first.take_away().await;
        let second = Mark::leave(&endpoint, "http://127.0.0.1:2", false).await.expect("is free again");
        // One that is killed takes nothing away.
        drop(second);
        let third = Mark::leave(&endpoint, "http://127.0.0.1:3", false).await.expect("is free after a while");
        // Who is alone asks nobody.
        let fourth = Mark::leave(&endpoint, "http://127.0.0.1:4", true).await.expect("takes it");
        third.take_away().await;
        let there = find(&client(&endpoint)).await.expect("is read").expect("is there");
        assert_eq!(there.url, "http://127.0.0.1:4", "nobody takes another's away");
        fourth.take_away().await;
        engine.stop().await;
    }
}
