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

/// What a service answers to this request line, with these header lines and a body.
#[cfg(test)]
pub(crate) async fn asks(address: SocketAddr, line: &str, headers: &str, body: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut connection = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nhost: {address}\r\n{headers}content-length: {length}");
    let request = format!("{head}\r\nconnection: close\r\n\r\n{body}");
    connection.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("it answers");
    answer
}
