//! `verify`, by hand: checks all that is kept, a slice at a time.

use serde_json::Value;
use shared::app::App;
use shared::archive::Archive;
use shared::error::Error;
use shared::limits::VERIFY_ORDER_BYTES_MAX;
use shared::run::{Function, Handling, OnOrder};
use wire::{Time, parse};

/// The function.
pub static FUNCTION: Function<OnOrder> =
    Function { name: "verify", trigger: OnOrder { handle, archive: Some(Archive::open) } };

fn handle(app: &App, order: Value, deadline: Time) -> Handling<'_, Value> {
    Box::pin(verify(app, order, deadline))
}

/// Checks a slice; answers what is wrong, and where the next slice begins.
///
/// # Errors
/// [`Error::Invalid`] that names the field; those of the store and of the archive.
pub async fn verify(app: &App, order: Value, deadline: Time) -> Result<Value, Error> {
    let order = order.to_string();
    if order.len() > VERIFY_ORDER_BYTES_MAX {
        return Err(Error::bad_request("", &format!("an order has at most {VERIFY_ORDER_BYTES_MAX} bytes")));
    }
    let report = shared::chat::verify::verify(app, parse(&order)?, deadline).await?;
    serde_json::to_value(report).map_err(|error| Error::Internal(error.to_string()))
}
