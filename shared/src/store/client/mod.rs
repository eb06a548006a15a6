//! The calls to `DynamoDB` that all files of the store share: reads, conditional writes, queries. [`item`] is what they take
//! and give, [`condition`] what must hold for them, [`error`] why they fail, `meter` counts what they cost. Only this folder knows the SDK's client.

pub mod condition;
pub mod error;
pub mod item;
mod meter;

use std::collections::HashMap;

use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    DeleteRequest, KeysAndAttributes, ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure,
    WriteRequest,
};
use aws_types::SdkConfig;

use self::condition::{Condition, MADE_ONCE};
use self::error::StoreError;
use self::item::{AttributeValue, Item, text};
use self::meter::Meter;
use super::table::{Key, WORK_INDEX};
use crate::aws::timeouts;
use crate::aws::warm::ping;
use crate::jitter;
use crate::limits::{
    ATTEMPT_TIMEOUT, BATCH_BACKOFF, BATCH_GET_KEYS_MAX, BATCH_ROUNDS_MAX, CALL_ATTEMPTS_MAX, CALL_TIMEOUT,
};

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Sees every write that was answered before it. Costs twice.
    Strong,
    /// May be a moment behind.
    Eventual,
}

/// What became of a conditional write.
#[derive(Debug)]
pub enum Written {
    /// It was made; the item as it is now.
    Done(Item),
    /// The condition did not hold; the item as it was, if there is one. It may be our own write, applied by an attempt
    /// whose answer was lost: who asks must compare.
    Refused(Option<Item>),
}

/// The store.
#[derive(Clone)]
pub struct Store {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Store {
    /// How a client calls `DynamoDB`: timeouts and retries are ours.
    pub fn settings(sdk: &SdkConfig) -> aws_sdk_dynamodb::config::Builder {
        aws_sdk_dynamodb::config::Builder::from(sdk)
            .timeout_config(timeouts(ATTEMPT_TIMEOUT, CALL_TIMEOUT))
            .retry_config(RetryConfig::standard().with_max_attempts(CALL_ATTEMPTS_MAX))
            // The default one is shared by all clients of a process: one store's failures would use up another's retries.
            .retry_partition(RetryPartition::custom("store").build())
            .interceptor(Meter)
    }

    /// On the table TABLE.
    pub fn new(settings: aws_sdk_dynamodb::config::Builder, table: String) -> Self {
        Self { client: aws_sdk_dynamodb::Client::from_conf(settings.build()), table }
    }

    /// Opens a connection before it is needed. Without one, the first call does it.
    pub(crate) async fn warm(&self) {
        let call = self.client.get_item().table_name(&self.table).set_key(Some(HashMap::new())).customize();
        let once = aws_sdk_dynamodb::Config::builder().retry_config(RetryConfig::disabled());
        let _ = call.config_override(once).mutate_request(ping).send().await;
    }

    /// Reads one item.
    pub(in crate::store) async fn get(&self, key: Key, read: Read) -> Result<Option<Item>, StoreError> {
        let call = self.client.get_item().table_name(&self.table).set_key(Some(key.item()));
        let call = call.consistent_read(read == Read::Strong).return_consumed_capacity(ReturnConsumedCapacity::Total);
        Ok(call.send().await.map_err(|error| StoreError::call("GetItem", &error))?.item)
    }

    /// Reads many items, in no order; those that don't exist are left out.
    pub(in crate::store) async fn get_many(&self, keys: &[Key], read: Read) -> Result<Vec<Item>, StoreError> {
        let mut keys = keys.to_vec();
        keys.sort_by(|a, b| (&a.pk, &a.sk).cmp(&(&b.pk, &b.sk)));
        keys.dedup();
        let chunks = keys.chunks(BATCH_GET_KEYS_MAX).map(|chunk| self.get_batch(chunk, read));
        Ok(futures::future::try_join_all(chunks).await?.into_iter().flatten().collect())
    }

