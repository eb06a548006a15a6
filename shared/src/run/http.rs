//! Called by HTTP: a handler answers with JSON, and `lambda_http` writes that as API Gateway reads it.

use std::convert::Infallible;

use base64::Engine as _;
use lambda_http::http::StatusCode;
use lambda_http::request::LambdaRequest;
use lambda_runtime::{LambdaEvent, Service as _, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};

use super::event::{InvokeError, Names, read};
use super::trigger::{Handling, Invocation, Supply, Trigger};
use crate::app::App;
use crate::auth::asking::bearer;
use crate::auth::{HttpRequest, Verifier};
use crate::config::ConfigError;
use crate::telemetry;

/// Answers one HTTP request with JSON.
pub struct OnRequest(pub for<'a> fn(&'a App, &'a Verifier, HttpRequest) -> Handling<'a, Value>);

impl Trigger for OnRequest {
    type With = (App, Verifier);

    fn with(&self, supply: &(impl Supply + ?Sized)) -> Result<(App, Verifier), ConfigError> {
        Ok((supply.app(None)?, supply.verifier()?))
    }

    async fn warm((app, _): &(App, Verifier)) {
        app.store.warm().await;
    }

    async fn answer(
        &self,
        (app, verifier): &(App, Verifier),
        event: Value,
        invocation: Invocation<'_>,
    ) -> Result<Value, InvokeError> {
        let request = asked(read(event)?);
        telemetry::asked(&request.route);
        // Not a body of its own: that would be converted from every encoding there is, with 150 KB of tables.
        let (status, body) = match (self.0)(app, verifier, request).await {
            Ok(body) => (StatusCode::OK, body),
            Err(error) => {
                telemetry::failed(&error);
                let status = StatusCode::from_u16(error.code().status());
                let error = json!({ "error": error.body(invocation.trace_id) });
                (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error)
            }
        };
        let answer = (status, body);
        let service =
            service_fn(move |_: lambda_http::Request| std::future::ready(Ok::<_, Infallible>(answer.clone())));
        let event =
            LambdaEvent::new(LambdaRequest::ApiGatewayV2(Default::default()), lambda_runtime::Context::default());
        let response =
            lambda_http::Adapter::from(service).call(event).await.map_err(|error| InvokeError(error.to_string()))?;
        serde_json::to_value(response).map_err(|error| InvokeError(error.to_string()))
    }
}

/// What a function of the HTTP API gets, in payload format 2.0.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    request_context: Context,
    #[serde(default)]
    headers: Names,
    #[serde(default)]
    path_parameters: Names,
    #[serde(default)]
    query_string_parameters: Names,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// Which route it came by.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    route_key: String,
}

/// What somebody asks. A body that is no text is nobody's matter before it is known who asks, and for what.
fn asked(event: Event) -> HttpRequest {
    let token = event.headers.header("authorization").and_then(bearer);
    let body = event.body.unwrap_or_default();
    let body = if event.is_base64_encoded { text(&body) } else { Some(body) };
    let (path, query) = (event.path_parameters.into_inner(), event.query_string_parameters.into_inner());
    HttpRequest { route: event.request_context.route_key, path, query, token, body }
}

/// What is written in base64, if it is text.
fn text(base64: &str) -> Option<String> {
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(base64).ok()?).ok()
}
