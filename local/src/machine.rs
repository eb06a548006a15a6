//! The machine as a whole: starts its parts in order, and stops them in the opposite one.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::Level;

use crate::data_dir::{self, ARCHIVE_DIRECTORY, DataDir, DataLock, DirectoryError, InvokeEndpoint};
use crate::engine::{self, ACCESS_KEY, Engine, EngineError, Mark, Port};
use crate::file_error::FileError;
use crate::gateway::{Api, Gateway, Limits};
use crate::invoker::Invoker;
use crate::origin::Origin;
use crate::queue::{self, Queues};
use crate::runtime::{self, Runtime};
use crate::s3::{self, Bucket};
use crate::secrets::SecretsManager;
use crate::server::Server;
use crate::template::{DEPLOYED, Deployment, EventSource, REGION, Schedule, Template, TemplateError};
use crate::token::{self, TokenIssuer};
use crate::{ids, lambda, logs, schedule};

/// The template's parameter that one machine has no use for: it has a secret of its own.
const SECRET_PARAMETER: &str = "JwtSecretArn";
/// The variable by which the functions know that they need the secret.
const SECRET_VARIABLE: &str = "JWT_SECRET_ARN";

/// What the machine is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub host: IpAddr,
    /// Where to listen; 0 is a free port.
    pub port: u16,
    /// Where everything is kept.
    pub data_dir: DataDir,
    /// Which web sites may use it besides its own.
    pub allowed_origins: Vec<Origin>,
    /// Which engine holds the table.
    pub dynamodb: Dynamodb,
    /// Values for the template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// How many function processes there may be.
    pub environments_max: usize,
    /// Whether scheduled functions run.
    pub schedules: bool,
    /// API Gateway's limits.
    pub limits: Limits,
}

/// Which engine holds the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dynamodb {
    /// The embedded one, on this port of loopback.
    Embedded(Port),
    /// The one at this URL.
    Endpoint(String),
}

