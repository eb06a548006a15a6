//! `sync`: everything since the client's numbers, whatever the outage's length. It moves no horizon.

use std::collections::HashMap;

use futures::future::try_join;
use shared::app::{Answered, App};
use shared::archive::Archive;
use shared::auth::Caller;
use shared::chat::conversation::shown;
use shared::chat::history;
use shared::chat::history::Page;
use shared::error::Error;
use shared::push::Pushed;
use shared::run::{Function, Handler, Handling};
use shared::store::Read;
use shared::store::inbox::Inbox;
use shared::store::table::Key;
use wire::limits::SYNC_MESSAGES_MAX;
use wire::{ConversationId, Event, Frame, Limit, Request as _, Seq, Sync};

/// The function.
pub static FUNCTION: Function =
    Function { name: "sync", handler: Handler::Socket(handle), archive: Some(Archive::open) };

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
    let behind = behind(app.store.inbox_all(&caller.user, Read::Strong).await?, &request.since);
    let keys: Vec<Key> = behind.iter().map(|new| Key::inbox(&new.inbox.peer, &new.id)).collect();
    let metas = app.store.conversations(behind.iter().map(|new| &new.id));
    let (theirs, metas) = try_join(app.store.inboxes(&keys), metas).await?;
    let theirs: HashMap<Key, Inbox> = theirs.into_iter().collect();
    let (mut conversations, mut messages) = (0, 0);
    let mut complete = true;
    for mut new in behind {
        let meta = metas.get(&new.id);
        let meta = meta.ok_or_else(|| Error::Internal(format!("{} has an inbox and no META", new.id)))?;
        let before = messages;
        loop {
            let room = SYNC_MESSAGES_MAX - messages;
            let limit = request.limit.0.min(u32::try_from(room).unwrap_or(u32::MAX));
            if limit == 0 {
                complete = false;
                break;
            }
            let page = history::after(app, meta, new.since, Limit(limit)).await?;
            let Some((last, _)) = page.slots.last() else { break };
            new.since = *last;
            messages += page.slots.len();
            let has_more = page.more && messages < SYNC_MESSAGES_MAX;
            complete &= !page.more || has_more;
            let theirs = theirs.get(&Key::inbox(&new.inbox.peer, &new.id));
            if send_page(app, &caller, &new, page, theirs, has_more).await != Pushed::Sent {
                // `sync:done` would say that the client has it.
                return Err(Error::Unavailable("a page could not be sent".to_owned()));
            }
            if !has_more {
                break;
            }
        }
        conversations += usize::from(messages > before);
        if !complete {
            break;
        }
    }
    Ok(app.answer(&caller, &Event::SyncDone { conversations, messages, complete }).await)
}

/// A conversation with something new, and the number that the client has.
struct New {
    id: ConversationId,
    inbox: Inbox,
    since: Seq,
}

/// The conversations that have something above the client's numbers, latest activity first.
fn behind(inboxes: Vec<(ConversationId, Inbox)>, since: &HashMap<ConversationId, Seq>) -> Vec<New> {
    let new = |(id, inbox): (ConversationId, Inbox)| {
        let since = since.get(&id).copied().unwrap_or(inbox.delivered_seq);
        (inbox.last_seq > since).then_some(New { id, inbox, since })
    };
    let mut behind: Vec<New> = inboxes.into_iter().filter_map(new).collect();
    behind.sort_by_key(|new| std::cmp::Reverse(new.inbox.last_at));
    behind
}

/// Sends one page.
async fn send_page(
    app: &App,
    caller: &Caller,
    new: &New,
    page: Page,
    theirs: Option<&Inbox>,
    has_more: bool,
) -> Pushed {
    let message = |slot| shown(&caller.user, &new.inbox, theirs, &new.id, slot);
    let messages = page.slots.into_iter().map(message).collect();
    let event = Event::SyncPage { conversation_id: new.id.clone(), messages, has_more };
    app.push.to(&caller.connection, event.frame(caller.request_id.as_ref())).await
}
