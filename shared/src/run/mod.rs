//! From an AWS event to a handler and back: the only folder that knows Lambda's events.
//!
//! A function's folder holds a [`Function`]: its name, and what calls it. Each kind of caller is a [`Trigger`], in a file of
//! its own: what it runs with, what it reads of its event, what its handler gets, and what becomes of the answer.
//! [`Function::main`] reads the environment once and then runs Lambda's loop; a test makes instances with [`AnyFunction`] and
//! hands them the same events instead.

mod authorizer;
mod batch;
mod connect;
mod disconnect;
mod event;
mod frame;
mod http;
mod order;
mod schedule;
mod socket;
mod trigger;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_types::SdkConfig;
use futures::future::BoxFuture;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use wire::Time;

use crate::app::{App, OpenArchive};
use crate::auth::Verifier;
use crate::aws;
use crate::clock::Clock;
use crate::config::{self, AwsConfig, Config, ConfigError, TokenConfig};
use crate::jitter;
use crate::limits::WARM_TIMEOUT;
use crate::telemetry::{self, Request};

pub use self::authorizer::OnHandshake;
pub use self::batch::OnBatch;
pub use self::connect::OnConnect;
pub use self::disconnect::OnDisconnect;
pub use self::event::InvokeError;
pub use self::frame::OnFrame;
pub use self::http::OnRequest;
pub use self::order::OnOrder;
pub use self::schedule::OnSchedule;
pub use self::trigger::{Handling, Invocation, Supply, Trigger};

/// One Lambda function: what its folder exports.
pub struct Function<T> {
    /// The name of its folder, of its resource in `template.yaml`, and in the log.
    pub name: &'static str,
    /// What calls it, and what it does then.
    pub trigger: T,
}

/// The environment of the process.
struct Environment {
    sdk: SdkConfig,
}

impl Environment {
    fn read() -> Result<Self, ConfigError> {
        Ok(Self { sdk: aws::sdk_config(AwsConfig::read(&config::environment)?) })
    }
}

impl Supply for Environment {
    fn app(&self, archive: Option<OpenArchive>) -> Result<App, ConfigError> {
        Ok(App::new(Config::read(&config::environment)?, &self.sdk, self.clock(), archive))
    }

    fn verifier(&self) -> Result<Verifier, ConfigError> {
        Ok(Verifier::open(TokenConfig::read(&config::environment)?, &self.sdk))
    }

    fn clock(&self) -> Clock {
        Clock::system()
    }
}

impl<T: Trigger> Function<T> {
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
        let instance = self.instance_with(&Environment::read()?)?;
        let instance = &instance;
        instance.warm().await;
        // In a box: as a part of the loop's future it would be too deep for the compiler.
        lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| instance.invoke(event))).await
    }

    fn instance_with(&'static self, supply: &(impl Supply + ?Sized)) -> Result<Instance<T>, ConfigError> {
        let with = self.trigger.with(supply)?;
        Ok(Instance { function: self, with, clock: supply.clock(), cold: AtomicBool::new(true) })
    }
}

/// A function with what it needs to run.
struct Instance<T: Trigger> {
    function: &'static Function<T>,
    with: T::With,
    clock: Clock,
    /// Whether no event has come yet.
    cold: AtomicBool,
}

impl<T: Trigger> Instance<T> {
    /// Opens connections while nobody waits.
    async fn warm(&self) {
        let _ = tokio::time::timeout(WARM_TIMEOUT, T::warm(&self.with)).await;
    }

    /// Answers one event.
    async fn answer(&self, event: LambdaEvent<Value>) -> Result<Value, InvokeError> {
        let LambdaEvent { payload, context, .. } = event;
        let trace_id = context.request_id.clone();
        let deadline = Time { ms: i64::try_from(context.deadline).unwrap_or(i64::MAX) };
        let cold = self.cold.swap(false, Ordering::Relaxed);
        let request = Request::new(self.function.name, context, cold, self.clock.clone());
        let unexplained = |result: &Result<Value, InvokeError>| result.as_ref().err().map(InvokeError::to_string);
        let answer = async {
            if T::IS_ASKED_BY_NAME {
                telemetry::asked(self.function.name);
            }
            let invocation = Invocation { trace_id: &trace_id, deadline, clock: &self.clock };
            self.function.trigger.answer(&self.with, payload, invocation).await
        };
        request.run(answer, unexplained).await
    }
}

/// A function, whatever calls it: what lists of functions are made of.
pub trait AnyFunction: Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// [`Function::main`].
    fn main(&'static self) -> ExitCode;

    /// An instance with what SUPPLY has.
    ///
    /// # Errors
    /// Those of the supply.
    fn instance(&'static self, supply: &dyn Supply) -> Result<Box<dyn AnyInstance>, ConfigError>;
}

/// A function with what it needs to run, whatever calls it.
pub trait AnyInstance: Send + Sync {
    /// Answers one event. Its context has a unique id, and says when Lambda would end the process.
    ///
    /// # Errors
    /// [`InvokeError`] when the event is none of ours, or the token is refused.
    fn invoke(&self, event: LambdaEvent<Value>) -> BoxFuture<'_, Result<Value, InvokeError>>;
}

impl<T: Trigger> AnyFunction for Function<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn main(&'static self) -> ExitCode {
        self.main()
    }

    fn instance(&'static self, supply: &dyn Supply) -> Result<Box<dyn AnyInstance>, ConfigError> {
        Ok(Box::new(self.instance_with(supply)?))
    }
}

impl<T: Trigger> AnyInstance for Instance<T> {
    fn invoke(&self, event: LambdaEvent<Value>) -> BoxFuture<'_, Result<Value, InvokeError>> {
        Box::pin(self.answer(event))
    }
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
        static FUNCTION: Function<OnSchedule> =
            Function { name: "f", trigger: OnSchedule { handle: |_, _| Box::pin(async { Ok(()) }), archive: None } };
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
        let instance = Instance { function: &FUNCTION, with: app, clock, cold: AtomicBool::new(true) };
        let began = tokio::time::Instant::now();
        instance.warm().await;
        assert_eq!((began.elapsed(), network.0.load(Ordering::Relaxed)), (WARM_TIMEOUT, 2), "the table, and pushes");
    }
}
