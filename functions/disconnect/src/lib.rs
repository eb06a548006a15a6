//! `$disconnect`: takes a connection out of its user's presence. AWS may never call it; then the entry ends by its time, or
//! by the first push that meets 410.

use shared::app::App;
use shared::auth::Caller;
use shared::error::Error;
use shared::run::{Function, Handling, OnDisconnect};

/// The function.
pub static FUNCTION: Function<OnDisconnect> = Function { name: "disconnect", trigger: OnDisconnect(handle) };

fn handle(app: &App, caller: Caller) -> Handling<'_, ()> {
    Box::pin(disconnect(app, caller))
}

/// Takes exactly this connection out, and notes when its user was last seen.
///
/// # Errors
/// Those of the store.
pub async fn disconnect(app: &App, caller: Caller) -> Result<(), Error> {
    Ok(app.store.presence_remove(&caller.user, &caller.connection, Some(app.clock.now())).await?)
}
