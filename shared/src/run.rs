//! From an AWS event to a handler and back: the only file that knows Lambda's events.
//!
//! A function's folder holds a [`Function`]: its name and a [`Handler`]. [`Function::main`] reads the environment once and
//! then runs Lambda's loop; a test calls [`Instance::invoke`] with the same events instead.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayV2httpRequest, ApiGatewayWebsocketProxyRequest,
};
use aws_lambda_events::http::HeaderMap;
use aws_lambda_events::http::header::HOST;
use aws_types::SdkConfig;
use base64::Engine as _;
use futures::future::{BoxFuture, join};
use lambda_http::http::StatusCode;
use lambda_http::{RequestExt as _, request::RequestContext};
use lambda_runtime::{LambdaEvent, Service as _, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{self, App, Clock, OpenArchive};
use crate::auth::{Claims, Verifier};
use crate::config::{self, AwsConfig, Config, ConfigError, TokenConfig};
use crate::error::Error;
use crate::limits::{TOKEN_LEEWAY, WARM_TIMEOUT};
use crate::protocol::{ConnectionId, ErrorContext, Frame, RequestId, Time, UserId, error_frame};
use crate::queue::Received;
use crate::telemetry::{self, Request};

/// The subprotocol that the server answers.
pub const SUBPROTOCOL: &str = "chat.v1";
/// The subprotocol that carries a token, for browsers.
const BEARER_SUBPROTOCOL: &str = "bearer.";

/// One Lambda function: what its folder exports.
pub struct Function {
    /// The name of its folder, of its resource in `template.yaml`, and in the log.
    pub name: &'static str,
    /// What it does.
    pub handler: Handler,
    /// How it opens the archive, if it uses it.
    pub archive: Option<OpenArchive>,
}

/// What a handler's future gives.
pub type Handling<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Says who connects.
pub type Authorize = for<'a> fn(&'a Verifier, Handshake, Time) -> Handling<'a, Claims>;

/// Answers an HTTP request.
pub type Serve = for<'a> fn(&'a App, &'a Verifier, HttpRequest) -> Handling<'a, Value>;

/// What answering an event gives.
type Answering<'a> = BoxFuture<'a, Result<Value, InvokeError>>;

/// A handler of a function that checks tokens, with all that only such a function takes: the client of Secrets Manager, and
/// for HTTP `lambda_http`. Behind pointers, so that it isn't in the other functions' binaries.
pub struct Checking<H> {
    handle: H,
    open: fn(TokenConfig, &SdkConfig) -> Verifier,
    answer: for<'a> fn(H, &'a Instance, &'a Verifier, Value, &'a str) -> Answering<'a>,
}

/// What a function does, by what calls it.
pub enum Handler {
    /// Called before a handshake: says who connects. See [`Handler::authorizer`].
    Authorizer(Checking<Authorize>),
    /// Called within a handshake. An error refuses the connection.
    Connect(for<'a> fn(&'a App, Caller, Handshake) -> Handling<'a, ()>),
    /// Called some time after a connection has ended, or never.
    Disconnect(for<'a> fn(&'a App, Caller) -> Handling<'a, ()>),
    /// Called with one frame. An error is answered.
    Socket(for<'a> fn(&'a App, Caller, Frame) -> Handling<'a, Answered>),
    /// Called by HTTP. See [`Handler::http`].
    Http(Checking<Serve>),
    /// Called by a schedule, until `deadline` at the longest.
    Schedule(for<'a> fn(&'a App, Time) -> Handling<'a, ()>),
    /// Called by an operator, with what is asked for, until `deadline` at the longest.
    Operator(for<'a> fn(&'a App, Value, Time) -> Handling<'a, Value>),
    /// Called with a batch of a queue's messages; gives the ids of those that stay in it.
    Queue(for<'a> fn(&'a App, Vec<Received>) -> Handling<'a, Vec<String>>),
}

impl Handler {
    /// Called before a handshake: says who connects.
    pub const fn authorizer(handle: Authorize) -> Self {
        Self::Authorizer(Checking {
            handle,
            open: Verifier::open,
            answer: |handle, instance, verifier, event, _| Box::pin(instance.authorize(handle, verifier, event)),
        })
    }

