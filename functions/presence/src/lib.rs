//! `ping`, `typing`, `getPresence`, and the answer to every frame that no other function takes.

use std::collections::HashMap;

use futures::future::try_join;
use shared::app::{Answered, App};
use shared::auth::Caller;
use shared::chat::conversation::{Membership, tell};
use shared::chat::kinds::has_members;
use shared::chat::participants::{Participant, participants, users};
use shared::error::Error;
use shared::limits::TYPING_LIFE;
use shared::run::{Function, Handling, OnFrame};
use shared::store::Read;
use shared::store::inbox::{Inbox, Side};
use shared::store::members::Member;
use shared::store::presence::Presence;
use shared::store::table::Key;
use wire::{
    ConversationId, Event, Frame, GetPresence, GetUsers, Ping, Request as _, Seq, Time, Typing, UpdateProfile, UserId,
    UserPresence, direct_id,
};

/// The function.
pub static FUNCTION: Function<OnFrame> = Function { name: "presence", trigger: OnFrame { handle, archive: None } };

fn handle(app: &App, caller: Caller, frame: Frame) -> Handling<'_, Answered> {
    Box::pin(async move {
        match frame.action.as_str() {
            Ping::ACTION => ping(app, caller, frame.parse()?).await,
            Typing::ACTION => typing(app, caller, frame.parse()?).await,
            GetPresence::ACTION => get_presence(app, caller, frame.parse()?).await,
            // Where they were answered before: an update replaces this function before it moves their routes to `people`.
            GetUsers::ACTION => people::get_users(app, caller, frame.parse()?).await,
            UpdateProfile::ACTION => people::update_profile(app, caller, frame.parse()?).await,
            // API Gateway's `$default` route ends here.
            other => Err(Error::UnknownAction(other.to_owned())),
        }
    })
}

/// Says that the server is there.
///
/// # Errors
/// None.
pub async fn ping(app: &App, caller: Caller, _: Ping) -> Result<Answered, Error> {
    Ok(app.answer(&caller, &Event::Pong { server_time: app.clock.now() }).await)
}

/// Tells the others that the caller is writing, or has stopped. Nothing is kept.
///
/// # Errors
/// [`Error::NotAParticipant`]; [`Error::Blocked`] where one of the two blocks the other.
pub async fn typing(app: &App, caller: Caller, request: Typing) -> Result<Answered, Error> {
    let Typing { conversation_id, typing } = request;
    let (side, participants) = there(app, &caller, &conversation_id).await?;
    if !app.store.blocks_that_hold(&side.blocks_between(&caller.user), Read::Strong).await?.is_empty() {
        return Err(Error::Blocked);
    }
    let mut others = users(&participants);
    others.retain(|user| *user != caller.user);
    let answered = app.answer(&caller, &Event::TypingOk {}).await;
    let expires_at = app.clock.now().after(TYPING_LIFE);
    let event = Event::Typing { conversation_id, user_id: caller.user, typing, expires_at };
    if let Err(error) = tell(app, &others, &event, None).await {
        tracing::warn!(%error, cause = error.cause(), "typing could not be told");
    }
    Ok(answered)
}

/// Who is in a conversation of the caller's, and what the caller's inbox keeps of them.
async fn there(app: &App, caller: &Caller, id: &ConversationId) -> Result<(Side, Vec<Participant>), Error> {
    let inbox = match has_members(id) {
        true => None,
        false => app.store.inbox(&caller.user, id, Read::Eventual).await?,
    };
    let side = match inbox {
        Some(inbox) => inbox.side,
        // A conversation's first push may have been faster than the write that makes the inbox; META knows who is in it.
        None => Membership::find(app, id, &caller.user).await?.side,
    };
    let participants = participants(app, id, side.named(&caller.user).as_deref()).await?;
    Ok((side, participants))
}

/// Who is here, of those who have read or written something in their direct conversation with the caller, or in the group that the
/// caller names. Others look as if they had never been: anybody may open a conversation with anybody, and make a group of anybody. So
/// do those of whom one blocks the other.
///
/// # Errors
/// [`Error::NotAParticipant`] where the caller isn't in that group; those of the store.
pub async fn get_presence(app: &App, caller: Caller, request: GetPresence) -> Result<Answered, Error> {
    let (mut shown, others): (Vec<UserId>, Vec<UserId>) =
        request.user_ids.iter().cloned().partition(|user| *user == caller.user);
    match &request.conversation_id {
        None => shown.extend(seen_in_direct(app, &caller, &others).await?),
        Some(group) => shown.extend(seen_in_group(app, &caller, group, &others).await?),
    }
    let others = shown.iter().filter(|user| **user != caller.user);
    let both = |user: &UserId| [Key::block(&caller.user, user), Key::block(user, &caller.user)];
    let blocks: Vec<Key> = others.flat_map(both).collect();
    let presences = app.store.presences(&shown, Read::Eventual);
    let (presences, blocks) = try_join(presences, app.store.blocks_that_hold(&blocks, Read::Strong)).await?;
    let presences: HashMap<UserId, Presence> =
        presences.into_iter().filter(|(user, _)| !both(user).iter().any(|block| blocks.contains(block))).collect();
    let now = app.clock.now();
    let seen = |user_id: UserId| {
        let presence = presences.get(&user_id);
        let online = presence.is_some_and(|presence| presence.live(now).next().is_some());
        let last_seen_at = presence.and_then(|presence| presence.last_seen_at).filter(|_| !online);
        UserPresence { user_id, online, last_seen_at: last_seen_at.map(|ms| Time { ms }) }
    };
    let users = request.user_ids.into_iter().map(seen).collect();
    Ok(app.answer(&caller, &Event::Presence { users }).await)
}

/// Those of OTHERS who have read something in their direct conversation with the caller.
async fn seen_in_direct(app: &App, caller: &Caller, others: &[UserId]) -> Result<Vec<UserId>, Error> {
    let keys: Vec<Key> = others.iter().map(|user| Key::inbox(user, &direct_id(&caller.user, user))).collect();
    let inboxes = app.store.inboxes(&keys).await?.read.into_iter();
    // Writing moves `read`, too. `delivered` says nothing about the person: a device marks it by itself.
    let seen = inboxes.filter(|(_, inbox)| inbox.read_seq > Seq(0));
    Ok(seen.map(|(key, _)| key.owner()).collect::<Result<_, _>>()?)
}

/// Those of OTHERS who are in a group of the caller's, and have read something there since they came: coming moves the horizons.
async fn seen_in_group(
    app: &App,
    caller: &Caller,
    id: &ConversationId,
    others: &[UserId],
) -> Result<Vec<UserId>, Error> {
    let membership = Membership::find(app, id, &caller.user).await?;
    if membership.meta.who.named().is_some() {
        return Err(Error::bad_request("conversationId", "this is no group; leave it out"));
    }
    let keys: Vec<Key> = others.iter().map(|user| Key::inbox(user, id)).collect();
    let (members, inboxes) = try_join(app.store.members_of(id, others), app.store.inboxes(&keys)).await?;
    let inboxes: HashMap<Key, Inbox> = inboxes.read.into_iter().collect();
    let has_read = |(user, member): &(UserId, Member)| {
        let inbox = inboxes.get(&Key::inbox(user, id));
        member.is_in() && inbox.is_some_and(|inbox| inbox.read_seq >= member.first_seq)
    };
    Ok(members.read.into_iter().filter(has_read).map(|(user, _)| user).collect())
}
