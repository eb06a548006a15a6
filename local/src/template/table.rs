//! The table.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::TemplateError;
use super::resources::only;
use super::yaml::from_value;

/// The table, in the shape of `AWS::DynamoDB::Table`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Table {
    /// The key attributes of the table and its indexes.
    pub attribute_definitions: Vec<AttributeDefinition>,
    /// The table's key.
    pub key_schema: Vec<KeyElement>,
    /// The table's indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub global_secondary_indexes: Vec<Index>,
}

/// A key attribute and its type.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributeDefinition {
    /// The attribute.
    pub attribute_name: String,
    /// `S`, `N` or `B`.
    pub attribute_type: String,
}

/// One part of a key.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyElement {
    /// The attribute.
    pub attribute_name: String,
    /// `HASH` or `RANGE`.
    pub key_type: String,
}

/// A global secondary index.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Index {
    /// The index's name.
    pub index_name: String,
    /// The index's key.
    pub key_schema: Vec<KeyElement>,
    /// What the index holds beside its keys.
    pub projection: Projection,
}

/// What an index holds beside its keys.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Projection {
    /// `KEYS_ONLY`, `INCLUDE` or `ALL`.
    pub projection_type: String,
    /// The attributes of `INCLUDE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub non_key_attributes: Vec<String>,
}

/// Reads the one table.
pub(super) fn table(resources: &Map<String, Value>) -> Result<Table, TemplateError> {
    let (id, properties) = only(resources, "AWS::DynamoDB::Table")?;
    from_value(properties.clone(), &format!("Resources.{id}.Properties"))
}
