//! What the events of a WebSocket have in common.

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use aws_lambda_events::http::HeaderMap;
use aws_lambda_events::query_map::QueryMap;
use serde_json::Value;
use wire::Time;

use crate::auth::{Caller, Handshake};
use crate::error::Error;

/// Who asks, from a connection's context.
pub(super) fn caller(event: &ApiGatewayWebsocketProxyRequest, trace_id: &str) -> Result<Caller, Error> {
    let context = &event.request_context;
    let text = |name: &str| match context.authorizer.fields.get(name) {
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
pub(super) fn handshake(headers: &HeaderMap, query: &QueryMap) -> Handshake {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Handshake::new(header, |name| query.first(name).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_caller_is_who_the_authorizer_named() {
        let event = |authorizer: Value| {
            let context =
                json!({ "connectionId": "c1=", "connectedAt": 1, "requestTimeEpoch": 1, "authorizer": authorizer });
            let event: ApiGatewayWebsocketProxyRequest =
                serde_json::from_value(json!({ "requestContext": context, "body": "{}" })).expect("an event");
            caller(&event, "trace")
        };
        let caller = event(json!({ "principalId": "ann", "userId": "ann", "expiresAt": "1000" })).expect("a caller");
        assert_eq!((caller.user.as_str(), caller.connection.as_str()), ("ann", "c1="));
        assert_eq!(caller.expires_at, Time { ms: 1_000 });
        assert!(event(json!({ "principalId": "ann" })).is_err(), "an authorizer that names nobody");
        assert!(event(json!({ "userId": "ann", "expiresAt": "soon" })).is_err(), "a time that is none");
    }
}
