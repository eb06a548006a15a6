//! From an AWS event to a handler and back: the only folder that knows Lambda's events.
//!
//! A function's folder holds a [`Function`]: its name and a [`Handler`]. [`Function::main`] reads the environment once and
//! then runs Lambda's loop; a test calls [`Instance::invoke`] with the same events instead.

mod event;
mod handler;
mod http;
mod queue;
mod socket;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_types::SdkConfig;
use futures::future::{BoxFuture, join};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use wire::Time;

use self::event::{read, refused};
use self::queue::QueueEvent;
use self::socket::{caller, connect_answer, handshake};
use crate::app::{App, OpenArchive};
use crate::auth::{Caller, Handshake, Verifier};
use crate::aws;
use crate::clock::Clock;
use crate::config::{self, AwsConfig, Config, ConfigError, TokenConfig};
use crate::jitter;
use crate::limits::WARM_TIMEOUT;
use crate::queue::Received;
use crate::telemetry::{self, Request};

pub use self::event::InvokeError;
pub use self::handler::{Answer, Authorize, Handling, Serve};

/// One Lambda function: what its folder exports.
pub struct Function {
    /// The name of its folder, of its resource in `template.yaml`, and in the log.
    pub name: &'static str,
    /// What it does.
    pub handler: Handler,
    /// How it opens the archive, if it uses it.
    pub archive: Option<OpenArchive>,
}

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
    Socket(Answer),
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
            answer: |handle, instance, verifier, event, _| {
                Box::pin(socket::authorize(handle, verifier, event, instance.clock.now()))
            },
        })
    }

    /// Called by HTTP.
    pub const fn http(handle: Serve) -> Self {
        Self::Http(Checking {
            handle,
            open: Verifier::open,
            answer: |handle, instance, verifier, event, trace_id| {
                Box::pin(async move {
                    let Some(app) = &instance.app else { return Err(incomplete()) };
                    http::serve(handle, app, verifier, event, trace_id).await
                })
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
        jitter::seed();
        telemetry::start()?;
        let instance = self.start()?;
        let instance = &instance;
        instance.warm().await;
        lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| instance.invoke(event))).await
    }

    /// Reads what this kind of function needs from the environment.
    fn start(&'static self) -> Result<Instance, ConfigError> {
        let source = &config::environment;
        let sdk = aws::sdk_config(AwsConfig::read(source)?);
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
                let event = read(event)?;
                let handshake = handshake(&event);
                let subprotocol = handshake.offers_subprotocol;
                let outcome = async { handler(app, caller(&event, trace_id)?, handshake).await }.await;
                Ok(connect_answer(outcome, subprotocol))
            }
            (Handler::Disconnect(handler), Some(app), _) => {
                let outcome =
                    async { handler(app, caller(&read(event)?, trace_id).map_err(refused)?).await.map_err(refused) };
                outcome.await.map(|()| json!({ "statusCode": 200 }))
            }
            (Handler::Socket(handler), Some(app), _) => {
                socket::frame(*handler, app, &read(event)?, trace_id).await;
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
}

/// What an event gets that can't be answered as the function lacks something; no function is started so.
fn incomplete() -> InvokeError {
    InvokeError("the function was started without what it needs".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

    use super::*;

    /// A network that never answers, and counts what it is asked.
    #[derive(Clone, Debug)]
    struct Silent(Arc<AtomicUsize>);

    impl HttpConnector for Silent {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            self.0.fetch_add(1, Ordering::Relaxed);
            HttpConnectorFuture::new(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn opening_connections_keeps_the_first_event_waiting_for_so_long_at_most() {
        static FUNCTION: Function =
            Function { name: "f", handler: Handler::Schedule(|_, _| Box::pin(async { Ok(()) })), archive: None };
        let variables = |name: &str| {
            let value = match name {
                "WEBSOCKET_ENDPOINT" => "https://chat.example.com",
                "DEFAULT_PRICE" | "RECEIVER_SHARE_PERCENT" => "0",
                "DELIVERED_RETENTION_DAYS" | "ARCHIVE_BUCKET" => return None,
                _ => "10",
            };
            Some(value.to_owned())
        };
        let network = Silent(Arc::default());
        let connector = SharedHttpConnector::new(network.clone());
        let aws = AwsConfig {
            region: "us-east-1".to_owned(),
            access_key_id: "id".to_owned(),
            secret_access_key: "hush".to_owned(),
            session_token: None,
        };
        let sdk = aws::sdk_config_on(http_client_fn(move |_, _| connector.clone()), aws).build();
        let app = App::new(Config::read(&variables).expect("variables"), &sdk, Clock::system(), None);
        let clock = app.clock.clone();
        let instance =
            Instance { function: &FUNCTION, app: Some(app), verifier: None, clock, cold: AtomicBool::new(true) };
        let began = tokio::time::Instant::now();
        instance.warm().await;
        assert_eq!((began.elapsed(), network.0.load(Ordering::Relaxed)), (WARM_TIMEOUT, 2), "the table, and pushes");
    }
}
