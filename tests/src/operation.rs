//! What a call over the network asks.

use std::collections::HashMap;
use std::sync::LazyLock;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use local::template::{BUCKET_NAME, REGION, TABLE_NAME};
use serde_json::Value;
use shared::store::accounts::{CLAIM, CLAIM_BY_ID, CLAIM_BY_ID_RAISES, DROPS_ALL, NOT_DROPPED_SINCE, NOT_FOLDED_SINCE};
use shared::store::guards::{Condition, GUARDED};

/// The header that names a call to DynamoDB, to SQS or to Secrets Manager.
const TARGET: &str = "x-amz-target";
/// What stands there before DynamoDB's operations.
const DYNAMODB_PREFIX: &str = "DynamoDB_20120810.";
/// The one operation of Secrets Manager.
const SECRET_TARGET: &str = "secretsmanager.GetSecretValue";
/// What stands there before SQS's operations.
const QUEUE_PREFIX: &str = "AmazonSQS.";

/// Each condition of the store's, by the kind of item and as it is written: every write of every world looks here.
static GUARDS: LazyLock<HashMap<(&str, String), &Condition>> =
    LazyLock::new(|| GUARDED.iter().map(|(item, condition)| ((*item, condition.expression()), *condition)).collect());

/// The kind of an item: its sort key without what follows the prefix.
pub(crate) fn kind_of(sk: &str) -> &str {
    sk.split_once('#').map_or(sk, |(kind, _)| kind)
}

/// What a call asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// A call to DynamoDB: its name and its request.
    Dynamo(String, Value),
    /// Reading a version of a secret: the secret's ARN and the version's label.
    Secret(String, String),
    /// A push to this connection.
    Push(String),
    /// Closing this connection.
    Close(String),
    /// A call to SQS: its name and its request.
    Queue(String, Value),
    /// Writing the object of this name to S3.
    PutObject(String),
    /// Reading it.
    GetObject(String),
}

impl Operation {
    /// What a request asks.
    pub(crate) fn of(request: &HttpRequest, body: &[u8]) -> Self {
        if let Some(target) = request.headers().get(TARGET) {
            let request: Value = serde_json::from_slice(body).expect("the SDK writes JSON");
            if target == SECRET_TARGET {
                let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
                return Self::Secret(text("SecretId"), text("VersionStage"));
            }
            if let Some(name) = target.strip_prefix(QUEUE_PREFIX) {
                return Self::Queue(name.to_owned(), request);
            }
            let name = target.strip_prefix(DYNAMODB_PREFIX).unwrap_or_else(|| panic!("a call to {target}"));
            return Self::Dynamo(name.to_owned(), request);
        }
        let path = request.uri().split('?').next().unwrap_or_default();
        if let Some((_, name)) = path.split_once(&format!("//{BUCKET_NAME}.s3.{REGION}.amazonaws.com/")) {
            return match request.method() {
                "PUT" => Self::PutObject(name.to_owned()),
                "GET" => Self::GetObject(name.to_owned()),
                other => panic!("{other} {path}"),
            };
        }
        let (_, id) = path.split_once("/@connections/").unwrap_or_else(|| panic!("a call to {path}"));
        let id = percent_encoding::percent_decode_str(id).decode_utf8().expect("UTF-8").into_owned();
        match request.method() {
            "POST" => Self::Push(id),
            "DELETE" => Self::Close(id),
            other => panic!("{other} {path}"),
        }
    }

