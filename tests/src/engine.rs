//! DynamoDB, in process: the embedded engine behind the JSON that the SDK speaks.

use dynoxide::Database;
use local::template::{KeyElement, TABLE_NAME, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The marks by which the engine's requests say what AWS would call a request that can't be read.
const VALIDATION_MARK: &str = "VALIDATION:";

/// The engine and its one table, in memory.
pub struct Engine {
    database: Database,
}

impl Engine {
    /// With the table that the template describes.
    pub fn new(table: &Table) -> Self {
        let engine = Self { database: Database::memory().expect("SQLite opens in memory") };
        let (status, body) = engine.answer("CreateTable", create_table(table).to_string().as_bytes());
        assert_eq!(status, 200, "CreateTable: {body}");
        engine
    }

    /// Answers one call: status and body.
    pub fn answer(&self, operation: &str, body: &[u8]) -> (u16, String) {
        let database = &self.database;
        match operation {
            "BatchGetItem" => typed(body, |request| database.batch_get_item(request)),
            "BatchWriteItem" => typed(body, |request| database.batch_write_item(request)),
            "CreateTable" => typed(body, |request| database.create_table(request)),
            "DeleteItem" => typed(body, |request| database.delete_item(request)),
            "GetItem" => typed(body, |request| database.get_item(request)),
            "PutItem" => typed(body, |request| database.put_item(request)),
            "Query" => typed(body, |request| database.query(request)),
            "Scan" => typed(body, |request| database.scan(request)),
            "UpdateItem" => typed(body, |request| database.update_item(request)),
            other => panic!("no function may call {other}"),
        }
    }

    /// Puts these items, many at once and without conditions.
    ///
    /// # Panics
    /// When the engine doesn't take them.
    pub(crate) fn import(&self, items: Vec<dynoxide::Item>) {
        let imported = self.database.import_items(TABLE_NAME, items, dynoxide::ImportOptions::default());
        imported.expect("the engine takes them");
    }

    /// Changes what is kept under a key, behind everybody's back; where nothing is left of it, the item goes.
    pub(crate) fn edit(&self, pk: &str, sk: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        let key = json!({ "pk": { "S": pk }, "sk": { "S": sk } });
        let request = json!({ "TableName": TABLE_NAME, "Key": key });
        let (_, body) = self.answer("GetItem", request.to_string().as_bytes());
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let mut item = answer["Item"].as_object().cloned().unwrap_or_default();
        change(&mut item);
        let (operation, request) = if item.is_empty() {
            ("DeleteItem", json!({ "TableName": TABLE_NAME, "Key": key }))
        } else {
            item.extend(key.as_object().cloned().unwrap_or_default());
            ("PutItem", json!({ "TableName": TABLE_NAME, "Item": item }))
        };
        let (status, body) = self.answer(operation, request.to_string().as_bytes());
        assert_eq!(status, 200, "{operation}: {body}");
    }

    /// Every item, its values without their types.
    pub fn items(&self) -> Vec<Value> {
        self.typed_items().iter().map(plain_map).collect()
    }

    /// Every item.
    fn typed_items(&self) -> Vec<Value> {
        let mut items = Vec::new();
        let mut request = json!({ "TableName": TABLE_NAME });
        loop {
            let (status, body) = self.answer("Scan", request.to_string().as_bytes());
            assert_eq!(status, 200, "Scan: {body}");
            let mut page: Value = serde_json::from_str(&body).expect("JSON");
            items.append(page["Items"].as_array_mut().expect("items"));
            match page["LastEvaluatedKey"].take() {
                Value::Null => return items,
                key => request["ExclusiveStartKey"] = key,
            }
        }
    }
}

/// What a table held at some moment.
pub(crate) struct Snapshot(Vec<Value>);

impl Engine {
    /// What the table holds.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot(self.typed_items())
    }

    /// Makes the table hold that again: writes only what differs.
    pub(crate) fn restore(&self, snapshot: &Snapshot) {
        let now = self.typed_items();
        let key = |item: &Value| json!({ "pk": item["pk"], "sk": item["sk"] });
        let write = |operation: &str, what: &str, value: Value| {
            let request = json!({ "TableName": TABLE_NAME, what: value });
            let (status, body) = self.answer(operation, request.to_string().as_bytes());
            assert_eq!(status, 200, "{operation}: {body}");
        };
        for item in now.iter().filter(|item| !snapshot.0.iter().any(|then| key(then) == key(item))) {
            write("DeleteItem", "Key", key(item));
        }
        for item in snapshot.0.iter().filter(|item| !now.contains(item)) {
            write("PutItem", "Item", item.clone());
        }
    }
}

