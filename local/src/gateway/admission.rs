//! Who may connect: the authorizer says it, and then `$connect`.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{HOST, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use axum::http::request::Parts;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::api::ADDRESS_CHARS_MAX;
use super::events::{self, Peer, Stamp, joined};
use crate::invoker::Invoker;
use crate::runtime::InvokeError;
use crate::template::WebSocketRoutes;

/// Why somebody may not connect.
#[derive(Debug)]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// What the client is told.
    pub message: &'static str,
    /// What is wrong with the functions, if that is why.
    pub problem: Option<String>,
}

/// Asks the authorizer, and then `$connect`, about who would have this connection. Says who that is, and the subprotocol to
/// answer.
///
/// # Errors
/// The refusal.
pub async fn admit(
    routes: &WebSocketRoutes,
    invoker: &Invoker,
    connection: &str,
    request: &Parts,
    source_ip: IpAddr,
    stamp: &Stamp,
) -> Result<(Peer, Option<String>), Refusal> {
    let refusal = |status, message| Refusal { status, message, problem: None };
    let failure = |status, problem| Refusal { status, message: "Internal server error", problem: Some(problem) };
    let mut peer = Peer {
        connection: connection.to_owned(),
        stage: routes.stage.clone(),
        domain: joined(&request.headers, &HOST),
        source_ip,
        user_agent: joined(&request.headers, &USER_AGENT),
        connected_at: stamp.time,
        authorizer: None,
    };
    if format!("wss://{}{}", peer.domain, request.uri).len() > ADDRESS_CHARS_MAX {
        return Err(refusal(StatusCode::URI_TOO_LONG, "URI Too Long"));
    }
    if let Some(authorizer) = &routes.authorizer {
        let asked = Instant::now();
        match invoker.invoke(authorizer, events::authorize(&peer, request, stamp)).await {
            Ok(answer) if allows(&answer, &events::method_arn(&peer)) => {
                peer.authorizer = Some(context(&answer, asked.elapsed()));
            }
            Ok(_) => return Err(refusal(StatusCode::FORBIDDEN, "User is not authorized")),
            Err(InvokeError::Function { message, .. }) if message == "Unauthorized" => {
                return Err(refusal(StatusCode::UNAUTHORIZED, "Unauthorized"));
            }
            Err(error) => return Err(failure(StatusCode::INTERNAL_SERVER_ERROR, format!("the authorizer: {error}"))),
        }
    }
    let answer = invoker.invoke(&routes.routes["$connect"], events::connect(&peer, request, stamp)).await;
    let answer = answer.map_err(|error| failure(StatusCode::BAD_GATEWAY, format!("$connect: {error}")))?;
    let status = answer["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let invalid = || failure(StatusCode::BAD_GATEWAY, "$connect: the answer has no valid statusCode".to_owned());
    let status = status.ok_or_else(invalid)?;
    if !status.is_success() {
        return Err(refusal(status, status.canonical_reason().unwrap_or_default()));
    }
    let mut headers = answer["headers"].as_object().into_iter().flatten();
    let protocol = headers.find(|(name, _)| name.eq_ignore_ascii_case(SEC_WEBSOCKET_PROTOCOL.as_str()));
    Ok((peer, protocol.and_then(|(_, value)| Some(value.as_str()?.to_owned()))))
}

/// Whether a policy allows the resource: some statement does and none denies it.
fn allows(answer: &Value, resource: &str) -> bool {
    let one_or_more = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    let effect = |effect: &str| {
        one_or_more(&answer["policyDocument"]["Statement"]).iter().any(|statement| {
            let mut patterns = one_or_more(&statement["Resource"]).into_iter();
            statement["Effect"] == effect
                && patterns.any(|pattern| pattern.as_str().is_some_and(|pattern| glob(pattern, resource)))
        })
    };
    effect("Allow") && !effect("Deny")
}

/// Whether a pattern with `*` matches the whole text.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, rest)) => text.strip_prefix(before).is_some_and(|text| {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| glob(rest, &text[at..]))
        }),
    }
}

/// What later events carry of the authorizer's answer: the context, with its values as strings, the principal, and how long
/// the authorizer took, in milliseconds.
fn context(answer: &Value, took: Duration) -> Map<String, Value> {
    let context = answer["context"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut context: Map<_, _> = context.map(|(name, value)| (name.clone(), text(value).into())).collect();
    context.insert("principalId".to_owned(), answer["principalId"].clone());
    context.insert("integrationLatency".to_owned(), json!(took.as_millis()));
    context
}
