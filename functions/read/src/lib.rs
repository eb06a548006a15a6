//! `getMessages`, `markDelivered`, `markRead`, `getReceipts`: history, and how far everybody is in it.

use futures::future::join_all;
use shared::app::{Answered, App};
use shared::archive::Archive;
use shared::auth::Caller;
use shared::chat::blocks::others;
use shared::chat::conversation::{Membership, messages};
use shared::chat::history;
use shared::chat::marks::{Moved, mark_as_told};
use shared::chat::participants::{behind, page};
use shared::chat::statuses::{Made, tell_statuses};
use shared::error::Error;
use shared::run::{Function, Handling, OnFrame};
use shared::store::inbox::{Horizon, Inbox};
use shared::store::table::Key;
use shared::telemetry::{Metric, count};
use wire::{
    ErrorObject, Event, Frame, GetMessages, GetReceipts, Horizons, Mark, MarkDelivered, MarkOutcome, MarkRead, Marked,
    Marks, Request as _, Status,
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
    let first = membership.side.first_seq();
    let page = match (request.before, request.after) {
        (Some(_), Some(_)) => return Err(Error::bad_request("after", "give either before or after, not both")),
        (None, Some(after)) => history::after(app, &membership.meta, after.max(first.before()), request.limit).await?,
        (before, None) => history::before(app, &membership.meta, before, first, request.limit).await?,
    };
    let messages = messages(app, &membership, page.slots).await?;
    Ok(app.answer(&caller, &Event::MessagesPage { conversation_id, messages, has_more: page.more }).await)
}

/// Moves the caller's delivered horizon forward, in one conversation or in several, and tells the others, and the caller's other
/// devices.
///
/// # Errors
/// [`Error::NotAParticipant`], where only one is named; [`Error::Invalid`].
pub async fn mark_delivered(app: &App, caller: Caller, request: MarkDelivered) -> Result<Answered, Error> {
    mark(app, &caller, Marks::of(request.conversation_id, request.seq, request.marks)?, Horizon::Delivered).await
}

/// Moves the caller's read horizon forward, the delivered one with it, and tells the same.
///
/// # Errors
/// [`Error::NotAParticipant`], where only one is named; [`Error::Invalid`].
pub async fn mark_read(app: &App, caller: Caller, request: MarkRead) -> Result<Answered, Error> {
    mark(app, &caller, Marks::of(request.conversation_id, request.seq, request.marks)?, Horizon::Read).await
}

/// Makes marks, each by a write of its own, answers how far both horizons are, and tells of those that have moved.
async fn mark(app: &App, caller: &Caller, marks: Marks, horizon: Horizon) -> Result<Answered, Error> {
    let (marked, made) = match marks {
        Marks::One(mark) => {
            let (horizons, made) = mark_one(app, caller, &mark, horizon).await?;
            (Marked::One(horizons), Vec::from_iter(made))
        }
        Marks::Several(marks) => mark_several(app, caller, &marks, horizon).await,
    };
    let answered = app.answer(caller, &Event::Marked(marked)).await;
    if !made.is_empty() {
        count(Metric::Deliveries, made.len() as f64);
        tell_statuses(app, &caller.user, made, Some(caller)).await;
    }
    Ok(answered)
}

/// Makes each of several marks at the same time. One that fails stops no other, and says why.
async fn mark_several(app: &App, caller: &Caller, marks: &[Mark], horizon: Horizon) -> (Marked, Vec<Made>) {
    let each: Vec<_> = marks.iter().map(|mark| mark_one(app, caller, mark, horizon)).collect();
    let (mut outcomes, mut made) = (Vec::with_capacity(marks.len()), Vec::new());
    for (mark, outcome) in marks.iter().zip(join_all(each).await) {
        outcomes.push(match outcome {
            Ok((horizons, moved)) => {
                made.extend(moved);
                MarkOutcome::Marked(horizons)
            }
            Err(error) => {
                let conversation_id = mark.conversation_id.clone();
                tracing::warn!(%error, cause = error.cause(), conversation = conversation_id.as_str(), "not marked");
                let error = ErrorObject { details: None, ..error.body(&caller.trace_id) };
                MarkOutcome::Failed { conversation_id, error }
            }
        });
    }
    (Marked::Several { marks: outcomes }, made)
}

/// Moves a horizon; how far both are, and what there is to tell where it has moved.
async fn mark_one(
    app: &App,
    caller: &Caller,
    mark: &Mark,
    horizon: Horizon,
) -> Result<(Horizons, Option<Made>), Error> {
    let (conversation_id, user) = (mark.conversation_id.clone(), &caller.user);
    let (moved, seq) = mark_as_told(app, user, &conversation_id, horizon, mark.seq).await?;
    let (inbox, forward) = match moved {
        Moved::Forward(inbox) => (inbox, true),
        Moved::Stayed(inbox) | Moved::Beyond(inbox) => (inbox, false),
        Moved::NoInbox => return Err(Error::NotAParticipant),
    };
    let status = match horizon {
        Horizon::Delivered => Status::Delivered,
        Horizon::Read => Status::Read,
    };
    let Inbox { delivered_seq, read_seq, .. } = inbox;
    let made = forward.then(|| Made { conversation: conversation_id.clone(), inbox, status, seq });
    Ok((Horizons { conversation_id, delivered_seq, read_seq }, made))
}

/// Who has a message, and who has read it; without its sender. Of a group a page of those who may see it.
///
/// # Errors
/// [`Error::NotAParticipant`]; [`Error::NotFound`] when there is no message with this number, or none that the caller may see;
/// [`Error::Invalid`] for a cursor that isn't one of ours.
pub async fn get_receipts(app: &App, caller: Caller, request: GetReceipts) -> Result<Answered, Error> {
    let behind = behind(request.cursor.as_ref())?;
    let membership = Membership::find(app, &request.conversation_id, &caller.user).await?;
    let (id, seq) = (&request.conversation_id, request.seq);
    let item = history::item(app, &membership.meta, seq).await?;
    // After the message: who has gone meanwhile is told nothing of it.
    let participants = membership.participants(app).await?;
    let own = participants.iter().find(|it| it.user == caller.user).ok_or(Error::NotAParticipant)?;
    let sender = item.filter(|_| own.first_seq <= seq).ok_or(Error::NotFound)?.sender;
    let people = participants.iter().filter(|it| it.user != sender && it.first_seq <= seq).map(|it| &it.user);
    let (page, next_cursor) = page(people.collect(), behind.as_ref(), request.limit);
    let keys: Vec<Key> = page.into_iter().map(|member| Key::inbox(member, id)).collect();
    let (mut delivered, mut read) = (Vec::new(), Vec::new());
    for (key, inbox) in others(app, &caller.user, &keys).await?.inboxes.all()? {
        let user = key.owner()?;
        let status = inbox.status_of(seq);
        if status == Status::Read {
            read.push(user.clone());
        }
        if status != Status::Sent {
            delivered.push(user);
        }
    }
    Ok(app.answer(&caller, &Event::Receipts { delivered, read, next_cursor }).await)
}
