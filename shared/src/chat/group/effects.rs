//! What follows from a change of memberships, and anybody may repeat: each one's INBOX, then telling them, then the count and
//! telling the others, then MEMBER leaves the index.

use futures::future::join_all;
use wire::{ConversationId, ConversationUpdated, Event, GroupChange, UserId};

use super::change::Changed;
use super::count::{Counted, count};
use crate::app::App;
use crate::auth::Caller;
use crate::chat::conversation::{Membership, tell, tell_surely, view};
use crate::chat::participants::{participants, users};
use crate::error::Error;
use crate::store::conversations::Meta;
use crate::store::members::Member;

/// The effects for those who were put when a group was made. Its count was right from the beginning.
///
/// # Errors
/// The first of the store's, when the others' are done; whoever looks next finds them due.
pub async fn of_new(
    app: &App,
    meta: &Meta,
    members: &[(UserId, Member)],
    answered: Option<&Caller>,
) -> Result<(), Error> {
    let each = members.iter().map(|(user, member)| async move {
        inbox(app, &meta.id, user, member).await?;
        tell_member(app, meta, user, member, answered).await?;
        Ok(app.store.member_unlist(&meta.id, user, member, app.clock.now()).await?)
    });
    join_all(each.collect::<Vec<_>>()).await.into_iter().collect()
}

/// The effects of a change, and telling NEWS of it to the others; ANSWERED is whose connection gets the answer instead.
///
/// # Errors
/// The first of the store's, when the others' are done; whoever looks next finds them due.
pub async fn of_change(
    app: &App,
    meta: &Meta,
    changed: &[Changed],
    mut news: GroupChange,
    answered: Option<&Caller>,
) -> Result<(), Error> {
    let each = changed.iter().map(|Changed { user, member, moves }| async move {
        inbox(app, &meta.id, user, member).await?;
        if *moves { tell_member(app, meta, user, member, answered).await } else { Ok(()) }
    });
    let done: Vec<Result<(), Error>> = join_all(each.collect::<Vec<_>>()).await;
    let counted = if changed.is_empty() { Ok(None) } else { count(app, &meta.id).await.map(Some) };
    if let Ok(Some(Counted { count, promoted, admins })) = &counted {
        news.participant_count = *count;
        if !(news.admins.is_empty() && promoted.is_empty()) {
            news.admins.clone_from(admins);
        }
    }
    tell_others(app, &news, answered).await;
    counted?;
    let unlist = changed.iter().zip(done).map(|(it, done)| async move {
        done?;
        Ok(app.store.member_unlist(&meta.id, &it.user, &it.member, app.clock.now()).await?)
    });
    join_all(unlist.collect::<Vec<_>>()).await.into_iter().collect()
}

/// Tells the inbox of somebody's membership.
async fn inbox(app: &App, id: &ConversationId, user: &UserId, member: &Member) -> Result<(), Error> {
    Ok(app.store.inbox_join(user, id, member.joined(), member.left_at.unwrap_or(member.since)).await?)
}

/// Tells somebody that they are in the group now, or have gone: after their inbox, and reads presence after it.
async fn tell_member(
    app: &App,
    meta: &Meta,
    user: &UserId,
    member: &Member,
    answered: Option<&Caller>,
) -> Result<(), Error> {
    let event = match member.is_in() {
        false => {
            let (conversation_id, by) = (meta.id.clone(), member.by.clone());
            Event::ConversationLeft { conversation_id, by }
        }
        true => match seen_by(app, meta, user, member).await {
            Ok(Some(event)) => event,
            // What is newer has effects of its own.
            Ok(None) | Err(Error::NotAParticipant) => return Ok(()),
            // It is in their list when they ask, once it can be read.
            Err(error @ Error::Unreadable(_)) => {
                tracing::warn!(%error, cause = error.cause(), "a group could not be told");
                return Ok(());
            }
            Err(error) => return Err(error),
        },
    };
    tell_surely(app, std::slice::from_ref(user), &event, answered).await
}

/// The group as a new member sees it, read after MEMBER was put: whoever has asked for the members just before has moved TAIL by
/// then. Nothing where there is a newer membership.
async fn seen_by(app: &App, meta: &Meta, user: &UserId, member: &Member) -> Result<Option<Event>, Error> {
    let membership = Membership::find(app, &meta.id, user).await?;
    let conversation = Box::new(view(app, &membership).await?);
    let now = app.store.member(&meta.id, user).await?;
    if now.is_none_or(|now| now.version != member.version) {
        return Ok(None);
    }
    Ok(Some(Event::ConversationCreated { conversation, created: true }))
}

/// Tells those who were in the group before what has changed.
async fn tell_others(app: &App, news: &GroupChange, answered: Option<&Caller>) {
    let GroupChange { conversation_id: id, participant_count, added, .. } = news;
    if *news == GroupChange::none(id.clone(), *participant_count) {
        return;
    }
    let all = async {
        let mut others = users(&participants(app, id, None).await?);
        others.retain(|user| !added.contains(user));
        let event = Event::ConversationUpdated(ConversationUpdated::Changed(news.clone()));
        tell(app, &others, &event, answered).await
    };
    if let Err(error) = all.await {
        // It is kept; whoever asks sees it.
        tracing::warn!(%error, cause = error.cause(), "a change of a group could not be told");
    }
}
