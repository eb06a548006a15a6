//! One HTTP request: `lambda_http` reads the event, a handler answers with JSON.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use aws_lambda_events::http::header::HOST;
use base64::Engine as _;
use lambda_http::http::StatusCode;
use lambda_http::{RequestExt as _, request::RequestContext};
use lambda_runtime::{LambdaEvent, Service as _, service_fn};
use serde_json::{Value, json};

use super::event::{InvokeError, not_ours, read};
use super::handler::Serve;
use crate::app::App;
use crate::auth::asking::bearer;
use crate::auth::{HttpRequest, Verifier};
use crate::telemetry;

/// Answers one HTTP request with JSON.
pub(super) async fn serve(
    handler: Serve,
    app: &App,
    verifier: &Verifier,
    event: Value,
    trace_id: &str,
) -> Result<Value, InvokeError> {
    let event = lambda_http::request::LambdaRequest::ApiGatewayV2(without_address(read(event)?)?);
    let service = service_fn(|request: lambda_http::Request| async move {
        let request = asked(&request);
        telemetry::asked(&request.route);
        // Not a body of its own: that would be converted from every encoding there is, with 150 KB of tables.
        Ok::<_, std::convert::Infallible>(match handler(app, verifier, request).await {
            Ok(body) => (StatusCode::OK, body),
            Err(error) => {
                telemetry::failed(&error);
                let status = StatusCode::from_u16(error.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, json!({ "error": error.body(trace_id) }))
            }
        })
    });
    let event = LambdaEvent::new(event, lambda_runtime::Context::default());
    let response =
        lambda_http::Adapter::from(service).call(event).await.map_err(|error| InvokeError(error.to_string()))?;
    serde_json::to_value(response).map_err(|error| InvokeError(error.to_string()))
}

/// From what `lambda_http` made of the event.
fn asked(request: &lambda_http::Request) -> HttpRequest {
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
        token: header.and_then(bearer).map(str::to_owned),
        body: request.body().to_vec(),
    }
}

/// Leaves out what nobody reads, as the route and the parameters say it, and what `lambda_http` panics at: a host, a path or
/// a query that makes no address, and a body that isn't base64.
fn without_address(mut event: ApiGatewayV2httpRequest) -> Result<ApiGatewayV2httpRequest, InvokeError> {
    event.headers.remove(HOST);
    (event.request_context.domain_name, event.request_context.stage) = (None, None);
    (event.raw_path, event.raw_query_string) = (None, None);
    if std::mem::take(&mut event.is_base64_encoded) {
        let bytes = base64::engine::general_purpose::STANDARD.decode(event.body.unwrap_or_default());
        let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        event.body = Some(text.ok_or_else(|| not_ours(&"body"))?);
    }
    Ok(event)
}
