//! The sweep, every minute: finishes or voids sends that nobody finished, drops what is finished, folds earnings into
//! balances, ends connections whose time is over, does what follows from changes of memberships, and takes conversations that wait
//! for nothing out of the index.

use shared::app::App;
use shared::chat::group::change::Changed;
use shared::chat::group::effects::of_change;
use shared::chat::send::Decided;
use shared::chat::send::drop::Ends;
use shared::chat::send::effects::{finish, give_up};
use shared::chat::send::publish::{Placed, publish};
use shared::chat::settle::settle;
use shared::chat::turns::{self, give};
use shared::chat::{group, presence};
use shared::clock::is_to_come;
use shared::error::Error;
use shared::limits::{
    GROUP_LOOK_EVERY, GROUP_WHOLE_WITHIN, LIVELY, SWEEP_AT_ONCE, SWEEP_STOPS_BEFORE, VOID_AFTER, WORK_SHARDS,
};
use shared::run::{Function, Handling, OnSchedule};
use shared::store::accounts::{Account, OpenSend};
use shared::store::members::Member;
use shared::store::table::Key;
use shared::store::work::{Row, Work};
use shared::telemetry::{Metric, count, highest};
use wire::{ConnectionId, ConversationId, GroupChange, Message, SendId, Seq, Status, Time, UserId};

/// The function.
pub static FUNCTION: Function<OnSchedule> = Function { name: "sweep", trigger: OnSchedule { handle, archive: None } };

fn handle(app: &App, deadline: Time) -> Handling<'_, ()> {
    Box::pin(sweep(app, deadline))
}

/// Does what is due, until all is done or the time is nearly over; the next sweep goes on. Of the time that is left when it
/// begins each kind of work takes half at most, and the last all of it: so none waits for ever behind another.
///
/// # Errors
/// The first of the store's, where a part of the index can't be read: in the end, when the rest is done. What fails for one
/// user is logged and left to the next sweep.
pub async fn sweep(app: &App, deadline: Time) -> Result<(), Error> {
    let stop = deadline.before(SWEEP_STOPS_BEFORE);
    let now = app.clock.now();
    // 0 where there is none: an alarm must tell "none" from "nobody looked".
    count(Metric::OpenSends, 0.0);
    highest(Metric::OldestOpenSend, 0.0);
    let due = |work| shards().map(move |shard| app.store.work_due(work, shard, now));
    let open_stop = half(app, stop);
    let patient_until = half(app, open_stop);
    let open = give(app, due(Work::Open), open_stop, SWEEP_AT_ONCE, |row: Row| async move {
        let patient = app.clock.now() < patient_until;
        let went_well = went_well(finish_open(app, row.key, patient)).await;
        // What is in it may not even have been read.
        if let Some(since) = row.at.filter(|since| !went_well && !is_to_come(*since, now)) {
            highest(Metric::OldestOpenSend, now.since(since).as_secs_f64());
        }
        went_well
    });
    let open = open.await;
    let unsettled = shards().map(|shard| app.store.work_unsettled(shard, now, &app.left_off));
    let unsettled = give(app, unsettled, half(app, stop), SWEEP_AT_ONCE, |user: UserId| {
        went_well(async move { Ok(settle(app, &user).await.map(drop)?) })
    });
    let unsettled = unsettled.await;
    let ended = give(app, due(Work::Online), half(app, stop), SWEEP_AT_ONCE, |row: Row| {
        went_well(end_connections(app, row.key))
    });
    let ended = ended.await;
    let changed = give(app, due(Work::Member), half(app, stop), SWEEP_AT_ONCE, |row: Row| {
        went_well(finish_membership(app, row.key))
    });
    let changed = changed.await;
    let waiting =
        give(app, due(Work::Waiting), stop, SWEEP_AT_ONCE, |row: Row| went_well(look_whether_it_waits(app, row.key)));
    let all = [
        ("open sends", open),
        ("earnings", unsettled),
        ("connections", ended),
        ("memberships", changed),
        ("waiting", waiting.await),
    ];
    let mut unread = None;
    for (work, turns) in all {
        if turns.cut {
            count(Metric::SweepsCut, 1.0);
            tracing::warn!(
                work,
                looked_at = turns.given,
                "the time is over and more may be due: the next sweep goes on"
            );
        }
        unread = unread.or(turns.unread);
    }
    unread.map_or(Ok(()), |error| Err(error.into()))
}

fn shards() -> std::ops::Range<u64> {
    0..WORK_SHARDS
}

/// The moment at which half of the time until STOP is over.
fn half(app: &App, stop: Time) -> Time {
    let now = app.clock.now();
    now.after(stop.since(now) / 2)
}

/// Does one thing; logs what fails.
async fn went_well(work: impl Future<Output = Result<(), Error>>) -> bool {
    turns::went_well(work.await, |error| tracing::warn!(%error, cause = error.cause(), "left to the next sweep"))
}

