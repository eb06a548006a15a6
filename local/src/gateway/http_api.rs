//! The HTTP API: the template's routes, as API Gateway serves them with payload format 2.0.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::http::response::Builder;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tracing::Level;

use super::answers::json_response;
use super::api::BODY_BYTES_MAX;
use super::events;
use super::shared::{Shared, stamp};
use crate::logs;
use crate::template::HttpRoute;

/// Answers with what the route's function answers.
pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let Some((route, parameters)) = HttpRoute::of(&shared.api.http_routes, method, path) else {
        return message(StatusCode::NOT_FOUND, "Not Found");
    };
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    let stamp = stamp();
    let event = events::http(route, &parameters, &parts, peer.ip(), &body, &stamp);
    let problem = match shared.api.invoker.invoke(&route.function, event).await {
        Ok(answer) => match response(&answer) {
            Ok(response) => return response,
            Err(problem) => problem,
        },
        Err(error) => error.to_string(),
    };
    logs::line("gateway", Some(&stamp.id), Level::ERROR, &format!("{}: {problem}", route.key()));
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

/// API Gateway's own answers.
fn message(status: StatusCode, message: &str) -> Response {
    json_response(status, &json!({ "message": message }))
}

/// The HTTP response that a function's answer describes; an answer without a `statusCode` is itself the body.
fn response(answer: &Value) -> Result<Response, String> {
    let Some(status) = answer.get("statusCode") else {
        return Ok(json_response(StatusCode::OK, answer));
    };
    let status = status.as_u64().and_then(|status| u16::try_from(status).ok());
    let mut builder = Response::builder().status(status.ok_or("statusCode is no number")?);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        builder = header(builder, name, &text(value))?;
    }
    for (name, values) in answer["multiValueHeaders"].as_object().into_iter().flatten() {
        for value in values.as_array().into_iter().flatten() {
            builder = header(builder, name, &text(value))?;
        }
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        builder = header(builder, SET_COOKIE.as_str(), &text(cookie))?;
    }
    if builder.headers_ref().is_some_and(|headers| !headers.contains_key(CONTENT_TYPE)) {
        builder = header(builder, CONTENT_TYPE.as_str(), "text/plain; charset=utf-8")?;
    }
    let body = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"] == true {
        Body::from(STANDARD.decode(body).map_err(|error| format!("body is no base64: {error}"))?)
    } else {
        Body::from(body.to_owned())
    };
    builder.body(body).map_err(|error| error.to_string())
}

/// Adds a header, once: answers may have the same one in `headers` and in `multiValueHeaders`.
fn header(builder: Builder, name: &str, value: &str) -> Result<Builder, String> {
    let invalid = || format!("the header {name} is invalid");
    let name = HeaderName::try_from(name).map_err(|_| invalid())?;
    let value = HeaderValue::try_from(value).map_err(|_| invalid())?;
    let there = builder.headers_ref().is_some_and(|headers| headers.get_all(&name).iter().any(|there| *there == value));
    Ok(if there { builder } else { builder.header(name, value) })
}