    /// Called by HTTP.
    pub const fn http(handle: Serve) -> Self {
        Self::Http(Checking {
            handle,
            open: Verifier::open,
            answer: |handle, instance, verifier, event, trace_id| {
                Box::pin(instance.http(handle, verifier, event, trace_id))
            },
        })
    }

    /// How the function opens what it checks tokens with, if it does.
    fn verifier(&self) -> Option<fn(TokenConfig, &SdkConfig) -> Verifier> {
        match self {
            Self::Authorizer(checking) => Some(checking.open),
            Self::Http(checking) => Some(checking.open),
            _ => None,
        }
    }
}

/// Proof that a request got its one final answer: [`App::answer`] gives it.
#[derive(Debug)]
pub struct Answered(());

impl Answered {
    /// Only [`App::answer`] may say so.
    pub(crate) fn new() -> Self {
        Self(())
    }
}

/// Who asks: taken from the authorizer's context, never from the client. Only this file makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The connection that the frame came on.
    pub connection: ConnectionId,
    /// The client's name for the request.
    pub request_id: Option<RequestId>,
    /// Lambda's name for the invocation: unique, and in the log.
    pub trace_id: String,
    /// When the token expires.
    expires_at: Time,
}

impl Caller {
    /// From a connection's context.
    fn new(event: &ApiGatewayWebsocketProxyRequest, trace_id: &str) -> Result<Self, Error> {
        let context = &event.request_context;
        let text = |name: &str| match context.authorizer.fields.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
            None => None,
        };
        let caller = || {
            Some(Self {
                user: text("userId")?.parse().ok()?,
                connection: context.connection_id.as_ref()?.parse().ok()?,
                request_id: None,
                trace_id: trace_id.to_owned(),
                expires_at: Time { ms: text("expiresAt")?.parse().ok()? },
            })
        };
        caller().ok_or_else(|| Error::Internal("the event has no authorizer context or connection id".to_owned()))
    }
}

/// What a client says when it connects.
#[derive(Debug, Default)]
pub struct Handshake {
    /// The token: the first of the three carriers.
    pub token: Option<String>,
    /// The client's name for its device, as given.
    pub device: Option<String>,
    /// Whether it offered [`SUBPROTOCOL`].
    offers_subprotocol: bool,
}

impl Handshake {
    /// From a request's headers and query. The first carrier counts: header, subprotocol, query.
    fn new(headers: &HeaderMap, query: impl Fn(&str) -> Option<String>) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = header("authorization").and_then(bearer);
        let protocols: Vec<&str> =
            header("sec-websocket-protocol").unwrap_or_default().split(',').map(str::trim).collect();
        let protocol = protocols.iter().find_map(|protocol| protocol.strip_prefix(BEARER_SUBPROTOCOL));
        Self {
            token: bearer.or(protocol).map(str::to_owned).or_else(|| query("token")),
            device: query("device"),
            offers_subprotocol: protocols.contains(&SUBPROTOCOL),
        }
    }
}

/// The token of an `Authorization` header.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// One HTTP request.
#[derive(Debug)]
pub struct HttpRequest {
    /// The route as `template.yaml` has it: `GET /api/wallets/{userId}`.
    pub route: String,
    /// The parts of the path that the route names.
    pub path: HashMap<String, String>,
    /// The query.
    pub query: HashMap<String, String>,
    /// The token of the `Authorization` header.
    pub token: Option<String>,
    /// The body.
    body: Vec<u8>,
}

impl HttpRequest {
    /// From what `lambda_http` made of the event.
    fn new(request: &lambda_http::Request) -> Self {
        let flat = |map: Option<&aws_lambda_events::query_map::QueryMap>| {
            map.map(|map| map.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
        };
        let route = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.route_key.clone(),
            _ => None,
        };
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        Self {
            route: route.unwrap_or_default(),
            path: flat(request.path_parameters_ref()).unwrap_or_default(),
            query: flat(request.query_string_parameters_ref()).unwrap_or_default(),
            token: header.and_then(bearer).map(str::to_owned),
            body: request.body().to_vec(),
        }
    }

