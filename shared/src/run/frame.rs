//! Called with one frame of a client's.

use serde_json::{Value, json};
use wire::{Echo, Frame, Request as _, SendMessage, error_frame};

use super::event::{InvokeError, read};
use super::socket::{Event, caller};
use super::trigger::{Handling, Invocation, Supply, Trigger};
use crate::app::{Answered, App, OpenArchive};
use crate::auth::Caller;
use crate::config::ConfigError;
use crate::error::Error;
use crate::limits::TOKEN_LEEWAY;
use crate::telemetry;

/// Answers one frame. An error is answered, too.
pub struct OnFrame {
    /// What it does.
    pub handle: for<'a> fn(&'a App, Caller, Frame) -> Handling<'a, Answered>,
    /// How it opens the archive, if it uses it.
    pub archive: Option<OpenArchive>,
}

impl Trigger for OnFrame {
    type With = App;
    /// The frame says what is asked.
    const IS_ASKED_BY_NAME: bool = false;

    fn with(&self, supply: &(impl Supply + ?Sized)) -> Result<App, ConfigError> {
        supply.app(self.archive)
    }

    async fn warm(app: &App) {
        app.warm().await;
    }

    async fn answer(&self, app: &App, event: Value, invocation: Invocation<'_>) -> Result<Value, InvokeError> {
        self.frame(app, &read(event)?, invocation.trace_id).await;
        Ok(json!({ "statusCode": 200 }))
    }
}

impl OnFrame {
    /// Handles one frame; whatever goes wrong is told to the client.
    async fn frame(&self, app: &App, event: &Event, trace_id: &str) {
        let mut caller = match caller(event, trace_id) {
            Ok(caller) => caller,
            Err(error) => return telemetry::failed(&error),
        };
        let text = event.body.as_deref().unwrap_or_default();
        let echo = Echo::of(text);
        if let Some(id) = &echo.request_id {
            telemetry::correlate(id);
        }
        let handled = async {
            if caller.expires_at.after(TOKEN_LEEWAY) < app.clock.now() {
                return Err(Error::TokenExpired);
            }
            let frame = Frame::new(text)?;
            caller.request_id.clone_from(&frame.request_id);
            telemetry::asked(&frame.action);
            // A send has a rate of its own, which holds across all processes.
            if frame.action != SendMessage::ACTION
                && let Some(wait) = app.memory.asks(&caller.user, app.clock.now())
            {
                return Err(Error::rate_limited(wait));
            }
            (self.handle)(app, caller.clone(), frame).await
        };
        if let Err(error) = handled.await {
            telemetry::failed(&error);
            telemetry::answering();
            app.push.to(&caller.connection, error_frame(&error.body(trace_id), &echo)).await;
            if matches!(error, Error::TokenExpired) {
                app.push.close(&caller.connection).await;
            }
        }
    }
}
