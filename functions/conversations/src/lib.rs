//! `getOrCreateDirect`, `getConversations`, `getConversation`, `mute`.

use shared::app::{Answered, App};
use shared::auth::Caller;
use shared::chat::conversation::{Membership, Views, create_direct, create_inboxes, tell, view, views};
use shared::chat::inboxes;
use shared::error::Error;
use shared::run::{Function, Handling, OnFrame};
use shared::store::Read;
use shared::store::inbox::{FOR_GOOD, Inbox, Muted};
use shared::store::table::Key;
use wire::limits::PAGE_BYTES_MAX;
use wire::{
    Conversation, ConversationId, Cursor, Event, Frame, GetConversation, GetConversations, GetOrCreateDirect, Mute,
    Request as _, UserId, direct_id,
};

/// The function.
pub static FUNCTION: Function<OnFrame> = Function { name: "conversations", trigger: OnFrame { handle, archive: None } };

fn handle(app: &App, caller: Caller, frame: Frame) -> Handling<'_, Answered> {
    Box::pin(async move {
        match frame.action.as_str() {
            GetOrCreateDirect::ACTION => get_or_create_direct(app, caller, frame.parse()?).await,
            GetConversations::ACTION => get_conversations(app, caller, frame.parse()?).await,
            GetConversation::ACTION => get_conversation(app, caller, frame.parse()?).await,
            Mute::ACTION => mute(app, caller, frame.parse()?).await,
            other => Err(Error::UnknownAction(other.to_owned())),
        }
    })
}

/// The one conversation of two people, made when there is none. One put if absent decides who made it; whoever comes
/// after finishes what an earlier attempt left. To whom the other blocks it isn't shown; who blocks the other is shown it, and
/// makes none.
///
/// # Errors
/// [`Error::SelfConversation`], [`Error::Blocked`].
pub async fn get_or_create_direct(app: &App, caller: Caller, request: GetOrCreateDirect) -> Result<Answered, Error> {
    let (user, other) = (&caller.user, &request.other_user_id);
    if user == other {
        return Err(Error::SelfConversation);
    }
    let id = direct_id(user, other);
    let keys = [Key::inbox(user, &id), Key::inbox(other, &id)];
    let (by_other, by_user) = (Key::block(other, user), Key::block(user, other));
    let blocks = [by_other.clone(), by_user.clone()];
    let blocks = app.store.blocks_that_hold(&blocks, Read::Strong);
    let (meta, inboxes, blocks) =
        futures::future::try_join3(app.store.conversation(&id), app.store.inboxes(&keys), blocks).await?;
    if blocks.contains(&by_other) || meta.is_none() && blocks.contains(&by_user) {
        return Err(Error::Blocked);
    }
    let (meta, created) = match meta {
        Some(meta) => (meta, false),
        None => create_direct(app, user, other, &caller.trace_id).await?,
    };
    if inboxes.read.len() < keys.len() {
        create_inboxes(app, &Membership::new(Some(meta.clone()), None, user)?).await?;
    }
    let seen_by = async |user: &UserId| {
        let conversation = Box::new(view(app, &Membership::new(Some(meta.clone()), None, user)?).await?);
        Ok::<Event, Error>(Event::ConversationCreated { conversation, created })
    };
    let answered = app.answer(&caller, &seen_by(user).await?).await;
    if created {
        let told = async { tell(app, std::slice::from_ref(other), &seen_by(other).await?, None).await };
        if let Err(error) = told.await {
            // It is in their list when they ask.
            tracing::warn!(%error, cause = error.cause(), "a new conversation could not be told");
        }
    }
    Ok(answered)
}

