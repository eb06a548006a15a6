//! Called some time after a connection has ended, or never: `$disconnect`.

use serde_json::{Value, json};

use super::event::{InvokeError, read, refused};
use super::socket::caller;
use super::trigger::{Handling, Invocation, Supply, Trigger};
use crate::app::App;
use crate::auth::Caller;
use crate::config::ConfigError;

/// Hears of a connection's end.
pub struct OnDisconnect(pub for<'a> fn(&'a App, Caller) -> Handling<'a, ()>);

impl Trigger for OnDisconnect {
    type With = App;

    fn with(&self, supply: &(impl Supply + ?Sized)) -> Result<App, ConfigError> {
        supply.app(None)
    }

    async fn warm(app: &App) {
        app.store.warm().await;
    }

    async fn answer(&self, app: &App, event: Value, invocation: Invocation<'_>) -> Result<Value, InvokeError> {
        let caller = caller(&read(event)?, invocation.trace_id).map_err(refused)?;
        (self.0)(app, caller).await.map_err(refused)?;
        Ok(json!({ "statusCode": 200 }))
    }
}
