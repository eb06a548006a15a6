//! `createGroup`: META, if there is none; then a MEMBER for each; then META says that the group is whole. Until then there is no such
//! group for anybody, and a repeat, which alone knows the people, completes it.

use std::collections::BTreeSet;

use futures::stream::{StreamExt as _, TryStreamExt as _};
use wire::limits::GROUP_MEMBERS_MAX;
use wire::{CreateGroup, Role, Seq, UserId, group_id, hash};

use super::may_be_added;
use crate::app::App;
use crate::auth::Caller;
use crate::chat::conversation::Membership;
use crate::error::Error;
use crate::limits::MEMBERS_AT_ONCE;
use crate::store::StoreError;
use crate::store::conversations::{Created, Group, Meta, Who};
use crate::store::members::{Member, MemberPut};
use crate::store::requests::Requests;

/// A group that is whole.
#[derive(Debug)]
pub struct Made {
    /// As its creator is in it.
    pub membership: Membership,
    /// Its members, where this request has made it whole: what follows isn't done for them.
    pub members: Vec<(UserId, Member)>,
    /// Whether this request has made it, and no earlier attempt.
    pub created: bool,
}

/// Makes a group, or finds what an earlier attempt has made.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Blocked`], [`Error::GroupFull`], [`Error::TooMany`], [`Error::ClientRequestIdReused`];
/// [`Error::NotAParticipant`] where the creator has left since; those of the store.
pub async fn create(app: &App, caller: &Caller, request: &CreateGroup) -> Result<Made, Error> {
    let others: BTreeSet<&UserId> = request.participants.iter().filter(|user| **user != caller.user).collect();
    if others.is_empty() {
        return Err(Error::bad_request("participants", "name at least one other person"));
    }
    if others.len() >= GROUP_MEMBERS_MAX {
        return Err(Error::GroupFull { max: GROUP_MEMBERS_MAX });
    }
    let users: Vec<UserId> = [&caller.user].into_iter().chain(others).cloned().collect();
    let meta = meta(app, caller, request, &users);
    let there = app.store.conversation(&meta.id).await?;
    if there.is_none() {
        may_be_added(app, &caller.user, &users).await?;
    }
    let (meta, created) = match there {
        Some(there) => (there, false),
        None => match app.store.conversation_create(&meta).await? {
            Created::Here => (meta, true),
            Created::There(there) => (*there, false),
        },
    };
    let group = super::of(&meta)?;
    if group.gone || group.asked != asked(request, &users) {
        return Err(Error::ClientRequestIdReused);
    }
    if group.whole {
        return Ok(Made { membership: Membership::find(app, &meta.id, &caller.user).await?, members: vec![], created });
    }
    let members = members(app, &meta, &users).await?;
    if !app.store.group_whole(&meta.id).await? {
        // The cleanup has given it up in this moment.
        return Err(Error::ClientRequestIdReused);
    }
    let membership = Membership::find(app, &meta.id, &caller.user).await?;
    Ok(Made { membership, members, created })
}

/// META of a new group.
fn meta(app: &App, caller: &Caller, request: &CreateGroup, users: &[UserId]) -> Meta {
    let group = Group {
        name: request.name.clone(),
        avatar: request.avatar.clone(),
        count: users.len(),
        roster: 0,
        asked: asked(request, users),
        whole: false,
        gone: false,
        requests: Requests::default(),
    };
    let id = group_id(&caller.user, &request.client_request_id);
    Meta::new(id, Who::Group(group), caller.user.clone(), app.clock.now(), caller.trace_id.clone())
}

/// What was asked for, hashed: a repeat asks for the same, in whatever order.
fn asked(request: &CreateGroup, users: &[UserId]) -> String {
    let avatar = request.avatar.as_ref().map_or("", |avatar| avatar.as_str());
    let parts = ["createGroup", request.name.as_str(), avatar].into_iter().chain(users.iter().map(UserId::as_str));
    let digest = hash(&parts.collect::<Vec<_>>());
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts the members who aren't there yet, listed: what follows is due for each.
async fn members(app: &App, meta: &Meta, users: &[UserId]) -> Result<Vec<(UserId, Member)>, StoreError> {
    let puts = users.iter().map(|user| async move {
        let member = Member {
            version: 1,
            role: if *user == meta.created_by { Role::Admin } else { Role::Member },
            first_seq: Seq(1),
            since: meta.created_at,
            by: meta.created_by.clone(),
            left_at: None,
            requests: Requests::default(),
            listed: None,
        };
        match app.store.member_create(&meta.id, user, &member, app.clock.now()).await? {
            // An earlier attempt's is the same.
            MemberPut::Here | MemberPut::Changed => Ok((user.clone(), member)),
        }
    });
    let puts: Vec<_> = puts.collect();
    futures::stream::iter(puts).buffered(MEMBERS_AT_ONCE).try_collect().await
}
