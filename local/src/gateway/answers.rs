//! How the gateway itself answers.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error in the form that the project's own HTTP API has.
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    json_response(status, &json!({ "error": { "code": code, "message": message } }))
}

pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// Why a call to `@connections` is refused, and the status of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// The connection has ended, or is still to begin.
    Gone = 410,
    /// The message is larger than [`super::MESSAGE_BYTES_MAX`].
    PayloadTooLarge = 413,
    /// The client's buffer is full, or pushes come too fast.
    LimitExceeded = 429,
}

impl IntoResponse for Exception {
    /// As the AWS SDKs read it: its type in a header, its text in the body.
    fn into_response(self) -> Response {
        let message = match self {
            Self::Gone => "The connection has ended, or $connect has not returned yet",
            Self::PayloadTooLarge => "The message is larger than it may be",
            Self::LimitExceeded => "The client's buffer is full, or it is sent more than it may be",
        };
        let status = StatusCode::from_u16(self as u16).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [("x-amzn-errortype", format!("{self:?}Exception"))];
        (kind, json_response(status, &json!({ "message": message }))).into_response()
    }
}