/// One call of the engine's typed interface.
fn typed<Q, A>(body: &[u8], call: impl FnOnce(Q) -> dynoxide::Result<A>) -> (u16, String)
where
    Q: DeserializeOwned,
    A: Serialize,
{
    let request = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => {
            let text = error.to_string();
            let message = text.strip_prefix(VALIDATION_MARK).unwrap_or(&text);
            let kind = "com.amazon.coral.validate#ValidationException";
            return (400, json!({ "__type": kind, "message": message }).to_string());
        }
    };
    match call(request) {
        Ok(answer) => (200, serde_json::to_string(&answer).expect("an answer is JSON")),
        Err(error) => (error.status_code(), error.to_json()),
    }
}

/// The template's table as a `CreateTable` request.
fn create_table(table: &Table) -> Value {
    let key = |schema: &[KeyElement]| -> Value {
        schema.iter().map(|part| json!({ "AttributeName": part.attribute_name, "KeyType": part.key_type })).collect()
    };
    let attributes: Value = table
        .attribute_definitions
        .iter()
        .map(|one| json!({ "AttributeName": one.attribute_name, "AttributeType": one.attribute_type }))
        .collect();
    let indexes: Value = table
        .global_secondary_indexes
        .iter()
        .map(|index| {
            json!({
                "IndexName": index.index_name,
                "KeySchema": key(&index.key_schema),
                "Projection": { "ProjectionType": index.projection.projection_type },
            })
        })
        .collect();
    json!({
        "TableName": TABLE_NAME,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": attributes,
        "KeySchema": key(&table.key_schema),
        "GlobalSecondaryIndexes": indexes,
    })
}

/// An item, or the inside of a map, with the values' types.
pub(crate) fn typed_map(map: &Value) -> Value {
    let typed = |(name, value): (&String, &Value)| (name.clone(), typed_value(value));
    Value::Object(map.as_object().expect("a map").iter().map(typed).collect())
}

/// A value with its type: 7 is `{"N": "7"}`.
pub fn typed_value(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::String(text) => json!({ "S": text }),
        Value::Bool(is) => json!({ "BOOL": is }),
        Value::Array(values) => json!({ "L": values.iter().map(typed_value).collect::<Vec<Value>>() }),
        Value::Object(_) => json!({ "M": typed_map(value) }),
        Value::Null => json!({ "NULL": true }),
    }
}

/// An item, or the inside of a map.
pub(crate) fn plain_map(item: &Value) -> Value {
    let map: Map<String, Value> =
        item.as_object().expect("a map").iter().map(|(name, value)| (name.clone(), plain(value))).collect();
    Value::Object(map)
}

/// A value without its type: `{"N": "7"}` is 7.
fn plain(value: &Value) -> Value {
    let (kind, inner) = value.as_object().and_then(|map| map.iter().next()).expect("a typed value");
    match kind.as_str() {
        "N" => serde_json::from_str(inner.as_str().expect("digits")).expect("a number"),
        "M" => plain_map(inner),
        "L" => inner.as_array().expect("a list").iter().map(plain).collect(),
        _ => inner.clone(),
    }
}
