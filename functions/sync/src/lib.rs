//! `sync`: everything since the client's numbers, whatever the outage's length. It moves no horizon.

use std::cmp::Reverse;
use std::collections::HashMap;

use futures::future::{try_join, try_join_all};
use shared::app::{Answered, App};
use shared::archive::Archive;
use shared::auth::Caller;
use shared::chat::conversation::shown;
use shared::chat::history;
use shared::chat::history::Page;
use shared::error::Error;
use shared::limits::SYNC_TAILS_MAX;
use shared::push::Pushed;
use shared::run::{Function, Handling, OnFrame};
use shared::store::Read;
use shared::store::conversations::Meta;
use shared::store::inbox::Inbox;
use shared::store::table::Key;
use wire::limits::SYNC_MESSAGES_MAX;
use wire::{ConversationId, Event, Frame, Limit, Request as _, Seq, Sync};

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
/// [`SYNC_MESSAGES_MAX`]; then says whether that was all.
///
/// The inboxes are read strongly: who connected before this read is either told here or, having been in presence before
/// the sender looked again, by the sender.
///
/// # Errors
/// [`Error::Unavailable`] when a page can't be sent; those of the store.
pub async fn sync(app: &App, caller: Caller, request: Sync) -> Result<Answered, Error> {
    let mut inboxes = app.store.inbox_all(&caller.user, Read::Strong).await?;
    inboxes.sort_by_key(|(_, inbox)| Reverse(inbox.last_at));
    let (behind, even): (Vec<Behind>, Vec<Behind>) =
        inboxes.into_iter().map(|inbox| Behind::new(inbox, &request.since)).partition(Behind::is_known);
    let (mut behind, ahead) = try_join(around(app, behind), unfinished(app, even)).await?;
    if !ahead.is_empty() {
        behind.extend(around(app, ahead).await?);
        behind.sort_by_key(|new| Reverse(new.inbox.last_at));
    }
    let (mut conversations, mut messages) = (0, 0);
    let mut complete = true;
    for new in behind {
        let limit = request.limit;
        let pages = Pages { app, caller: &caller, limit, room: SYNC_MESSAGES_MAX - messages };
        let (sent, all) = pages.send(new).await?;
        messages += sent;
        conversations += usize::from(sent > 0);
        complete = all;
        if !complete {
            break;
        }
    }
    Ok(app.answer(&caller, &Event::SyncDone { conversations, messages, complete }).await)
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
    theirs: Option<Inbox>,
    since: Seq,
}

/// Reads what the pages of conversations are made with.
async fn around(app: &App, behind: Vec<Behind>) -> Result<Vec<New>, Error> {
    let keys: Vec<Key> = behind.iter().map(|it| Key::inbox(&it.inbox.peer, &it.id)).collect();
    let metas = app.store.conversations(behind.iter().map(|it| &it.id));
    let (theirs, mut metas) = try_join(app.store.inboxes(&keys), metas).await?;
    let mut theirs: HashMap<Key, Inbox> = theirs.into_iter().collect();
    let new = |(Behind { id, inbox, since }, key)| {
        let meta = metas.remove(&id).ok_or_else(|| Error::Internal(format!("{id} has an inbox and no META")))?;
        Ok(New { meta, inbox, theirs: theirs.remove(&key), since })
    };
    behind.into_iter().zip(keys).map(new).collect()
}

/// How pages are sent.
struct Pages<'a> {
    app: &'a App,
    caller: &'a Caller,
    limit: Limit,
    /// How many messages more one sync may send.
    room: usize,
}

impl Pages<'_> {
    /// Sends what is new in a conversation; says how many messages that was, and whether it was all.
    async fn send(&self, mut new: New) -> Result<(usize, bool), Error> {
        let mut sent = 0;
        loop {
            let room = self.room - sent;
            let limit = self.limit.0.min(u32::try_from(room).unwrap_or(u32::MAX));
            if limit == 0 {
                return Ok((sent, false));
            }
            let page = history::after(self.app, &new.meta, new.since, Limit(limit)).await?;
            let Some((last, _)) = page.slots.last() else { return Ok((sent, true)) };
            new.since = *last;
            sent += page.slots.len();
            let more = page.more;
            let has_more = more && sent < self.room;
            if self.page(&new, page, has_more).await != Pushed::Sent {
                // `sync:done` would say that the client has it.
                return Err(Error::Unavailable("a page could not be sent".to_owned()));
            }
            if !has_more {
                return Ok((sent, !more));
            }
        }
    }

    /// Sends one page.
    async fn page(&self, new: &New, page: Page, has_more: bool) -> Pushed {
        let Self { app, caller, .. } = self;
        let id = &new.meta.id;
        let message = |slot| shown(&caller.user, &new.inbox, new.theirs.as_ref(), id, slot);
        let messages = page.slots.into_iter().map(message).collect();
        let event = Event::SyncPage { conversation_id: id.clone(), messages, has_more };
        app.push.to(&caller.connection, event.frame(caller.request_id.as_ref())).await
    }
}
