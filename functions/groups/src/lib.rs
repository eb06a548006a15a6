//! `createGroup`, `updateGroup`, `leaveGroup`, `getMembers`. How who is in a group is decided stands in `shared::chat::group`.

use futures::future::join;
use shared::app::{Answered, App};
use shared::auth::Caller;
use shared::chat::conversation::{Membership, view};
use shared::chat::group;
use shared::chat::group::change::{Updated, leave, update};
use shared::chat::group::create::{Made, create};
use shared::chat::group::effects::{of_change, of_new};
use shared::chat::participants::{behind, page};
use shared::error::Error;
use shared::run::{Function, Handling, OnFrame};
use wire::{
    ConversationUpdated, CreateGroup, Event, Frame, GetMembers, GroupChange, LeaveGroup, Member, Request as _,
    UpdateGroup,
};

/// The function.
pub static FUNCTION: Function<OnFrame> = Function { name: "groups", trigger: OnFrame { handle, archive: None } };

fn handle(app: &App, caller: Caller, frame: Frame) -> Handling<'_, Answered> {
    Box::pin(async move {
        match frame.action.as_str() {
            CreateGroup::ACTION => create_group(app, caller, frame.parse()?).await,
            UpdateGroup::ACTION => update_group(app, caller, frame.parse()?).await,
            LeaveGroup::ACTION => leave_group(app, caller, frame.parse()?).await,
            GetMembers::ACTION => get_members(app, caller, frame.parse()?).await,
            other => Err(Error::UnknownAction(other.to_owned())),
        }
    })
}

/// Makes a group: answers when it is whole, and tells everybody in it while that is done.
///
/// # Errors
/// Those of [`create`].
pub async fn create_group(app: &App, caller: Caller, request: CreateGroup) -> Result<Answered, Error> {
    let Made { membership, members, created } = create(app, &caller, &request).await?;
    let conversation = Box::new(view(app, &membership).await?);
    let answer = Event::ConversationCreated { conversation, created };
    let rest = of_new(app, &membership.meta, &members, Some(&caller));
    let (answered, done) = join(app.answer(&caller, &answer), rest).await;
    left_to_sweep(done);
    Ok(answered)
}

/// Changes a group, for its admins: answers when that is decided, and tells everybody while what follows is done.
///
/// # Errors
/// Those of [`update`].
pub async fn update_group(app: &App, caller: Caller, request: UpdateGroup) -> Result<Answered, Error> {
    let Updated { membership, changed, news } = update(app, &caller, request).await?;
    let conversation = Box::new(view(app, &membership).await?);
    let answer = Event::ConversationUpdated(ConversationUpdated::Now { conversation });
    let rest = of_change(app, &membership.meta, &changed, news, Some(&caller));
    let (answered, done) = join(app.answer(&caller, &answer), rest).await;
    left_to_sweep(done);
    Ok(answered)
}

/// Takes the caller out of a group; who has left before is answered alike.
///
/// # Errors
/// Those of [`leave`].
pub async fn leave_group(app: &App, caller: Caller, request: LeaveGroup) -> Result<Answered, Error> {
    let (meta, changed) = leave(app, &caller, request).await?;
    let answer = Event::ConversationLeft { conversation_id: meta.id.clone(), by: caller.user.clone() };
    let mut news = GroupChange::none(meta.id.clone(), group::of(&meta)?.count);
    news.removed = changed.iter().map(|changed| changed.user.clone()).collect();
    let changed: Vec<_> = changed.into_iter().collect();
    let rest = of_change(app, &meta, &changed, news, Some(&caller));
    let (answered, done) = join(app.answer(&caller, &answer), rest).await;
    left_to_sweep(done);
    Ok(answered)
}

/// The client has its answer: what fails after it, the sweep does.
fn left_to_sweep(done: Result<(), Error>) {
    if let Err(error) = done {
        tracing::warn!(%error, cause = error.cause(), "what follows from a change of a group is left to the sweep");
    }
}

/// Who is in a group, a page of them.
///
/// # Errors
/// [`Error::NotAParticipant`]; [`Error::Forbidden`] of what is no group; [`Error::Invalid`] for a cursor that isn't one of ours.
pub async fn get_members(app: &App, caller: Caller, request: GetMembers) -> Result<Answered, Error> {
    let behind = behind(request.cursor.as_ref())?;
    let membership = Membership::find(app, &request.conversation_id, &caller.user).await?;
    group::of(&membership.meta)?;
    let participants = membership.participants(app).await?;
    if participants.iter().all(|it| it.user != caller.user) {
        return Err(Error::NotAParticipant);
    }
    let users = participants.iter().map(|it| &it.user).collect();
    let (users, next_cursor) = page(users, behind.as_ref(), request.limit);
    let there = participants.iter().filter(|it| users.contains(&&it.user));
    let member =
        |user_id: &wire::UserId, role: wire::Role, since| Member { user_id: user_id.clone(), role: role.into(), since };
    let members = there.filter_map(|it| Some(member(&it.user, it.role?, it.first_seq))).collect();
    Ok(app.answer(&caller, &Event::Members { members, next_cursor }).await)
}
