//! A function's cold path, measured: from the start of its process to its first question for an event, and what its first
//! two requests cost, TLS included. Linux only, as it reads /proc. Build the function as it is deployed, then name it:
//! `cargo build --release -p send`, then `cargo run -p benches --bin cold -- send`.
//!
//! The Runtime API, DynamoDB and `@connections` are played on loopback, the latter two behind TLS. The function trusts
//! a throw-away certificate of theirs because `SSL_CERT_FILE` names a bundle: this machine's own, with that certificate behind
//! it, so that reading the bundle costs what it costs. What loopback can't show: the way to AWS, looking names up, AWS's
//! chains of certificates, and how slow a small Lambda is.

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
use axum::routing::{any, get, post};
use local::template::{DEPLOYED, Deployment, Template};
use serde_json::{Value, json};
use tests::engine::Engine;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// How often the function is started. The figures are medians.
const STARTS: usize = 15;
/// How long a process is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is allowed from the start to the first question, in milliseconds.
const READY_MS_MAX: f64 = 10.0;
/// The most CPU that is allowed from the first question to the first answer, in milliseconds.
const FIRST_CPU_MS_MAX: f64 = 15.0;
/// The most memory that is allowed.
const RSS_KB_MAX: f64 = 16.0 * 1024.0;
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
        Ok(figures) => {
            println!("| counted | median | at most |\n|---|---|---|");
            for figure in &figures {
                let limit = figure.limit.map(|limit| limit.to_string()).unwrap_or_default();
                let high = if figure.is_too_high() { " TOO HIGH" } else { "" };
                println!("| {} | {:.1} | {limit}{high} |", figure.what, figure.median);
            }
            if figures.iter().any(Figure::is_too_high) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// What was measured.
struct Figure {
    what: &'static str,
    median: f64,
    limit: Option<f64>,
}

impl Figure {
    fn new(what: &'static str, limit: Option<f64>, runs: &[Run], value: fn(&Run) -> f64) -> Self {
        let mut values: Vec<f64> = runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        Self { what, median: values[values.len() / 2], limit }
    }

    fn is_too_high(&self) -> bool {
        self.limit.is_some_and(|limit| self.median > limit)
    }
}

async fn measure() -> Result<Vec<Figure>, Problem> {
    let name = std::env::args().nth(1).ok_or("name a function: send, presence or wallet")?;
    let request =
        request(&name).ok_or(format!("{name}: there is no request here for it; give send, presence or wallet"))?;
    let binary = binary(&name)?;
    let deployment = deployment()?;
    let aws = Aws::start(&deployment).await?;
    let mut runs = Vec::new();
    for start in 0..STARTS {
        runs.push(aws.run(&binary, &deployment.functions[&name].environment, &event(&request, start)).await?);
    }
    Ok(vec![
        Figure::new("start to first question, ms", Some(READY_MS_MAX), &runs, |run| run.ready_ms),
        Figure::new("CPU until then, with connections and TLS, ms", None, &runs, |run| run.cpu_ms[0]),
        Figure::new("CPU of the first request, ms", Some(FIRST_CPU_MS_MAX), &runs, |run| run.cpu_ms[1] - run.cpu_ms[0]),
        Figure::new("CPU of the second request, ms", None, &runs, |run| run.cpu_ms[2] - run.cpu_ms[1]),
        Figure::new("first request, ms", None, &runs, |run| run.request_ms[0]),
        Figure::new("second request, ms", None, &runs, |run| run.request_ms[1]),
        Figure::new("memory at most, KB", Some(RSS_KB_MAX), &runs, |run| run.rss_kb),
    ])
}

/// The function's binary, as it would be deployed, in the target directory of this one.
fn binary(name: &str) -> Result<PathBuf, Problem> {
    let here = std::env::current_exe()?;
    let target = here.ancestors().nth(2).ok_or("no target directory")?;
    let binary = target.join("release").join(name);
    if binary.exists() { Ok(binary) } else { Err(format!("run `cargo build --release -p {name}` first").into()) }
}

/// What a client asks of a function.
fn request(name: &str) -> Option<Value> {
    match name {
        "send" => Some(json!({ "action": "sendMessage", "to": "bob", "content": "hello" })),
        "presence" => Some(json!({ "action": "ping" })),
        "wallet" => Some(json!({ "action": "getBalance" })),
        _ => None,
    }
}

/// A frame of a user of their own.
fn event(request: &Value, start: usize) -> [String; 2] {
    ["first", "second"].map(|id| {
        let mut frame = request.clone();
        frame["clientMessageId"] = id.into();
        json!({
            "requestContext": {
                "routeKey": request["action"], "eventType": "MESSAGE", "connectionId": "connection=", "connectedAt": 1,
                "requestTimeEpoch": 1, "authorizer": { "userId": format!("ann{start}"), "expiresAt": "9000000000000" },
            },
            "body": frame.to_string(), "isBase64Encoded": false,
        })
        .to_string()
    })
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
    rss_kb: f64,
}

/// The parts of AWS that a function sees.
struct Aws {
    runtime: SocketAddr,
    dynamodb: SocketAddr,
    gateway: SocketAddr,
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
        let gateway = Tls::serve(&tls, Router::new().fallback(any(|| async { StatusCode::OK }))).await?;
        let (asked, answered) = (Mutex::new(asked), Mutex::new(answered));
        Ok(Self { runtime: address, dynamodb, gateway, bundle, asked, events, answered })
    }

    /// Starts a process, gives it both events and ends it.
    async fn run(
        &self,
        binary: &Path,
        environment: &std::collections::BTreeMap<String, String>,
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
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", format!("https://localhost:{}", self.dynamodb.port())),
            ("WEBSOCKET_ENDPOINT", format!("https://localhost:{}/chat", self.gateway.port())),
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
        Ok(Run { ready_ms, cpu_ms, request_ms, rss_kb: process.rss_kb()? })
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
    fn rss_kb(&self) -> Result<f64, Problem> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        Ok(line.and_then(|line| line.split_whitespace().next()?.parse().ok()).ok_or("no VmHWM")?)
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
