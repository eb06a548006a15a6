//! Every key, index and shared call, on one screen each.
//!
//! | item | pk | sk | holds |
//! |---|---|---|---|
//! | ACCOUNT | `USER#u` | `ACCOUNT` | balance, open sends, epoch, rate, settling |
//! | PROFILE | `USER#u` | `PROFILE` | price |
//! | PRESENCE | `USER#u` | `PRESENCE` | map of live connections, last seen |
//! | INBOX | `USER#u` | `INBOX#c` | last, delivered and read number |
//! | RECEIPT | `USER#u` | `RECEIPT#cmid` | fingerprint, conversation, number, price; void? No TTL |
//! | ENTRY | `USER#u` | `ENTRY#ms#id` | one ledger entry, in the order of time |
//! | TOPUP | `USER#u` | `TOPUP#key` | amount and time of a top-up, by its idempotency key |
//! | META | `CONV#c` | `META` | kind, members, where its messages are |
//! | LOG | `CONV#c` | `MSG#%020d` | one message, or one void |
//! | SEGMENT | `CONV#c` | `SEGMENT#%020d` | which object of the archive holds the messages from this number on |
//!
//! The index `work` (keys only) lists what is due: see [`super::work`].

use std::collections::HashMap;

use aws_sdk_dynamodb::config::interceptors::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemOutput;
use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemOutput;
use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::scan::ScanOutput;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
pub(super) use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::{
    ConsumedCapacity, DeleteRequest, KeysAndAttributes, ReturnConsumedCapacity, ReturnValue,
    ReturnValuesOnConditionCheckFailure, WriteRequest,
};
use aws_smithy_runtime_api::client::interceptors::context::Output;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use aws_types::SdkConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::{ping, timeouts};
use crate::limits::{ATTEMPT_TIMEOUT, BATCH_GET_KEYS_MAX, BATCH_ROUNDS_MAX, CALL_ATTEMPTS_MAX, CALL_TIMEOUT};
use crate::protocol::{ClientMessageId, ConversationId, IdempotencyKey, Seq, Time, UserId};
use crate::telemetry::{Metric, RoundTrip, chain, count};

/// The index of what is due.
pub const WORK_INDEX: &str = "work";

/// An item as `DynamoDB` has it.
pub type Item = HashMap<String, AttributeValue>;

/// An item's key. Prefixes end in `#` and what follows them is the rest of the key, so no two kinds can meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    fn user(user: &UserId, sk: String) -> Self {
        Self { pk: user_pk(user), sk }
    }

    /// ACCOUNT of a user.
    pub fn account(user: &UserId) -> Self {
        Self::user(user, "ACCOUNT".to_owned())
    }

    /// PROFILE of a user.
    pub fn profile(user: &UserId) -> Self {
        Self::user(user, "PROFILE".to_owned())
    }

    /// PRESENCE of a user.
    pub fn presence(user: &UserId) -> Self {
        Self::user(user, "PRESENCE".to_owned())
    }

    /// INBOX of a user for one conversation.
    pub fn inbox(user: &UserId, conversation: &ConversationId) -> Self {
        Self::user(user, format!("{INBOX_PREFIX}{conversation}"))
    }

    /// RECEIPT of one send.
    pub fn receipt(user: &UserId, id: &ClientMessageId) -> Self {
        Self::user(user, format!("{RECEIPT_PREFIX}{id}"))
    }

    /// ENTRY of a user's ledger. The time is the decision's, so whoever repeats the write meets the same key.
    pub fn entry(user: &UserId, at: Time, id: &str) -> Self {
        Self::user(user, format!("{ENTRY_PREFIX}{:013}#{id}", at.ms))
    }

    /// TOPUP of a user, by its idempotency key.
    pub fn topup(user: &UserId, key: &IdempotencyKey) -> Self {
        Self::user(user, format!("{TOPUP_PREFIX}{key}"))
    }

    /// META of a conversation.
    pub fn meta(conversation: &ConversationId) -> Self {
        Self { pk: conversation_pk(conversation), sk: "META".to_owned() }
    }

    /// LOG item of a conversation.
    pub fn log(conversation: &ConversationId, seq: Seq) -> Self {
        Self { pk: conversation_pk(conversation), sk: log_sk(seq) }
    }

    /// SEGMENT of a conversation, by its first number.
    pub fn segment(conversation: &ConversationId, first: Seq) -> Self {
        Self { pk: conversation_pk(conversation), sk: segment_sk(first) }
    }

    /// As attributes.
    fn item(self) -> Item {
        HashMap::from([("pk".to_owned(), AttributeValue::S(self.pk)), ("sk".to_owned(), AttributeValue::S(self.sk))])
    }

    /// From an item or an index row.
    pub fn of(item: &Item) -> Result<Self, StoreError> {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        match (text("pk"), text("sk")) {
            (Some(pk), Some(sk)) => Ok(Self { pk, sk }),
            _ => Err(StoreError::broken("an item without a key")),
        }
    }

    /// Whose item it is.
    pub fn owner(&self) -> Result<UserId, StoreError> {
        let user = self.pk.strip_prefix(USER_PREFIX).and_then(|user| user.parse().ok());
        user.ok_or_else(|| StoreError::broken(&format!("{} is no user's", self.pk)))
    }

    /// Which conversation's item it is.
    pub fn conversation(&self) -> Result<ConversationId, StoreError> {
        let id = self.pk.strip_prefix(CONVERSATION_PREFIX).and_then(|id| id.parse().ok());
        id.ok_or_else(|| StoreError::broken(&format!("{} is no conversation's", self.pk)))
    }
}

