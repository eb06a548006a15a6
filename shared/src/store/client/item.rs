//! Items and attributes, and the types that they are read into.

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use crate::store::table::Key;
use crate::telemetry::passed_over;

pub(in crate::store) use aws_sdk_dynamodb::types::AttributeValue;

/// An item as `DynamoDB` has it.
pub type Item = HashMap<String, AttributeValue>;

/// Reads an item into its type.
pub fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    let key = Key::of(&item)?;
    serde_dynamo::from_item(item).map_err(|error| {
        let why = without_quoted(&error.to_string());
        StoreError::broken(&format!("{key} can't be read: {why}"))
    })
}

/// A text without what stands in quotes: a value that isn't as it should be may be what somebody wrote.
fn without_quoted(text: &str) -> String {
    match (text.find('"'), text.rfind('"')) {
        (Some(from), Some(to)) => format!("{}…{}", &text[..from], &text[to + 1..]),
        _ => text.to_owned(),
    }
}

/// Items of which each stands for itself, as far as they can be read.
#[derive(Debug)]
pub struct Several<T> {
    /// Those that can be.
    pub read: Vec<T>,
    /// Where the others are: they are damaged, or of a kind that a later version writes.
    pub skipped: Vec<Key>,
}

impl<T> Several<T> {
    /// Reads each. What can't be read is passed over: it is counted, and named in the log.
    pub(in crate::store) fn of(
        items: Vec<Item>,
        read: impl Fn(Item) -> Result<T, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut several = Self { read: Vec::with_capacity(items.len()), skipped: Vec::new() };
        for item in items {
            let key = Key::of(&item)?;
            match read(item) {
                Ok(it) => several.read.push(it),
                Err(error) => {
                    passed_over(&error.to_string());
                    several.skipped.push(key);
                }
            }
        }
        Ok(several)
    }

    /// All of them, where none can be done without.
    ///
    /// # Errors
    /// One of them can't be read.
    pub fn all(self) -> Result<Vec<T>, StoreError> {
        match self.skipped.first() {
            None => Ok(self.read),
            Some(key) => Err(StoreError::broken(&format!("{key} can't be read"))),
        }
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
