//! The binary, as somebody starts it in a terminal.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Far more than anything here takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("happens before the deadline")
}

/// The command line.
pub(crate) fn parley(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parley"));
    command.args(arguments).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A machine that has said that it is ready. Its log is shown when a test fails.
pub(crate) struct Machine {
    process: Child,
    said: String,
    /// Where it listens, as `ADDRESS:PORT`.
    pub(crate) address: String,
    log: File,
}

impl Machine {
    /// Starts on free ports.
    pub(crate) async fn start(data_dir: &Path, more: &[&str]) -> Self {
        let data_dir = data_dir.to_str().expect("a readable path");
        Self::start_with(&[&["--port", "0", "--dynamodb-port", "0", "--data-dir", data_dir], more].concat()).await
    }

    /// Starts with these arguments only.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let log = tempfile::tempfile().expect("a file");
        let mut command = parley(arguments);
        command.stderr(log.try_clone().expect("a second handle"));
        let mut process = command.spawn().expect("starts");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let mut machine = Self { process, said: String::new(), address: String::new(), log };
        loop {
            let line = soon(lines.next_line()).await.expect("can be read").expect("a line that says ready");
            if let Some(address) = line.strip_prefix("ready http://") {
                address.clone_into(&mut machine.address);
                return machine;
            }
            machine.said += &(line + "\n");
        }
    }

    /// Where its table is.
    pub(crate) fn dynamodb_endpoint(&self) -> &str {
        let (_, rest) = self.said.split_once("DynamoDB  ").expect("says where DynamoDB is");
        rest.split_once(',').expect("and the table").0
    }

    /// What its log says so far.
    pub(crate) fn log(&self) -> String {
        let bytes = self.log.metadata().expect("a file").len();
        let mut log = vec![0; usize::try_from(bytes).expect("it fits")];
        // The machine writes at the file's position, which reading must not move.
        self.log.read_exact_at(&mut log, 0).expect("can be read");
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Ends it with this signal, and waits until it is gone.
    pub(crate) async fn stop(mut self, signal: Signal) -> ExitStatus {
        let pid = self.process.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it runs");
        kill_process(pid, signal).expect("is sent");
        soon(self.process.wait()).await.expect("ends")
    }

    /// An HTTP request, with a token if it needs one; the answer is its status and its body.
    pub(crate) async fn http(&self, request: &str, token: Option<&str>, body: &str) -> (u16, String) {
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{request} HTTP/1.1\r\nhost: {}\r\n{token}connection: close\r\ncontent-length: {length}\r\n\r\n{body}",
            self.address
        );
        let mut socket = TcpStream::connect(&self.address).await.expect("connects");
        socket.write_all(request.as_bytes()).await.expect("is sent");
        let mut answer = String::new();
        soon(socket.read_to_string(&mut answer)).await.expect("is answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), body.to_owned())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of http://{}:\n{}", self.address, self.log());
        }
    }
}
