//! Groups: how one is made ([`create`]), how who is in it and what it is called change ([`change`]), and what follows from a change
//! ([`effects`], [`count`]).
//!
//! A change of a membership is one conditional write on MEMBER; all that follows may be repeated by anybody, any number of times:
//! by a repeat of the request, by the sweep, by a process that was thought dead. Why this is safe stands in docs/design/groups.md.

pub mod change;
pub mod count;
pub mod create;
pub mod effects;

use std::time::Duration;

use wire::UserId;

use crate::app::App;
use crate::error::Error;
use crate::jitter;
use crate::limits::{CHANGE_BACKOFF, GROUPS_LEFT_MAX};
use crate::store::conversations::{Group, Meta, Who};
use crate::store::table::Key;
use crate::store::{Read, StoreError};
use wire::limits::GROUPS_MAX;

/// What META keeps of a group.
///
/// # Errors
/// [`Error::Forbidden`] for a conversation that is none.
pub fn of(meta: &Meta) -> Result<&Group, Error> {
    match &meta.who {
        Who::Group(group) => Ok(group),
        Who::Direct { .. } => Err(Error::Forbidden),
    }
}

/// Refuses to add somebody who blocks the one who adds them, is in as many groups as one may be in, or has left as many lately.
async fn may_be_added(app: &App, by: &UserId, users: &[UserId]) -> Result<(), Error> {
    let blocks: Vec<Key> = users.iter().filter(|user| *user != by).map(|user| Key::block(user, by)).collect();
    if !app.store.blocks_that_hold(&blocks, Read::Strong).await?.is_empty() {
        return Err(Error::Blocked);
    }
    for user in users {
        let (groups, left) = app.store.inbox_groups(user).await?;
        let (user, max) = (Some(user.clone()), GROUPS_MAX);
        if groups >= GROUPS_MAX {
            return Err(Error::TooMany { what: "groups of a user", max, user });
        }
        if left >= GROUPS_LEFT_MAX {
            let max = GROUPS_LEFT_MAX;
            return Err(Error::TooMany { what: "groups that a user has left in 30 days", max, user });
        }
    }
    Ok(())
}

/// Waits before something is tried again that others have changed meanwhile.
async fn wait(attempt: u32) {
    if attempt > 0 {
        let longest: Duration = jitter::wait(CHANGE_BACKOFF, attempt.min(4));
        tokio::time::sleep(longest).await;
    }
}

/// What is said when others change the same all the time.
fn contended(what: &str) -> StoreError {
    StoreError::contended(&format!("{what} changes all the time"))
}
