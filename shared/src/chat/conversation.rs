//! Conversations: how an id comes from who is in one, who may see one, and what it looks like to them.

use std::collections::HashMap;

use futures::future::{try_join, try_join3};
use wire::{Coins, Conversation, ConversationId, Event, Kind, LogSlot, Message, Seq, Status, Time, UserId};

use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::store::conversations::{Created, Meta};
use crate::store::inbox::Inbox;
use crate::store::log::LogItem;
use crate::store::table::Key;
use crate::store::{Read, StoreError};

/// A conversation and somebody who is in it. There is no other way to read one.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The conversation.
    pub meta: Meta,
    /// The member.
    pub user: UserId,
}

impl Membership {
    /// If there is such a conversation and the user is in it; both failures look the same.
    ///
    /// # Errors
    /// [`Error::NotAParticipant`].
    pub fn new(meta: Option<Meta>, user: &UserId) -> Result<Self, Error> {
        let meta = meta.filter(|meta| meta.members.contains(user)).ok_or(Error::NotAParticipant)?;
        Ok(Self { meta, user: user.clone() })
    }

    /// Reads it from the store.
    ///
    /// # Errors
    /// [`Error::NotAParticipant`]; those of the store.
    pub async fn find(app: &App, id: &ConversationId, user: &UserId) -> Result<Self, Error> {
        Self::new(find(app, id, user).await?, user)
    }

    /// Everybody else in it.
    pub fn others(&self) -> impl Iterator<Item = &UserId> {
        self.meta.members.iter().filter(|member| **member != self.user)
    }
}

/// META, for somebody who may be in it. One that can't be read is there for whoever has an inbox in it; for others there is no
/// such conversation.
///
/// # Errors
/// [`Error::Unreadable`]; those of the store.
pub async fn find(app: &App, id: &ConversationId, user: &UserId) -> Result<Option<Meta>, Error> {
    match app.store.conversation(id).await {
        Err(error) if error.is_unreadable() && !app.store.inbox_is_there(user, id).await? => Ok(None),
        found => Ok(found?),
    }
}

/// Makes the META of a direct conversation, if there is none; says whether this attempt did.
///
/// # Errors
/// [`Error::SelfConversation`]; those of the store.
pub async fn create_direct(app: &App, user: &UserId, other: &UserId, creation: &str) -> Result<(Meta, bool), Error> {
    if user == other {
        return Err(Error::SelfConversation);
    }
    let meta = Meta::direct([user.clone(), other.clone()], app.clock.now(), creation.to_owned());
    match app.store.conversation_create(&meta).await? {
        Created::Here => Ok((meta, true)),
        Created::There(there) => Ok((there, false)),
    }
}

/// Makes what is missing of a direct conversation's inboxes.
///
/// # Errors
/// Those of the store.
pub async fn create_inboxes(app: &App, meta: &Meta) -> Result<(), StoreError> {
    let inboxes = meta.members.iter().flat_map(|user| {
        let others = meta.members.iter().filter(move |member| *member != user);
        others.map(move |peer| app.store.inbox_create(user, &meta.id, peer, meta.created_at))
    });
    futures::future::try_join_all(inboxes).await.map(drop)
}

/// How conversations look to one participant, in the order given, without those that can't be read now. Four reads at the same
/// time, however many there are.
///
/// # Errors
/// Those of the store.
pub async fn views(
    app: &App,
    user: &UserId,
    inboxes: Vec<(ConversationId, Inbox)>,
) -> Result<Vec<Conversation>, Error> {
    let peers: Vec<UserId> = inboxes.iter().map(|(_, inbox)| inbox.peer.clone()).collect();
    let last: Vec<LogSlot> = inboxes
        .iter()
        .filter(|(_, inbox)| inbox.last_seq > Seq(0))
        .map(|(id, inbox)| (id.clone(), inbox.last_seq))
        .collect();
    let peer_keys: Vec<Key> = inboxes.iter().map(|(id, inbox)| Key::inbox(&inbox.peer, id)).collect();
    let (metas, (last, theirs), prices) = try_join3(
        app.store.conversations(inboxes.iter().map(|(id, _)| id)),
        try_join(app.store.log_items(&last), app.store.inboxes(&peer_keys)),
        app.store.profile_prices(&peers),
    )
    .await?;
    let metas: HashMap<ConversationId, Meta> = metas.read.into_iter().collect();
    let unpriced = prices.skipped;
    let prices: HashMap<UserId, Option<Coins>> = prices.read.into_iter().collect();
    let mut last: HashMap<LogSlot, LogItem> = last.into_iter().collect();
    let theirs: HashMap<Key, Inbox> = theirs.read.into_iter().collect();
    let view = |(id, inbox): (ConversationId, Inbox)| {
        let meta = metas.get(&id).filter(|_| !unpriced.contains(&Key::profile(&inbox.peer)))?;
        let theirs = theirs.get(&Key::inbox(&inbox.peer, &id));
        let item = last.remove(&(id.clone(), inbox.last_seq));
        let message = item.map(|item| shown(user, &inbox, theirs, &id, (inbox.last_seq, item)));
        let price = prices.get(&inbox.peer).copied().flatten().unwrap_or(app.config.default_price);
        Some(seen(meta, &inbox, message, price))
    };
    Ok(inboxes.into_iter().filter_map(view).collect())
}

