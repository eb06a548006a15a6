//! Who is here: a connection is registered, and the sweep looks when the first of a user's connections ends.

use wire::{ConnectionId, Time, UserId};

use crate::app::App;
use crate::error::Error;
use crate::limits::CONNECT_GRACE;
use crate::store::presence::{Added, Connection, Listed, Stands};
use crate::store::{Store, StoreError};

/// How often registering is tried: for a user's first connection, and after others have made room.
const ADD_ATTEMPTS_MAX: u32 = 4;
/// How often listing is tried while connections come and go.
const LIST_ATTEMPTS_MAX: u32 = 4;

/// Registers a connection. Where the user has no item yet it is made; where that is full the dead are taken out first, or else
/// the oldest makes room: nobody can know whether its end was never told.
///
/// # Errors
/// Those of the store; [`Error::RateLimited`] where all have only just come; [`Error::Unavailable`] when no room could be made.
pub async fn register(app: &App, user: &UserId, id: &ConnectionId, connection: &Connection) -> Result<(), Error> {
    let store = &app.store;
    for _ in 0..ADD_ATTEMPTS_MAX {
        let stands = match store.presence_add(user, id, connection).await? {
            Added::Here(stands) => stands,
            // Its own write, whose answer was lost: it is there, and what it had filled is full.
            Added::Full(stands) if stands.presence.connections.contains_key(id) => stands,
            Added::Full(stands) => {
                if !remove_dead(store, user, &stands, connection.connected_at).await? {
                    end_oldest(app, user, &stands, connection.connected_at).await?;
                }
                continue;
            }
            Added::NoItem => {
                if store.presence_create(user, id, connection).await? {
                    return Ok(());
                }
                continue;
            }
        };
        if stands.is_late(user) {
            list(store, user, stands).await?;
        }
        return Ok(());
    }
    Err(Error::Unavailable("a connection could not be registered".to_owned()))
}

/// Ends the oldest connection: first it is closed, then taken out. Who is taken out and still connected would be told nothing.
/// So one that is so young that its `$connect` may not have returned stays: the gateway would say that there is none.
async fn end_oldest(app: &App, user: &UserId, stands: &Stands, now: Time) -> Result<(), Error> {
    let connections = stands.presence.connections.iter();
    let Some((id, oldest)) = connections.min_by_key(|(id, it)| (it.connected_at, *id)) else { return Ok(()) };
    if oldest.connected_at.after(CONNECT_GRACE) > now {
        return Err(Error::rate_limited(CONNECT_GRACE));
    }
    if !app.push.close(id).await {
        return Err(Error::Unavailable("the oldest connection could not be closed".to_owned()));
    }
    Ok(app.store.presence_remove(user, id, None).await?)
}

/// Takes the dead connections out; says whether there were any.
async fn remove_dead(store: &Store, user: &UserId, stands: &Stands, now: Time) -> Result<bool, StoreError> {
    let connections = stands.presence.connections.iter();
    let dead: Vec<&ConnectionId> = connections.filter(|(_, it)| it.is_over(now)).map(|(id, _)| id).collect();
    for id in &dead {
        store.presence_remove(user, id, None).await?;
    }
    Ok(!dead.is_empty())
}

/// Has the sweep look at a user's connections when the first of them ends; nothing, where it does so already.
///
/// # Errors
/// Those of the store.
pub async fn list(store: &Store, user: &UserId, mut seen: Stands) -> Result<(), StoreError> {
    for _ in 0..LIST_ATTEMPTS_MAX {
        let Some(due) = seen.due(user) else { return store.presence_unlist(user).await };
        if seen.is_at(&due) {
            return Ok(());
        }
        match store.presence_list(user, seen, &due).await? {
            Listed::Here => return Ok(()),
            Listed::Changed(now) => seen = now,
        }
    }
    // Whoever changed it last has seen the same, and lists it.
    Ok(())
}
