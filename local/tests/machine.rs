//! What somebody sees who starts `parley` in a terminal.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("happens before the deadline")
}

fn parley(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parley"));
    command.arg("--no-schedules").args(arguments).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A machine that has said that it is ready.
struct Machine {
    process: Child,
    said: String,
    address: String,
}

impl Machine {
    async fn start(data_dir: &Path) -> Self {
        let data_dir = data_dir.to_str().expect("a readable path");
        Self::start_with(&["--port", "0", "--dynamodb-port", "0", "--data-dir", data_dir]).await
    }

    async fn start_with(arguments: &[&str]) -> Self {
        let mut process = parley(arguments).spawn().expect("starts");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let mut said = String::new();
        loop {
            let line = soon(lines.next_line()).await.expect("can be read").expect("a line that says ready");
            if let Some(address) = line.strip_prefix("ready http://") {
                return Self { process, said, address: address.to_owned() };
            }
            said = said + &line + "\n";
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.process.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it runs");
        kill_process(pid, signal).expect("is sent");
    }

    async fn stop(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        soon(self.process.wait()).await.expect("ends")
    }

    fn dynamodb_endpoint(&self) -> &str {
        let (_, rest) = self.said.split_once("DynamoDB  ").expect("says where DynamoDB is");
        rest.split_once(',').expect("and the table").0
    }

    async fn http(&self, request: &str, body: &str) -> String {
        let length = body.len();
        let request = format!(
            "{request} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}",
            self.address
        );
        let mut socket = TcpStream::connect(&self.address).await.expect("connects");
        socket.write_all(request.as_bytes()).await.expect("is sent");
        let mut answer = String::new();
        soon(socket.read_to_string(&mut answer)).await.expect("is answered");
        answer
    }
}

/// What `parley` says instead of starting.
async fn refusal(arguments: &[&str]) -> String {
    let output = soon(parley(arguments).output()).await.expect("runs");
    assert!(!output.status.success());
    String::from_utf8(output.stderr).expect("text")
}

#[tokio::test]
async fn it_serves_the_web_client_and_stops_cleanly() {
    let dir = tempfile::tempdir().expect("a directory");
    for signal in [Signal::INT, Signal::TERM] {
        let machine = Machine::start(dir.path()).await;
        assert!(machine.http("GET /", "").await.starts_with("HTTP/1.1 200 "));
        assert!(machine.stop(signal).await.success());
    }
}

#[tokio::test]
async fn one_data_directory_has_one_machine() {
    let dir = tempfile::tempdir().expect("a directory");
    let machine = Machine::start(dir.path()).await;
    let error = refusal(&["--port", "0", "--data-dir", dir.path().to_str().expect("a path")]).await;
    assert!(error.contains("in use by another parley") && error.contains("--data-dir"), "{error}");
    machine.stop(Signal::INT).await;
}

#[tokio::test]
async fn a_token_s_secret_outlives_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let machine = Machine::start(dir.path()).await;
        let answer = machine.http("POST /dev/token", r#"{"sub":"ann"}"#).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        secrets.push(std::fs::read(dir.path().join("jwt-secret")).expect("is kept"));
        assert!(machine.stop(Signal::INT).await.success());
    }
    assert_eq!(secrets[0], secrets[1]);
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let error = refusal(&["--port", &port, "--data-dir", ":memory:"]).await;
    assert!(error.contains(&format!("--port {port}")), "{error}");
    let error = refusal(&["--port", "0", "--dynamodb-port", &port, "--data-dir", ":memory:"]).await;
    assert!(error.contains(&format!("--dynamodb-port {port}")), "{error}");
}

#[tokio::test]
async fn another_engine_can_hold_the_table() {
    let engine = Machine::start(Path::new(":memory:")).await;
    let endpoint = engine.dynamodb_endpoint();
    let machine =
        Machine::start_with(&["--port", "0", "--data-dir", ":memory:", "--dynamodb-endpoint", endpoint]).await;
    assert_eq!(machine.dynamodb_endpoint(), endpoint);
    assert!(machine.stop(Signal::INT).await.success());
    assert!(engine.stop(Signal::INT).await.success());
}

#[tokio::test]
async fn a_parameter_that_the_template_refuses_is_named() {
    let error = refusal(&["--port", "0", "--data-dir", ":memory:", "--parameter", "SendBurst=0"]).await;
    assert_eq!(error, "error: --parameter SendBurst: must be 1 or more\n");
}
