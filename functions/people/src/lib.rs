//! `getUsers`, `updateProfile`, `blockUser`, `unblockUser`, `getBlocked`: what people are called, and who blocks whom.

use shared::app::{Answered, App};
use shared::auth::Caller;
use shared::chat::blocks::{block, unblock};
use shared::chat::conversation::tell;
use shared::chat::profiles::{tell_profile, update, users};
use shared::error::Error;
use shared::run::{Function, Handling, OnFrame};
use wire::{BlockUser, Event, Frame, GetBlocked, GetUsers, Request as _, UnblockUser, UpdateProfile};

/// The function.
pub static FUNCTION: Function<OnFrame> = Function { name: "people", trigger: OnFrame { handle, archive: None } };

fn handle(app: &App, caller: Caller, frame: Frame) -> Handling<'_, Answered> {
    Box::pin(async move {
        match frame.action.as_str() {
            GetUsers::ACTION => get_users(app, caller, frame.parse()?).await,
            UpdateProfile::ACTION => update_profile(app, caller, frame.parse()?).await,
            BlockUser::ACTION => block_user(app, caller, frame.parse()?).await,
            UnblockUser::ACTION => unblock_user(app, caller, frame.parse()?).await,
            GetBlocked::ACTION => get_blocked(app, caller, frame.parse()?).await,
            other => Err(Error::UnknownAction(other.to_owned())),
        }
    })
}

/// What people are called. That is for everybody who is connected: whoever knows an id may write to it.
///
/// # Errors
/// Those of the store.
pub async fn get_users(app: &App, caller: Caller, request: GetUsers) -> Result<Answered, Error> {
    let users = users(app, request.user_ids).await?;
    Ok(app.answer(&caller, &Event::Users { users }).await)
}

/// Sets what the caller is called, and tells the caller's other devices.
///
/// # Errors
/// Those of the store.
pub async fn update_profile(app: &App, caller: Caller, request: UpdateProfile) -> Result<Answered, Error> {
    let user = update(app, &caller.user, &request).await?;
    let answered = app.answer(&caller, &Event::Profile { user: user.clone() }).await;
    tell_profile(app, user, Some(&caller)).await;
    Ok(answered)
}

/// Blocks somebody, and tells the caller's other devices. Who is blocked isn't told.
///
/// # Errors
/// Those of [`block`].
pub async fn block_user(app: &App, caller: Caller, BlockUser { user_id }: BlockUser) -> Result<Answered, Error> {
    block(app, &caller.user, &user_id).await?;
    Ok(answer_and_tell(app, &caller, &Event::Blocked { user_id }).await)
}

/// Takes a block back, and tells the caller's other devices.
///
/// # Errors
/// Those of [`unblock`].
pub async fn unblock_user(app: &App, caller: Caller, UnblockUser { user_id }: UnblockUser) -> Result<Answered, Error> {
    unblock(app, &caller.user, &user_id).await?;
    Ok(answer_and_tell(app, &caller, &Event::Unblocked { user_id }).await)
}

/// Answers, and tells the caller's other devices the same.
async fn answer_and_tell(app: &App, caller: &Caller, event: &Event) -> Answered {
    let answered = app.answer(caller, event).await;
    if let Err(error) = tell(app, std::slice::from_ref(&caller.user), event, Some(caller)).await {
        // It is kept; whoever asks sees it.
        tracing::warn!(%error, cause = error.cause(), "a block could not be told");
    }
    answered
}

/// A page of those whom the caller blocks.
///
/// # Errors
/// [`Error::Invalid`] for a cursor that isn't one of ours.
pub async fn get_blocked(app: &App, caller: Caller, request: GetBlocked) -> Result<Answered, Error> {
    let page = app.store.blocked_page(&caller.user, request.cursor.as_ref(), request.limit).await?;
    let (user_ids, next_cursor) = page;
    Ok(app.answer(&caller, &Event::BlockedList { user_ids, next_cursor }).await)
}
