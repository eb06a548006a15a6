//! The sweep, every minute: finishes or voids sends that nobody finished, drops what is finished, folds earnings into
//! balances, ends connections whose time is over, and takes conversations that wait for nothing out of the index.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use shared::app::App;
use shared::chat::send::Decided;
use shared::chat::send::drop::drop_finished;
use shared::chat::send::effects::{finish, give_up};
use shared::chat::send::publish::{Placed, publish};
use shared::clock::is_to_come;
use shared::error::Error;
use shared::limits::{SWEEP_ACCOUNTS_MAX, SWEEP_AT_ONCE, VOID_AFTER, WAITING_MARK_LIFE};
use shared::run::{Function, Handler, Handling};
use shared::store::accounts::OpenSend;
use shared::store::table::Key;
use shared::store::work::Work;
use shared::telemetry::{Metric, count, highest};
use wire::{Message, SendId, Seq, Status, Time, UserId};

/// The function.
pub static FUNCTION: Function = Function { name: "sweep", handler: Handler::Schedule(handle), archive: None };

fn handle(app: &App, deadline: Time) -> Handling<'_, ()> {
    Box::pin(sweep(app, deadline))
}

/// Does what is due, until all is done or the time is nearly over; the next sweep goes on.
///
/// # Errors
/// Those of the store, where the index can't be read. What fails for one user is logged and left to the next sweep.
pub async fn sweep(app: &App, deadline: Time) -> Result<(), Error> {
    let stop = deadline.before(std::time::Duration::from_secs(10));
    // 0 where there is none: an alarm must tell "none" from "nobody looked".
    count(Metric::OpenSends, 0.0);
    highest(Metric::OldestOpenSend, 0.0);
    let open = owners(&app.store.work_due(Work::Open, SWEEP_ACCOUNTS_MAX).await?)?;
    each(app, stop, open.iter().map(|user| finish_open(app, user)).collect()).await;
    let unsettled = owners(&app.store.work_due(Work::Unsettled, SWEEP_ACCOUNTS_MAX).await?)?;
    let unsettling = unsettled.iter().map(|user| async move { Ok(app.store.settle(user).await.map(drop)?) });
    each(app, stop, unsettling.collect()).await;
    let ended = owners(&app.store.work_ended(app.clock.now(), SWEEP_ACCOUNTS_MAX).await?)?;
    each(app, stop, ended.iter().map(|user| end_connections(app, user)).collect()).await;
    unlist_delivered(app).await
}

/// Whose rows these are.
fn owners(rows: &[Key]) -> Result<BTreeSet<UserId>, Error> {
    rows.iter().map(|key| Ok(key.owner()?)).collect()
}

/// Does so many things at the same time, and starts no more after STOP.
async fn each<F: Future<Output = Result<(), Error>>>(app: &App, stop: Time, work: Vec<F>) {
    let work = work.into_iter().map(|work| async move {
        if app.clock.now() >= stop {
            return;
        }
        if let Err(error) = work.await {
            tracing::warn!(%error, cause = error.cause(), "left to the next sweep");
        }
    });
    let work: Vec<_> = work.collect();
    futures::stream::iter(work).buffer_unordered(SWEEP_AT_ONCE).collect().await
}

/// Ends a user's open sends that are older than [`VOID_AFTER`], then drops what is finished.
async fn finish_open(app: &App, user: &UserId) -> Result<(), Error> {
    let account = app.store.account(user).await?;
    let now = app.clock.now();
    let old = now.before(VOID_AFTER);
    for (id, send) in account.open {
        count(Metric::OpenSends, 1.0);
        highest(Metric::OldestOpenSend, now.since(send.claimed_at).as_secs_f64());
        if send.claimed_at <= old || is_to_come(send.claimed_at, now) {
            end(app, user, id, send).await?;
        }
    }
    drop_finished(app, user).await?;
    Ok(app.store.account_unlist(user).await?)
}

/// Ends one send: as the message that it has become, or as a void.
async fn end(app: &App, user: &UserId, id: SendId, send: OpenSend) -> Result<(), Error> {
    if app.store.receipt(user, &send.client_message_id).await?.is_some() {
        return Ok(());
    }
    let meta = app.store.conversation(&send.conversation).await?;
    let meta = meta.ok_or_else(|| Error::Internal("an open send without a conversation".to_owned()))?;
    let decided = Decided { sender: user.clone(), id, send, meta };
    match publish(app, &decided, &decided.void_item()).await? {
        Placed::Finished(_) => Ok(()),
        Placed::Void(seq) => give_up(app, &decided, seq).await,
        Placed::Message(seq) => finish(app, &decided, &published(app, &decided, seq).await?, &[], None).await,
    }
}

/// The message that a send has become.
async fn published(app: &App, decided: &Decided, seq: Seq) -> Result<Message, Error> {
    let item = app.store.log_item(&decided.meta.id, seq).await?;
    let item = item.ok_or_else(|| Error::Internal("a published message isn't in its slot".to_owned()))?;
    Ok(item.message(&decided.meta.id, seq, Status::Sent))
}

/// Ends a user's connections whose time is over, and lists the others by when the first of them ends.
async fn end_connections(app: &App, user: &UserId) -> Result<(), Error> {
    let now = app.clock.now();
    let Some(stands) = app.store.presence_stands(user).await? else { return Ok(()) };
    for (connection, until) in stands.presence.over(now).map(|(id, connection)| (id, connection.expires_at)) {
        // What can't be closed stays, and so stays due.
        if app.push.close(connection).await {
            let seen_at = stands.presence.last_seen_at.map_or(until, |ms| until.max(Time { ms }));
            app.store.presence_remove(user, connection, Some(seen_at.min(now))).await?;
        }
    }
    match app.store.presence_stands(user).await? {
        Some(stands) => Ok(app.store.presence_list(user, stands).await?),
        None => Ok(()),
    }
}

/// Takes conversations out of the index that were marked long ago and wait for nothing.
async fn unlist_delivered(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    let keys = app.store.work_waiting_since(now.before(WAITING_MARK_LIFE), now, SWEEP_ACCOUNTS_MAX).await?;
    for (key, inbox) in app.store.inboxes(&keys).await? {
        if inbox.undelivered() == 0 {
            app.store.inbox_unlist(key, &inbox).await?;
        }
    }
    Ok(())
}