const USER_PREFIX: &str = "USER#";
const CONVERSATION_PREFIX: &str = "CONV#";
/// Sort keys of INBOX items start so.
pub const INBOX_PREFIX: &str = "INBOX#";
/// Sort keys of ENTRY items start so.
pub const ENTRY_PREFIX: &str = "ENTRY#";
/// Sort keys of RECEIPT items start so.
pub const RECEIPT_PREFIX: &str = "RECEIPT#";
/// Sort keys of TOPUP items start so.
pub const TOPUP_PREFIX: &str = "TOPUP#";
/// Sort keys of LOG items start so.
pub const LOG_PREFIX: &str = "MSG#";
/// Sort keys of SEGMENT items start so.
pub const SEGMENT_PREFIX: &str = "SEGMENT#";

/// The partition of a user's items.
pub fn user_pk(user: &UserId) -> String {
    format!("{USER_PREFIX}{user}")
}

/// The partition of a conversation's items.
pub fn conversation_pk(conversation: &ConversationId) -> String {
    format!("{CONVERSATION_PREFIX}{conversation}")
}

/// The sort key of a message: 20 digits, so that text order is the numbers' order.
pub fn log_sk(seq: Seq) -> String {
    format!("{LOG_PREFIX}{:020}", seq.0)
}

/// The sort key of a segment, by its first number.
pub fn segment_sk(first: Seq) -> String {
    format!("{SEGMENT_PREFIX}{:020}", first.0)
}

/// Why a call to the store failed.
#[derive(Debug)]
pub struct StoreError {
    /// Whether trying again may help: throttled, timed out, not reached.
    pub busy: bool,
    text: String,
}

impl StoreError {
    /// Data that can't be read.
    pub fn broken(text: &str) -> Self {
        Self { busy: false, text: text.to_owned() }
    }

    /// A write that others keep getting in the way of.
    pub(super) fn contended(text: &str) -> Self {
        Self { busy: true, text: text.to_owned() }
    }

    fn call<E>(operation: &str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let code = error.code().unwrap_or_default();
        let throttled = ["Throttl", "ProvisionedThroughput", "RequestLimit", "LimitExceeded"]
            .iter()
            .any(|part| code.contains(part));
        let busy = throttled
            || error.raw_response().is_none_or(|response| response.status().is_server_error())
                && !matches!(error, SdkError::ConstructionFailure(_));
        let status = error.raw_response().map(|response| response.status().as_u16().to_string());
        let said: Vec<String> = status.into_iter().chain(error.code().map(str::to_owned)).collect();
        Self { busy, text: format!("{operation}: {} [{}]", chain(error), said.join(" ")) }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for StoreError {}

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

/// Reads an item into its type.
pub fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    serde_dynamo::from_item(item).map_err(|error| StoreError::broken(&format!("an item can't be read: {error}")))
}

/// Turns a value into an item, without its key.
pub fn to_item<T: Serialize>(value: &T) -> Result<Item, StoreError> {
    serde_dynamo::to_item(value).map_err(|error| StoreError::broken(&format!("an item can't be written: {error}")))
}

/// Turns a value into an attribute.
pub fn attribute<T: Serialize>(value: T) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(value).map_err(|error| StoreError::broken(&error.to_string()))
}

