//! The `@connections` API: what functions use to push to a client, to look at its connection and to close it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::answers::{Exception, json_response};
use super::api::MESSAGE_BYTES_MAX;
use super::shared::Shared;

/// `POST`: queues a message for the client. 200 says that it is queued, not that the client has it.
pub(super) async fn push(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Exception> {
    let fits = body.ok().filter(|message| message.len() <= MESSAGE_BYTES_MAX);
    let message = fits.ok_or(Exception::PayloadTooLarge)?;
    let connection = shared.connections.get(&id).ok_or(Exception::Gone)?;
    connection.push(message, shared.api.limits.pushes_per_second)?;
    Ok(StatusCode::OK)
}

/// `GET`: what is known of the connection.
pub(super) async fn look(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Response, Exception> {
    let connection = shared.connections.get(&id).ok_or(Exception::Gone)?;
    let peer = &connection.peer;
    let body = json!({
        "connectedAt": peer.connected_at,
        "identity": { "sourceIp": peer.source_ip, "userAgent": peer.user_agent },
        "lastActiveAt": peer.connected_at.after(connection.active().duration_since(connection.opened)),
    });
    Ok(json_response(StatusCode::OK, &body))
}

/// `DELETE`: closes the connection after what was queued before; from now on it is gone.
pub(super) async fn close(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<StatusCode, Exception> {
    let connection = shared.connections.remove(&id).ok_or(Exception::Gone)?;
    connection.close(CloseCode::Normal, "Connection Closed Normally");
    Ok(StatusCode::NO_CONTENT)
}
