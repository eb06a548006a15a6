//! The functions' cold paths, measured: from the start of a process to its first question for an event, and what its first
//! two requests cost, TLS included. Linux only, as it reads /proc. Build the functions as they are deployed, then run it:
//! `cargo build --release --workspace --exclude local --exclude tests --exclude benches`, then `cargo run -p benches --bin cold`;
//! or build one with `-p send`, and name it: `cargo run -p benches --bin cold -- send`.
//!
//! The events are those in `events/`. The Runtime API, DynamoDB, Secrets Manager and `@connections` are played on loopback, all
//! but the first behind TLS. Nothing is archived, so no function has to ask S3. A function trusts
//! a throw-away certificate of theirs because `SSL_CERT_FILE` names a bundle: this machine's own, with that certificate behind
//! it, so that reading the bundle costs what it costs. What loopback can't show: the way to AWS, looking names up, AWS's
//! chains of certificates, and how slow a small Lambda is.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use local::functions::FUNCTIONS;
use local::template::{DEPLOYED, Deployment, Template};
use local::token::TokenIssuer;
use serde_json::json;
use tests::engine::Engine;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;
use wire::direct_id;

/// How often the function is started. The figures are medians.
const STARTS: usize = 15;
/// Each run of these is many requests in one, and nobody waits for it: what it takes is said, and has no limit.
const WHOLE_RUNS: [&str; 3] = ["cleanup", "sweep", "verify"];
/// How long nothing happens between a process and the next one.
const BETWEEN_STARTS: Duration = Duration::from_millis(100);
/// How long a process is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is allowed from the start to the first question, in milliseconds.
const READY_MS_MAX: f64 = 10.0;
/// The most CPU that is allowed from the first question to the first answer, in milliseconds.
const FIRST_CPU_MS_MAX: f64 = 15.0;
/// The most memory that is allowed, in units of 1,024 KB.
const RSS_MB_MAX: f64 = 16.0;
/// An event for each function.
const EVENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../events");
/// What tokens are signed with.
const SECRET: &str = "a secret that nothing but this benchmark has";
/// The certificates that this machine trusts, as Debian, Ubuntu and Amazon Linux have them.
const BUNDLES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
/// A certificate for `localhost` and its key, known to everybody: nothing but this benchmark trusts it.
const CERTIFICATE: &str = include_str!("../../keys/localhost.pem");
const KEY: &str = include_str!("../../keys/localhost.key.pem");

