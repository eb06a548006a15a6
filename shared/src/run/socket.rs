//! What comes from the WebSocket: a handshake before it and within it, then frames.

use aws_lambda_events::apigw::{ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayWebsocketProxyRequest};
use aws_lambda_events::http::HeaderMap;
use serde_json::{Value, json};
use wire::{Echo, Frame, Time, error_frame};

use super::event::{InvokeError, read, refused};
use super::handler::{Answer, Authorize};
use crate::app::App;
use crate::auth::asking::SUBPROTOCOL;
use crate::auth::{Caller, Handshake, Verifier};
use crate::error::Error;
use crate::limits::TOKEN_LEEWAY;
use crate::telemetry;

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

/// A header's text.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// What a client says when it connects.
pub(super) fn handshake(event: &ApiGatewayWebsocketProxyRequest) -> Handshake {
    let query = |name: &str| event.query_string_parameters.first(name).map(str::to_owned);
    Handshake::new(|name| header(&event.headers, name), query)
}

/// Says who connects, as the policy that API Gateway asks for.
pub(super) async fn authorize(
    handler: Authorize,
    verifier: &Verifier,
    event: Value,
    now: Time,
) -> Result<Value, InvokeError> {
    let event: ApiGatewayCustomAuthorizerRequestTypeRequest = read(event)?;
    let query = |name: &str| event.query_string_parameters.first(name).map(str::to_owned);
    let handshake = Handshake::new(|name| header(&event.headers, name), query);
    let claims = handler(verifier, handshake, now).await.map_err(|error| match error {
        // This very text makes API Gateway answer 401.
        Error::Unauthorized | Error::TokenExpired => {
            telemetry::failed(&error);
            InvokeError("Unauthorized".to_owned())
        }
        other => refused(other),
    })?;
    Ok(json!({
        "principalId": claims.user,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Action": ["execute-api:Invoke"],
                "Effect": "Allow",
                "Resource": [event.method_arn],
            }],
        },
        "context": { "userId": claims.user, "expiresAt": claims.expires_at.ms.to_string() },
    }))
}

/// Handles one frame; whatever goes wrong is told to the client.
pub(super) async fn frame(handler: Answer, app: &App, event: &ApiGatewayWebsocketProxyRequest, trace_id: &str) {
    let mut caller = match caller(event, trace_id) {
        Ok(caller) => caller,
        Err(error) => return telemetry::failed(&error),
    };
    let text = event.body.as_deref().unwrap_or_default();
    let echo = Echo::of(text);
    if let Some(id) = &echo.request_id {
        telemetry::correlate(id);
    }
    let handled = async {
        if caller.expires_at.after(TOKEN_LEEWAY) < app.clock.now() {
            return Err(Error::TokenExpired);
        }
        let frame = Frame::new(text)?;
        caller.request_id.clone_from(&frame.request_id);
        telemetry::asked(&frame.action);
        handler(app, caller.clone(), frame).await
    };
    if let Err(error) = handled.await {
        telemetry::failed(&error);
        telemetry::answering();
        app.push.to(&caller.connection, error_frame(&error.body(trace_id), &echo)).await;
        if matches!(error, Error::TokenExpired) {
            app.push.close(&caller.connection).await;
        }
    }
}

/// Accepts or refuses a connection.
pub(super) fn connect_answer(outcome: Result<(), Error>, subprotocol: bool) -> Value {
    match outcome {
        // `headers`, not `multiValueHeaders`: API Gateway takes the subprotocol from there only.
        Ok(()) if subprotocol => json!({ "statusCode": 200, "headers": { "Sec-WebSocket-Protocol": SUBPROTOCOL } }),
        Ok(()) => json!({ "statusCode": 200 }),
        Err(error) => {
            telemetry::failed(&error);
            json!({ "statusCode": error.code().status() })
        }
    }
}

#[cfg(test)]
mod tests {
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
