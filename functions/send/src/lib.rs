//! `sendMessage`: one message's way, from the decision to the RECEIPT. The steps are in `shared::chat::send`, a file each.

use futures::future::join;
use shared::app::{Answered, App};
use shared::auth::Caller;
use shared::chat::send::Attempt;
use shared::chat::send::decide::{Decision, Opened, decide};
use shared::chat::send::drop::drop_finished;
use shared::chat::send::effects::finish;
use shared::chat::send::publish::{Placed, publish};
use shared::error::Error;
use shared::run::{Function, Handling, OnFrame};
use shared::store::receipts::Receipt;
use wire::{Event, Frame, Request as _, SendMessage};

/// The function.
pub static FUNCTION: Function<OnFrame> = Function { name: "send", trigger: OnFrame { handle, archive: None } };

fn handle(app: &App, caller: Caller, frame: Frame) -> Handling<'_, Answered> {
    Box::pin(async move {
        match frame.action.as_str() {
            SendMessage::ACTION => send(app, caller, frame.parse()?).await,
            other => Err(Error::UnknownAction(other.to_owned())),
        }
    })
}

/// Sends a message: decide, publish, then answer while everything else is done. A repeat is answered like the first time.
///
/// # Errors
/// Every reason to refuse a message. Nothing was sent or charged then, unless a retry says otherwise.
pub async fn send(app: &App, caller: Caller, request: SendMessage) -> Result<Answered, Error> {
    let attempt = Attempt::new(&caller.user, request)?;
    let opened = match decide(app, &attempt, &caller.trace_id).await? {
        Decision::Finished(receipt) => return Ok(repeat(app, &caller, &attempt, receipt).await),
        Decision::Open(opened) => *opened,
    };
    match publish(app, &opened.decided, &opened.decided.log_item(&attempt)).await? {
        Placed::Void(_) => Err(Error::SendExpired),
        Placed::Finished(receipt) if receipt.void => Err(Error::SendExpired),
        Placed::Finished(receipt) => Ok(repeat(app, &caller, &attempt, receipt).await),
        Placed::Message(seq) => {
            let message = attempt.message(seq, opened.decided.send.price, opened.decided.send.claimed_at);
            let balance = opened.claimed.as_ref().map(|account| account.balance).filter(|_| message.price.0 > 0);
            let duplicate = opened.claimed.is_none();
            let sent = Event::MessageSent { message: message.clone(), duplicate, balance };
            let rest = finish(app, &opened.decided, &message, &opened.connected, Some(&caller));
            let (answered, finished) = join(app.answer(&caller, &sent), rest).await;
            tidy(app, &opened, finished).await;
            Ok(answered)
        }
    }
}

/// Answers a send that had ended before.
async fn repeat(app: &App, caller: &Caller, attempt: &Attempt, receipt: Receipt) -> Answered {
    let message = attempt.message(receipt.seq, receipt.price, receipt.created_at);
    app.answer(caller, &Event::MessageSent { message, duplicate: true, balance: None }).await
}

/// Drops finished sends when it is this one's turn. The client has its answer: what fails here, the sweep does.
async fn tidy(app: &App, opened: &Opened, finished: Result<(), Error>) {
    let dropped = async {
        finished?;
        if opened.drops() {
            drop_finished(app, &opened.decided.sender).await?;
        }
        Ok::<(), Error>(())
    };
    if let Err(error) = dropped.await {
        tracing::warn!(%error, cause = error.cause(), "an answered send is left to the sweep");
    }
}
