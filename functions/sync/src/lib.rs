//! `sync`: everything since the client's numbers, whatever the outage's length. It moves no horizon.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use futures::future::{try_join, try_join_all};
use shared::app::{Answered, App};
use shared::archive::Archive;
use shared::auth::Caller;
use shared::chat::conversation::{Around, Membership, messages};
use shared::chat::kinds::{Progress, has_members};
use shared::chat::participants::Participant;
use shared::chat::{history, inboxes};
use shared::error::Error;
use shared::limits::{SYNC_LEFT_MAX, SYNC_TAILS_MAX, SYNC_UNREADABLE_MAX};
use shared::push::Pushed;
use shared::run::{Function, Handling, OnFrame};
use shared::store::conversations::Meta;
use shared::store::inbox::{Inbox, inbox_conversation};
use shared::store::log::LogItem;
use shared::store::table::Key;
use shared::store::{Read, Several, StoreError};
use shared::telemetry::passed_over;
use wire::limits::SYNC_MESSAGES_MAX;
use wire::{ConversationId, Event, Frame, Limit, Message, Request as _, Seq, Sync, UserId};

/// The function.
pub static FUNCTION: Function<OnFrame> =
    Function { name: "sync", trigger: OnFrame { handle, archive: Some(Archive::open) } };

fn handle(app: &App, caller: Caller, frame: Frame) -> Handling<'_, Answered> {
    Box::pin(async move {
        match frame.action.as_str() {
            Sync::ACTION => sync(app, caller, frame.parse()?).await,
            other => Err(Error::UnknownAction(other.to_owned())),
        }
    })
}

/// Sends the pages of every conversation that has something new, latest activity first, until
/// [`SYNC_MESSAGES_MAX`]; then says whether that was all. Of a conversation that can't be read now it says so, and goes on
/// with the others.
///
/// The inboxes are read strongly, and then the groups' tails: who connected before these reads is either told here or, having
/// been in presence before the sender looked again, by the sender.
///
/// # Errors
/// [`Error::Unavailable`] when a page can't be sent; those of the store.
pub async fn sync(app: &App, caller: Caller, request: Sync) -> Result<Answered, Error> {
    let Several { read: inboxes, skipped } = inboxes::all(app, &caller.user, Read::Strong).await?;
    let mut unreadable: Vec<ConversationId> = skipped.iter().filter_map(|key| inbox_conversation(key).ok()).collect();
    let unknown = unknown_groups(&request.since, &inboxes, &unreadable);
    let (gone, mut inboxes): (Vec<_>, Vec<_>) = inboxes.into_iter().partition(|(_, inbox)| inbox.is_left());
    // Those that the client names first.
    let (named, others): (Vec<_>, Vec<_>) =
        gone.into_iter().map(|(id, _)| id).partition(|id| request.since.contains_key(id));
    let gone: Vec<ConversationId> = named.into_iter().chain(unknown).chain(others).take(SYNC_LEFT_MAX).collect();
    inboxes.sort_by_key(|(_, inbox)| Reverse(inbox.last_at));
    let (behind, even): (Vec<Behind>, Vec<Behind>) =
        inboxes.into_iter().map(|inbox| Behind::new(inbox, &request.since)).partition(Behind::is_known);
    let user = &caller.user;
    let (mut behind, ahead) = try_join(around(app, user, behind, &mut unreadable), unfinished(app, even)).await?;
    if !ahead.is_empty() {
        behind.extend(around(app, user, ahead, &mut unreadable).await?);
        behind.sort_by_key(|new| Reverse(new.inbox.last_at));
    }
    let mut pages = Pages { app, caller: &caller, limit: request.limit, sent: 0, conversations: 0, left: Vec::new() };
    let mut complete = true;
    for new in behind {
        let id = new.meta.id.clone();
        complete = match pages.send(new).await {
            Err(Error::Unreadable(cause)) => {
                passed_over(&cause);
                unreadable.push(id);
                true
            }
            all => all?,
        };
        if !complete {
            break;
        }
    }
    unreadable.truncate(SYNC_UNREADABLE_MAX);
    try_join_all(unreadable.into_iter().map(|id| tell_unreadable(app, &caller, id)).collect::<Vec<_>>()).await?;
    let Pages { sent: messages, conversations, mut left, .. } = pages;
    left.extend(still_gone(app, &caller, gone).await?);
    left.truncate(SYNC_LEFT_MAX);
    Ok(app.answer(&caller, &Event::SyncDone { conversations, messages, left, complete }).await)
}

