//! The table: made if it is missing, checked if it is there.

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters as _;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection, TableDescription,
};

use super::error::EngineError;
use crate::template::{Index, KeyElement, REGION, TABLE_NAME, Table};

/// The credentials of this machine: engines on one machine want some and check none.
pub const ACCESS_KEY: &str = "local";

/// How long an engine may take to make a table.
const TABLE_ACTIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the template's table at this endpoint if it is missing, and checks it if it is there.
///
/// # Errors
/// The engine doesn't answer, or has another table of this name.
pub async fn ensure_table(endpoint: &str, table: &Table) -> Result<(), EngineError> {
    let client = client(endpoint);
    match client.describe_table().table_name(TABLE_NAME).send().await {
        Ok(described) => {
            let description = described.table.unwrap_or_else(|| TableDescription::builder().build());
            if let Some(difference) = difference(table, &description) {
                return Err(EngineError::OtherTable { endpoint: endpoint.to_owned(), difference });
            }
        }
        Err(SdkError::ServiceError(error)) if error.err().is_resource_not_found_exception() => {
            create(&client, table).await.map_err(|(operation, problem)| refused(endpoint, operation, problem))?;
        }
        Err(error) => return Err(refused(endpoint, "DescribeTable", causes(&error))),
    }
    Ok(())
}

pub(super) fn refused(endpoint: &str, operation: &'static str, problem: String) -> EngineError {
    EngineError::Request { endpoint: endpoint.to_owned(), operation, problem }
}

/// Makes the table, and waits until it can be used. The error is the call that was refused, and why.
async fn create(client: &Client, table: &Table) -> Result<(), (&'static str, String)> {
    let invalid = |error: BuildError| ("CreateTable", error.to_string());
    let mut create = client.create_table().table_name(TABLE_NAME).billing_mode(BillingMode::PayPerRequest);
    for attribute in &table.attribute_definitions {
        let definition = AttributeDefinition::builder()
            .attribute_name(&attribute.attribute_name)
            .attribute_type(attribute.attribute_type.as_str().into());
        create = create.attribute_definitions(definition.build().map_err(invalid)?);
    }
    create = create.set_key_schema(Some(key_schema(&table.key_schema).map_err(invalid)?));
    for index in &table.global_secondary_indexes {
        create = create.global_secondary_indexes(secondary_index(index).map_err(invalid)?);
    }
    // A second try would only say that the first has begun.
    let once = aws_sdk_dynamodb::Config::builder().retry_config(RetryConfig::disabled());
    let created = create.customize().config_override(once).send().await;
    created.map_err(|error| ("CreateTable", causes(&error)))?;
    wait_for_table(client, TABLE_NAME).await
}

/// Waits until a table that was made can be used.
pub(super) async fn wait_for_table(client: &Client, name: &str) -> Result<(), (&'static str, String)> {
    let active = client.wait_until_table_exists().table_name(name).wait(TABLE_ACTIVE_TIMEOUT).await;
    active.map(drop).map_err(|error| ("DescribeTable", causes(&error)))
}

/// An error and what it came from, on one line, and nothing twice.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut causes: Vec<String> = successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    causes.dedup();
    causes.join(": ")
}

