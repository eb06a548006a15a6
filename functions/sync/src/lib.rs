//! `sync`: everything since the client's numbers, whatever the outage's length. It moves no horizon.

use std::cmp::Reverse;
use std::collections::HashMap;

use futures::future::{try_join, try_join_all};
use shared::app::{Answered, App};
use shared::archive::Archive;
use shared::auth::Caller;
use shared::chat::blocks::others;
use shared::chat::history;
use shared::chat::history::Page;
use shared::chat::kinds::Progress;
use shared::error::Error;
use shared::limits::{SYNC_TAILS_MAX, SYNC_UNREADABLE_MAX};
use shared::push::Pushed;
use shared::run::{Function, Handling, OnFrame};
use shared::store::conversations::Meta;
use shared::store::inbox::{Inbox, inbox_conversation};
use shared::store::table::Key;
use shared::store::{Read, Several};
use shared::telemetry::passed_over;
use wire::limits::SYNC_MESSAGES_MAX;
use wire::{ConversationId, Event, Frame, Limit, Request as _, Seq, Sync, UserId};

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
/// The inboxes are read strongly: who connected before this read is either told here or, having been in presence before
/// the sender looked again, by the sender.
///
/// # Errors
/// [`Error::Unavailable`] when a page can't be sent; those of the store.
pub async fn sync(app: &App, caller: Caller, request: Sync) -> Result<Answered, Error> {
    let Several { read: mut inboxes, skipped } = app.store.inbox_all(&caller.user, Read::Strong).await?;
    let mut unreadable: Vec<ConversationId> = skipped.iter().filter_map(|key| inbox_conversation(key).ok()).collect();
    inboxes.sort_by_key(|(_, inbox)| Reverse(inbox.last_at));
    let (behind, even): (Vec<Behind>, Vec<Behind>) =
        inboxes.into_iter().map(|inbox| Behind::new(inbox, &request.since)).partition(Behind::is_known);
    let user = &caller.user;
    let (mut behind, ahead) = try_join(around(app, user, behind, &mut unreadable), unfinished(app, even)).await?;
    if !ahead.is_empty() {
        behind.extend(around(app, user, ahead, &mut unreadable).await?);
        behind.sort_by_key(|new| Reverse(new.inbox.last_at));
    }
    let (mut conversations, mut messages) = (0, 0);
    let mut complete = true;
    for new in behind {
        let (limit, id) = (request.limit, new.meta.id.clone());
        let mut pages = Pages { app, caller: &caller, limit, room: SYNC_MESSAGES_MAX - messages, sent: 0 };
        let all = pages.send(new).await;
        messages += pages.sent;
        conversations += usize::from(pages.sent > 0);
        complete = match all {
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
    Ok(app.answer(&caller, &Event::SyncDone { conversations, messages, complete }).await)
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
    theirs: HashMap<Key, Inbox>,
    since: Seq,
}

/// Reads what the pages of conversations are made with; those of which it can't be read are UNREADABLE.
async fn around(
    app: &App,
    user: &UserId,
    behind: Vec<Behind>,
    unreadable: &mut Vec<ConversationId>,
) -> Result<Vec<New>, Error> {
    let keys: Vec<Key> = behind.iter().flat_map(|it| it.inbox.side.inboxes_of_others(&it.id)).collect();
    let metas = app.store.conversations(behind.iter().map(|it| &it.id));
    let (theirs, metas) = try_join(others(app, user, &keys), metas).await?;
    let mut theirs: HashMap<Key, Inbox> = theirs.inboxes.read.into_iter().collect();
    let mut metas: HashMap<ConversationId, Meta> = metas.read.into_iter().collect();
    let mut new = Vec::with_capacity(behind.len());
    for Behind { id, inbox, since } in behind {
        let theirs = inbox.side.inboxes_of_others(&id).filter_map(|key| theirs.remove_entry(&key)).collect();
        match metas.remove(&id) {
            Some(meta) => new.push(New { meta, inbox, theirs, since }),
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
    /// How many messages more one sync may send.
    room: usize,
    /// How many were sent.
    sent: usize,
}

impl Pages<'_> {
    /// Sends what is new in a conversation; says whether it was all.
    async fn send(&mut self, mut new: New) -> Result<bool, Error> {
        loop {
            let room = self.room - self.sent;
            let limit = self.limit.0.min(u32::try_from(room).unwrap_or(u32::MAX));
            if limit == 0 {
                return Ok(false);
            }
            let read = history::after(self.app, &new.meta, new.since, Limit(limit)).await?;
            let Some((last, _)) = read.slots.last() else { return Ok(true) };
            new.since = *last;
            let (more, count) = (read.more, read.slots.len());
            let has_more = more && self.sent + count < self.room;
            page(self.app, self.caller, &self.shown(&new, read, has_more)).await?;
            self.sent += count;
            if !has_more {
                return Ok(!more);
            }
        }
    }

    /// One page as the caller sees it.
    fn shown(&self, new: &New, page: Page, has_more: bool) -> Event {
        let id = &new.meta.id;
        let progress = Progress::new(&self.caller.user, &new.inbox, id, &new.theirs);
        let messages = page.slots.into_iter().map(|slot| progress.message(id, slot)).collect();
        Event::SyncPage { conversation_id: id.clone(), messages, has_more, error: None }
    }
}