/// The groups that a client names and of which the user has no inbox.
fn unknown_groups(
    since: &HashMap<ConversationId, Seq>,
    inboxes: &[(ConversationId, Inbox)],
    unreadable: &[ConversationId],
) -> Vec<ConversationId> {
    let known: HashSet<&ConversationId> = inboxes.iter().map(|(id, _)| id).chain(unreadable).collect();
    let named = since.keys().filter(|id| has_members(id) && !known.contains(id));
    named.cloned().collect()
}

/// Those of these groups that the user is in no more: what tells the inbox of another membership may not be done yet.
async fn still_gone(app: &App, caller: &Caller, gone: Vec<ConversationId>) -> Result<Vec<ConversationId>, StoreError> {
    let Several { read, skipped } = app.store.memberships(&caller.user, gone.iter()).await?;
    let back = read.into_iter().filter(|(_, member)| member.is_in()).map(|(id, _)| id);
    // Nobody knows whether the user is in one whose membership can't be read.
    let back: HashSet<ConversationId> = back.chain(skipped.iter().filter_map(|key| key.conversation().ok())).collect();
    Ok(gone.into_iter().filter(|id| !back.contains(id)).collect())
}

/// Tells a client that a conversation can't be read now: its number stays where it is.
async fn tell_unreadable(app: &App, caller: &Caller, conversation_id: ConversationId) -> Result<(), Error> {
    let error = Error::Unreadable(String::new()).body(&caller.trace_id);
    page(app, caller, &Event::SyncPage { conversation_id, messages: Vec::new(), has_more: false, error: Some(error) })
        .await
}

/// Sends a page. `sync:done` would say that the client has it.
async fn page(app: &App, caller: &Caller, event: &Event) -> Result<(), Error> {
    match app.push.to(&caller.connection, event.frame(caller.request_id.as_ref())).await {
        Pushed::Sent => Ok(()),
        Pushed::Gone | Pushed::Failed => Err(Error::Unavailable("a page could not be sent".to_owned())),
    }
}

/// A conversation, and the number up to which the client has it.
struct Behind {
    id: ConversationId,
    inbox: Inbox,
    since: Seq,
}

impl Behind {
    fn new((id, inbox): (ConversationId, Inbox), since: &HashMap<ConversationId, Seq>) -> Self {
        let since = since.get(&id).copied().unwrap_or(inbox.delivered_seq);
        // What was said before the user came is none of theirs.
        let since = since.max(inbox.side.first_seq().before());
        Self { id, inbox, since }
    }

    /// Whether the inbox knows of something that the client lacks.
    fn is_known(&self) -> bool {
        self.inbox.last_seq > self.since
    }
}

/// Of the conversations in which the client lacks nothing that an inbox knows of, those whose log goes on: a function has died
/// between publishing a message and telling the inboxes, and the sweep hasn't done so yet. Only the [`SYNC_TAILS_MAX`] that were
/// active last are looked at, half a read unit each: in the others it is found a minute or two later, by the sweep's push or
/// the next sync.
async fn unfinished(app: &App, mut even: Vec<Behind>) -> Result<Vec<Behind>, Error> {
    even.truncate(SYNC_TAILS_MAX);
    let tails = even.iter().map(|it| app.store.log_tail(&it.id, Read::Eventual));
    let tails = try_join_all(tails.collect::<Vec<_>>()).await?;
    Ok(even.into_iter().zip(tails).filter(|(it, tail)| *tail > it.since).map(|(it, _)| it).collect())
}