/// A number as an attribute.
pub fn number(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A text as an attribute.
pub fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
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
    pub(super) async fn get(&self, key: Key, read: Read) -> Result<Option<Item>, StoreError> {
        let call = self.client.get_item().table_name(&self.table).set_key(Some(key.item()));
        let call = call.consistent_read(read == Read::Strong).return_consumed_capacity(ReturnConsumedCapacity::Total);
        Ok(call.send().await.map_err(|error| StoreError::call("GetItem", &error))?.item)
    }

    /// Reads many items, in no order; those that don't exist are left out.
    pub(super) async fn get_many(&self, keys: &[Key], read: Read) -> Result<Vec<Item>, StoreError> {
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
                tokio::time::sleep(std::time::Duration::from_millis(20 << round)).await;
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
        Err(StoreError { busy: true, text: "BatchGetItem: keys stay unprocessed".to_owned() })
    }

    /// Deletes up to [`BATCH_WRITE_ITEMS_MAX`] items, and asks again for what was left unprocessed. No condition: those
    /// that don't exist are no error.
    pub(super) async fn delete_batch(&self, keys: impl Iterator<Item = Key>) -> Result<(), StoreError> {
        let delete = |key: Key| {
            let request = DeleteRequest::builder().set_key(Some(key.item())).build();
            request.map(|request| WriteRequest::builder().delete_request(request).build())
        };
        let mut wanted = keys.map(delete).collect::<Result<Vec<_>, _>>();
        for round in 0..BATCH_ROUNDS_MAX {
            if round > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(20 << round)).await;
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
        Err(StoreError { busy: true, text: "BatchWriteItem: items stay unprocessed".to_owned() })
    }

    /// Puts an item **if there is none** with its key.
    pub(super) async fn put_new(&self, key: Key, mut item: Item) -> Result<Written, StoreError> {
        item.extend(key.item());
        let call = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let call = call
            .condition_expression("attribute_not_exists(pk)")
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
    pub(super) fn update(&self, key: Key, expression: &str) -> Update<'_> {
        let (names, values) = (HashMap::new(), HashMap::new());
        Update { store: self, key, expression: expression.to_owned(), condition: None, names, values }
    }

    /// A page of the whole table, eventually consistent: only these attributes, each written `#name`, of at most so many items.
    pub(super) async fn scan_page(
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
    pub(super) fn query(&self, condition: &str) -> Query {
        Query { call: self.client.query().table_name(&self.table), condition: condition.to_owned() }
    }
}

/// Counts what each call costs the running request: where all calls pass, so that none is forgotten.
#[derive(Debug)]
struct Meter;

/// A call's [`RoundTrip`], kept with the call.
#[derive(Debug)]
struct OnItsWay(RoundTrip);

impl Storable for OnItsWay {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        call: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        call.interceptor_state().store_put(OnItsWay(RoundTrip::begin()));
        Ok(())
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        call: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if call.load::<RequestAttempts>().is_some_and(|attempts| attempts.attempts() > 1) {
            count(Metric::Retries, 1.0);
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        call: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(OnItsWay(trip)) = call.load::<OnItsWay>() {
            trip.end();
        }
        if let Some(Ok(answer)) = context.output_or_error()
            && let Some((metric, units)) = consumed(answer)
        {
            count(metric, units);
        }
        Ok(())
    }
}

/// What an answer says that its call has consumed, indexes included.
fn consumed(answer: &Output) -> Option<(Metric, f64)> {
    let units = |capacity: &ConsumedCapacity| capacity.capacity_units;
    if let Some(answer) = answer.downcast_ref::<BatchGetItemOutput>() {
        return Some((Metric::ReadUnits, answer.consumed_capacity().iter().filter_map(units).sum()));
    }
    if let Some(answer) = answer.downcast_ref::<BatchWriteItemOutput>() {
        return Some((Metric::WriteUnits, answer.consumed_capacity().iter().filter_map(units).sum()));
    }
    let read = (answer.downcast_ref::<GetItemOutput>().map(GetItemOutput::consumed_capacity))
        .or_else(|| answer.downcast_ref::<QueryOutput>().map(QueryOutput::consumed_capacity))
        .or_else(|| answer.downcast_ref::<ScanOutput>().map(ScanOutput::consumed_capacity));
    let written = (answer.downcast_ref::<PutItemOutput>().map(PutItemOutput::consumed_capacity))
        .or_else(|| answer.downcast_ref::<UpdateItemOutput>().map(UpdateItemOutput::consumed_capacity));
    match (read, written) {
        (Some(capacity), _) => Some((Metric::ReadUnits, capacity.and_then(units)?)),
        (_, Some(capacity)) => Some((Metric::WriteUnits, capacity.and_then(units)?)),
        _ => None,
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
pub(super) struct Update<'a> {
    store: &'a Store,
    key: Key,
    expression: String,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Update<'_> {
    /// The condition.
    pub(super) fn only_if(mut self, condition: &str) -> Self {
        self.condition = Some(condition.to_owned());
        self
    }

    /// What `#placeholder` stands for, when it isn't its own name.
    pub(super) fn name(mut self, placeholder: &str, name: &str) -> Self {
        self.names.insert(placeholder.to_owned(), name.to_owned());
        self
    }

    /// What `:placeholder` stands for.
    pub(super) fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    /// Makes it.
    pub(super) async fn run(self) -> Result<Written, StoreError> {
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

/// A query in the making.
pub(super) struct Query {
    call: aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder,
    condition: String,
}

/// One page of a query.
#[derive(Debug)]
pub(super) struct Page {
    /// The items, in the order of the sort key.
    pub(super) items: Vec<Item>,
    /// Where the next page starts, if there may be one.
    pub(super) next: Option<Item>,
}

impl Query {
    /// What `:placeholder` stands for.
    pub(super) fn value(mut self, placeholder: &str, value: impl Into<String>) -> Self {
        self.call = self.call.expression_attribute_values(placeholder, text(value));
        self
    }

    /// How fresh.
    pub(super) fn read(mut self, read: Read) -> Self {
        self.call = self.call.consistent_read(read == Read::Strong);
        self
    }

    /// On the index of what is due.
    pub(super) fn on_work_index(mut self) -> Self {
        self.call = self.call.index_name(WORK_INDEX);
        self
    }

    /// From the highest sort key down.
    pub(super) fn backwards(mut self) -> Self {
        self.call = self.call.scan_index_forward(false);
        self
    }

    /// At most so many items.
    pub(super) fn limit(mut self, limit: u32) -> Self {
        self.call = self.call.limit(i32::try_from(limit).unwrap_or(i32::MAX));
        self
    }

    /// Only these attributes, each written `#name`.
    pub(super) fn project(mut self, attributes: &str) -> Self {
        self.call = self.call.projection_expression(attributes);
        self.condition_names(attributes)
    }

    /// Behind where another page ended.
    pub(super) fn starting_after(mut self, key: Option<Item>) -> Self {
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
    pub(super) async fn page(self) -> Result<Page, StoreError> {
        let condition = self.condition.clone();
        let query = self.condition_names(&condition);
        let call =
            query.call.key_condition_expression(condition).return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = call.send().await.map_err(|error| StoreError::call("Query", &error))?;
        let next = answer.last_evaluated_key.filter(|key| !key.is_empty());
        Ok(Page { items: answer.items.unwrap_or_default(), next })
    }
}

/// Keeps a [`Time`] as a number of milliseconds: `#[serde(with = "ms")]`.
pub(super) mod ms {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::protocol::Time;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(in crate::store) fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.ms)
    }

    pub(in crate::store) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        i64::deserialize(deserializer).map(|ms| Time { ms })
    }
}
