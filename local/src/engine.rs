//! The embedded DynamoDB engine, and the table in it.
//!
//! The engine is served over loopback HTTP, so the functions reach it through the same SDK calls as on AWS, and so can
//! any other AWS client. It has a thread and a tokio runtime of its own, because it works synchronously and would make
//! the gateway's tasks late. It listens on loopback only and asks for no valid signature. Like other local engines
//! it allows any origin (CORS): unlike the gateway, it doesn't keep out web sites that a browser here has open.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters as _;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection, TableDescription,
    TimeToLiveSpecification,
};
use dynoxide::Database;
use tokio::sync::oneshot;
use tracing::Level;

use crate::logs;
use crate::template::{Index, KeyElement, REGION, TABLE_NAME, Table};

/// The port that DynamoDB on one machine usually has.
pub const PORT_DEFAULT: u16 = 8000;

/// The credentials of this machine: engines on one machine want some and check none.
pub const ACCESS_KEY: &str = "local";

/// The database in a data directory.
pub const DATABASE_FILE: &str = "parley.db";
const LOCK_FILE: &str = "parley.lock";
/// AWS deletes expired items within days; a minute makes a laptop's table small soon.
const TTL_SWEEP_PERIOD: Duration = Duration::from_secs(60);
/// The engine's own threads: one may wait for the disk while another reads a request.
const ENGINE_THREADS: usize = 2;
/// How long an engine may take to make a table.
const TABLE_ACTIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last requests may take when the engine stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the engine keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataDir {
    /// A directory, made if missing.
    Path(PathBuf),
    /// Nowhere: it ends with the process.
    Memory,
}

impl From<&str> for DataDir {
    fn from(text: &str) -> Self {
        if text == ":memory:" { Self::Memory } else { Self::Path(text.into()) }
    }
}

impl fmt::Display for DataDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Memory => f.write_str(":memory:"),
        }
    }
}

/// Why there is no engine or no table.
#[derive(Debug)]
pub enum EngineError {
    /// The data directory can't be used.
    Directory {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has the data directory.
    Locked {
        /// The directory.
        path: PathBuf,
        /// The other process's id, where it could be read.
        process: Option<String>,
    },
    /// The port that was asked for isn't free.
    Port {
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// The database can't be opened or served.
    Database(String),
    /// The engine doesn't answer as DynamoDB does.
    Request {
        /// Where the engine is.
        endpoint: String,
        /// What was asked.
        operation: &'static str,
        /// What went wrong.
        problem: String,
    },
    /// There is a table of this name with another key or other indexes.
    OtherTable {
        /// Where the engine is.
        endpoint: String,
        /// What differs.
        difference: String,
    },
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, source } => write!(f, "--data-dir: {}: {source}", path.display()),
            Self::Locked { path, process } => {
                let process = process.as_ref().map_or(String::new(), |id| format!(" (process {id})"));
                let path = path.display();
                write!(f, "{path} is in use by another parley{process}: stop it, or choose another --data-dir")
            }
            Self::Port { port, source } => write!(f, "--dynamodb-port {port}: {source}; 0 takes a free port"),
            Self::Database(problem) => write!(f, "the embedded engine can't start: {problem}"),
            Self::Request { endpoint, operation, problem } => {
                write!(f, "the DynamoDB engine at {endpoint} refused {operation}: {problem}")
            }
            Self::OtherTable { endpoint, difference } => write!(
                f,
                "the table {TABLE_NAME} at {endpoint} is not the one of template.yaml ({difference}): \
                 delete it, or choose another --data-dir"
            ),
        }
    }
}

impl std::error::Error for EngineError {}

/// A data directory that no other process uses. The lock goes with the value, or with the process.
#[derive(Debug)]
pub struct DataLock {
    path: PathBuf,
    _file: File,
}

impl DataLock {
    /// Makes the directory if it is missing, readable for its owner only, and locks it.
    ///
    /// # Errors
    /// The directory can't be made, or another process has it.
    pub fn take(path: &Path) -> Result<Self, EngineError> {
        let directory = |source| EngineError::Directory { path: path.to_owned(), source };
        make_private_dir(path).map_err(directory)?;
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_FILE))
            .map_err(directory)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(directory(source)),
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                let read = file.read_to_string(&mut process).is_ok() && !process.trim().is_empty();
                let process = read.then(|| process.trim().to_owned());
                return Err(EngineError::Locked { path: path.to_owned(), process });
            }
        }
        // The id only helps whoever finds the directory locked.
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        written.map_err(directory)?;
        Ok(Self { path: path.to_owned(), _file: file })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn make_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Which port the embedded engine gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// [`PORT_DEFAULT`], or a free one if that is taken.
    Preferred,
    /// This one or none; 0 is a free one.
    Exactly(u16),
}

impl Port {
    fn listen(self) -> Result<TcpListener, EngineError> {
        let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let (port, listener) = match self {
            Self::Exactly(port) => (port, bind(port)),
            Self::Preferred => (PORT_DEFAULT, bind(PORT_DEFAULT).or_else(|_| bind(0))),
        };
        listener.map_err(|source| EngineError::Port { port, source })
    }
}

/// The running engine.
#[derive(Debug)]
pub struct Engine {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
    _lock: Option<DataLock>,
}

