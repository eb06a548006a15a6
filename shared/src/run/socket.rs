//! What the events of a WebSocket have in common.

use serde::Deserialize;
use serde_json::{Map, Value};
use wire::Time;

use super::event::Names;
use crate::auth::{Caller, Handshake};
use crate::error::Error;

/// What a function of a connection gets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    request_context: Context,
    /// Of `$connect`.
    #[serde(default)]
    pub(super) headers: Names,
    /// Of `$connect`.
    #[serde(default)]
    pub(super) query_string_parameters: Names,
    /// A frame's text.
    pub(super) body: Option<String>,
}

/// What API Gateway knows of a connection.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    connection_id: Option<String>,
    /// What the authorizer has said of it.
    authorizer: Option<Map<String, Value>>,
}

/// Who asks, from a connection's context.
pub(super) fn caller(event: &Event, trace_id: &str) -> Result<Caller, Error> {
    let context = &event.request_context;
    let text = |name: &str| match context.authorizer.as_ref()?.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
        None => None,
    };
    let caller = || {
        Some(Caller {
            user: text("userId")?.parse().ok()?,
            connection: context.connection_id.as_ref()?.parse().ok()?,
            request_id: None,
            trace_id: trace_id.to_owned(),
            expires_at: Time { ms: text("expiresAt")?.parse().ok()? },
        })
    };
    caller().ok_or_else(|| Error::Internal("the event has no authorizer context or connection id".to_owned()))
}

/// What a client says when it connects, in the event of before the handshake as in the one within it.
pub(super) fn handshake(headers: &Names, query: &Names) -> Handshake {
    Handshake::new(|name| headers.header(name), |name| query.parameter(name).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_caller_is_who_the_authorizer_named() {
        let event = |authorizer: Value| {
            let context = json!({ "connectionId": "c1=", "authorizer": authorizer });
            let event = serde_json::from_value(json!({ "requestContext": context })).expect("an event");
            caller(&event, "trace")
        };
        let caller = event(json!({ "principalId": "ann", "userId": "ann", "expiresAt": "1000" })).expect("a caller");
        assert_eq!((caller.user.as_str(), caller.connection.as_str()), ("ann", "c1="));
        assert_eq!(caller.expires_at, Time { ms: 1_000 });
        assert!(event(json!({ "principalId": "ann" })).is_err(), "an authorizer that names nobody");
        assert!(event(Value::Null).is_err(), "no authorizer");
        assert!(event(json!({ "userId": "ann", "expiresAt": "soon" })).is_err(), "a time that is none");
    }
}
