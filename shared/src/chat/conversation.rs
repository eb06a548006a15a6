//! Conversations: how an id comes from who is in one, who may see one, and what it looks like to them.

use std::collections::{HashMap, HashSet};

use futures::future::{try_join, try_join_all, try_join4};
use wire::{Coins, Conversation, ConversationId, Event, LogSlot, Message, Open, Seq, UserId};

use super::kinds::{Progress, has_members};
use super::participants::{Participant, of_groups, participants, users};
use super::{blocks, inboxes};
use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::store::conversations::{Created, Meta};
use crate::store::inbox::{FOR_GOOD, Inbox, Side};
use crate::store::log::LogItem;
use crate::store::members::Member;
use crate::store::table::Key;
use crate::store::{Read, StoreError};

/// A conversation and somebody who is in it. There is no other way to read one.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The conversation.
    pub meta: Meta,
    /// The member.
    pub user: UserId,
    /// What the member's inbox keeps of the others.
    pub side: Side,
}

impl Membership {
    /// If there is such a conversation and the user is in it, by MEMBER where it is a group; both failures look the same.
    ///
    /// # Errors
    /// [`Error::NotAParticipant`].
    pub fn new(meta: Option<Meta>, member: Option<&Member>, user: &UserId) -> Result<Self, Error> {
        let meta = meta.ok_or(Error::NotAParticipant)?;
        let side = meta.who.side_of(user, member).ok_or(Error::NotAParticipant)?;
        Ok(Self { meta, user: user.clone(), side })
    }

    /// Reads it from the store.
    ///
    /// # Errors
    /// [`Error::NotAParticipant`]; those of the store.
    pub async fn find(app: &App, id: &ConversationId, user: &UserId) -> Result<Self, Error> {
        let (meta, member) = try_join(find(app, id, user), member(app, id, user)).await?;
        Self::new(meta, member.as_ref(), user)
    }

