//! `getBalance`, `getTransactions`: the caller's coins.

use shared::app::{Answered, App};
use shared::auth::Caller;
use shared::chat::settle::settle;
use shared::error::Error;
use shared::run::{Function, Handling, OnFrame};
use wire::{Event, Frame, GetBalance, GetTransactions, Request as _};

/// The function.
pub static FUNCTION: Function<OnFrame> = Function { name: "wallet", trigger: OnFrame { handle, archive: None } };

fn handle(app: &App, caller: Caller, frame: Frame) -> Handling<'_, Answered> {
    Box::pin(async move {
        match frame.action.as_str() {
            GetBalance::ACTION => get_balance(app, caller, frame.parse()?).await,
            GetTransactions::ACTION => get_transactions(app, caller, frame.parse()?).await,
            other => Err(Error::UnknownAction(other.to_owned())),
        }
    })
}

/// What the caller can spend, with everything folded in that was earned.
///
/// # Errors
/// Those of the store.
pub async fn get_balance(app: &App, caller: Caller, _: GetBalance) -> Result<Answered, Error> {
    let balance = settle(app, &caller.user).await?;
    Ok(app.answer(&caller, &Event::Balance { balance }).await)
}

/// A page of the caller's ledger, newest first.
///
/// # Errors
/// [`Error::Invalid`] for a cursor that isn't one of ours.
pub async fn get_transactions(app: &App, caller: Caller, request: GetTransactions) -> Result<Answered, Error> {
    let page = app.store.entries(&caller.user, request.cursor.as_ref(), request.limit).await?;
    Ok(app.answer(&caller, &Event::TransactionsList(page)).await)
}