/// Ends a user's open sends that are older than [`VOID_AFTER`], and drops what is finished. What stays open is looked at when
/// the oldest of it is as old; what could not be ended goes to the end, behind whatever is due by now.
///
/// Where all is well and the user lively, nothing is written: the account keeps its place, in front of others. So that no others
/// wait for ever behind such, a sweep is PATIENT for a part of its time only.
async fn finish_open(app: &App, key: Key, patient: bool) -> Result<(), Error> {
    let user = &key.owner()?;
    let mut account = app.store.account(user).await?;
    let now = app.clock.now();
    let is_old = |send: &OpenSend| send.claimed_at <= now.before(VOID_AFTER) || is_to_come(send.claimed_at, now);
    let mut ends = Ends::of(app, user, &account).await?;
    let mut failed = None;
    for (id, send) in &ends.under_way {
        count(Metric::OpenSends, 1.0);
        highest(Metric::OldestOpenSend, now.since(send.claimed_at).as_secs_f64());
        if is_old(send)
            && let Err(error) = end(app, user, id.clone(), send.clone()).await
        {
            failed = failed.or(Some(error));
        }
    }
    if ends.under_way.iter().any(|(_, send)| is_old(send)) {
        // That took its time, and whoever is alive has claimed and dropped meanwhile: their refunds don't wait for another sweep.
        account = app.store.account(user).await?;
        ends = Ends::of(app, user, &account).await?;
    } else if patient && ends.is_all_well() && is_lively(&account, now) {
        return Ok(());
    }
    ends.drop_and_unlist(app, user).await?;
    match ends.under_way.iter().map(|(_, send)| send).min_by_key(|send| send.claimed_at) {
        Some(oldest) if !is_old(oldest) => app.store.account_list(user, oldest.claimed_at).await?,
        Some(_) => app.store.account_list(user, now).await?,
        None if account.open.is_empty() => app.store.account_unlist(user).await?,
        None => {}
    }
    failed.map_or(Ok(()), Err)
}

/// Whether somebody has sent something lately. Without open sends the rate tells, which counts from the last one.
fn is_lively(account: &Account, now: Time) -> bool {
    let last = account.open.values().map(|send| send.claimed_at).max();
    let last = last.unwrap_or(Time { ms: account.rate_until });
    last > now.before(LIVELY) && !is_to_come(last, now)
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
async fn end_connections(app: &App, key: Key) -> Result<(), Error> {
    let user = &key.owner()?;
    let now = app.clock.now();
    let Some(mut stands) = app.store.presence_stands(user).await? else { return Ok(()) };
    let over: Vec<(ConnectionId, Time)> =
        stands.presence.over(now).map(|(id, connection)| (id.clone(), connection.expires_at)).collect();
    for (connection, until) in &over {
        // What can't be closed stays, and so stays due.
        if app.push.close(connection).await {
            let seen_at = stands.presence.last_seen_at.map_or(*until, |ms| Time { ms }.max(*until));
            app.store.presence_remove(user, connection, Some(seen_at.min(now))).await?;
        }
    }
    if !over.is_empty() {
        let Some(changed) = app.store.presence_stands(user).await? else { return Ok(()) };
        stands = changed;
    }
    Ok(presence::list(&app.store, user, stands).await?)
}

/// Does what follows from a change of a membership and wasn't done, or ends a tombstone that is old. What could not be done goes to the
/// end, behind whatever is due by now.
async fn finish_membership(app: &App, key: Key) -> Result<(), Error> {
    let (id, user) = (key.conversation()?, key.member_user()?);
    let now = app.clock.now();
    let member = app.store.member(&id, &user).await?;
    // The index may be behind.
    let Some(member) = member.filter(|member| member.is_due(now)) else { return Ok(()) };
    let done = finish_change(app, &id, &user, &member).await;
    let again = match &done {
        Ok(Done::All) => return Ok(()),
        Ok(Done::NotWhole) => now.after(GROUP_LOOK_EVERY),
        Err(_) => now,
    };
    app.store.member_list(&id, &user, &member, again).await?;
    done.map(drop)
}

/// How far what follows from a change of a membership is.
enum Done {
    /// It is done.
    All,
    /// The group isn't whole: a repeat of what makes it may complete it.
    NotWhole,
}

/// Of a group that isn't whole nobody is told; one that nobody has completed in time is given up, and its memberships go.
async fn finish_change(app: &App, id: &ConversationId, user: &UserId, member: &Member) -> Result<Done, Error> {
    let now = app.clock.now();
    let meta =
        app.store.conversation(id).await?.ok_or_else(|| Error::Internal(format!("{id} has members, and no META")))?;
    let group = group::of(&meta)?;
    let mut gone = group.gone;
    if !group.whole && !gone && meta.created_at.after(GROUP_WHOLE_WITHIN) <= now {
        gone = app.store.group_give_up(id).await?;
    }
    if gone || member.is_to_be_deleted(now) {
        app.store.inbox_delete(user, id, member.version).await?;
        app.store.member_delete(id, user, member).await?;
        return Ok(Done::All);
    }
    if !group.whole {
        return Ok(Done::NotWhole);
    }
    let mut news = GroupChange::none(id.clone(), group.count);
    let list = if member.is_in() { &mut news.added } else { &mut news.removed };
    list.push(user.clone());
    let changed = Changed { user: user.clone(), member: member.clone(), moves: true };
    of_change(app, &meta, &[changed], news, None).await.map(|()| Done::All)
}

/// Takes a conversation out of the index that was marked long ago and waits for nothing. One that does wait is looked at again
/// when another while is over.
async fn look_whether_it_waits(app: &App, key: Key) -> Result<(), Error> {
    let now = app.clock.now();
    // Strongly: what has come since is not taken out.
    for (key, inbox) in app.store.inboxes(&[key]).await?.read {
        if inbox.undelivered() == 0 {
            app.store.inbox_unlist(key, &inbox).await?;
        } else {
            app.store.inbox_list(key, now).await?;
        }
    }
    Ok(())
}
