//! Items and attributes, and the types that they are read into.

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;

pub(in crate::store) use aws_sdk_dynamodb::types::AttributeValue;

/// An item as `DynamoDB` has it.
pub type Item = HashMap<String, AttributeValue>;

/// Reads an item into its type.
pub fn from_item<T: DeserializeOwned>(mut item: Item) -> Result<T, StoreError> {
    // No type has its key: it is taken out, and not copied, for what may have to be said.
    let key = ["pk", "sk"].map(|name| item.remove(name));
    serde_dynamo::from_item(item).map_err(|error| {
        let [pk, sk] =
            key.each_ref().map(|part| part.as_ref().and_then(|part| part.as_s().ok()).map_or("", String::as_str));
        let why = without_quoted(&error.to_string());
        StoreError::broken(&format!("{pk} {sk} can't be read: {why}"))
    })
}

/// A text without what stands in quotes: a value that isn't as it should be may be what somebody wrote.
fn without_quoted(text: &str) -> String {
    match (text.find('"'), text.rfind('"')) {
        (Some(from), Some(to)) => format!("{}…{}", &text[..from], &text[to + 1..]),
        _ => text.to_owned(),
    }
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

/// Keeps a [`Time`] as a number of milliseconds: `#[serde(with = "ms")]`.
pub(in crate::store) mod ms {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use wire::Time;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(in crate::store) fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.ms)
    }

    pub(in crate::store) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        i64::deserialize(deserializer).map(|ms| Time { ms })
    }
}

/// The same for a [`Time`] that may not be there: `#[serde(default, with = "some_ms")]`.
pub(in crate::store) mod some_ms {
    use serde::{Deserialize as _, Deserializer};

    use wire::Time;

    pub(in crate::store) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
        Ok(Option::deserialize(deserializer)?.map(|ms| Time { ms }))
    }
}