/// Why the machine doesn't start.
#[derive(Debug)]
pub enum StartError {
    /// The template, or a parameter's value.
    Template(TemplateError),
    /// The data directory, or a file in it.
    Directory(DirectoryError),
    /// The engine, its database or its table.
    Engine(EngineError),
    /// The address that was asked for.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The service that has the secret for the functions.
    Secrets(io::Error),
    /// The queues.
    Queues(io::Error),
    /// The archive.
    Archive(io::Error),
    /// The service that runs the functions.
    Functions(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template(error) => error.fmt(f),
            Self::Directory(error) => error.fmt(f),
            Self::Engine(error) => error.fmt(f),
            Self::Listen { address, source } => {
                write!(f, "--host {} --port {}: {source}; --port 0 takes a free port", address.ip(), address.port())
            }
            Self::Secrets(source) => write!(f, "the functions can't be given their secret: {source}"),
            Self::Queues(source) => write!(f, "the queues can't be served: {source}"),
            Self::Archive(source) => write!(f, "the archive can't be served: {source}"),
            Self::Functions(source) => write!(f, "the functions can't be run: {source}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<TemplateError> for StartError {
    fn from(error: TemplateError) -> Self {
        Self::Template(error)
    }
}

impl From<DirectoryError> for StartError {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}

impl From<FileError> for StartError {
    fn from(error: FileError) -> Self {
        Self::Directory(error.into())
    }
}

impl From<EngineError> for StartError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// The running machine.
#[derive(Debug)]
pub struct Machine {
    gateway: Gateway,
    runtime: Runtime,
    table: Table,
    services: Services,
    lambda: Server,
    triggers: JoinSet<()>,
}

/// The table, wherever it is.
#[derive(Debug)]
struct Table {
    endpoint: String,
    engine: Option<Engine>,
    mark: Mark,
    /// Held here when there is no embedded engine to hold it.
    _lock: Option<DataLock>,
}

impl Table {
    /// Starts the engine, if it is the embedded one, makes what is missing, and marks it as this machine's, which is at URL.
    async fn open(
        dynamodb: Dynamodb,
        mut lock: Option<DataLock>,
        deployment: &Deployment,
        url: &str,
    ) -> Result<Self, StartError> {
        let (engine, endpoint) = match dynamodb {
            Dynamodb::Endpoint(endpoint) => (None, endpoint),
            Dynamodb::Embedded(port) => {
                if let Some(lock) = &lock {
                    engine::make_database(lock, &deployment.table).map_err(EngineError::from)?;
                }
                let engine = Engine::start(lock.take(), port)?;
                let endpoint = engine.endpoint();
                (Some(engine), endpoint)
            }
        };
        engine::ensure_table(&endpoint, &deployment.table).await?;
        let mark = Mark::leave(&endpoint, url, engine.is_some()).await?;
        Ok(Self { endpoint, engine, mark, _lock: lock })
    }

    async fn close(self) {
        self.mark.take_away().await;
        if let Some(engine) = self.engine {
            engine.stop().await;
        }
    }
}

impl Machine {
    /// Starts everything. When this returns, the machine is ready for clients.
    ///
    /// # Errors
    /// A setting can't be met; the error names its flag. Nothing is left running.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let template = Template::parse(DEPLOYED)?;
        let parameters = parameters(&template, settings.parameters)?;
        let (listener, address) = listen(SocketAddr::new(settings.host, settings.port)).await?;
        let lock = match &settings.data_dir {
            DataDir::Path(path) => Some(DataLock::take(path)?),
            DataDir::Memory => None,
        };
        let data_dir = lock.as_ref().map(|lock| lock.path().to_owned());
        if let Some(Ok(level)) = parameters.get("LogLevel").map(|level| level.parse::<Level>()) {
            logs::show_from(level);
        }
        let mut deployment = template.deploy(&parameters, &url(address))?;
        raise_open_files_limit();

        let table = Table::open(settings.dynamodb, lock, &deployment, &url(address)).await?;
        let secret = if token::accepts_secret(&parameters) { Some(secret(data_dir.as_deref())?) } else { None };
        let queues = Queues::new(std::mem::take(&mut deployment.queues));
        let services = Services::start(secret.clone(), queues.clone(), data_dir.as_deref()).await?;
        let specs = specs(&mut deployment, &services, &table.endpoint, settings.environments_max);
        let usual = runtime::Settings::of_this_binary().map_err(StartError::Functions)?;
        let limits = runtime::Settings { environments_max: settings.environments_max, ..usual };
        let runtime = Runtime::new(specs, limits).map_err(StartError::Functions)?;
        let invoker = Invoker::from(runtime.clone());
        let lambda = serve_invoke(invoker.clone(), data_dir.as_deref()).await?;
        let schedules = deployment.schedules.into_iter().filter(|_| settings.schedules).collect();
        let triggers = triggers(schedules, deployment.event_sources, &queues, &invoker);
        let api = Api {
            websocket: deployment.websocket,
            http_routes: deployment.http_routes,
            allowed_origins: settings.allowed_origins,
            tokens: TokenIssuer::new(secret, &parameters),
            limits: settings.limits,
            invoker,
        };
        let gateway = Gateway::start(listener, api).map_err(|source| StartError::Listen { address, source })?;
        Ok(Self { gateway, runtime, table, services, lambda, triggers })
    }

    /// Where the machine listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// Where clients on this machine connect, as `http://ADDRESS:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address())
    }

    /// Where the table is, for any AWS client.
    #[must_use]
    pub fn dynamodb_endpoint(&self) -> &str {
        &self.table.endpoint
    }

    /// Where the queues are, for any AWS client.
    #[must_use]
    pub fn sqs_endpoint(&self) -> String {
        self.services.queues.endpoint()
    }

    /// Where the functions can be called by hand, with any AWS client.
    #[must_use]
    pub fn lambda_endpoint(&self) -> String {
        self.lambda.endpoint()
    }

    /// Stops everything: closes connections and runs their `$disconnect`s, ends the functions, closes the database.
    /// Bounded in time; nothing that was acknowledged is lost.
    pub async fn stop(mut self) {
        self.triggers.shutdown().await;
        self.gateway.stop().await;
        self.runtime.shutdown().await;
        self.table.close().await;
    }
}

