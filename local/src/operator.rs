//! What an operator runs by hand: one function on one event, and `verify` until it has seen the whole table.
//!
//! A machine that runs on the data directory is asked through [`crate::lambda`]; where none runs, one is started for as long
//! as it takes. So the functions do what they do on AWS, in the same slices and with the same limits.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use axum::body::{Body, to_bytes};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::cli::Place;
use crate::data_dir::{DataDir, DirectoryError, find_endpoint};
use crate::engine::Port;
use crate::gateway::Limits;
use crate::lambda::{FUNCTION_ERROR, INVOKE_PATH, MACHINE};
use crate::machine::{Dynamodb, Machine, Settings, StartError};
use crate::runtime;

/// What an answer may have at most, in bytes: Lambda's own limit.
const ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Why a machine that has its data directory isn't found.
const BETWEEN: &str = "it is just starting or stopping";

/// Why a function could not be run by hand.
#[derive(Debug)]
pub enum OperatorError {
    /// No machine runs there, and none could be started.
    Start(StartError),
    /// A machine runs there and can't be reached.
    Unreached(String),
    /// The function has failed, or there is none of this name.
    Function(String),
}

impl fmt::Display for OperatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Unreached(problem) => {
                write!(f, "the machine that has --data-dir can't be reached: {problem}; stop it, or try again")
            }
            Self::Function(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for OperatorError {}

/// The functions of one data directory.
#[derive(Debug)]
pub struct Functions {
    /// Where they are called.
    url: String,
    /// Which machine must answer there, where another may listen by now.
    machine: Option<String>,
    /// The machine that was started for this.
    started: Option<Machine>,
}

impl Functions {
    /// Those of the machine that runs here, or of one that is started.
    ///
    /// # Errors
    /// [`OperatorError::Start`], [`OperatorError::Unreached`].
    pub async fn of(place: Place) -> Result<Self, OperatorError> {
        let directory = place.data_dir.clone();
        match (Machine::start(settings(place)).await, directory) {
            (Ok(machine), _) => Ok(Self { url: machine.lambda_endpoint(), machine: None, started: Some(machine) }),
            (Err(StartError::Directory(DirectoryError::Locked { .. })), DataDir::Path(path)) => {
                let found = find_endpoint(&path).ok_or_else(|| OperatorError::Unreached(BETWEEN.to_owned()))?;
                Ok(Self { url: found.url, machine: Some(found.machine), started: None })
            }
            (Err(error), _) => Err(OperatorError::Start(error)),
        }
    }

    /// Has a function work on an event, and waits for its answer.
    ///
    /// # Errors
    /// [`OperatorError::Unreached`], [`OperatorError::Function`].
    pub async fn invoke(&self, name: &str, event: &Value) -> Result<Value, OperatorError> {
        let unreached = |error: &dyn fmt::Display| OperatorError::Unreached(error.to_string());
        let address = self.url.trim_start_matches("http://");
        let socket = TcpStream::connect(address).await.map_err(|error| unreached(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(|error| unreached(&error))?;
        let request = Request::builder().method(Method::POST).uri(INVOKE_PATH.replace("{name}", name));
        let request = match &self.machine {
            Some(machine) => request.header(MACHINE, machine),
            None => request,
        };
        let request = request.header(HOST, address).body(Body::from(event.to_string()));
        let request = request.map_err(|error| OperatorError::Function(format!("{name:?} is no function: {error}")))?;
        let exchange = async move {
            let answer = sender.send_request(request).await.map_err(|error| unreached(&error))?;
            let by = answer.headers().get(MACHINE);
            if self.machine.as_ref().is_some_and(|machine| by.is_none_or(|by| by != machine)) {
                return Err(unreached(&format!("something else answers at {address}, and {BETWEEN}")));
            }
            let good = answer.status().is_success() && !answer.headers().contains_key(FUNCTION_ERROR);
            let body = to_bytes(Body::new(answer.into_body()), ANSWER_BYTES_MAX).await;
            // The sender ends here, and with it the connection.
            drop(sender);
            body.map(|body| (good, body)).map_err(|error| unreached(&error))
        };
        let (answered, _) = tokio::join!(exchange, connection);
        let (good, body) = answered?;
        match serde_json::from_slice(&body) {
            Ok(answer) if good => Ok(answer),
            _ => Err(OperatorError::Function(String::from_utf8_lossy(&body).into_owned())),
        }
    }

    /// Runs `verify` slice by slice, and hands each slice's report to SHOW. The last one has no cursor.
    ///
    /// # Errors
    /// Those of [`Functions::invoke`].
    pub async fn verify(&self, repair: bool, mut show: impl FnMut(&Value)) -> Result<(), OperatorError> {
        let mut cursor = Value::Null;
        loop {
            let report = self.invoke("verify", &json!({ "repair": repair, "cursor": cursor })).await?;
            show(&report);
            cursor = report["cursor"].clone();
            if cursor.is_null() {
                return Ok(());
            }
        }
    }

    /// Stops the machine if it was started for this.
    pub async fn release(self) {
        if let Some(machine) = self.started {
            machine.stop().await;
        }
    }
}

/// A machine for nothing but the functions: nobody is to find it, and nothing runs by itself.
fn settings(place: Place) -> Settings {
    Settings {
        host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
        data_dir: place.data_dir,
        allowed_origins: Vec::new(),
        dynamodb: Dynamodb::Embedded(Port::Exactly(0)),
        parameters: place.parameters.into_iter().collect(),
        environments_max: runtime::Settings::ENVIRONMENTS_MAX,
        schedules: false,
        limits: Limits::default(),
    }
}

/// What all slices of a `verify` have found.
#[derive(Debug, Default)]
pub struct Summary {
    /// Items and archived messages that were checked, by kind.
    checked: BTreeMap<String, u64>,
    wrong: u64,
    mended: u64,
}

impl Summary {
    /// Adds a slice's report, and prints a line for each thing that is wrong: the rule, where, what was seen, and what is
    /// done about it.
    ///
    /// # Errors
    /// It can't be printed.
    pub fn add(&mut self, report: &Value, out: &mut impl io::Write) -> io::Result<()> {
        for (kind, count) in report["checked"].as_object().into_iter().flatten() {
            *self.checked.entry(kind.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
        for finding in report["findings"].as_array().into_iter().flatten() {
            let text = |name: &str| finding[name].as_str().unwrap_or_default();
            let mended = finding["mended"] == true;
            self.wrong += 1;
            self.mended += u64::from(mended);
            write!(out, "{}  {}  {}", text("rule"), text("place"), text("seen"))?;
            match (text("repair"), mended) {
                ("", _) => writeln!(out)?,
                (repair, true) => writeln!(out, "; mended: {repair}")?,
                (repair, false) => writeln!(out, "; --repair would: {repair}")?,
            }
        }
        Ok(())
    }

    /// Whether all is well: nothing is wrong, or was and is mended.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.wrong == self.mended
    }

    /// Prints what was checked and how much of it is wrong.
    ///
    /// # Errors
    /// It can't be printed.
    pub fn conclude(&self, out: &mut impl io::Write) -> io::Result<()> {
        let checked: Vec<String> = self.checked.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(
            out,
            "checked {}",
            if checked.is_empty() { "nothing: it is empty".to_owned() } else { checked.join(", ") }
        )?;
        writeln!(out, "{} wrong, {} of them mended", self.wrong, self.mended)
    }
}