    /// Those who are in it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn participants(&self, app: &App) -> Result<Vec<Participant>, StoreError> {
        participants(app, &self.meta.id, self.meta.who.named()).await
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

/// Somebody's membership, where the conversation is a group. One that can't be read is a stranger's.
///
/// # Errors
/// Those of the store.
pub async fn member(app: &App, id: &ConversationId, user: &UserId) -> Result<Option<Member>, Error> {
    if !has_members(id) {
        return Ok(None);
    }
    match app.store.member(id, user).await {
        Err(error) if error.is_unreadable() && !app.store.inbox_is_there(user, id).await? => Ok(None),
        member => Ok(member?),
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
        Created::There(there) => Ok((*there, false)),
    }
}

/// Makes what is missing of the inboxes of a conversation's member.
///
/// # Errors
/// Those of the store.
pub async fn create_inboxes(app: &App, membership: &Membership) -> Result<(), StoreError> {
    let Membership { meta, user, side } = membership;
    let create = async |(user, peer)| app.store.inbox_create(user, &meta.id, peer, meta.created_at).await;
    try_join_all(meta.who.inboxes_moved().into_iter().map(create)).await?;
    match side {
        Side::Direct { .. } => Ok(()),
        Side::Group(joined) => app.store.inbox_join(user, &meta.id, *joined, app.clock.now()).await,
    }
}

/// How conversations look to one participant.
#[derive(Debug)]
pub struct Views {
    /// In the order given, without those that can't be read now, and those that the user has left.
    pub seen: Vec<Conversation>,
    /// How many can't be read now.
    pub unreadable: usize,
}

/// How conversations look to one participant. Four reads at the same time, however many there are; where groups are among them,
/// then their members, and then the members' inboxes: who has left by then is shown nothing.
///
/// # Errors
/// Those of the store.
pub async fn views(app: &App, user: &UserId, inboxes: Vec<(ConversationId, Inbox)>) -> Result<Views, Error> {
    let paid: Vec<UserId> = inboxes.iter().filter_map(|(_, inbox)| inbox.side.paid_by().cloned()).collect();
    let last: Vec<LogSlot> = inboxes
        .iter()
        .filter(|(_, inbox)| inbox.last_seq > Seq(0))
        .map(|(id, inbox)| (id.clone(), inbox.last_seq))
        .collect();
    let (metas, last, around, prices) = try_join4(
        app.store.conversations(inboxes.iter().map(|(id, _)| id)),
        app.store.log_items(&last),
        Around::of_named(app, user, &inboxes),
        app.store.profile_prices(&paid),
    )
    .await?;
    let around = around.and_groups(app, user, &inboxes).await?;
    let metas: HashMap<ConversationId, Meta> = metas.read.into_iter().collect();
    let unpriced = prices.skipped;
    let prices: HashMap<UserId, Option<Coins>> = prices.read.into_iter().collect();
    let mut last: HashMap<LogSlot, LogItem> = last.into_iter().collect();
    let now = app.clock.now();
    let mut views = Views { seen: Vec::with_capacity(inboxes.len()), unreadable: 0 };
    for (id, inbox) in inboxes {
        let paid = inbox.side.paid_by();
        let is_unpriced = paid.is_some_and(|user| unpriced.contains(&Key::profile(user)));
        let (Some(meta), Some(participants), false) = (metas.get(&id), around.participants.get(&id), is_unpriced)
        else {
            views.unreadable += 1;
            continue;
        };
        let Some(own) = participants.iter().find(|it| it.user == *user) else { continue };
        let price = price(app, paid, paid.and_then(|user| prices.get(user).copied().flatten()));
        let item = last.remove(&(id.clone(), inbox.last_seq)).filter(|_| inbox.last_seq >= own.first_seq);
        let progress = Progress::new(&id, participants, &around.inboxes);
        let message = item.map(|item| progress.message(&id, (inbox.last_seq, item)));
        let muted_until = inbox.muted.filter(|until| *until > now);
        views.seen.push(Conversation {
            muted: muted_until.is_some(),
            muted_until: muted_until.filter(|until| *until != FOR_GOOD),
            blocked: inbox.side.peer().is_some_and(|peer| around.blocked.contains(peer)),
            ..seen(meta, &inbox, (own, participants), message, price)
        });
    }
    Ok(views)
}

/// Who is in conversations, and how far they are, as far as a message's status goes by it.
#[derive(Debug, Default)]
pub struct Around {
    /// By conversation; that of one that can't be read is missing.
    pub participants: HashMap<ConversationId, Vec<Participant>>,
    /// Their inboxes, as far as the user may see them.
    pub inboxes: HashMap<Key, Inbox>,
    /// Whom the user blocks, of those with whom they are in a direct one.
    pub blocked: HashSet<UserId>,
}

impl Around {
    /// Of the conversations whose inboxes name who is in them.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn of_named(app: &App, user: &UserId, inboxes: &[(ConversationId, Inbox)]) -> Result<Self, StoreError> {
        let mut around = Self::default();
        for (id, inbox) in inboxes {
            if let Some(named) = inbox.side.named(user) {
                around.participants.insert(id.clone(), participants(app, id, Some(&named)).await?);
            }
        }
        around.with_inboxes(app, user, inboxes).await
    }

    /// And of the groups among them. Their members are read strongly, and after the messages that are shown.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn and_groups(
        mut self,
        app: &App,
        user: &UserId,
        inboxes: &[(ConversationId, Inbox)],
    ) -> Result<Self, StoreError> {
        let groups = inboxes.iter().filter(|(_, inbox)| inbox.joined().is_some()).map(|(id, _)| id.clone());
        let groups: Vec<ConversationId> = groups.collect();
        if groups.is_empty() {
            return Ok(self);
        }
        let groups = Self { participants: of_groups(app, groups).await?, ..Self::default() };
        let groups = groups.with_inboxes(app, user, inboxes).await?;
        self.participants.extend(groups.participants);
        self.inboxes.extend(groups.inboxes);
        Ok(self)
    }

    /// Reads the others' inboxes; the user's OWN are known.
    async fn with_inboxes(
        mut self,
        app: &App,
        user: &UserId,
        own: &[(ConversationId, Inbox)],
    ) -> Result<Self, StoreError> {
        self.inboxes = own.iter().map(|(id, inbox)| (Key::inbox(user, id), inbox.clone())).collect();
        let keys = self.participants.iter().flat_map(|(id, them)| Progress::keys(id, them));
        let keys: Vec<Key> = keys.filter(|key| !self.inboxes.contains_key(key)).collect();
        let others = blocks::others(app, user, &keys).await?;
        self.inboxes.extend(others.inboxes.read);
        self.blocked = others.blocked;
        Ok(self)
    }
}

/// What a message costs: what the one who is PAID for it has SET, else the deployment's price; nothing where nobody is paid.
pub fn price(app: &App, paid: Option<&UserId>, set: Option<Coins>) -> Coins {
    paid.map_or(Coins(0), |_| set.unwrap_or(app.config.default_price))
}

