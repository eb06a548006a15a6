//! The Lambda Runtime API, as one environment sees it.
//!
//! Each environment has its own listener, so a request needs no word about who sends it. See
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::io;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use super::answer::{Answer, InvokeError};

/// What a function may answer, in bytes: Lambda's limit for a synchronous invocation. See
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
pub(super) const ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;

/// What an environment asks or says.
#[derive(Debug)]
pub(super) enum Call {
    /// It is ready for an event.
    Next(oneshot::Sender<Delivery>),
    /// It has done this one.
    Answer(String, Answer),
    /// It can't start, and why.
    InitError(String),
}

/// An event, handed over.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Names the event.
    pub(super) request_id: String,
    /// When the process will be killed, in milliseconds since 1970.
    pub(super) deadline_ms: u128,
    /// Names the function.
    pub(super) function_arn: String,
    /// The event, JSON.
    pub(super) event: String,
}

/// Serves the API to one environment until the future is dropped.
pub(super) async fn serve(listener: TcpListener, calls: mpsc::Sender<Call>) -> io::Result<()> {
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{request_id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{request_id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::max(ANSWER_BYTES_MAX))
        .with_state(calls);
    // A connection that can't be told so is merely slower.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    axum::serve(listener, router).await
}

async fn next(State(calls): State<mpsc::Sender<Call>>) -> Result<Delivery, StatusCode> {
    let (sender, delivery) = oneshot::channel();
    calls.send(Call::Next(sender)).await.map_err(|_| StatusCode::GONE)?;
    delivery.await.map_err(|_| StatusCode::GONE)
}

impl IntoResponse for Delivery {
    fn into_response(self) -> Response {
        // Nothing is traced on one machine; the SDK and the logs want an id all the same.
        let seconds = self.deadline_ms / 1_000;
        let digits: String = self.request_id.chars().filter(char::is_ascii_hexdigit).collect();
        let trace_id = format!("Root=1-{seconds:08x}-{};Parent={};Sampled=0", &digits[..24], &digits[16..]);
        let headers = [
            ("Lambda-Runtime-Aws-Request-Id", self.request_id),
            ("Lambda-Runtime-Deadline-Ms", self.deadline_ms.to_string()),
            ("Lambda-Runtime-Invoked-Function-Arn", self.function_arn),
            ("Lambda-Runtime-Trace-Id", trace_id),
            ("Content-Type", "application/json".to_owned()),
        ];
        (headers, self.event).into_response()
    }
}

async fn response(State(calls): State<mpsc::Sender<Call>>, Path(request_id): Path<String>, body: Bytes) -> StatusCode {
    let answer = serde_json::from_slice(&body).map_err(|error| InvokeError::Function {
        error_type: "Runtime.InvalidResponse".to_owned(),
        message: format!("the answer is not JSON: {error}"),
    });
    accept(&calls, Call::Answer(request_id, answer)).await
}

async fn error(State(calls): State<mpsc::Sender<Call>>, Path(request_id): Path<String>, body: Bytes) -> StatusCode {
    let Diagnostic { error_type, error_message: message } = Diagnostic::parse(&body);
    accept(&calls, Call::Answer(request_id, Err(InvokeError::Function { error_type, message }))).await
}

async fn init_error(State(calls): State<mpsc::Sender<Call>>, body: Bytes) -> StatusCode {
    accept(&calls, Call::InitError(Diagnostic::parse(&body).error_message)).await
}

/// What a function says about an error of its own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Diagnostic {
    error_type: String,
    error_message: String,
}

impl Diagnostic {
    /// An error that isn't told in the agreed way is an error all the same. No content type is asked for: the Rust client
    /// sends none.
    fn parse(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| Self {
            error_type: "Runtime.Unknown".to_owned(),
            error_message: String::from_utf8_lossy(body).into_owned(),
        })
    }
}

async fn accept(calls: &mpsc::Sender<Call>, call: Call) -> StatusCode {
    match calls.send(call).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::GONE,
    }
}