type Problem = Box<dyn std::error::Error>;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn main() -> ExitCode {
    match measure().await {
        Ok(functions) => {
            println!("| median of {STARTS} starts | {} |", FIGURES.map(|figure| figure.what).join(" | "));
            println!("|---{}|", "|---".repeat(FIGURES.len()));
            let mut fine = true;
            for (name, runs) in functions {
                let cells = FIGURES.map(|figure| figure.cell(&name, &runs));
                fine &= !cells.iter().any(|cell| cell.ends_with(TOO_HIGH));
                println!("| {name} | {} |", cells.join(" | "));
            }
            println!("| at most | {} |", FIGURES.map(Figure::at_most).join(" | "));
            if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// What stands behind a figure that is too high.
const TOO_HIGH: &str = "TOO HIGH";

/// What is measured.
const FIGURES: [Figure; 7] = [
    Figure { what: "to first question, ms", limit: |_| Some(READY_MS_MAX), value: |run| run.ready_ms },
    Figure { what: "CPU until then, ms", limit: |_| None, value: |run| run.cpu_ms[0] },
    Figure {
        what: "CPU, first request, ms",
        limit: |function| (!WHOLE_RUNS.contains(&function)).then_some(FIRST_CPU_MS_MAX),
        value: |run| run.cpu_ms[1] - run.cpu_ms[0],
    },
    Figure { what: "CPU, second, ms", limit: |_| None, value: |run| run.cpu_ms[2] - run.cpu_ms[1] },
    Figure { what: "first request, ms", limit: |_| None, value: |run| run.request_ms[0] },
    Figure { what: "second, ms", limit: |_| None, value: |run| run.request_ms[1] },
    Figure { what: "memory, MB", limit: |_| Some(RSS_MB_MAX), value: |run| run.rss_mb },
];

/// One figure of a function: the median over its starts.
#[derive(Clone, Copy)]
struct Figure {
    what: &'static str,
    /// The most that it may be, of a function.
    limit: fn(&str) -> Option<f64>,
    value: fn(&Run) -> f64,
}

impl Figure {
    fn cell(self, function: &str, runs: &[Run]) -> String {
        let mut values: Vec<f64> = runs.iter().map(self.value).collect();
        values.sort_by(f64::total_cmp);
        let median = values[values.len() / 2];
        let high = if (self.limit)(function).is_some_and(|limit| median > limit) { TOO_HIGH } else { "" };
        format!("{median:.1} {high}").trim_end().to_owned()
    }

    fn at_most(self) -> String {
        (self.limit)("").map(|limit| limit.to_string()).unwrap_or_default()
    }
}

/// Starts the functions that are named, or all of them.
async fn measure() -> Result<Vec<(String, Vec<Run>)>, Problem> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        names = FUNCTIONS.map(|function| function.name().to_owned()).into();
    }
    let deployment = deployment()?;
    let aws = Aws::start(&deployment).await?;
    let tokens = TokenIssuer::new(Some(SECRET.to_owned()), &BTreeMap::new());
    let mut functions = Vec::new();
    for name in names {
        let environment = &deployment.functions.get(&name).ok_or(format!("there is no function {name}"))?.environment;
        let binary = binary(&name)?;
        let mut runs = Vec::new();
        for start in 0..STARTS {
            runs.push(aws.run(&binary, environment, &events(&name, start, &tokens)?).await?);
            // What a process leaves behind that has ended, dozens of connections, is put away before the next one starts.
            tokio::time::sleep(BETWEEN_STARTS).await;
        }
        functions.push((name, runs));
    }
    Ok(functions)
}

/// The function's binary, as it would be deployed, in the target directory of this one.
fn binary(name: &str) -> Result<PathBuf, Problem> {
    let here = std::env::current_exe()?;
    let target = here.ancestors().nth(2).ok_or("no target directory")?;
    let binary = target.join("release").join(name);
    let command = "cargo build --release --workspace --exclude local --exclude tests --exclude benches";
    if binary.exists() { Ok(binary) } else { Err(format!("{name} isn't built; run `{command}`").into()) }
}

/// Two events for a function, of a user and a conversation of their own.
fn events(name: &str, start: usize, tokens: &TokenIssuer) -> Result<[String; 2], Problem> {
    let text = std::fs::read_to_string(format!("{EVENTS}/{name}.json"))?;
    let user = format!("ann{start}");
    let token = tokens.issue(json!({ "sub": user, "roles": ["admin"] }).to_string().as_bytes())?;
    let conversation = direct_id(&user.parse()?, &"bob".parse()?);
    let event = |second: u8| {
        text.replace("\"ann\"", &format!("\"{user}\""))
            .replace("TOKEN", &token)
            .replace("CONVERSATION", conversation.as_str())
            // A client's name for its message.
            .replace("-000000000001", &format!("-00000000001{second}"))
    };
    Ok([event(0), event(1)])
}

fn deployment() -> Result<Deployment, Problem> {
    Ok(Template::parse(DEPLOYED)?.deploy(&[].into(), "https://localhost")?)
}

/// What one process took.
struct Run {
    ready_ms: f64,
    /// Since the start, at each question for an event.
    cpu_ms: Vec<f64>,
    request_ms: Vec<f64>,
    rss_mb: f64,
}

/// The parts of AWS that a function sees.
struct Aws {
    runtime: SocketAddr,
    dynamodb: SocketAddr,
    others: SocketAddr,
    bundle: tempfile::NamedTempFile,
    /// When the function has asked for an event.
    asked: Mutex<mpsc::Receiver<Instant>>,
    /// What it gets.
    events: mpsc::Sender<String>,
    /// When it has answered.
    answered: Mutex<mpsc::Receiver<Instant>>,
}

impl Aws {
    async fn start(deployment: &Deployment) -> Result<Self, Problem> {
        let system = BUNDLES.iter().find(|bundle| Path::new(bundle).exists()).ok_or("no bundle of certificates")?;
        let bundle = tempfile::NamedTempFile::new()?;
        std::fs::write(bundle.path(), std::fs::read_to_string(system)? + CERTIFICATE)?;
        let certificates = vec![CertificateDer::from_pem_slice(CERTIFICATE.as_bytes())?];
        let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes())?;
        let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key)?;
        let tls = TlsAcceptor::from(Arc::new(tls));

        let (asks, asked) = mpsc::channel(1);
        let (events, gets) = mpsc::channel(1);
        let (answers, answered) = mpsc::channel(1);
        let runtime = Arc::new(Runtime { asks, gets: Mutex::new(gets), answers });
        let runtime_api = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .with_state(runtime);
        let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = plain.local_addr()?;
        serve(plain, runtime_api);
        let engine = Arc::new(Engine::new(&deployment.table));
        let dynamodb = Tls::serve(&tls, Router::new().route("/", post(call)).with_state(engine)).await?;
        let others = Tls::serve(&tls, Router::new().fallback(other)).await?;
        let (asked, answered) = (Mutex::new(asked), Mutex::new(answered));
        Ok(Self { runtime: address, dynamodb, others, bundle, asked, events, answered })
    }

    /// Starts a process, gives it both events and ends it.
    async fn run(
        &self,
        binary: &Path,
        environment: &BTreeMap<String, String>,
        events: &[String; 2],
    ) -> Result<Run, Problem> {
        let mut command = Command::new(binary);
        command.env_clear().envs(environment).stdout(Stdio::null()).envs([
            ("AWS_LAMBDA_RUNTIME_API", self.runtime.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", "cold".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "cold".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "cold".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", format!("https://localhost:{}", self.dynamodb.port())),
            ("AWS_ENDPOINT_URL", format!("https://localhost:{}", self.others.port())),
            ("WEBSOCKET_ENDPOINT", format!("https://localhost:{}/chat", self.others.port())),
            ("SSL_CERT_FILE", self.bundle.path().display().to_string()),
        ]);
        let began = Instant::now();
        let process = Process(command.spawn()?);
        let ready_ms = ms(soon(self.asked.lock().await.recv()).await?.duration_since(began));
        let (mut cpu_ms, mut request_ms) = (vec![process.cpu_ms()?], Vec::new());
        for event in events {
            let handed = Instant::now();
            self.events.send(event.clone()).await?;
            request_ms.push(ms(soon(self.answered.lock().await.recv()).await?.duration_since(handed)));
            soon(self.asked.lock().await.recv()).await?;
            cpu_ms.push(process.cpu_ms()?);
        }
        Ok(Run { ready_ms, cpu_ms, request_ms, rss_mb: process.rss_mb()? })
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Waits for what the process does next.
async fn soon<T>(next: impl Future<Output = Option<T>>) -> Result<T, Problem> {
    let next = tokio::time::timeout(PATIENCE, next).await.map_err(|_| "the function does nothing; see above")?;
    next.ok_or_else(|| "a server has ended".into())
}

/// A process, ended with this value.
struct Process(Child);

impl Process {
    /// The CPU that its threads have used.
    fn cpu_ms(&self) -> Result<f64, Problem> {
        let mut sum = 0.0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            sum += text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).ok_or("no schedstat")? / 1_000_000.0;
        }
        Ok(sum)
    }

    /// The most memory that it has had.
    fn rss_mb(&self) -> Result<f64, Problem> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        Ok(kb.ok_or("no VmHWM")? / 1_024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The Runtime API's side of the channels.
struct Runtime {
    asks: mpsc::Sender<Instant>,
    gets: Mutex<mpsc::Receiver<String>>,
    answers: mpsc::Sender<Instant>,
}

/// The function asks for an event.
async fn next(State(runtime): State<Arc<Runtime>>) -> Response {
    let _ = runtime.asks.send(Instant::now()).await;
    let event = runtime.gets.lock().await.recv().await.unwrap_or_default();
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
        ("lambda-runtime-deadline-ms", "9000000000000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:cold"),
    ];
    (headers, event).into_response()
}