pub(super) fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(ACCESS_KEY, ACCESS_KEY, None, None, "local"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

fn key_schema(key: &[KeyElement]) -> Result<Vec<KeySchemaElement>, BuildError> {
    let element = |element: &KeyElement| {
        let builder = KeySchemaElement::builder().attribute_name(&element.attribute_name);
        builder.key_type(element.key_type.as_str().into()).build()
    };
    key.iter().map(element).collect()
}

fn secondary_index(index: &Index) -> Result<GlobalSecondaryIndex, BuildError> {
    let attributes = &index.projection.non_key_attributes;
    let projection = Projection::builder()
        .projection_type(index.projection.projection_type.as_str().into())
        .set_non_key_attributes((!attributes.is_empty()).then(|| attributes.clone()));
    GlobalSecondaryIndex::builder()
        .index_name(&index.index_name)
        .set_key_schema(Some(key_schema(&index.key_schema)?))
        .projection(projection.build())
        .build()
}

/// What differs between the template's table and the one that is there, in key or indexes.
fn difference(table: &Table, description: &TableDescription) -> Option<String> {
    let wanted = |key: &[KeyElement]| {
        key.iter().map(|part| format!("{} {}", part.attribute_name, part.key_type)).collect::<Vec<_>>().join(", ")
    };
    let found = |key: &[KeySchemaElement]| {
        key.iter().map(|part| format!("{} {}", part.attribute_name, part.key_type)).collect::<Vec<_>>().join(", ")
    };
    let (want, have) = (wanted(&table.key_schema), found(description.key_schema()));
    if want != have {
        return Some(format!("its key is {have}, not {want}"));
    }
    for index in &table.global_secondary_indexes {
        let name = &index.index_name;
        let mut there = description.global_secondary_indexes().iter();
        let Some(there) = there.find(|there| there.index_name.as_ref() == Some(name)) else {
            return Some(format!("it has no index {name}"));
        };
        let (want, have) = (wanted(&index.key_schema), found(there.key_schema()));
        if want != have {
            return Some(format!("the key of its index {name} is {have}, not {want}"));
        }
        let have = there.projection().and_then(Projection::projection_type).map_or("", |kind| kind.as_str());
        if have != index.projection.projection_type {
            return Some(format!("its index {name} projects {have}, not {}", index.projection.projection_type));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{Ipv4Addr, TcpListener};
    use std::path::Path;

    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::data_dir::DataLock;
    use crate::engine::{Engine, Port, make_database};
    use crate::template::{DEPLOYED, Template};

    fn table(text: &str) -> Table {
        let template = Template::parse(text).expect("parses");
        template.deploy(&BTreeMap::new(), "http://127.0.0.1:1").expect("deploys").table
    }

    fn start(path: &Path) -> Engine {
        Engine::start(Some(DataLock::take(path).expect("is free")), Port::Exactly(0)).expect("starts")
    }

    fn key() -> [(&'static str, AttributeValue); 2] {
        ["pk", "sk"].map(|name| (name, AttributeValue::S("one".to_owned())))
    }

    #[tokio::test]
    async fn a_restart_keeps_the_data() {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = start(dir.path());
        ensure_table(&engine.endpoint(), &table(DEPLOYED)).await.expect("is made");
        let put = client(&engine.endpoint()).put_item().table_name(TABLE_NAME);
        key().into_iter().fold(put, |put, (name, value)| put.item(name, value)).send().await.expect("is written");
        engine.stop().await;

        let engine = start(dir.path());
        ensure_table(&engine.endpoint(), &table(DEPLOYED)).await.expect("is there");
        let get = client(&engine.endpoint()).get_item().table_name(TABLE_NAME);
        let got = key().into_iter().fold(get, |get, (name, value)| get.key(name, value)).send().await;
        assert!(got.expect("is read").item.is_some());
        engine.stop().await;
    }

    #[tokio::test]
    async fn a_database_is_made_with_its_table_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a directory");
        let lock = DataLock::take(dir.path()).expect("is free");
        // A crash may have left these.
        for left in ["parley.unfinished", "parley.unfinished-wal"] {
            std::fs::write(dir.path().join(left), "half of it").expect("is written");
        }
        make_database(&lock, &table(DEPLOYED)).expect("is made");
        let mut files: Vec<_> =
            std::fs::read_dir(dir.path()).expect("is there").map(|it| it.expect("it").file_name()).collect();
        files.sort();
        assert_eq!(files, ["parley.db", "parley.lock"]);
        let engine = Engine::start(Some(lock), Port::Exactly(0)).expect("starts");
        let described = client(&engine.endpoint()).describe_table().table_name(TABLE_NAME).send().await;
        let described = described.expect("is described").table.expect("is there");
        assert_eq!(difference(&table(DEPLOYED), &described), None);
        engine.stop().await;
    }

    #[tokio::test]
    async fn a_table_with_another_key_or_index_is_refused() {
        let engine = Engine::start(None, Port::Exactly(0)).expect("starts");
        let endpoint = engine.endpoint();
        ensure_table(&endpoint, &table(DEPLOYED)).await.expect("is made");
        for (from, to, difference) in [
            ("{ AttributeName: sk, KeyType: RANGE }", "{ AttributeName: work_sk, KeyType: RANGE }", "its key is"),
            ("IndexName: work", "IndexName: other", "it has no index other"),
            ("{ AttributeName: work_sk, KeyType: RANGE }", "{ AttributeName: sk, KeyType: RANGE }", "index work is"),
            ("ProjectionType: KEYS_ONLY", "ProjectionType: ALL", "projects KEYS_ONLY, not ALL"),
        ] {
            let other = table(&DEPLOYED.replacen(from, to, 1));
            let error = ensure_table(&endpoint, &other).await.expect_err("is another").to_string();
            assert!(error.contains(difference), "{error}");
        }
        engine.stop().await;
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_named() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("an address");
        let error = ensure_table(&format!("http://{free}"), &table(DEPLOYED)).await.expect_err("is not there");
        let said = error.to_string();
        assert!(said.contains(&free.to_string()) && said.ends_with("Connection refused (os error 111)"), "{said}");
    }
}
