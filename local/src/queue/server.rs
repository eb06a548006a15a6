//! The queues on loopback, where the functions' SDK finds them. Like the engine it asks for no valid signature.

use std::io;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;

use super::queues::Queues;
use crate::server::Server;

/// The header that names the call, and what stands before the operation.
const TARGET: (&str, &str) = ("x-amz-target", "AmazonSQS.");
/// What the SDKs expect answers to be.
const JSON: &str = "application/x-amz-json-1.0";

/// Serves the queues.
///
/// # Errors
/// There is no free port.
pub async fn serve(queues: Queues) -> io::Result<Server> {
    Server::start(Router::new().route("/", post(answer)).with_state(queues)).await
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
