//! `$connect`: registers a connection in its user's presence. Nothing may be pushed to it before this has returned.

use shared::app::App;
use shared::auth::{Caller, Handshake};
use shared::chat::presence::register;
use shared::error::Error;
use shared::limits::CONNECTION_LIFE;
use shared::run::{Function, Handling, OnConnect};
use shared::store::presence::Connection;

/// The function.
pub static FUNCTION: Function<OnConnect> = Function { name: "connect", trigger: OnConnect(handle) };

fn handle(app: &App, caller: Caller, handshake: Handshake) -> Handling<'_, ()> {
    Box::pin(connect(app, caller, handshake))
}

/// Registers the connection until it must have ended: with its token, at the latest.
///
/// # Errors
/// [`Error::Invalid`] for a device's name that is none; those of the store, and of [`register`].
pub async fn connect(app: &App, caller: Caller, handshake: Handshake) -> Result<(), Error> {
    let device = handshake.device()?;
    let now = app.clock.now();
    let expires_at = now.after(CONNECTION_LIFE).min(caller.token_expires_at());
    let connection = Connection { device, connected_at: now, expires_at };
    register(app, &caller.user, &caller.connection, &connection).await
}
