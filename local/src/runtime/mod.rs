//! The Lambda service of one machine.
//!
//! On AWS a function runs in *execution environments*: processes that ask the Lambda Runtime API for the next event,
//! work on it, and answer. Here it is the same: the functions run unmodified, as processes of their own, and this
//! module is the service that they ask. In reading order:
//!
//! 1. this file: what a caller needs;
//! 2. `pool`: which event goes to which environment, and when one is started or ended;
//! 3. `environment`: one environment's life, from start to end;
//! 4. `api`: the Runtime API that an environment talks to;
//! 5. `process`: how a process is started, with which variables.
//!
//! What Lambda does, this does: one event at a time for each environment; an environment is *frozen* while it has no
//! event, so that work left behind by a handler stands still and is noticed; one that exceeds its time limit is killed.
//! The memory limit is told to the function and not enforced.

mod api;
mod environment;
mod pool;
mod process;

use std::{collections::BTreeMap, fmt, io, path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;

use pool::Pool;

/// What one function needs to run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name: the last argument of its process.
    pub name: String,
    /// How long one event may take. As long, at most, it waits for an environment.
    pub timeout: Duration,
    /// The memory that the function is told to have, in MB.
    pub memory_mb: u32,
    /// Its variables, besides those that Lambda sets.
    pub environment: BTreeMap<String, String>,
    /// How many environments of this function there may be, 1 or more.
    pub concurrency_max: usize,
}

/// The limits of the whole service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many environments of all functions there may be, 1 or more.
    pub environments_max: usize,
    /// How many events of one function may wait for an environment.
    pub queue_max: usize,
    /// How long an environment is kept without an event.
    pub idle_life: Duration,
    /// What an environment's process is.
    pub program: Program,
}

impl Settings {
    /// [`Settings::environments_max`] of [`Settings::of_this_binary`].
    pub const ENVIRONMENTS_MAX: usize = 64;
    /// [`Settings::queue_max`] of [`Settings::of_this_binary`].
    pub const QUEUE_MAX: usize = 1_000;
    /// [`Settings::idle_life`] of [`Settings::of_this_binary`].
    pub const IDLE_LIFE: Duration = Duration::from_secs(5 * 60);

    /// The functions that are in this binary, with the usual limits.
    ///
    /// # Errors
    /// The system can't say where this binary is.
    pub fn of_this_binary() -> io::Result<Self> {
        let program = Program { path: std::env::current_exe()?, arguments: vec!["function".to_owned()] };
        Ok(Self {
            environments_max: Self::ENVIRONMENTS_MAX,
            queue_max: Self::QUEUE_MAX,
            idle_life: Self::IDLE_LIFE,
            program,
        })
    }
}

/// A command line; the function's name is added to it.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// The arguments before the function's name.
    pub arguments: Vec<String>,
}

/// The service. Clones are the same service.
#[derive(Clone, Debug)]
pub struct Runtime {
    pool: Arc<Pool>,
}

impl Runtime {
    /// A service for these functions. No process is started before there is an event for it.
    ///
    /// # Errors
    /// A limit of 0; a name given twice; no tokio runtime around the call; no thread to be had.
    pub fn new(specs: Vec<Spec>, settings: Settings) -> io::Result<Self> {
        Ok(Self { pool: Pool::new(specs, settings)? })
    }

    /// Has the function NAME work on EVENT, and waits for its answer.
    ///
    /// Dropping the future gives up the answer; what has begun is not taken back, as on AWS.
    ///
    /// # Errors
    /// See [`InvokeError`].
    pub async fn invoke(&self, name: &str, event: Value) -> Result<Value, InvokeError> {
        self.pool.invoke(name, event).await
    }

    /// Ends every process and waits until all are gone. Whoever waits for an answer gets [`InvokeError::ShuttingDown`].
    pub async fn shutdown(&self) {
        self.pool.shutdown().await;
    }
}

/// Why an event has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvokeError {
    /// There is no function of this name.
    UnknownFunction(String),
    /// [`Settings::queue_max`] events wait already.
    Throttled,
    /// The event took, or waited, longer than its function's time limit.
    TimedOut {
        /// That limit.
        after: Duration,
    },
    /// The function answered with an error.
    Function {
        /// The error's type, as the function names it.
        error_type: String,
        /// The error's text. An authorizer's `Unauthorized` is what API Gateway makes a 401 of.
        message: String,
    },
    /// The process ended before it answered.
    Crashed {
        /// How it ended.
        message: String,
    },
    /// The function can't start.
    Init {
        /// What it said.
        message: String,
    },
    /// [`Runtime::shutdown`] was called.
    ShuttingDown,
}

impl fmt::Display for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFunction(name) => write!(f, "There is no function `{name}`"),
            Self::Throttled => f.write_str("Too many events wait for this function"),
            Self::TimedOut { after } => write!(f, "Task timed out after {:.2} seconds", after.as_secs_f64()),
            Self::Function { error_type, message } => write!(f, "{error_type}: {message}"),
            Self::Crashed { message } => write!(f, "The function's process ended: {message}"),
            Self::Init { message } => write!(f, "The function can't start: {message}"),
            Self::ShuttingDown => f.write_str("The machine is stopping"),
        }
    }
}

impl std::error::Error for InvokeError {}
