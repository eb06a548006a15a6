//! Others, and one's own other devices, are told how far somebody has come. Nothing of that is kept: who isn't told sees it when
//! they ask.

use std::collections::BTreeSet;

use futures::future::{join, try_join};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use wire::{ConversationId, Event, Seq, Status, UserId};

use super::blocks::others;
use super::participants::{participants, users};
use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::limits::{MEMBERS_AT_ONCE, TOLD_MAX};
use crate::queue::{Delivery, MarkToTell};
use crate::store::inbox::Inbox;
use crate::store::presence::Connected;
use crate::store::table::Key;
use crate::store::{Read, StoreError};
use crate::telemetry;

/// A horizon that has moved.
#[derive(Clone, Debug)]
pub struct Made {
    /// Where.
    pub conversation: ConversationId,
    /// The inbox of whose horizon it is.
    pub inbox: Inbox,
    /// Which horizon.
    pub status: Status,
    /// Up to here.
    pub seq: Seq,
}

/// Tells the others in these conversations, and the user's devices, that horizons of the user's have moved; but nobody who blocks
/// the user, and not the one whose connection got the answer. The first [`TOLD_MAX`] people are told at once, the others by way of
/// the queue; a group is as many as there may be in one.
pub async fn tell_statuses(app: &App, user: &UserId, made: Vec<Made>, answered: Option<&Caller>) {
    let mut people = 0;
    let is_at_once = |made: &Made| {
        people += made.inbox.side.others_max();
        people <= TOLD_MAX
    };
    let (at_once, later): (Vec<Made>, Vec<Made>) = made.into_iter().partition(is_at_once);
    let (at_once, later) =
        join(tell_at_once(app, user, &at_once, answered), to_tell(app, user, &later, answered)).await;
    if let Err(error) = at_once.and(later) {
        // The horizons are kept; whoever asks sees them.
        tracing::warn!(%error, cause = error.cause(), "a status could not be told");
    }
}

/// Tells it by this function itself.
async fn tell_at_once(app: &App, user: &UserId, made: &[Made], answered: Option<&Caller>) -> Result<(), Error> {
    let told = told(app, user, made).await?;
    let people: Vec<UserId> = told.iter().flatten().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let blocks: Vec<Key> = made.iter().flat_map(|made| made.inbox.side.blocks_by_others(user)).collect();
    let now = app.clock.now();
    let connected = app.store.connected(&people, now, Read::Eventual);
    let (connected, blocks) = try_join(connected, app.store.blocks_that_hold(&blocks, Read::Strong)).await?;
    let mut pushes = Vec::new();
    for (Made { conversation, inbox, status, seq }, told) in made.iter().zip(told) {
        let event = status_of(app, user, conversation, *status, *seq);
        let hidden: Vec<Key> =
            inbox.side.blocks_by_others(user).into_iter().filter(|key| blocks.contains(key)).collect();
        let is_told = |to: &&Connected| {
            let is_answered = answered.is_some_and(|caller| caller.connection == to.connection);
            told.contains(&to.user) && !is_answered && !hidden.contains(&Key::block(&to.user, user))
        };
        pushes.extend(connected.iter().filter(is_told).map(|to| (to.clone(), event.clone())));
    }
    app.push.each(&app.store, now, pushes).await;
    Ok(())
}

/// Has the queue tell it: a message of each mark for each person.
async fn to_tell(app: &App, user: &UserId, made: &[Made], answered: Option<&Caller>) -> Result<(), Error> {
    let told = told(app, user, made).await?;
    let delivery = |(made, told): (&Made, UserId)| {
        let answered = answered.map(|caller| caller.connection.clone());
        let mark = MarkToTell { by: user.clone(), status: made.status, answered };
        Delivery::of_mark(told, made.conversation.clone(), made.seq, mark, telemetry::correlation_id())
    };
    let each = made.iter().zip(told).flat_map(|(made, told)| told.into_iter().map(move |told| (made, told)));
    app.queue.later(&each.map(delivery).collect::<Vec<_>>()).await;
    Ok(())
}

/// Who is told of each: those who are in the conversation, its user too.
async fn told(app: &App, user: &UserId, made: &[Made]) -> Result<Vec<Vec<UserId>>, StoreError> {
    let each = made.iter().map(|made| async move {
        let named = made.inbox.side.named(user);
        Ok(users(&participants(app, &made.conversation, named.as_deref()).await?))
    });
    // Collected: the compiler can't see that a lazy iterator of borrowing futures may be sent.
    let each: Vec<_> = each.collect();
    stream::iter(each).buffered(MEMBERS_AT_ONCE).try_collect().await
}

/// What USER is told now of a mark that has waited in the queue: the newest there is. Nothing, where they block whose it is.
///
/// # Errors
/// Those of the store.
pub async fn newest(
    app: &App,
    user: &UserId,
    mark: &MarkToTell,
    conversation: &ConversationId,
) -> Result<Option<Event>, Error> {
    let MarkToTell { by, status, .. } = mark;
    let seen = others(app, user, &[Key::inbox(by, conversation)]).await?;
    let mut inboxes = seen.inboxes.all()?.into_iter().filter(|_| !seen.blocked.contains(by));
    let newest = inboxes.next().map(|(_, inbox)| match status {
        Status::Read => inbox.read_seq,
        Status::Delivered | Status::Sent => inbox.delivered_seq,
    });
    Ok(newest.map(|seq| status_of(app, by, conversation, *status, seq)))
}

fn status_of(app: &App, user: &UserId, conversation: &ConversationId, status: Status, seq: Seq) -> Event {
    Event::MessageStatus {
        conversation_id: conversation.clone(),
        user_id: user.clone(),
        status,
        seq,
        at: app.clock.now(),
    }
}