/// The caller's conversations, latest activity first.
///
/// # Errors
/// [`Error::Invalid`] for a cursor that isn't one of ours.
pub async fn get_conversations(app: &App, caller: Caller, request: GetConversations) -> Result<Answered, Error> {
    let after = request.cursor.as_ref().map(Place::of_cursor).transpose()?;
    let mut inboxes = inboxes::all(app, &caller.user, Read::Eventual).await?;
    inboxes.read.retain(|(_, inbox)| !inbox.is_left());
    let total_unread = inboxes.read.iter().map(|(_, inbox)| inbox.unread()).sum();
    // Nobody knows where those would stand: the first page counts them.
    let mut skipped = if after.is_none() { inboxes.skipped.len() } else { 0 };
    let mut placed: Vec<(Place, Inbox)> = inboxes
        .read
        .into_iter()
        .map(|(id, inbox)| (Place { ms: inbox.last_at.ms, id }, inbox))
        .filter(|(place, _)| after.as_ref().is_none_or(|after| place.comes_after(after)))
        .collect();
    placed.sort_by(|(a, _), (b, _)| b.ms.cmp(&a.ms).then_with(|| a.id.cmp(&b.id)));
    let limit = usize::try_from(request.limit.0).unwrap_or(usize::MAX);
    let more = placed.len() > limit;
    placed.truncate(limit);
    let page: Vec<(ConversationId, Inbox)> = placed.into_iter().map(|(place, inbox)| (place.id, inbox)).collect();
    // Where the page ends, also if its last can't be read.
    let last = page.last().map(|(id, inbox)| Place { ms: inbox.last_at.ms, id: id.clone() });
    let Views { seen: mut conversations, unreadable } = views(app, &caller.user, page).await?;
    skipped += unreadable;
    let mut last = last.filter(|_| more);
    if fit(&mut conversations) {
        last = conversations.last().map(|it| Place { ms: it.last_activity_at.ms, id: it.conversation_id.clone() });
    }
    let next_cursor = last.map(|last| last.cursor());
    Ok(app.answer(&caller, &Event::ConversationsList { conversations, total_unread, next_cursor, skipped }).await)
}

/// Where a conversation stands in the list.
struct Place {
    ms: i64,
    id: ConversationId,
}

impl Place {
    fn comes_after(&self, other: &Self) -> bool {
        self.ms < other.ms || self.ms == other.ms && self.id > other.id
    }

    fn cursor(&self) -> Cursor {
        Cursor::new(&format!("{} {}", self.ms, self.id))
    }

    fn of_cursor(cursor: &Cursor) -> Result<Self, Error> {
        let position = cursor.position()?;
        let parts = position.split_once(' ').and_then(|(ms, id)| Some((ms.parse().ok()?, id.parse().ok()?)));
        parts.map(|(ms, id)| Self { ms, id }).ok_or_else(|| Cursor::foreign().into())
    }
}

/// Ends a page before its frame would be too large; says whether it did. The first always fits.
fn fit(conversations: &mut Vec<Conversation>) -> bool {
    let mut bytes = 0;
    let fits = |conversation: &Conversation| {
        // What stands between them is little, and the envelope has room for it.
        bytes += serde_json::to_vec(conversation).map_or(PAGE_BYTES_MAX, |json| json.len());
        bytes <= PAGE_BYTES_MAX
    };
    let count = conversations.iter().map(fits).take_while(|fits| *fits).count().max(1);
    let cut = count < conversations.len();
    conversations.truncate(count);
    cut
}

/// One conversation.
///
/// # Errors
/// [`Error::NotAParticipant`].
pub async fn get_conversation(app: &App, caller: Caller, request: GetConversation) -> Result<Answered, Error> {
    let membership = Membership::find(app, &request.conversation_id, &caller.user).await?;
    let conversation = Box::new(view(app, &membership).await?);
    Ok(app.answer(&caller, &Event::Conversation { conversation }).await)
}

/// Mutes a conversation for the caller, or unmutes it, and tells the caller's other devices.
///
/// # Errors
/// [`Error::NotAParticipant`].
pub async fn mute(app: &App, caller: Caller, request: Mute) -> Result<Answered, Error> {
    let Mute { conversation_id, until } = request;
    let user = &caller.user;
    // What is past unmutes.
    let muted = Some(until.unwrap_or(FOR_GOOD)).filter(|until| *until > app.clock.now());
    if app.store.inbox_mute(user, &conversation_id, muted).await? == Muted::NoInbox {
        // META knows who is in it: whoever was to make the inbox may have stopped before.
        create_inboxes(app, &Membership::find(app, &conversation_id, user).await?).await?;
        if app.store.inbox_mute(user, &conversation_id, muted).await? == Muted::NoInbox {
            // They have left the group in this moment.
            return Err(Error::NotAParticipant);
        }
    }
    let until = until.filter(|_| muted.is_some());
    let event = Event::Muted { conversation_id, muted: muted.is_some(), until };
    let answered = app.answer(&caller, &event).await;
    if let Err(error) = tell(app, std::slice::from_ref(user), &event, Some(&caller)).await {
        // It is kept; whoever asks sees it.
        tracing::warn!(%error, cause = error.cause(), "what is muted could not be told");
    }
    Ok(answered)
}
