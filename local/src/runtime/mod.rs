//! The Lambda service of one machine.
//!
//! On AWS a function runs in *execution environments*: processes that ask the Lambda Runtime API for the next event,
//! work on it, and answer. Here it is the same: the functions run unmodified, as processes of their own, and this
//! module is the service that they ask. In reading order:
//!
//! 1. this file: what a caller needs;
//! 2. `settings` and `answer`: what it gives, and what it gets;
//! 3. `pool`: which event goes to which environment, and when one is started or ended;
//! 4. `environment`: one environment's life, from start to end;
//! 5. `api`: the Runtime API that an environment talks to;
//! 6. `process`: how a process is started, with which variables.
//!
//! What Lambda does, this does: one event at a time for each environment; an environment is *frozen* while it has no
//! event, so that work left behind by a handler stands still and is noticed; one that exceeds its time limit is killed.
//! The memory limit is told to the function and not enforced.

mod answer;
mod api;
mod environment;
mod pool;
mod process;
mod settings;

use std::{io, sync::Arc};

use futures::FutureExt as _;
use serde_json::Value;

pub use answer::InvokeError;
use pool::Pool;
pub use settings::{Program, Settings, Spec};

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
        let live = |pool, function, closing| environment::live(pool, function, closing).boxed();
        Ok(Self { pool: Pool::new(specs, settings, live)? })
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