    /// Reads the JSON body's fields.
    ///
    /// # Errors
    /// [`Error::BadRequest`] that names the field.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        let body = serde_json::from_slice(&self.body)
            .map_err(|cause| Error::bad_request("", &format!("the body isn't JSON: {cause}")))?;
        crate::protocol::parse(body)
    }
}

/// What a function gets from a queue: of SQS's event only what is used. The type that `aws_lambda_events` has of it would
/// bring 20 packages.
#[derive(Deserialize)]
struct QueueEvent {
    #[serde(rename = "Records")]
    records: Vec<QueueRecord>,
}

/// One message of a queue.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueueRecord {
    message_id: String,
    receipt_handle: String,
    body: String,
    attributes: QueueAttributes,
}

/// What SQS says of a message.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueueAttributes {
    approximate_receive_count: String,
}

impl From<QueueRecord> for Received {
    fn from(record: QueueRecord) -> Self {
        // A number in a text; one that can't be read counts as the first.
        let receives = record.attributes.approximate_receive_count.parse().unwrap_or(1);
        Self { id: record.message_id, handle: record.receipt_handle, body: record.body, receives }
    }
}

impl Function {
    /// Runs Lambda's loop. A wrong environment ends it in init, with a message that names the variable.
    pub fn main(&'static self) -> ExitCode {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return self.failed(&error),
        };
        match runtime.block_on(self.serve()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => self.failed(error.as_ref()),
        }
    }

    /// Says why the function can't run. The log may not have been started: standard error is in `CloudWatch`, too.
    fn failed(&self, error: &dyn std::error::Error) -> ExitCode {
        eprintln!("the function {} can't start: {error}", self.name);
        ExitCode::FAILURE
    }

    /// Starts the log, reads the environment, then answers events until Lambda ends the process.
    async fn serve(&'static self) -> Result<(), lambda_runtime::Error> {
        telemetry::start()?;
        let instance = self.start()?;
        let instance = &instance;
        instance.warm().await;
        lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| instance.invoke(event))).await
    }

    /// Reads what this kind of function needs from the environment.
    fn start(&'static self) -> Result<Instance, ConfigError> {
        let source = &config::environment;
        let sdk = app::sdk_config(AwsConfig::read(source)?);
        let verifier = match self.handler.verifier() {
            Some(open) => Some(open(TokenConfig::read(source)?, &sdk)),
            None => None,
        };
        let app = match self.handler {
            Handler::Authorizer(_) => None,
            _ => Some(App::new(Config::read(source)?, &sdk, Clock::system(), self.archive)),
        };
        Ok(Instance { function: self, app, verifier, clock: Clock::system(), cold: AtomicBool::new(true) })
    }

    /// This function in a world of the caller's.
    pub fn in_world(&'static self, app: App, verifier: Verifier) -> Instance {
        let clock = app.clock.clone();
        Instance { function: self, app: Some(app), verifier: Some(verifier), clock, cold: AtomicBool::new(true) }
    }
}

/// A function with what it needs to run.
pub struct Instance {
    function: &'static Function,
    app: Option<App>,
    verifier: Option<Verifier>,
    clock: Clock,
    /// Whether no event has come yet.
    cold: AtomicBool,
}

/// Why an invocation has no answer. API Gateway reads the text: "Unauthorized" makes it answer 401.
#[derive(Debug)]
pub struct InvokeError(String);

impl std::fmt::Display for InvokeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvokeError {}

impl From<InvokeError> for lambda_runtime::Diagnostic {
    fn from(error: InvokeError) -> Self {
        Self { error_type: "InvokeError".to_owned(), error_message: error.0 }
    }
}

impl Instance {
    /// Opens the connections that the function's first event will need, while nobody waits. What can't be opened is left
    /// to that event.
    async fn warm(&self) {
        let Some(app) = &self.app else { return };
        let pushes = async {
            if !matches!(self.function.handler, Handler::Connect(_) | Handler::Disconnect(_) | Handler::Http(_)) {
                app.push.warm().await;
            }
        };
        let _ = tokio::time::timeout(WARM_TIMEOUT, join(app.store.warm(), pushes)).await;
    }

