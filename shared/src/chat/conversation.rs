//! Conversations: how an id comes from who is in one, who may see one, and what it looks like to them.

use std::collections::HashMap;

use futures::future::{try_join, try_join3};
use wire::{Coins, Conversation, ConversationId, Event, LogSlot, Message, Seq, UserId};

use super::blocks;
use super::kinds::Progress;
use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::store::conversations::{Created, Meta};
use crate::store::inbox::{FOR_GOOD, Inbox, Side};
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
    /// Who else is in it.
    pub side: Side,
}

impl Membership {
    /// If there is such a conversation and the user is in it; both failures look the same.
    ///
    /// # Errors
    /// [`Error::NotAParticipant`].
    pub fn new(meta: Option<Meta>, user: &UserId) -> Result<Self, Error> {
        let meta = meta.ok_or(Error::NotAParticipant)?;
        let side = meta.who.side_of(user).ok_or(Error::NotAParticipant)?;
        Ok(Self { meta, user: user.clone(), side })
    }

    /// Reads it from the store.
    ///
    /// # Errors
    /// [`Error::NotAParticipant`]; those of the store.
    pub async fn find(app: &App, id: &ConversationId, user: &UserId) -> Result<Self, Error> {
        Self::new(find(app, id, user).await?, user)
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

/// Remembers who is in a conversation, where that never changes.
pub fn remember(app: &App, meta: &Meta) {
    if meta.who.is_for_good() {
        app.memory.met(&meta.id, &meta.who);
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

/// Makes what is missing of a conversation's inboxes.
///
/// # Errors
/// Those of the store.
pub async fn create_inboxes(app: &App, meta: &Meta) -> Result<(), StoreError> {
    let create = async |(user, side)| app.store.inbox_create(user, &meta.id, &side, meta.created_at).await;
    futures::future::try_join_all(meta.who.inboxes().map(create)).await.map(drop)
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
    let paid: Vec<UserId> = inboxes.iter().filter_map(|(_, inbox)| inbox.side.paid_by().cloned()).collect();
    let last: Vec<LogSlot> = inboxes
        .iter()
        .filter(|(_, inbox)| inbox.last_seq > Seq(0))
        .map(|(id, inbox)| (id.clone(), inbox.last_seq))
        .collect();
    let others: Vec<Key> = inboxes.iter().flat_map(|(id, inbox)| inbox.side.inboxes_of_others(id)).collect();
    let (metas, (last, theirs), prices) = try_join3(
        app.store.conversations(inboxes.iter().map(|(id, _)| id)),
        try_join(app.store.log_items(&last), blocks::others(app, user, &others)),
        app.store.profile_prices(&paid),
    )
    .await?;
    let metas: HashMap<ConversationId, Meta> = metas.read.into_iter().collect();
    let unpriced = prices.skipped;
    let prices: HashMap<UserId, Option<Coins>> = prices.read.into_iter().collect();
    let mut last: HashMap<LogSlot, LogItem> = last.into_iter().collect();
    let blocked = theirs.blocked;
    let theirs: HashMap<Key, Inbox> = theirs.inboxes.read.into_iter().collect();
    let now = app.clock.now();
    let view = |(id, inbox): (ConversationId, Inbox)| {
        let meta = metas.get(&id)?;
        let paid = inbox.side.paid_by();
        if paid.is_some_and(|user| unpriced.contains(&Key::profile(user))) {
            return None;
        }
        let set = paid.and_then(|user| prices.get(user).copied().flatten());
        let price = price(app, paid, set);
        let item = last.remove(&(id.clone(), inbox.last_seq));
        let progress = Progress::new(user, &inbox, &id, &theirs);
        let message = item.map(|item| progress.message(&id, (inbox.last_seq, item)));
        let muted_until = inbox.muted.filter(|until| *until > now);
        let conversation = Conversation {
            muted: muted_until.is_some(),
            muted_until: muted_until.filter(|until| *until != FOR_GOOD),
            blocked: inbox.side.others().iter().any(|other| blocked.contains(other)),
            ..seen(meta, &inbox, message, price)
        };
        Some(conversation)
    };
    Ok(inboxes.into_iter().filter_map(view).collect())
}

/// What a message costs: what the one who is PAID for it has SET, else the deployment's price; nothing where nobody is paid.
pub fn price(app: &App, paid: Option<&UserId>, set: Option<Coins>) -> Coins {
    paid.map_or(Coins(0), |_| set.unwrap_or(app.config.default_price))
}

/// A conversation as its participant sees it.
fn seen(meta: &Meta, inbox: &Inbox, last_message: Option<Message>, price: Coins) -> Conversation {
    let members = meta.who.members();
    Conversation {
        conversation_id: meta.id.clone(),
        kind: meta.who.kind().into(),
        participants: members.to_vec(),
        participant_count: members.len(),
        created_by: meta.created_by.clone(),
        created_at: meta.created_at,
        last_seq: inbox.last_seq,
        last_message,
        last_activity_at: inbox.last_at,
        read_seq: inbox.read_seq,
        delivered_seq: inbox.delivered_seq,
        unread: inbox.unread(),
        price,
        muted: false,
        muted_until: None,
        blocked: false,
    }
}

/// One conversation as its participant sees it.
///
/// # Errors
/// [`Error::Unreadable`]; those of the store.
pub async fn view(app: &App, membership: &Membership) -> Result<Conversation, Error> {
    let (id, user) = (&membership.meta.id, &membership.user);
    let inbox = app.store.inbox(user, id, Read::Strong).await?.unwrap_or_else(|| empty_inbox(membership));
    let mut views = views(app, user, vec![(id.clone(), inbox)]).await?;
    views.pop().ok_or_else(|| Error::Unreadable(format!("{id}, or what a message there costs, can't be read")))
}

/// The inbox of somebody who hasn't been told anything yet: its creator stopped before making it.
fn empty_inbox(membership: &Membership) -> Inbox {
    let (side, last_at) = (membership.side.clone(), membership.meta.created_at);
    Inbox { side, last_seq: Seq(0), delivered_seq: Seq(0), read_seq: Seq(0), last_at, muted: None }
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
    let keys: Vec<Key> = membership.side.inboxes_of_others(id).chain([Key::inbox(user, id)]).collect();
    let mut inboxes: HashMap<Key, Inbox> = blocks::others(app, user, &keys).await?.inboxes.read.into_iter().collect();
    let own = inboxes.remove(&Key::inbox(user, id)).unwrap_or_else(|| empty_inbox(membership));
    let progress = Progress::new(user, &own, id, &inboxes);
    Ok(slots.into_iter().map(|slot| progress.message(id, slot)).collect())
}