    /// Reads up to [`BATCH_GET_KEYS_MAX`] items, and asks again for what was left unprocessed.
    async fn get_batch(&self, keys: &[Key], read: Read) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::with_capacity(keys.len());
        let mut wanted: Vec<Item> = keys.iter().cloned().map(Key::item).collect();
        for round in 0..BATCH_ROUNDS_MAX {
            if round > 0 {
                tokio::time::sleep(jitter::wait(BATCH_BACKOFF, round)).await;
            }
            let request =
                KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(read == Read::Strong).build();
            let request = request.map_err(|error| StoreError::broken(&error.to_string()))?;
            let call = self.client.batch_get_item().request_items(&self.table, request);
            let answer = call.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
            let answer = answer.map_err(|error| StoreError::call("BatchGetItem", &error))?;
            items.extend(answer.responses.into_iter().flatten().flat_map(|(_, items)| items));
            wanted = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, rest)| rest.keys).collect();
            if wanted.is_empty() {
                return Ok(items);
            }
        }
        Err(StoreError::contended("BatchGetItem: keys stay unprocessed"))
    }

    /// Deletes up to [`BATCH_WRITE_ITEMS_MAX`] items, and asks again for what was left unprocessed. No condition: those
    /// that don't exist are no error.
    pub(in crate::store) async fn delete_batch(&self, keys: impl Iterator<Item = Key>) -> Result<(), StoreError> {
        let delete = |key: Key| {
            let request = DeleteRequest::builder().set_key(Some(key.item())).build();
            request.map(|request| WriteRequest::builder().delete_request(request).build())
        };
        let mut wanted = keys.map(delete).collect::<Result<Vec<_>, _>>();
        for round in 0..BATCH_ROUNDS_MAX {
            if round > 0 {
                tokio::time::sleep(jitter::wait(BATCH_BACKOFF, round)).await;
            }
            let requests = wanted.map_err(|error| StoreError::broken(&error.to_string()))?;
            let call = self.client.batch_write_item().request_items(&self.table, requests);
            let answer = call.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
            let answer = answer.map_err(|error| StoreError::call("BatchWriteItem", &error))?;
            let rest: Vec<_> = answer.unprocessed_items.into_iter().flatten().flat_map(|(_, rest)| rest).collect();
            if rest.is_empty() {
                return Ok(());
            }
            wanted = Ok(rest);
        }
        Err(StoreError::contended("BatchWriteItem: items stay unprocessed"))
    }

    /// Puts an item **if there is none** with its key.
    pub(in crate::store) async fn put_new(&self, key: Key, mut item: Item) -> Result<Written, StoreError> {
        item.extend(key.item());
        let call = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let call = call
            .condition_expression(MADE_ONCE.expression())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match call.send().await {
            Ok(_) => Ok(Written::Done(Item::new())),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Written::Refused(failed.item().cloned()))
                }
                _ => Err(StoreError::call("PutItem", &error)),
            },
        }
    }

    /// Starts an update. In EXPRESSION and in its condition every attribute is written `#name`.
    pub(in crate::store) fn update(&self, key: Key, expression: &str) -> Update<'_> {
        let (names, values) = (HashMap::new(), HashMap::new());
        Update { store: self, key, expression: expression.to_owned(), condition: None, names, values }
    }

    /// Starts a deletion.
    pub(in crate::store) fn delete(&self, key: Key, condition: &Condition) -> Delete<'_> {
        Delete { store: self, key, condition: condition.expression(), values: HashMap::new() }
    }

    /// A page of the whole table, eventually consistent: only these attributes, each written `#name`, of at most so many items.
    pub(in crate::store) async fn scan_page(
        &self,
        attributes: &str,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let call = self.client.scan().table_name(&self.table).projection_expression(attributes);
        let call = call
            .set_expression_attribute_names(Some(names_in(attributes).collect()))
            .set_exclusive_start_key(after.cloned().map(Key::item))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = call.send().await.map_err(|error| StoreError::call("Scan", &error))?;
        let next = answer.last_evaluated_key.filter(|key| !key.is_empty());
        Ok(Page { items: answer.items.unwrap_or_default(), next })
    }

    /// Starts a query for items whose `#pk` is PK.
    pub(in crate::store) fn query(&self, condition: &str) -> Query {
        Query { call: self.client.query().table_name(&self.table), condition: condition.to_owned() }
    }
}

/// The `#name`s in an expression, as `DynamoDB` wants them: so no reserved word can be met.
fn names_in(expression: &str) -> impl Iterator<Item = (String, String)> {
    expression.split('#').skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        (format!("#{}", &rest[..end]), rest[..end].to_owned())
    })
}

