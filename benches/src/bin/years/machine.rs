//! The local machine's binary, as somebody starts it, and what its cleanups say of themselves. Linux only, as it reads /proc.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::problem::Problem;

/// How long the machine may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// What cleanups have said of themselves, added up.
pub(crate) type Figures = BTreeMap<String, f64>;

/// A machine on a data directory. Its log is a file beside it.
pub(crate) struct Machine {
    process: Child,
    /// Where it listens, as `ADDRESS:PORT`; the same after a restart.
    pub(crate) address: String,
    directory: PathBuf,
    log: PathBuf,
}

impl Machine {
    /// Starts it, on a free port.
    pub(crate) async fn start(directory: &Path) -> Result<Self, Problem> {
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
        let log = directory.with_extension("log");
        File::create(&log)?;
        let process = spawn(directory, &address, &log).await?;
        Ok(Self { process, address, directory: directory.to_owned(), log })
    }

    /// Starts it again, after it was stopped or killed.
    pub(crate) async fn starts_again(&mut self) -> Result<(), Problem> {
        self.process = spawn(&self.directory, &self.address, &self.log).await?;
        Ok(())
    }

    /// Ends it with SIGKILL, and with it its functions.
    pub(crate) async fn is_killed(&mut self) -> Result<(), Problem> {
        self.process.kill().await?;
        Ok(())
    }

    /// An HTTP request with a JSON body; the answer's JSON.
    pub(crate) async fn posts(&self, path: &str, body: &Value) -> Result<Value, Problem> {
        http(&self.address, path, body).await
    }

    /// Has a function work on an event.
    pub(crate) async fn invokes(&self, function: &str, event: &Value) -> Result<Value, Problem> {
        let endpoint = local::data_dir::find_endpoint(&self.directory).ok_or("the machine isn't there")?;
        let address = endpoint.url.trim_start_matches("http://");
        let answer = http(address, &local::lambda::INVOKE_PATH.replace("{name}", function), event).await?;
        match answer.get("errorMessage") {
            Some(error) => Err(format!("{function}: {error}").into()),
            None => Ok(answer),
        }
    }

    /// Adds up what this machine's cleanups have said of themselves so far.
    pub(crate) fn figures(&self) -> Result<Figures, Problem> {
        let mut figures = Figures::new();
        for line in fs::read_to_string(&self.log)?.lines() {
            let mut words = line.split_whitespace().skip(1);
            if words.next() != Some("cleanup") || !words.any(|word| word == "request") {
                continue;
            }
            for (name, value) in line.split_whitespace().filter_map(|word| word.split_once('=')) {
                if let Ok(value) = value.parse::<f64>() {
                    *figures.entry(name.to_owned()).or_default() += value;
                }
            }
        }
        Ok(figures)
    }

    /// The most memory that a process of this function has had, in kilobytes; 0 when there is none.
    pub(crate) fn peak_kb(&self, function: &str) -> u64 {
        let name = format!("AWS_LAMBDA_FUNCTION_NAME={function}");
        let is_it = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == name.as_bytes())
        };
        let peak = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        let pids = self.process.id().map(children).unwrap_or_default();
        pids.into_iter().filter(is_it).filter_map(peak).max().unwrap_or_default()
    }

    /// Stops it.
    pub(crate) async fn stops(&mut self) -> Result<(), Problem> {
        // Whatever was answered is kept: there is nothing to wait for.
        self.is_killed().await
    }
}

/// The processes that another one has started.
fn children(of: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    let lines = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lines.flat_map(|line| line.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

async fn spawn(directory: &Path, address: &str, log: &Path) -> Result<Child, Problem> {
    let binary = std::env::current_exe()?.with_file_name("parley");
    let port = address.rsplit(':').next().unwrap_or_default();
    let mut command = Command::new(&binary);
    command.args(["--no-schedules", "--port", port, "--dynamodb-port", "0", "--data-dir"]).arg(directory);
    // More than enough for whoever sends here, and no retries for want of it.
    command.args(["--parameter", "SendsPerSecond=1000"]).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::options().append(true).open(log)?);
    let mut process =
        command.spawn().map_err(|error| format!("{}: {error}; `cargo build` makes it", binary.display()))?;
    let mut lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await? {
            if line.starts_with("ready ") {
                return Ok::<_, Problem>(());
            }
        }
        Err(format!("the machine has ended; {} says why", log.display()).into())
    };
    tokio::time::timeout(START_TIMEOUT, ready).await.map_err(|_| "the machine takes too long to start")??;
    Ok(process)
}

async fn http(address: &str, path: &str, body: &Value) -> Result<Value, Problem> {
    let body = body.to_string();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}", body.len());
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("the machine has gone")?;
    Ok(serde_json::from_str(body)?)
}