    /// Whether it writes to DynamoDB.
    pub fn is_write(&self) -> bool {
        matches!(self, Self::Dynamo(name, _) if ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"].contains(&name.as_str()))
    }

    /// Whether it writes an item whose sort key starts so.
    pub fn writes(&self, sk: &str) -> bool {
        self.is_write() && self.sk().is_some_and(|key| key.starts_with(sk))
    }

    /// Whether it reads several items, each by itself: no such read is a snapshot.
    pub fn reads_several(&self) -> bool {
        matches!(self, Self::Dynamo(name, _) if name == "Query" || name == "BatchGetItem")
    }

    /// Whether it reads an index.
    pub fn reads_index(&self) -> bool {
        matches!(self, Self::Dynamo(_, request) if !request["IndexName"].is_null())
    }

    /// The sort key of the one item that it is about.
    pub fn sk(&self) -> Option<&str> {
        let Self::Dynamo(_, request) = self else { return None };
        request["Key"]["sk"]["S"].as_str().or_else(|| request["Item"]["sk"]["S"].as_str())
    }

    /// The kind of the item that it is about, or of the items.
    pub fn item_kind(&self) -> Option<&str> {
        let Self::Dynamo(_, request) = self else { return None };
        let values = &request["ExpressionAttributeValues"];
        let batch = request["RequestItems"].as_object().and_then(|tables| tables.values().next());
        let deleted = batch.and_then(|requests| requests[0]["DeleteRequest"]["Key"]["sk"]["S"].as_str());
        let many = [&values[":sk"]["S"], &values[":from"]["S"]].into_iter().find_map(serde_json::Value::as_str);
        let sk = self.sk().or(many).or(deleted).or_else(|| batch?["Keys"][0]["sk"]["S"].as_str())?;
        Some(kind_of(sk))
    }

    /// From where to where a query goes, if it says both.
    pub fn range(&self) -> Option<(String, String)> {
        let Self::Dynamo(_, request) = self else { return None };
        let bound = |name: &str| Some(request["ExpressionAttributeValues"][name]["S"].as_str()?.to_owned());
        Some((bound(":from")?, bound(":to")?))
    }

    /// The sort keys of the items that a batch reads.
    pub fn keys(&self) -> Vec<&str> {
        let Self::Dynamo(_, request) = self else { return Vec::new() };
        let keys = request["RequestItems"][TABLE_NAME]["Keys"].as_array().into_iter().flatten();
        keys.filter_map(|key| key["sk"]["S"].as_str()).collect()
    }

    /// Whether it is a read that must not be behind.
    pub fn is_strong(&self) -> bool {
        let Self::Dynamo(_, request) = self else { return false };
        request["ConsistentRead"] == true || request["RequestItems"][TABLE_NAME]["ConsistentRead"] == true
    }

    /// Whether it deletes one item.
    pub fn is_delete(&self) -> bool {
        matches!(self, Self::Dynamo(name, _) if name == "DeleteItem")
    }

    /// Whether it puts an item.
    pub fn is_put(&self) -> bool {
        matches!(self, Self::Dynamo(name, _) if name == "PutItem")
    }

    /// The expression of an update.
    pub fn update(&self) -> &str {
        let Self::Dynamo(_, request) = self else { return "" };
        request["UpdateExpression"].as_str().unwrap_or_default()
    }

    /// The condition of a write, by its name.
    ///
    /// # Panics
    /// When the store doesn't list it: then nothing would show that it is needed.
    pub fn guard(&self) -> Option<&'static Condition> {
        let Self::Dynamo(_, request) = self else { return None };
        let written = request["ConditionExpression"].as_str()?;
        let kind = self.item_kind().unwrap_or_default();
        let found = GUARDS.get(&(kind, written.to_owned())).copied();
        Some(found.unwrap_or_else(|| panic!("shared/src/store/guards.rs has no condition of {kind}: {written}")))
    }

    /// Whether it is a write on this condition.
    pub fn is_on(&self, condition: &Condition) -> bool {
        self.is_write() && self.guard() == Some(condition)
    }

    /// Whether it claims a send, in whatever way.
    pub fn claims(&self) -> bool {
        [&CLAIM, &CLAIM_BY_ID, &CLAIM_BY_ID_RAISES].into_iter().any(|claim| self.is_on(claim))
    }

    /// Whether it drops sends, and claims none.
    pub fn drops(&self) -> bool {
        self.is_on(&NOT_DROPPED_SINCE) || self.is_on(&DROPS_ALL)
    }

    /// Whether it folds earnings into a balance.
    pub fn folds(&self) -> bool {
        self.is_on(&NOT_FOLDED_SINCE) && self.update().starts_with("SET")
    }
}
