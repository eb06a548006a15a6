//! Called by an operator, by hand.

use serde_json::Value;
use wire::Time;

use super::event::{InvokeError, refused};
use super::trigger::{Handling, Invocation, Supply, Trigger};
use crate::app::{App, OpenArchive};
use crate::config::ConfigError;

/// Does what an operator asks for, until a deadline at the longest.
pub struct OnOrder {
    /// What it does with what is asked for.
    pub handle: for<'a> fn(&'a App, Value, Time) -> Handling<'a, Value>,
    /// How it opens the archive, if it uses it.
    pub archive: Option<OpenArchive>,
}

impl Trigger for OnOrder {
    type With = App;

    fn with(&self, supply: &(impl Supply + ?Sized)) -> Result<App, ConfigError> {
        supply.app(self.archive)
    }

    async fn warm(app: &App) {
        app.warm().await;
    }

    async fn answer(&self, app: &App, order: Value, invocation: Invocation<'_>) -> Result<Value, InvokeError> {
        (self.handle)(app, order, invocation.deadline).await.map_err(refused)
    }
}
