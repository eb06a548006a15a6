//! Called by a schedule.

use serde_json::Value;
use wire::Time;

use super::event::{InvokeError, refused};
use super::trigger::{Handling, Invocation, Supply, Trigger};
use crate::app::{App, OpenArchive};
use crate::config::ConfigError;

/// Does what is due, until a deadline at the longest.
pub struct OnSchedule {
    /// What it does.
    pub handle: for<'a> fn(&'a App, Time) -> Handling<'a, ()>,
    /// How it opens the archive, if it uses it.
    pub archive: Option<OpenArchive>,
}

impl Trigger for OnSchedule {
    type With = App;

    fn with(&self, supply: &(impl Supply + ?Sized)) -> Result<App, ConfigError> {
        supply.app(self.archive)
    }

    async fn warm(app: &App) {
        app.warm().await;
    }

    async fn answer(&self, app: &App, _: Value, invocation: Invocation<'_>) -> Result<Value, InvokeError> {
        (self.handle)(app, invocation.deadline).await.map_err(refused)?;
        Ok(Value::Null)
    }
}
