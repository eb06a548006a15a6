//! `getMessages`, `markDelivered`, `markRead`, `getReceipts`: history, and how far everybody is in it.

use shared::app::{Answered, App};
use shared::archive::Archive;
use shared::auth::Caller;
use shared::chat::conversation::{Membership, messages, tell_status};
use shared::chat::history;
use shared::chat::marks::{Moved, mark_as_told};
use shared::error::Error;
use shared::run::{Function, Handling, OnFrame};
use shared::store::inbox::{Horizon, Inbox};
use shared::store::table::Key;
use shared::telemetry::{Metric, count};
use wire::{
    ConversationId, Event, Frame, GetMessages, GetReceipts, MarkDelivered, MarkRead, Request as _, Seq, Status,
};

/// The function.
pub static FUNCTION: Function<OnFrame> =
    Function { name: "read", trigger: OnFrame { handle, archive: Some(Archive::open) } };

fn handle(app: &App, caller: Caller, frame: Frame) -> Handling<'_, Answered> {
    Box::pin(async move {
        match frame.action.as_str() {
            GetMessages::ACTION => get_messages(app, caller, frame.parse()?).await,
            MarkDelivered::ACTION => mark_delivered(app, caller, frame.parse()?).await,
            MarkRead::ACTION => mark_read(app, caller, frame.parse()?).await,
            GetReceipts::ACTION => get_receipts(app, caller, frame.parse()?).await,
            other => Err(Error::UnknownAction(other.to_owned())),
        }
    })
}

/// A page of a conversation: the newest, or those below or above a number.
///
/// # Errors
/// [`Error::NotAParticipant`]; [`Error::Invalid`] when both `before` and `after` are given.
pub async fn get_messages(app: &App, caller: Caller, request: GetMessages) -> Result<Answered, Error> {
    let membership = Membership::find(app, &request.conversation_id, &caller.user).await?;
    let conversation_id = request.conversation_id;
    let page = match (request.before, request.after) {
        (Some(_), Some(_)) => return Err(Error::bad_request("after", "give either before or after, not both")),
        (None, Some(after)) => history::after(app, &membership.meta, after, request.limit).await?,
        (before, None) => history::before(app, &membership.meta, before, request.limit).await?,
    };
    let messages = messages(app, &membership, page.slots).await?;
    Ok(app.answer(&caller, &Event::MessagesPage { conversation_id, messages, has_more: page.more }).await)
}

/// Moves the caller's delivered horizon forward, and tells the other, and the caller's other devices.
///
/// # Errors
/// [`Error::NotAParticipant`].
pub async fn mark_delivered(app: &App, caller: Caller, request: MarkDelivered) -> Result<Answered, Error> {
    mark(app, caller, request.conversation_id, request.seq, Horizon::Delivered).await
}

/// Moves the caller's read horizon forward, the delivered one with it, and tells the same.
///
/// # Errors
/// [`Error::NotAParticipant`].
pub async fn mark_read(app: &App, caller: Caller, request: MarkRead) -> Result<Answered, Error> {
    mark(app, caller, request.conversation_id, request.seq, Horizon::Read).await
}

/// Moves a horizon, answers how far both are, and tells of it where it has moved.
async fn mark(
    app: &App,
    caller: Caller,
    conversation_id: ConversationId,
    seq: Seq,
    horizon: Horizon,
) -> Result<Answered, Error> {
    let (moved, seq) = mark_as_told(app, &caller.user, &conversation_id, horizon, seq).await?;
    let (inbox, forward) = match moved {
        Moved::Forward(inbox) => (inbox, true),
        Moved::Stayed(inbox) | Moved::Beyond(inbox) => (inbox, false),
        Moved::NoInbox => return Err(Error::NotAParticipant),
    };
    let Inbox { delivered_seq, read_seq, .. } = inbox;
    let marked = Event::Marked { conversation_id: conversation_id.clone(), delivered_seq, read_seq };
    let answered = app.answer(&caller, &marked).await;
    if forward {
        count(Metric::Deliveries, 1.0);
        let status = match horizon {
            Horizon::Delivered => Status::Delivered,
            Horizon::Read => Status::Read,
        };
        tell_status(app, &caller.user, &inbox, conversation_id, (status, seq), Some(&caller)).await;
    }
    Ok(answered)
}

/// Who has a message, and who has read it; without its sender.
///
/// # Errors
/// [`Error::NotAParticipant`]; [`Error::NotFound`] when there is no message with this number.
pub async fn get_receipts(app: &App, caller: Caller, request: GetReceipts) -> Result<Answered, Error> {
    let membership = Membership::find(app, &request.conversation_id, &caller.user).await?;
    let members = membership.meta.who.members();
    let keys: Vec<Key> = members.iter().map(|member| Key::inbox(member, &request.conversation_id)).collect();
    let inboxes = async { Ok(app.store.inboxes(&keys).await?.all()?) };
    let item = history::item(app, &membership.meta, request.seq);
    let (item, inboxes) = futures::future::try_join(item, inboxes).await?;
    let sender = item.ok_or(Error::NotFound)?.sender;
    let (mut delivered, mut read) = (Vec::new(), Vec::new());
    for (key, inbox) in inboxes {
        let user = key.owner()?;
        if user == sender {
            continue;
        }
        let status = inbox.status_of(request.seq);
        if status == Status::Read {
            read.push(user.clone());
        }
        if status != Status::Sent {
            delivered.push(user);
        }
    }
    Ok(app.answer(&caller, &Event::Receipts { delivered, read }).await)
}