/// A slot of a direct conversation as one of the two sees it: how far a message has come with the one who didn't write it.
pub fn shown(
    user: &UserId,
    own: &Inbox,
    theirs: Option<&Inbox>,
    id: &ConversationId,
    (seq, item): (Seq, LogItem),
) -> Message {
    let status = match (item.sender == *user, theirs) {
        (true, Some(theirs)) => theirs.status_of(seq),
        (true, None) => Status::Sent,
        (false, _) => own.status_of(seq),
    };
    item.message(id, seq, status)
}

/// A conversation as its participant sees it.
fn seen(meta: &Meta, inbox: &Inbox, last_message: Option<Message>, price: Coins) -> Conversation {
    Conversation {
        conversation_id: meta.id.clone(),
        kind: meta.kind.into(),
        participants: meta.members.clone(),
        participant_count: meta.members.len(),
        created_by: meta.created_by.clone(),
        created_at: meta.created_at,
        last_seq: inbox.last_seq,
        last_message,
        last_activity_at: inbox.last_at,
        read_seq: inbox.read_seq,
        delivered_seq: inbox.delivered_seq,
        unread: inbox.unread(),
        price,
    }
}

/// One conversation as its participant sees it.
///
/// # Errors
/// [`Error::Unreadable`]; those of the store.
pub async fn view(app: &App, membership: &Membership) -> Result<Conversation, Error> {
    let (id, user) = (&membership.meta.id, &membership.user);
    let inbox = match app.store.inbox(user, id, Read::Strong).await? {
        Some(inbox) => inbox,
        None => empty_inbox(membership)?,
    };
    let mut views = views(app, user, vec![(id.clone(), inbox)]).await?;
    views.pop().ok_or_else(|| Error::Unreadable(format!("{id}, or what a message there costs, can't be read")))
}

/// The inbox of somebody who hasn't been told anything yet: its creator stopped before making it.
fn empty_inbox(membership: &Membership) -> Result<Inbox, Error> {
    let peer = membership.others().next().ok_or_else(|| Error::Internal("a conversation of one".to_owned()))?;
    let (kind, last_at): (Kind, Time) = (membership.meta.kind, membership.meta.created_at);
    let none = Seq(0);
    Ok(Inbox { kind, peer: peer.clone(), last_seq: none, delivered_seq: none, read_seq: none, last_at })
}

/// Tells the other in a conversation, and the user's devices, that all up to a number has this STATUS for the user; but not
/// the one whose connection got the answer.
pub async fn tell_status(
    app: &App,
    user: &UserId,
    inbox: &Inbox,
    conversation_id: ConversationId,
    (status, seq): (Status, Seq),
    answered: Option<&Caller>,
) {
    let event = Event::MessageStatus { conversation_id, user_id: user.clone(), status, seq, at: app.clock.now() };
    if let Err(error) = tell(app, &[inbox.peer.clone(), user.clone()], &event, answered).await {
        // The horizon is kept; whoever asks sees it.
        tracing::warn!(%error, cause = error.cause(), "a status could not be told");
    }
}

/// Tells people something that is not kept, but for the one whose connection got the answer: who is not connected doesn't learn
/// of it.
///
/// # Errors
/// Those of the store.
pub async fn tell(app: &App, users: &[UserId], event: &Event, answered: Option<&Caller>) -> Result<(), Error> {
    let now = app.clock.now();
    let mut connected = app.store.connected(users, now, Read::Eventual).await?;
    connected.retain(|to| answered.is_none_or(|caller| caller.connection != to.connection));
    app.push.to_all(&app.store, now, &connected, event).await;
    Ok(())
}

/// Pages of messages with how far each has come, for one participant.
///
/// # Errors
/// Those of the store.
pub async fn messages(app: &App, membership: &Membership, slots: Vec<(Seq, LogItem)>) -> Result<Vec<Message>, Error> {
    let (id, user) = (&membership.meta.id, &membership.user);
    let keys: Vec<Key> = membership.meta.members.iter().map(|member| Key::inbox(member, id)).collect();
    let inboxes: HashMap<Key, Inbox> = app.store.inboxes(&keys).await?.read.into_iter().collect();
    let own = match inboxes.get(&Key::inbox(user, id)) {
        Some(own) => own.clone(),
        None => empty_inbox(membership)?,
    };
    let theirs = inboxes.get(&Key::inbox(&own.peer, id));
    Ok(slots.into_iter().map(|slot| shown(user, &own, theirs, id, slot)).collect())
}