/// The function answers.
async fn response(State(runtime): State<Arc<Runtime>>) -> StatusCode {
    let _ = runtime.answers.send(Instant::now()).await;
    StatusCode::ACCEPTED
}

/// A call to `DynamoDB`.
async fn call(State(engine): State<Arc<Engine>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let (status, body) = engine.answer(target.rsplit('.').next().unwrap_or_default(), &body);
    (StatusCode::from_u16(status).unwrap_or_default(), body).into_response()
}

/// A call to another service: the secret, or a push that is taken.
async fn other(headers: HeaderMap) -> Response {
    match headers.get("x-amz-target") {
        Some(_) => json!({ "SecretString": SECRET }).to_string().into_response(),
        None => StatusCode::OK.into_response(),
    }
}

/// Accepts connections with TLS.
struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Tls {
    async fn serve(acceptor: &TlsAcceptor, router: Router) -> Result<SocketAddr, Problem> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        serve(Self { listener, acceptor: acceptor.clone() }, router);
        Ok(address)
    }
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((socket, from)) = self.listener.accept().await
                && socket.set_nodelay(true).is_ok()
                && let Ok(stream) = self.acceptor.accept(socket).await
            {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

#[expect(clippy::disallowed_methods, reason = "a server lives as long as the benchmark")]
fn serve(listener: impl axum::serve::Listener<Addr = SocketAddr>, router: Router) {
    tokio::spawn(axum::serve(listener, router).into_future());
}