/// A conversation with something new, and what its pages are made with.
struct New {
    meta: Meta,
    inbox: Inbox,
    /// Who is in it, and how far they are, where the inbox names them. Of a group that is read after each page.
    named: Option<Named>,
    since: Seq,
}

/// Who is in a conversation, and how far they are.
struct Named {
    participants: Vec<Participant>,
    inboxes: HashMap<Key, Inbox>,
}

/// Reads what the pages of conversations are made with; those of which it can't be read are UNREADABLE.
async fn around(
    app: &App,
    user: &UserId,
    behind: Vec<Behind>,
    unreadable: &mut Vec<ConversationId>,
) -> Result<Vec<New>, Error> {
    let inboxes: Vec<(ConversationId, Inbox)> = behind.iter().map(|it| (it.id.clone(), it.inbox.clone())).collect();
    let metas = app.store.conversations(behind.iter().map(|it| &it.id));
    let (mut around, metas) = try_join(Around::of_named(app, user, &inboxes), metas).await?;
    let mut metas: HashMap<ConversationId, Meta> = metas.read.into_iter().collect();
    let mut new = Vec::with_capacity(behind.len());
    for Behind { id, inbox, since } in behind {
        let named = around.participants.remove(&id).map(|participants| {
            let keys = participants.iter().map(|it| Key::inbox(&it.user, &id));
            Named { inboxes: keys.filter_map(|key| around.inboxes.remove_entry(&key)).collect(), participants }
        });
        match metas.remove(&id) {
            Some(meta) => new.push(New { meta, inbox, named, since }),
            None => unreadable.push(id),
        }
    }
    Ok(new)
}

/// How pages are sent.
struct Pages<'a> {
    app: &'a App,
    caller: &'a Caller,
    limit: Limit,
    /// How many messages were sent.
    sent: usize,
    /// Of how many conversations.
    conversations: usize,
    /// Groups that the user has left, as it has turned out.
    left: Vec<ConversationId>,
}

impl Pages<'_> {
    /// Sends what is new in a conversation; says whether it was all.
    async fn send(&mut self, mut new: New) -> Result<bool, Error> {
        let before = self.sent;
        loop {
            let room = SYNC_MESSAGES_MAX - self.sent;
            let limit = self.limit.0.min(u32::try_from(room).unwrap_or(u32::MAX));
            if limit == 0 {
                return Ok(false);
            }
            let read = history::after(self.app, &new.meta, new.since, Limit(limit)).await?;
            let Some((last, _)) = read.slots.last() else { return Ok(true) };
            new.since = *last;
            let messages = match self.shown(&new, read.slots).await {
                Err(Error::NotAParticipant) => {
                    self.left.push(new.meta.id);
                    return Ok(true);
                }
                messages => messages?,
            };
            let has_more = read.more && self.sent + messages.len() < SYNC_MESSAGES_MAX;
            // Behind a page that has promised another there is one, be it empty.
            if !messages.is_empty() || self.sent > before && !has_more {
                self.conversations += usize::from(self.sent == before);
                self.sent += messages.len();
                let conversation_id = new.meta.id.clone();
                page(self.app, self.caller, &Event::SyncPage { conversation_id, messages, has_more, error: None })
                    .await?;
            }
            if !has_more {
                return Ok(!read.more);
            }
        }
    }

    /// A page as the caller sees it.
    async fn shown(&self, new: &New, slots: Vec<(Seq, LogItem)>) -> Result<Vec<Message>, Error> {
        let (id, user) = (&new.meta.id, self.caller.user.clone());
        let Some(Named { participants, inboxes }) = &new.named else {
            let membership = Membership { meta: new.meta.clone(), user, side: new.inbox.side.clone() };
            return messages(self.app, &membership, slots).await;
        };
        let progress = Progress::new(id, participants, inboxes);
        Ok(slots.into_iter().map(|slot| progress.message(id, slot)).collect())
    }
}
