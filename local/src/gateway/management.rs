//! The `@connections` API: what functions use to push to a client, to look at its connection and to close it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::answers::json_response;
use super::api::MESSAGE_BYTES_MAX;
use super::connections::Pushed;
use super::shared::Shared;

/// `POST`: queues a message for the client. 200 says that it is queued, not that the client has it.
pub(super) async fn push(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Ok(message) = body else { return too_large() };
    if message.len() > MESSAGE_BYTES_MAX {
        return too_large();
    }
    let Some(connection) = shared.connections.get(&id) else { return gone() };
    match connection.push(message, shared.api.limits.pushes_per_second) {
        Pushed::Queued => StatusCode::OK.into_response(),
        Pushed::Gone => gone(),
        Pushed::LimitExceeded => exception(
            StatusCode::TOO_MANY_REQUESTS,
            "LimitExceededException",
            "The client's buffer is full, or it is sent more than it may be",
        ),
    }
}

/// `GET`: what is known of the connection.
pub(super) async fn look(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let Some(connection) = shared.connections.get(&id) else { return gone() };
    let active_at = connection.connected_at + connection.active().duration_since(connection.opened);
    let body = json!({
        "connectedAt": format!("{:.3}", connection.connected_at),
        "identity": { "sourceIp": connection.source_ip, "userAgent": connection.user_agent },
        "lastActiveAt": format!("{active_at:.3}"),
    });
    json_response(StatusCode::OK, &body)
}

/// `DELETE`: closes the connection after what was queued before; from now on it is gone.
pub(super) async fn close(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let Some(connection) = shared.connections.remove(&id) else { return gone() };
    connection.close(CloseCode::Normal, "Connection Closed Normally");
    StatusCode::NO_CONTENT.into_response()
}

fn gone() -> Response {
    exception(StatusCode::GONE, "GoneException", "The connection has ended, or $connect has not returned yet")
}

fn too_large() -> Response {
    let message = format!("A message has {MESSAGE_BYTES_MAX} bytes at most");
    exception(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeException", &message)
}

/// An error as the AWS SDKs read it: its type in a header, its text in the body.
fn exception(status: StatusCode, kind: &'static str, message: &str) -> Response {
    ([("x-amzn-errortype", kind)], json_response(status, &json!({ "message": message }))).into_response()
}