    /// Answers one event. Its context has a unique id, and says when Lambda would end the process.
    ///
    /// # Errors
    /// [`InvokeError`] when the event is none of ours, or the token is refused.
    pub async fn invoke(&self, event: LambdaEvent<Value>) -> Result<Value, InvokeError> {
        let LambdaEvent { payload, context, .. } = event;
        let trace_id = context.request_id.clone();
        let deadline = Time { ms: i64::try_from(context.deadline).unwrap_or(i64::MAX) };
        let cold = self.cold.swap(false, Ordering::Relaxed);
        let request = Request::new(self.function.name, context, cold, self.clock.clone());
        let unexplained = |result: &Result<Value, InvokeError>| result.as_ref().err().map(InvokeError::to_string);
        let answer = async {
            if !matches!(self.function.handler, Handler::Socket(_)) {
                telemetry::asked(self.function.name);
            }
            self.route(payload, &trace_id, deadline).await
        };
        request.run(answer, unexplained).await
    }

    /// Hands the event to the handler of its kind.
    async fn route(&self, event: Value, trace_id: &str, deadline: Time) -> Result<Value, InvokeError> {
        match (&self.function.handler, &self.app, &self.verifier) {
            (Handler::Authorizer(Checking { handle, answer, .. }), _, Some(verifier)) => {
                answer(*handle, self, verifier, event, trace_id).await
            }
            (Handler::Connect(handler), Some(app), _) => {
                let event: ApiGatewayWebsocketProxyRequest = read(event)?;
                let query = |name: &str| event.query_string_parameters.first(name).map(str::to_owned);
                let handshake = Handshake::new(&event.headers, query);
                let subprotocol = handshake.offers_subprotocol;
                let caller = Caller::new(&event, trace_id);
                let outcome = async { handler(app, caller?, handshake).await }.await;
                Ok(connect_answer(outcome, subprotocol))
            }
            (Handler::Disconnect(handler), Some(app), _) => {
                let outcome = async {
                    handler(app, Caller::new(&read(event)?, trace_id).map_err(refused)?).await.map_err(refused)
                };
                outcome.await.map(|()| json!({ "statusCode": 200 }))
            }
            (Handler::Socket(handler), Some(app), _) => {
                self.frame(*handler, app, &read(event)?, trace_id).await;
                Ok(json!({ "statusCode": 200 }))
            }
            (Handler::Http(Checking { handle, answer, .. }), _, Some(verifier)) => {
                answer(*handle, self, verifier, event, trace_id).await
            }
            (Handler::Schedule(handler), Some(app), _) => {
                handler(app, deadline).await.map_err(refused)?;
                Ok(Value::Null)
            }
            (Handler::Operator(handler), Some(app), _) => handler(app, event, deadline).await.map_err(refused),
            (Handler::Queue(handler), Some(app), _) => {
                let QueueEvent { records } = read(event)?;
                let failed = handler(app, records.into_iter().map(Received::from).collect()).await.map_err(refused)?;
                let failed: Vec<Value> = failed.into_iter().map(|id| json!({ "itemIdentifier": id })).collect();
                Ok(json!({ "batchItemFailures": failed }))
            }
            _ => Err(incomplete()),
        }
    }

