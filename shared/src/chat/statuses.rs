//! Others, and one's own other devices, are told how far somebody has come. Nothing of that is kept: who isn't told sees it when
//! they ask.

use std::collections::BTreeSet;

use futures::future::try_join;
use wire::{ConversationId, Event, Seq, Status, UserId};

use super::blocks::others;
use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::limits::TOLD_MAX;
use crate::queue::{Delivery, MarkToTell};
use crate::store::Read;
use crate::store::inbox::Inbox;
use crate::store::presence::Connected;
use crate::store::table::Key;
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
/// the user, and not the one whose connection got the answer. The first [`TOLD_MAX`] people are told at once, the others by way of the queue.
pub async fn tell_statuses(app: &App, user: &UserId, made: Vec<Made>, answered: Option<&Caller>) {
    let mut people = 0;
    let is_at_once = |made: &Made| {
        people += made.inbox.side.others().len();
        people <= TOLD_MAX
    };
    let (at_once, later): (Vec<Made>, Vec<Made>) = made.into_iter().partition(is_at_once);
    if let Err(error) = tell_at_once(app, user, &at_once, answered).await {
        // The horizons are kept; whoever asks sees them.
        tracing::warn!(%error, cause = error.cause(), "a status could not be told");
    }
    let later: Vec<Delivery> = later.iter().flat_map(|made| to_tell(user, made, answered)).collect();
    app.queue.later(&later).await;
}

/// Tells it by this function itself.
async fn tell_at_once(app: &App, user: &UserId, made: &[Made], answered: Option<&Caller>) -> Result<(), Error> {
    let told: BTreeSet<UserId> = made.iter().flat_map(|made| made.inbox.side.told_of_status(user)).collect();
    let blocks: Vec<Key> = made.iter().flat_map(|made| made.inbox.side.blocks_by_others(user)).collect();
    let (told, now) = (Vec::from_iter(told), app.clock.now());
    let connected = app.store.connected(&told, now, Read::Eventual);
    let (connected, blocks) = try_join(connected, app.store.blocks_that_hold(&blocks, Read::Strong)).await?;
    let mut pushes = Vec::new();
    for Made { conversation, inbox, status, seq } in made {
        let event = status_of(app, user, conversation, *status, *seq);
        let told = inbox.side.told_of_status(user);
        let is_told = |to: &&Connected| {
            let is_answered = answered.is_some_and(|caller| caller.connection == to.connection);
            told.contains(&to.user) && !is_answered && !blocks.contains(&Key::block(&to.user, user))
        };
        pushes.extend(connected.iter().filter(is_told).map(|to| (to.clone(), event.clone())));
    }
    app.push.each(&app.store, now, pushes).await;
    Ok(())
}

/// What the queue is told of a mark: a message of it for each person.
fn to_tell(user: &UserId, made: &Made, answered: Option<&Caller>) -> Vec<Delivery> {
    let delivery = |told: UserId| {
        let answered = answered.map(|caller| caller.connection.clone());
        let mark = MarkToTell { by: user.clone(), status: made.status, answered };
        Delivery::of_mark(told, made.conversation.clone(), made.seq, mark, telemetry::correlation_id())
    };
    made.inbox.side.told_of_status(user).into_iter().map(delivery).collect()
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
