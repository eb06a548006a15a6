//! The local machine's binary, as somebody starts it, and what its cleanups say of themselves. Linux only, as it reads /proc.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::problem::Problem;

/// How long the machine may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// What cleanups have said of themselves, added up.
pub type Figures = BTreeMap<String, f64>;

/// A machine on a data directory. Its log is a file beside it.
pub struct Machine {
    process: Child,
    /// Where it listens, as `ADDRESS:PORT`; the same after a restart.
    pub address: String,
    directory: PathBuf,
    log: PathBuf,
    more: Vec<String>,
}

impl Machine {
    /// Starts it, on a free port, with these arguments, too.
    ///
    /// # Errors
    /// It doesn't start, or takes too long.
    pub async fn start(directory: &Path, more: &[&str]) -> Result<Self, Problem> {
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
        let log = directory.with_extension("log");
        File::create(&log)?;
        let more: Vec<String> = more.iter().map(|argument| (*argument).to_owned()).collect();
        let process = spawn(directory, &address, &log, &more).await?;
        Ok(Self { process, address, directory: directory.to_owned(), log, more })
    }

    /// Starts it again, after it was stopped or killed.
    pub async fn starts_again(&mut self) -> Result<(), Problem> {
        self.process = spawn(&self.directory, &self.address, &self.log, &self.more).await?;
        Ok(())
    }

    /// Ends it with SIGKILL, and with it its functions.
    pub async fn is_killed(&mut self) -> Result<(), Problem> {
        self.process.kill().await?;
        Ok(())
    }

    /// Has a function work on an event.
    pub async fn invokes(&self, function: &str, event: &Value) -> Result<Value, Problem> {
        let endpoint = local::data_dir::find_endpoint(&self.directory).ok_or("the machine isn't there")?;
        let address = endpoint.url.trim_start_matches("http://");
        let answer = posts(address, &local::lambda::INVOKE_PATH.replace("{name}", function), None, event).await?;
        match answer.get("errorMessage") {
            Some(error) => Err(format!("{function}: {error}").into()),
            None => Ok(answer),
        }
    }

    /// Adds up what this machine's cleanups have said of themselves so far.
    pub fn figures(&self) -> Result<Figures, Problem> {
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

    /// Kills each process of a function; how many there were.
    pub fn kills(&self, function: &str) -> usize {
        let pids = self.processes_of(function).into_iter().filter_map(|pid| Pid::from_raw(pid.try_into().ok()?));
        pids.filter(|pid| kill_process(*pid, Signal::KILL).is_ok()).count()
    }

    /// The processes of a function.
    fn processes_of(&self, function: &str) -> Vec<u32> {
        let name = format!("AWS_LAMBDA_FUNCTION_NAME={function}");
        let is_it = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == name.as_bytes())
        };
        self.process.id().map(children).unwrap_or_default().into_iter().filter(is_it).collect()
    }

    /// The most memory that a process of this function has had, in kilobytes; 0 when there is none.
    pub fn peak_kb(&self, function: &str) -> u64 {
        let peak = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        self.processes_of(function).into_iter().filter_map(peak).max().unwrap_or_default()
    }

    /// What it has said so far.
    ///
    /// # Errors
    /// Its log can't be read.
    pub fn log(&self) -> Result<String, Problem> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// Stops it.
    pub async fn stops(&mut self) -> Result<(), Problem> {
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

async fn spawn(directory: &Path, address: &str, log: &Path, more: &[String]) -> Result<Child, Problem> {
    let binary = std::env::current_exe()?.with_file_name("parley");
    let port = address.rsplit(':').next().unwrap_or_default();
    let mut command = Command::new(&binary);
    command.args(["--port", port, "--dynamodb-port", "0", "--data-dir"]).arg(directory).args(more);
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

/// A token that says so.
///
/// # Errors
/// The machine isn't there, or refuses.
pub async fn token(address: &str, claims: &Value) -> Result<String, Problem> {
    let answer = posts(address, "/dev/token", None, claims).await?;
    Ok(answer["token"].as_str().ok_or_else(|| format!("no token: {answer}"))?.to_owned())
}

/// An HTTP request with a JSON body, to `ADDRESS:PORT`, with a token if it needs one; the answer's JSON.
///
/// # Errors
/// The machine isn't there, or answers with another status than 200.
pub async fn posts(address: &str, path: &str, token: Option<&str>, body: &Value) -> Result<Value, Problem> {
    let body = body.to_string();
    let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\n{bearer}connection: close\r\ncontent-length: {}",
        body.len()
    );
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the machine has gone")?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(serde_json::from_str(body)?),
        _ => Err(format!("{path}: {}: {body}", head.lines().next().unwrap_or_default()).into()),
    }
}