    /// Says who connects, as the policy that API Gateway asks for.
    async fn authorize(&self, handler: Authorize, verifier: &Verifier, event: Value) -> Result<Value, InvokeError> {
        let event: ApiGatewayCustomAuthorizerRequestTypeRequest = read(event)?;
        let query = |name: &str| event.query_string_parameters.first(name).map(str::to_owned);
        let handshake = Handshake::new(&event.headers, query);
        let claims = handler(verifier, handshake, self.clock.now()).await.map_err(|error| match error {
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

    /// Answers one HTTP request with JSON.
    async fn http(
        &self,
        handler: Serve,
        verifier: &Verifier,
        event: Value,
        trace_id: &str,
    ) -> Result<Value, InvokeError> {
        let Some(app) = &self.app else { return Err(incomplete()) };
        let event = lambda_http::request::LambdaRequest::ApiGatewayV2(without_address(read(event)?)?);
        let service = service_fn(|request: lambda_http::Request| async move {
            let request = HttpRequest::new(&request);
            telemetry::asked(&request.route);
            // Not a body of its own: that would be converted from every encoding there is, with 150 KB of tables.
            Ok::<_, std::convert::Infallible>(match handler(app, verifier, request).await {
                Ok(body) => (StatusCode::OK, body),
                Err(error) => {
                    telemetry::failed(&error);
                    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                    (status, json!({ "error": error.body(trace_id) }))
                }
            })
        });
        let event = LambdaEvent::new(event, lambda_runtime::Context::default());
        let response =
            lambda_http::Adapter::from(service).call(event).await.map_err(|error| InvokeError(error.to_string()))?;
        serde_json::to_value(response).map_err(|error| InvokeError(error.to_string()))
    }

    /// Handles one frame; whatever goes wrong is told to the client.
    async fn frame(
        &self,
        handler: for<'a> fn(&'a App, Caller, Frame) -> Handling<'a, Answered>,
        app: &App,
        event: &ApiGatewayWebsocketProxyRequest,
        trace_id: &str,
    ) {
        let mut caller = match Caller::new(event, trace_id) {
            Ok(caller) => caller,
            Err(error) => return telemetry::failed(&error),
        };
        let mut echo = ErrorContext::default();
        let handled = async {
            let frame = Frame::new(event.body.as_deref().unwrap_or_default())?;
            echo.action = Some(frame.action.clone());
            echo.request_id.clone_from(&frame.request_id);
            echo.client_message_id.clone_from(&frame.client_message_id);
            caller.request_id.clone_from(&frame.request_id);
            if let Some(id) = &frame.request_id {
                telemetry::correlate(id);
            }
            if caller.expires_at.after(TOKEN_LEEWAY) < self.clock.now() {
                return Err(Error::TokenExpired);
            }
            telemetry::asked(&frame.action);
            handler(app, caller.clone(), frame).await
        };
        if let Err(error) = handled.await {
            telemetry::failed(&error);
            telemetry::answering();
            app.push.to(&caller.connection, error_frame(&error, &echo, trace_id)).await;
            if matches!(error, Error::TokenExpired) {
                app.push.close(&caller.connection).await;
            }
        }
    }
}

/// What an event gets that can't be answered as the function lacks something; no function is started so.
fn incomplete() -> InvokeError {
    InvokeError("the function was started without what it needs".to_owned())
}

/// Reads an event of the type that the function is called with.
fn read<T: serde::de::DeserializeOwned>(event: Value) -> Result<T, InvokeError> {
    serde_path_to_error::deserialize(event).map_err(|cause| not_ours(&cause.path()))
}

/// What an event that can't be read gets: where it is wrong, but not what is there, as the event holds what people write.
fn not_ours(place: &dyn std::fmt::Display) -> InvokeError {
    InvokeError(format!("not an event of this function's: {place}"))
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

/// An error that only Lambda and the log see.
#[expect(clippy::needless_pass_by_value, reason = "used as map_err(refused)")]
fn refused(error: Error) -> InvokeError {
    telemetry::failed(&error);
    InvokeError(error.to_string())
}

/// Accepts or refuses a connection.
fn connect_answer(outcome: Result<(), Error>, subprotocol: bool) -> Value {
    match outcome {
        // `headers`, not `multiValueHeaders`: API Gateway takes the subprotocol from there only.
        Ok(()) if subprotocol => json!({ "statusCode": 200, "headers": { "Sec-WebSocket-Protocol": SUBPROTOCOL } }),
        Ok(()) => json!({ "statusCode": 200 }),
        Err(error) => {
            telemetry::failed(&error);
            json!({ "statusCode": error.status() })
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
            Caller::new(&event, "trace")
        };
        let caller = event(json!({ "principalId": "ann", "userId": "ann", "expiresAt": "1000" })).expect("a caller");
        assert_eq!((caller.user.as_str(), caller.connection.as_str()), ("ann", "c1="));
        assert_eq!(caller.expires_at, Time { ms: 1_000 });
        assert!(event(json!({ "principalId": "ann" })).is_err(), "an authorizer that names nobody");
        assert!(event(json!({ "userId": "ann", "expiresAt": "soon" })).is_err(), "a time that is none");
    }
}
