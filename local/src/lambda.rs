//! Lambda's call `Invoke` on loopback: how an operator has a function work on an event, by `parley invoke` or with any AWS
//! client (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>). Here a function's name is its folder's.
//!
//! Like the engine it asks for no valid signature; but it answers no browser, so that no web site reaches the functions. And it
//! says which machine answers: whoever was told of another one that has ended meanwhile gets nothing done here.

use std::io;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::invoker::Invoker;
use crate::runtime::InvokeError;
use crate::server::Server;

/// Where the call is.
pub const INVOKE_PATH: &str = "/2015-03-31/functions/{name}/invocations";
/// The header that tells a function's error from its answer.
pub const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");

/// The header that names the machine that is meant, and the one that answers. AWS's clients don't send it.
pub const MACHINE: HeaderName = HeaderName::from_static("x-parley-machine");

/// Serves these functions, of the machine with this id.
///
/// # Errors
/// There is no free port.
pub async fn serve(invoker: Invoker, machine: &str) -> io::Result<Server> {
    let machine = HeaderValue::from_str(machine).map_err(io::Error::other)?;
    Server::start(Router::new().route(INVOKE_PATH, post(invoke)).with_state((invoker, machine))).await
}

async fn invoke(
    State((invoker, machine)): State<(Invoker, HeaderValue)>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_meant = headers.get(MACHINE).is_none_or(|meant| *meant == machine);
    let mut response = if is_meant {
        answer(&invoker, &name, &headers, &body).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "another machine is meant").into_response()
    };
    response.headers_mut().insert(MACHINE, machine);
    response
}

async fn answer(invoker: &Invoker, name: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    let refused = |status: StatusCode, kind: &str, message: String| {
        (status, Json(json!({ "Type": kind, "Message": message }))).into_response()
    };
    if headers.contains_key(ORIGIN) {
        return refused(StatusCode::FORBIDDEN, "AccessDeniedException", "no browser may call functions".to_owned());
    }
    let event = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(body) };
    let Ok(event) = event else {
        return refused(StatusCode::BAD_REQUEST, "InvalidRequestContentException", "the event is no JSON".to_owned());
    };
    match invoker.invoke(name, event).await {
        Ok(answer) => ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response(),
        Err(error @ InvokeError::UnknownFunction(_)) => {
            refused(StatusCode::NOT_FOUND, "ResourceNotFoundException", error.to_string())
        }
        Err(error) => {
            let (kind, message) = match error {
                InvokeError::Function { error_type, message } => (error_type, message),
                other => ("Unhandled".to_owned(), other.to_string()),
            };
            let body = json!({ "errorType": kind, "errorMessage": message });
            ([(FUNCTION_ERROR, "Unhandled")], Json(body)).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server;

    /// What it answers to this event for a function, with a header.
    async fn asks(server: &Server, function: &str, header: &str, event: &str) -> String {
        let line = format!("POST {}", INVOKE_PATH.replace("{name}", function));
        server::asks(server.address, &line, header, event).await
    }

    #[tokio::test]
    async fn an_operator_reaches_the_functions_and_no_web_site_does() {
        let invoker = Invoker::new(|name, event| async move {
            match name.as_str() {
                "echo" => Ok(event),
                "fails" => Err(InvokeError::Function { error_type: "E".to_owned(), message: "why".to_owned() }),
                _ => Err(InvokeError::UnknownFunction(name)),
            }
        });
        let server = serve(invoker, "one").await.expect("starts");
        let good = asks(&server, "echo", "", r#"{"a":1}"#).await;
        assert!(good.starts_with("HTTP/1.1 200") && good.ends_with(r#"{"a":1}"#), "{good}");
        assert!(asks(&server, "echo", "", "").await.ends_with("null"));
        let failed = asks(&server, "fails", "", "{}").await;
        assert!(failed.contains("x-amz-function-error") && failed.contains(r#""errorMessage":"why""#), "{failed}");
        assert!(asks(&server, "nobody", "", "{}").await.starts_with("HTTP/1.1 404"));
        assert!(asks(&server, "echo", "", "{").await.starts_with("HTTP/1.1 400"));
        let site = asks(&server, "echo", "origin: https://example.com\r\n", "{}").await;
        assert!(site.starts_with("HTTP/1.1 403"), "{site}");
        for (meant, status) in [("one", "200"), ("another", "421")] {
            let answer = asks(&server, "echo", &format!("x-parley-machine: {meant}\r\n"), "{}").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
            assert!(answer.contains("x-parley-machine: one"), "{answer}");
        }
    }
}
