//! What every kind of caller has in common.

use futures::future::BoxFuture;
use serde_json::Value;
use wire::Time;

use super::event::InvokeError;
use crate::app::{App, OpenArchive};
use crate::auth::Verifier;
use crate::clock::Clock;
use crate::config::ConfigError;
use crate::error::Error;

/// What a handler's future gives.
pub type Handling<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// What calls a function: from its event to its answer.
pub trait Trigger: Sync + 'static {
    /// What a function needs that is called so.
    type With: Send + Sync;

    /// Whether what is asked is the function's name. Where it isn't, [`Trigger::answer`] says what it is.
    const IS_ASKED_BY_NAME: bool = true;

    /// Gets what the function needs, and nothing else: what is not asked for isn't in the function's binary.
    ///
    /// # Errors
    /// Those of the supply.
    fn with(&self, supply: &(impl Supply + ?Sized)) -> Result<Self::With, ConfigError>;

    /// Opens the connections that the first event will need. What can't be opened is left to that event.
    fn warm(with: &Self::With) -> impl Future<Output = ()>;

    /// Answers one event.
    fn answer(
        &self,
        with: &Self::With,
        event: Value,
        invocation: Invocation<'_>,
    ) -> impl Future<Output = Result<Value, InvokeError>> + Send;
}

/// Where a function gets what it needs: the environment on Lambda and on one machine, a world in the tests.
pub trait Supply {
    /// What a handler may touch, with the archive if the function opens it.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable that is missing or wrong.
    fn app(&self, archive: Option<OpenArchive>) -> Result<App, ConfigError>;

    /// Who checks tokens.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable that is missing or wrong.
    fn verifier(&self) -> Result<Verifier, ConfigError>;

    /// What time it is.
    fn clock(&self) -> Clock;
}

/// What is known of an invocation besides its event.
pub struct Invocation<'a> {
    /// Its unique id.
    pub trace_id: &'a str,
    /// When Lambda would end the process.
    pub deadline: Time,
    /// What time it is.
    pub clock: &'a Clock,
}