/// An update in the making.
pub(in crate::store) struct Update<'a> {
    store: &'a Store,
    key: Key,
    expression: String,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Update<'_> {
    /// The condition.
    pub(in crate::store) fn only_if(mut self, condition: &Condition) -> Self {
        self.condition = Some(condition.expression());
        self
    }

    /// What `#placeholder` stands for, when it isn't its own name.
    pub(in crate::store) fn name(mut self, placeholder: &str, name: &str) -> Self {
        self.names.insert(placeholder.to_owned(), name.to_owned());
        self
    }

    /// What `:placeholder` stands for.
    pub(in crate::store) fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    /// Makes it.
    pub(in crate::store) async fn run(self) -> Result<Written, StoreError> {
        let mut names: HashMap<String, String> = names_in(&self.expression).collect();
        names.extend(self.condition.iter().flat_map(|condition| names_in(condition)));
        names.extend(self.names);
        let call = self.store.client.update_item().table_name(&self.store.table).set_key(Some(self.key.item()));
        let call = call
            .update_expression(self.expression)
            .set_condition_expression(self.condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(self.values).filter(|values| !values.is_empty()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match call.send().await {
            Ok(done) => Ok(Written::Done(done.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Written::Refused(failed.item().cloned()))
                }
                _ => Err(StoreError::call("UpdateItem", &error)),
            },
        }
    }
}

/// A deletion in the making.
pub(in crate::store) struct Delete<'a> {
    store: &'a Store,
    key: Key,
    condition: String,
    values: HashMap<String, AttributeValue>,
}

impl Delete<'_> {
    /// What `:placeholder` stands for.
    pub(in crate::store) fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    /// Makes it; where the condition doesn't hold, another has seen to it.
    pub(in crate::store) async fn run(self) -> Result<(), StoreError> {
        let names = names_in(&self.condition).collect();
        let call = self.store.client.delete_item().table_name(&self.store.table).set_key(Some(self.key.item()));
        let call = call
            .condition_expression(self.condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(self.values))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(StoreError::call("DeleteItem", &error)),
            },
        }
    }
}

/// A query in the making.
pub(in crate::store) struct Query {
    call: aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder,
    condition: String,
}

/// One page of a query.
#[derive(Debug)]
pub(in crate::store) struct Page {
    /// The items, in the order of the sort key.
    pub(in crate::store) items: Vec<Item>,
    /// Where the next page starts, if there may be one.
    pub(in crate::store) next: Option<Item>,
}

impl Query {
    /// What `:placeholder` stands for.
    pub(in crate::store) fn value(mut self, placeholder: &str, value: impl Into<String>) -> Self {
        self.call = self.call.expression_attribute_values(placeholder, text(value));
        self
    }

    /// How fresh.
    pub(in crate::store) fn read(mut self, read: Read) -> Self {
        self.call = self.call.consistent_read(read == Read::Strong);
        self
    }

    /// On the index of what is due.
    pub(in crate::store) fn on_work_index(mut self) -> Self {
        self.call = self.call.index_name(WORK_INDEX);
        self
    }

    /// From the highest sort key down.
    pub(in crate::store) fn backwards(mut self) -> Self {
        self.call = self.call.scan_index_forward(false);
        self
    }

    /// At most so many items.
    pub(in crate::store) fn limit(mut self, limit: u32) -> Self {
        self.call = self.call.limit(i32::try_from(limit).unwrap_or(i32::MAX));
        self
    }

    /// Only these attributes, each written `#name`.
    pub(in crate::store) fn project(mut self, attributes: &str) -> Self {
        self.call = self.call.projection_expression(attributes);
        self.condition_names(attributes)
    }

    /// Behind where another page ended.
    pub(in crate::store) fn starting_after(mut self, key: Option<Item>) -> Self {
        self.call = self.call.set_exclusive_start_key(key);
        self
    }

    fn condition_names(mut self, expression: &str) -> Self {
        for (placeholder, name) in names_in(expression) {
            self.call = self.call.expression_attribute_names(placeholder, name);
        }
        self
    }

    /// Asks for one page.
    pub(in crate::store) async fn page(self) -> Result<Page, StoreError> {
        let condition = self.condition.clone();
        let query = self.condition_names(&condition);
        let call =
            query.call.key_condition_expression(condition).return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = call.send().await.map_err(|error| StoreError::call("Query", &error))?;
        let next = answer.last_evaluated_key.filter(|key| !key.is_empty());
        Ok(Page { items: answer.items.unwrap_or_default(), next })
    }
}
