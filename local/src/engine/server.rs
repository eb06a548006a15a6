//! The embedded engine, from its start to its end.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use dynoxide::Database;
use tokio::sync::oneshot;
use tracing::Level;

use super::database;
use super::error::EngineError;
use crate::data_dir::{DATABASE_FILE, DataLock};
use crate::logs;

/// The port that DynamoDB on one machine usually has.
pub const PORT_DEFAULT: u16 = 8000;

/// The engine's own threads: one may wait for the disk while another reads a request.
const ENGINE_THREADS: usize = 2;
/// How long the last requests may take when the engine stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Which port the embedded engine gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// [`PORT_DEFAULT`], or a free one if that is taken.
    Preferred,
    /// This one or none; 0 is a free one.
    Exactly(u16),
}

impl Port {
    fn listen(self) -> Result<TcpListener, EngineError> {
        let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let (port, listener) = match self {
            Self::Exactly(port) => (port, bind(port)),
            Self::Preferred => (PORT_DEFAULT, bind(PORT_DEFAULT).or_else(|_| bind(0))),
        };
        listener.map_err(|source| EngineError::Port { port, source })
    }
}

/// The running engine.
#[derive(Debug)]
pub struct Engine {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
    _lock: Option<DataLock>,
}

impl Engine {
    /// Opens the database of this directory, or one in memory, and serves it on loopback.
    ///
    /// # Errors
    /// The port is taken, or the database can't be opened.
    pub fn start(lock: Option<DataLock>, port: Port) -> Result<Self, EngineError> {
        let failed = |error: &dyn fmt::Display| EngineError::Start(error.to_string());
        let listener = port.listen()?;
        let database = match &lock {
            Some(lock) => database::open(&lock.path().join(DATABASE_FILE))?,
            None => Database::memory().map_err(|error| failed(&error))?,
        };
        listener.set_nonblocking(true).map_err(|error| failed(&error))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(ENGINE_THREADS).thread_name("engine").enable_all().build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        let (stop, stopping) = oneshot::channel();
        let (ended, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, database, stopping));
            runtime.shutdown_timeout(STOP_TIMEOUT);
            // Nobody may be waiting any more.
            let _ = ended.send(());
        });
        thread.map_err(|error| failed(&error))?;
        Ok(Self { address, stop, stopped, _lock: lock })
    }

    /// Where the engine listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the last requests finish and closes the database.
    pub async fn stop(self) {
        // It has ended already if nobody receives this.
        let _ = self.stop.send(());
        // Every commit is on the disk already: giving up on a request that hangs loses nothing.
        let _ = tokio::time::timeout(2 * STOP_TIMEOUT, self.stopped).await;
    }
}

async fn serve(listener: TcpListener, database: Database, stopping: oneshot::Receiver<()>) {
    let problem = |problem: &dyn fmt::Display| logs::line("engine", None, Level::ERROR, &problem.to_string());
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return problem(&error),
    };
    let (closing, closed) = oneshot::channel();
    let shutdown = async {
        let _ = stopping.await;
        let _ = closing.send(());
    };
    let give_up = async {
        let _ = closed.await;
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        served = dynoxide::server::serve_with_shutdown(listener, database, shutdown) => {
            if let Err(error) = served {
                problem(&error);
            }
        }
        () = give_up => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_was_asked_for_is_taken_or_refused() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = taken.local_addr().expect("an address").port();
        let error = Engine::start(None, Port::Exactly(port)).expect_err("is taken").to_string();
        assert!(error.starts_with(&format!("--dynamodb-port {port}: ")), "{error}");
    }
}
