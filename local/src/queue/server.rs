//! The queues on loopback, where the functions' SDK finds them. Like the engine it asks for no valid signature.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Queues;

/// The header that names the call, and what stands before the operation.
const TARGET: (&str, &str) = ("x-amz-target", "AmazonSQS.");
/// What the SDKs expect answers to be.
const JSON: &str = "application/x-amz-json-1.0";

/// The running server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl Server {
    /// Serves the queues on a free port of loopback.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(queues: Queues) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let app = Router::new().route("/", post(answer)).with_state(queues);
        let mut task = JoinSet::new();
        task.spawn(async move {
            // It ends with its task, and never with an error.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, _task: task })
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer(State(queues): State<Queues>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get(TARGET.0).and_then(|target| target.to_str().ok());
    let Some(operation) = target.and_then(|target| target.strip_prefix(TARGET.1)) else {
        return (StatusCode::BAD_REQUEST, format!("{} must be {}OPERATION", TARGET.0, TARGET.1)).into_response();
    };
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return (StatusCode::BAD_REQUEST, "the body must be JSON").into_response();
    };
    let (status, answer) = queues.answer(operation, &request);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, JSON)], answer.to_string()).into_response()
}
