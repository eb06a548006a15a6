//! Who is in a conversation: one notion for all kinds.

use std::collections::HashMap;

use futures::stream::{StreamExt as _, TryStreamExt as _};
use wire::{ConversationId, Cursor, Limit, Role, Seq, UserId};

use crate::app::App;
use crate::error::Error;
use crate::limits::MEMBERS_AT_ONCE;
use crate::store::StoreError;
use crate::store::inbox::Joined;
use crate::store::members::Member;

/// Somebody who is in a conversation.
#[derive(Clone, Debug)]
pub struct Participant {
    /// Who.
    pub user: UserId,
    /// The first number that they may see.
    pub first_seq: Seq,
    /// What they may do, in a group.
    pub role: Option<Role>,
    /// Their membership, in a group.
    pub joined: Option<Joined>,
}

impl Participant {
    /// Of a direct conversation.
    fn of_two(user: &UserId) -> Self {
        Self { user: user.clone(), first_seq: Seq(1), role: None, joined: None }
    }

    /// Of a group, if they are in.
    pub fn of_group((user, member): (UserId, Member)) -> Option<Self> {
        let joined = Some(member.joined());
        member.is_in().then_some(Self { user, first_seq: member.first_seq, role: Some(member.role), joined })
    }
}

/// Those who are in a conversation: the NAMED ones, or, where nobody is named, its members, read strongly. Who can't be read stops
/// nothing for the others.
///
/// # Errors
/// Those of the store.
pub async fn participants(
    app: &App,
    id: &ConversationId,
    named: Option<&[UserId]>,
) -> Result<Vec<Participant>, StoreError> {
    match named {
        Some(named) => Ok(named.iter().map(Participant::of_two).collect()),
        None => Ok(app.store.members(id).await?.read.into_iter().filter_map(Participant::of_group).collect()),
    }
}

/// The members of several groups.
///
/// # Errors
/// Those of the store.
pub async fn of_groups(
    app: &App,
    groups: Vec<ConversationId>,
) -> Result<HashMap<ConversationId, Vec<Participant>>, StoreError> {
    let members = groups.into_iter().map(|id| async move {
        let members = participants(app, &id, None).await?;
        Ok((id, members))
    });
    // Collected: the compiler can't see that a lazy iterator of borrowing futures may be sent.
    let members: Vec<_> = members.collect();
    let members = futures::stream::iter(members).buffer_unordered(MEMBERS_AT_ONCE);
    members.try_collect().await
}

/// Behind whom a page of people starts.
///
/// # Errors
/// [`Error::Invalid`] for a cursor that isn't one of ours.
pub fn behind(cursor: Option<&Cursor>) -> Result<Option<UserId>, Error> {
    let Some(cursor) = cursor else { return Ok(None) };
    Ok(Some(cursor.position()?.parse().map_err(|_| Cursor::foreign())?))
}

/// A page of people, in the order of their ids: those BEHIND somebody, at most LIMIT, and where the next page starts.
pub fn page<'a>(
    mut users: Vec<&'a UserId>,
    behind: Option<&UserId>,
    limit: Limit,
) -> (Vec<&'a UserId>, Option<Cursor>) {
    users.sort();
    users.retain(|user| behind.is_none_or(|behind| *user > behind));
    let limit = usize::try_from(limit.0).unwrap_or(usize::MAX);
    let more = users.len() > limit;
    users.truncate(limit);
    let next = users.last().filter(|_| more).map(|last| Cursor::new(last.as_str()));
    (users, next)
}

/// Their ids.
pub fn users(participants: &[Participant]) -> Vec<UserId> {
    participants.iter().map(|it| it.user.clone()).collect()
}
