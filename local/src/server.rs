//! An AWS service of this machine, on a free port of loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The running service. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    pub(crate) address: SocketAddr,
    _task: JoinSet<()>,
}

impl Server {
    /// Serves these routes.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(routes: Router) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            // It ends with its task, and never with an error.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, _task: task })
    }

    /// Where it listens, as the AWS SDKs take it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}