/// A conversation as its participant sees it.
fn seen(
    meta: &Meta,
    inbox: &Inbox,
    (own, participants): (&Participant, &[Participant]),
    last_message: Option<Message>,
    price: Coins,
) -> Conversation {
    // An inbox may know of an older membership.
    let before = own.first_seq.before();
    let (read_seq, delivered_seq) = (inbox.read_seq.max(before), inbox.delivered_seq.max(before));
    let last_seq = inbox.last_seq.max(delivered_seq);
    let (name, avatar) = meta.who.called();
    Conversation {
        conversation_id: meta.id.clone(),
        kind: meta.who.kind().into(),
        participants: meta.who.named().map_or_else(|| users(participants), <[UserId]>::to_vec),
        participant_count: participants.len(),
        role: own.role.map(Open::from),
        name: name.cloned(),
        avatar: avatar.cloned(),
        created_by: meta.created_by.clone(),
        created_at: meta.created_at,
        first_seq: own.first_seq,
        last_seq,
        last_message,
        last_activity_at: inbox.last_at,
        read_seq,
        delivered_seq,
        unread: last_seq.0.saturating_sub(read_seq.0),
        price,
        muted: false,
        muted_until: None,
        blocked: false,
    }
}

/// One conversation as its participant sees it.
///
/// # Errors
/// [`Error::NotAParticipant`], where the user has left meanwhile; [`Error::Unreadable`]; those of the store.
pub async fn view(app: &App, membership: &Membership) -> Result<Conversation, Error> {
    let (id, user) = (&membership.meta.id, &membership.user);
    let inbox = match inboxes::one(app, user, id).await? {
        Some(inbox) => inbox,
        None => empty_inbox(app, membership).await?,
    };
    let Views { mut seen, unreadable } = views(app, user, vec![(id.clone(), inbox)]).await?;
    // As it was read strongly.
    let (name, avatar) = membership.meta.who.called();
    let called = |it: Conversation| Conversation { name: name.cloned(), avatar: avatar.cloned(), ..it };
    match unreadable {
        0 => seen.pop().map(called).ok_or(Error::NotAParticipant),
        _ => Err(Error::Unreadable(format!("{id}, or what a message there costs, can't be read"))),
    }
}

/// The inbox of somebody who hasn't been told anything yet: who made the conversation, or has added them, stopped before making it.
async fn empty_inbox(app: &App, membership: &Membership) -> Result<Inbox, StoreError> {
    let (side, last_at) = (membership.side.clone(), membership.meta.created_at);
    let before = side.first_seq().before();
    let mut inbox = Inbox { side, last_seq: before, delivered_seq: before, read_seq: before, last_at, muted: None };
    if inbox.joined().is_some() {
        inboxes::up_to_tail(&mut inbox, app.store.tail(&membership.meta.id, Read::Strong).await?);
    }
    Ok(inbox)
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

/// Tells people something that follows from what is kept, but for the one whose connection got the answer: whoever was connected
/// before has heard it then.
///
/// # Errors
/// [`Error::Unavailable`] where a push fails; those of the store. Then it is to be told again.
pub async fn tell_surely(app: &App, users: &[UserId], event: &Event, answered: Option<&Caller>) -> Result<(), Error> {
    let now = app.clock.now();
    let mut connected = app.store.connected(users, now, Read::Strong).await?;
    connected.retain(|to| answered.is_none_or(|caller| caller.connection != to.connection));
    match app.push.to_all_or_later(&app.store, now, &connected, event).await.len() {
        0 => Ok(()),
        failed => Err(Error::Unavailable(format!("{failed} pushes have failed"))),
    }
}

/// Messages with how far each has come, for one participant: those that the participant may see once they were read.
///
/// # Errors
/// [`Error::NotAParticipant`], where the user has left meanwhile; those of the store.
pub async fn messages(app: &App, membership: &Membership, slots: Vec<(Seq, LogItem)>) -> Result<Vec<Message>, Error> {
    let id = &membership.meta.id;
    let participants = membership.participants(app).await?;
    let own = participants.iter().find(|it| it.user == membership.user).ok_or(Error::NotAParticipant)?;
    let others = blocks::others(app, &membership.user, &Progress::keys(id, &participants)).await?;
    let inboxes = others.inboxes.read.into_iter().collect();
    let progress = Progress::new(id, &participants, &inboxes);
    let slots = slots.into_iter().filter(|(seq, _)| *seq >= own.first_seq);
    Ok(slots.map(|slot| progress.message(id, slot)).collect())
}