/// Takes the address that is asked for; says which it is, where any was.
async fn listen(wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let refused = |source| StartError::Listen { address: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}

/// Has the schedules and the queues call functions, until they are told to end.
fn triggers(
    schedules: Vec<Schedule>,
    event_sources: Vec<EventSource>,
    queues: &Queues,
    invoker: &Invoker,
) -> JoinSet<()> {
    let mut triggers = JoinSet::new();
    for schedule in schedules {
        triggers.spawn(schedule::run(schedule, invoker.clone()));
    }
    for source in event_sources {
        triggers.spawn(queue::event_source::run(source, queues.clone(), invoker.clone()));
    }
    triggers
}

/// A listener's address as clients on this machine reach it.
fn url(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    format!("http://{address}")
}

/// The template's parameters with the given values.
fn parameters(template: &Template, given: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, StartError> {
    let parameters = template.parameter_values(&given)?;
    if !parameters.get(SECRET_PARAMETER).is_none_or(String::is_empty) {
        let problem = "one machine has a secret of its own; leave it out".to_owned();
        return Err(TemplateError::InvalidParameter { name: SECRET_PARAMETER.to_owned(), problem }.into());
    }
    Ok(parameters)
}

/// What of AWS the functions call besides DynamoDB and `@connections`.
#[derive(Debug)]
struct Services {
    secrets: Option<SecretsManager>,
    queues: Server,
    archive: Server,
}

impl Services {
    async fn start(secret: Option<String>, queues: Queues, data_dir: Option<&Path>) -> Result<Self, StartError> {
        let secrets = match secret {
            Some(secret) => Some(SecretsManager::start(secret).await.map_err(StartError::Secrets)?),
            None => None,
        };
        let queues = queue::serve(queues).await.map_err(StartError::Queues)?;
        let archive = s3::serve(bucket(data_dir)?).await.map_err(StartError::Archive)?;
        Ok(Self { secrets, queues, archive })
    }
}

/// Serves `Invoke`, and leaves word in the data directory where.
async fn serve_invoke(invoker: Invoker, data_dir: Option<&Path>) -> Result<Server, StartError> {
    let machine = ids::id();
    let server = lambda::serve(invoker, &machine).await.map_err(StartError::Functions)?;
    if let Some(directory) = data_dir {
        data_dir::leave_endpoint(directory, &InvokeEndpoint { url: server.endpoint(), machine })?;
    }
    Ok(server)
}

/// The archive's bucket, where everything else is kept.
fn bucket(data_dir: Option<&Path>) -> Result<Bucket, FileError> {
    match data_dir {
        None => Ok(Bucket::in_memory(Default::default())),
        Some(path) => Bucket::in_directory(&path.join(ARCHIVE_DIRECTORY)),
    }
}

/// This machine's secret: kept, or made for as long as it runs.
fn secret(data_dir: Option<&Path>) -> Result<String, DirectoryError> {
    data_dir.map_or_else(|| Ok(ids::secret()), data_dir::kept_secret)
}

/// The functions, with the variables of the template and those with which an AWS SDK finds this machine's services.
fn specs(
    deployment: &mut Deployment,
    services: &Services,
    dynamodb_endpoint: &str,
    environments_max: usize,
) -> Vec<runtime::Spec> {
    let functions = std::mem::take(&mut deployment.functions).into_iter();
    let spec = |(name, function): (String, crate::template::Function)| {
        let mut environment = function.environment;
        for (name, value) in [
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ] {
            environment.insert(name.to_owned(), value.to_owned());
        }
        for (service, endpoint) in [
            ("DYNAMODB", dynamodb_endpoint.to_owned()),
            ("S3", services.archive.endpoint()),
            ("SQS", services.queues.endpoint()),
        ] {
            environment.insert(format!("AWS_ENDPOINT_URL_{service}"), endpoint);
        }
        let secrets_url = services.secrets.as_ref().map(SecretsManager::url);
        if let Some(url) = secrets_url.filter(|_| environment.contains_key(SECRET_VARIABLE)) {
            environment.insert("AWS_ENDPOINT_URL_SECRETS_MANAGER".to_owned(), url);
        }
        let (timeout, memory_mb) = (function.timeout, function.memory_mb);
        runtime::Spec { name, timeout, memory_mb, environment, concurrency_max: environments_max }
    };
    functions.map(spec).collect()
}

/// Lets the process have as many sockets as the system allows it: the usual limit is meant for other programs.
fn raise_open_files_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        // It was worth the try.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_aws_is_no_secret_of_one_machine() {
        let template = Template::parse(DEPLOYED).expect("parses");
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:chat-AbCdEf";
        let given = BTreeMap::from([(SECRET_PARAMETER.to_owned(), arn.to_owned())]);
        let error = parameters(&template, given).expect_err("is refused").to_string();
        assert_eq!(error, "--parameter JwtSecretArn: one machine has a secret of its own; leave it out");
    }

    #[test]
    fn a_machine_that_listens_everywhere_is_reached_by_loopback() {
        assert_eq!(url(([0, 0, 0, 0], 3000).into()), "http://127.0.0.1:3000");
        assert_eq!(url((Ipv6Addr::UNSPECIFIED, 3000).into()), "http://[::1]:3000");
        assert_eq!(url(([192, 168, 1, 5], 3000).into()), "http://192.168.1.5:3000");
    }
}
