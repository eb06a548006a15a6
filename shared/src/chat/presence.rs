//! Who is here: a connection is registered, and the sweep looks when the first of a user's connections ends.

use wire::{ConnectionId, Time, UserId};

use crate::store::presence::{Added, Connection, Listed, Stands};
use crate::store::{Store, StoreError};

/// How often registering is tried: for a user's first connection, and after the dead were taken out.
const ADD_ATTEMPTS_MAX: u32 = 4;
/// How often listing is tried while connections come and go.
const LIST_ATTEMPTS_MAX: u32 = 4;

/// What became of registering a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It is registered.
    Here,
    /// The user has as many live ones as somebody may have.
    Full,
}

/// Registers a connection. Where the user has no item yet it is made; where that is full the dead are taken out first.
///
/// # Errors
/// Those of the store; so many came and went meanwhile that it could not be done.
pub async fn register(
    store: &Store,
    user: &UserId,
    id: &ConnectionId,
    connection: &Connection,
) -> Result<Registered, StoreError> {
    for _ in 0..ADD_ATTEMPTS_MAX {
        let stands = match store.presence_add(user, id, connection).await? {
            Added::Here(stands) => stands,
            // Its own write, whose answer was lost: it is there, and what it had filled is full.
            Added::Full(stands) if stands.presence.connections.contains_key(id) => stands,
            Added::Full(stands) => {
                if !remove_dead(store, user, &stands, connection.connected_at).await? {
                    return Ok(Registered::Full);
                }
                continue;
            }
            Added::NoItem => {
                if store.presence_create(user, id, connection).await? {
                    return Ok(Registered::Here);
                }
                continue;
            }
        };
        if stands.is_late(user) {
            list(store, user, stands).await?;
        }
        return Ok(Registered::Here);
    }
    Err(StoreError::contended("a connection could not be registered"))
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
