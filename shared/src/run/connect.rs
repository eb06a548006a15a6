//! Called within a handshake: `$connect`.

use serde_json::{Value, json};

use super::event::{InvokeError, read};
use super::socket::{Event, caller, handshake};
use super::trigger::{Handling, Invocation, Supply, Trigger};
use crate::app::App;
use crate::auth::asking::SUBPROTOCOL;
use crate::auth::{Caller, Handshake};
use crate::config::ConfigError;
use crate::error::Error;
use crate::telemetry;

/// Accepts a connection. An error refuses it.
pub struct OnConnect(pub for<'a> fn(&'a App, Caller, Handshake) -> Handling<'a, ()>);

impl Trigger for OnConnect {
    type With = App;

    fn with(&self, supply: &(impl Supply + ?Sized)) -> Result<App, ConfigError> {
        supply.app(None)
    }

    async fn warm(app: &App) {
        app.store.warm().await;
    }

    async fn answer(&self, app: &App, event: Value, invocation: Invocation<'_>) -> Result<Value, InvokeError> {
        let event: Event = read(event)?;
        let handshake = handshake(&event.headers, &event.query_string_parameters);
        let subprotocol = handshake.offers_subprotocol;
        let outcome = async { (self.0)(app, caller(&event, invocation.trace_id)?, handshake).await };
        Ok(answer(outcome.await, subprotocol))
    }
}

/// Accepts or refuses a connection.
fn answer(outcome: Result<(), Error>, subprotocol: bool) -> Value {
    match outcome {
        // `headers`, not `multiValueHeaders`: API Gateway takes the subprotocol from there only.
        Ok(()) if subprotocol => json!({ "statusCode": 200, "headers": { "Sec-WebSocket-Protocol": SUBPROTOCOL } }),
        Ok(()) => json!({ "statusCode": 200 }),
        Err(error) => {
            telemetry::failed(&error);
            json!({ "statusCode": error.code().status() })
        }
    }
}