impl Engine {
    /// Opens the database of this directory, or one in memory, and serves it on loopback.
    ///
    /// # Errors
    /// The port is taken, or the database can't be opened.
    pub fn start(lock: Option<DataLock>, port: Port) -> Result<Self, EngineError> {
        let failed = |error: &dyn fmt::Display| EngineError::Database(error.to_string());
        let database = match &lock {
            Some(lock) => Database::new(&lock.path.join(DATABASE_FILE).to_string_lossy()),
            None => Database::memory(),
        };
        let database = database.map_err(|error| failed(&error))?;
        let listener = port.listen()?;
        listener.set_nonblocking(true).map_err(|error| failed(&error))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(ENGINE_THREADS).thread_name("engine").enable_all().build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        let (stop, stopping) = oneshot::channel();
        let (ended, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, database, stopping));
            runtime.shutdown_timeout(STOP_TIMEOUT);
            // Nobody may be waiting any more.
            let _ = ended.send(());
        });
        thread.map_err(|error| failed(&error))?;
        Ok(Self { address, stop, stopped, _lock: lock })
    }

    /// Where the engine listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the last requests finish and closes the database.
    pub async fn stop(self) {
        // It has ended already if nobody receives this.
        let _ = self.stop.send(());
        // Every commit is on the disk already: giving up on a request that hangs loses nothing.
        let _ = tokio::time::timeout(2 * STOP_TIMEOUT, self.stopped).await;
    }
}

async fn serve(listener: TcpListener, database: Database, stopping: oneshot::Receiver<()>) {
    let problem = |problem: &dyn fmt::Display| logs::line("engine", None, Level::ERROR, &problem.to_string());
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return problem(&error),
    };
    let expire = async {
        loop {
            tokio::time::sleep(TTL_SWEEP_PERIOD).await;
            let database = database.clone();
            match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => problem(&error),
                Err(error) => problem(&error),
            }
        }
    };
    let (closing, closed) = oneshot::channel();
    let shutdown = async {
        let _ = stopping.await;
        let _ = closing.send(());
    };
    let give_up = async {
        let _ = closed.await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        served = dynoxide::server::serve_with_shutdown(listener, database.clone(), shutdown) => {
            if let Err(error) = served {
                problem(&error);
            }
        }
        () = give_up => {}
        () = expire => {}
    }
}

/// Makes the template's table at this endpoint if it is missing, and checks it if it is there.
///
/// # Errors
/// The engine doesn't answer, or has another table of this name.
pub async fn ensure_table(endpoint: &str, table: &Table) -> Result<(), EngineError> {
    let client = client(endpoint);
    let refused = |operation, problem| EngineError::Request { endpoint: endpoint.to_owned(), operation, problem };
    match client.describe_table().table_name(TABLE_NAME).send().await {
        Ok(described) => {
            let description = described.table.unwrap_or_else(|| TableDescription::builder().build());
            return match difference(table, &description) {
                None => Ok(()),
                Some(difference) => Err(EngineError::OtherTable { endpoint: endpoint.to_owned(), difference }),
            };
        }
        Err(SdkError::ServiceError(error)) if error.err().is_resource_not_found_exception() => {}
        Err(error) => return Err(refused("DescribeTable", DisplayErrorContext(error).to_string())),
    }
    let invalid = |error: aws_sdk_dynamodb::error::BuildError| refused("CreateTable", error.to_string());
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
    create.send().await.map_err(|error| refused("CreateTable", DisplayErrorContext(error).to_string()))?;
    let active = client.wait_until_table_exists().table_name(TABLE_NAME).wait(TABLE_ACTIVE_TIMEOUT).await;
    active.map_err(|error| refused("DescribeTable", DisplayErrorContext(error).to_string()))?;
    if let Some(expiry) = &table.time_to_live_specification {
        let expiry = TimeToLiveSpecification::builder().attribute_name(&expiry.attribute_name).enabled(true);
        let expiry = expiry.build().map_err(invalid)?;
        let update = client.update_time_to_live().table_name(TABLE_NAME).time_to_live_specification(expiry).send();
        if let Err(error) = update.await {
            // Readers check expires_at themselves: without this, expired items only take room.
            let problem = format!("no item will expire at {endpoint}: {}", DisplayErrorContext(error));
            logs::line("engine", None, Level::WARN, &problem);
        }
    }
    Ok(())
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(ACCESS_KEY, ACCESS_KEY, None, None, "local"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

fn key_schema(key: &[KeyElement]) -> Result<Vec<KeySchemaElement>, aws_sdk_dynamodb::error::BuildError> {
    let element = |element: &KeyElement| {
        let builder = KeySchemaElement::builder().attribute_name(&element.attribute_name);
        builder.key_type(element.key_type.as_str().into()).build()
    };
    key.iter().map(element).collect()
}

fn secondary_index(index: &Index) -> Result<GlobalSecondaryIndex, aws_sdk_dynamodb::error::BuildError> {
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

    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
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
    async fn a_directory_has_one_process() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = DataLock::take(dir.path()).expect("is free");
        let error = DataLock::take(dir.path()).expect_err("is taken").to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(error.contains("--data-dir"), "{error}");
        drop(first);
        DataLock::take(dir.path()).expect("is free again");
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
    async fn a_port_that_was_asked_for_is_taken_or_refused() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = taken.local_addr().expect("an address").port();
        let error = Engine::start(None, Port::Exactly(port)).expect_err("is taken").to_string();
        assert!(error.starts_with(&format!("--dynamodb-port {port}: ")), "{error}");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_named() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("an address");
        let error = ensure_table(&format!("http://{free}"), &table(DEPLOYED)).await.expect_err("is not there");
        assert!(error.to_string().contains(&free.to_string()), "{error}");
    }
}
