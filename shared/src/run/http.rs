//! Called by HTTP: `lambda_http` reads the event, a handler answers with JSON.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use aws_lambda_events::http::header::HOST;
use base64::Engine as _;
use lambda_http::http::StatusCode;
use lambda_http::{RequestExt as _, request::RequestContext};
use lambda_runtime::{LambdaEvent, Service as _, service_fn};
use serde_json::{Value, json};

use super::event::{InvokeError, read};
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
        let mut event = without_address(read(event)?);
        let body = &text(&mut event);
        let event = lambda_http::request::LambdaRequest::ApiGatewayV2(event);
        let service = service_fn(|request: lambda_http::Request| async move {
            let request = asked(&request, body.clone());
            telemetry::asked(&request.route);
            // Not a body of its own: that would be converted from every encoding there is, with 150 KB of tables.
            Ok::<_, std::convert::Infallible>(match (self.0)(app, verifier, request).await {
                Ok(body) => (StatusCode::OK, body),
                Err(error) => {
                    telemetry::failed(&error);
                    let status = StatusCode::from_u16(error.code().status());
                    let error = json!({ "error": error.body(invocation.trace_id) });
                    (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error)
                }
            })
        });
        let event = LambdaEvent::new(event, lambda_runtime::Context::default());
        let response =
            lambda_http::Adapter::from(service).call(event).await.map_err(|error| InvokeError(error.to_string()))?;
        serde_json::to_value(response).map_err(|error| InvokeError(error.to_string()))
    }
}

/// From what `lambda_http` made of the event, and the body.
fn asked(request: &lambda_http::Request, body: Option<String>) -> HttpRequest {
    let flat = |map: Option<&aws_lambda_events::query_map::QueryMap>| {
        map.map(|map| map.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    };
    let route = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.route_key.clone(),
        _ => None,
    };
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    HttpRequest {
        route: route.unwrap_or_default(),
        path: flat(request.path_parameters_ref()).unwrap_or_default(),
        query: flat(request.query_string_parameters_ref()).unwrap_or_default(),
        token: header.and_then(bearer),
        body,
    }
}

/// Leaves out what nobody reads, as the route and the parameters say it, and what `lambda_http` panics at: a host, a path or
/// a query that makes no address.
fn without_address(mut event: ApiGatewayV2httpRequest) -> ApiGatewayV2httpRequest {
    event.headers.remove(HOST);
    (event.request_context.domain_name, event.request_context.stage) = (None, None);
    (event.raw_path, event.raw_query_string) = (None, None);
    event
}

/// Takes the body out of the event: `lambda_http` panics at one that isn't base64. One that is no text is nobody's matter
/// before it is known who asks, and for what.
fn text(event: &mut ApiGatewayV2httpRequest) -> Option<String> {
    let body = event.body.take().unwrap_or_default();
    if !std::mem::take(&mut event.is_base64_encoded) {
        return Some(body);
    }
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(body).ok()?).ok()
}
