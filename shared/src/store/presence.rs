//! PRESENCE: a user's live connections, all in one item: one read finds every device of a user, one batch those of a
//! hundred users. `$disconnect` may never come, so an entry also ends by its time and by the first 410.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use wire::{ConnectionId, Device, Time, UserId};

use super::client::error::StoreError;
use super::client::item::{AttributeValue, Item, attribute, from_item, ms, number};
use super::client::{Read, Store, Written};
use super::table::Key;
use super::work::{Listing, UNLIST};
use crate::limits::{CONNECT_GRACE, CONNECTIONS_MAX};

/// One live connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The client's name for its device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Since when.
    #[serde(with = "ms")]
    pub connected_at: Time,
    /// When it is dead whatever we were told.
    #[serde(with = "ms")]
    pub expires_at: Time,
}

/// A user's connections.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Presence {
    /// By id.
    #[serde(default)]
    pub connections: BTreeMap<ConnectionId, Connection>,
    /// When a connection last ended, milliseconds since 1970.
    #[serde(default)]
    pub last_seen_at: Option<i64>,
}

impl Presence {
    /// The connections that are alive, as far as we know.
    pub fn live(&self, now: Time) -> impl Iterator<Item = (&ConnectionId, &Connection)> {
        self.connections.iter().filter(move |(_, connection)| connection.expires_at > now)
    }
}

/// A connection and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connected {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub connection: ConnectionId,
    /// Since when.
    pub since: Time,
}

impl Connected {
    /// Whether it can be pushed to by now, if ever: a connection is in presence a moment before its `$connect` has
    /// returned, and until then a push to it meets 410 as if it had gone.
    pub fn is_settled(&self, now: Time) -> bool {
        self.since.after(CONNECT_GRACE) <= now
    }
}

/// What became of registering a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is registered.
    Here,
    /// The user has [`CONNECTIONS_MAX`] live ones.
    Full,
}

/// How often registering is tried: for a user's first connection, and after the dead were taken out.
const ADD_ATTEMPTS_MAX: u32 = 4;

impl Store {
    /// Registers a connection, **if** the user's item is there and has room: what doesn't exist has no size. Where there is
    /// none it is made, **if** there is still none; where it is full the dead are taken out first.
    pub async fn presence_add(
        &self,
        user: &UserId,
        id: &ConnectionId,
        connection: &Connection,
    ) -> Result<Added, StoreError> {
        for _ in 0..ADD_ATTEMPTS_MAX {
            let update = self
                .update(
                    Key::presence(user),
                    "SET #connections.#id = :connection, #work_pk = :work_pk, #work_sk = :work_sk",
                )
                .only_if("size(#connections) < :max")
                .name("#id", id.as_str())
                .value(":connection", attribute(connection)?)
                .at(&Listing::online(user))
                .value(":max", number(CONNECTIONS_MAX));
            match update.run().await? {
                Written::Done(_) => return Ok(Added::Here),
                Written::Refused(None) => {
                    if self.presence_create(user, id, connection).await? {
                        return Ok(Added::Here);
                    }
                }
                Written::Refused(Some(item)) => {
                    if !self.presence_remove_dead(user, from_item(item)?, connection.connected_at).await? {
                        return Ok(Added::Full);
                    }
                }
            }
        }
        Err(StoreError::contended("a connection could not be registered"))
    }

    /// Makes a user's item with a first connection, **if there is none**.
    async fn presence_create(
        &self,
        user: &UserId,
        id: &ConnectionId,
        connection: &Connection,
    ) -> Result<bool, StoreError> {
        let connections = HashMap::from([(id.as_str().to_owned(), attribute(connection)?)]);
        let mut item = Item::from([("connections".to_owned(), AttributeValue::M(connections))]);
        item.extend(Listing::online(user).item());
        Ok(matches!(self.put_new(Key::presence(user), item).await?, Written::Done(_)))
    }

    /// Takes the dead connections out; says whether there were any.
    async fn presence_remove_dead(&self, user: &UserId, presence: Presence, now: Time) -> Result<bool, StoreError> {
        let dead: Vec<ConnectionId> =
            presence.connections.into_iter().filter(|(_, c)| c.expires_at <= now).map(|(id, _)| id).collect();
        for id in &dead {
            self.presence_remove(user, id, None).await?;
        }
        Ok(!dead.is_empty())
    }

    /// Takes one connection out, **if** it is there; with `seen_at` when the user was there until now.
    pub async fn presence_remove(
        &self,
        user: &UserId,
        id: &ConnectionId,
        seen_at: Option<Time>,
    ) -> Result<(), StoreError> {
        let expression = match seen_at {
            Some(_) => "REMOVE #connections.#id SET #last_seen_at = :seen_at",
            None => "REMOVE #connections.#id",
        };
        let mut update = self.update(Key::presence(user), expression).only_if("attribute_exists(#connections.#id)");
        update = update.name("#id", id.as_str());
        if let Some(seen_at) = seen_at {
            update = update.value(":seen_at", number(seen_at.ms));
        }
        if let Written::Done(item) = update.run().await?
            && from_item::<Presence>(item)?.connections.is_empty()
        {
            self.presence_unlist(user).await?;
        }
        Ok(())
    }

    /// Takes a user out of the index of those online, **if** no connection is left.
    async fn presence_unlist(&self, user: &UserId) -> Result<(), StoreError> {
        let update = self.update(Key::presence(user), UNLIST);
        update.only_if("size(#connections) = :zero").value(":zero", number(0)).run().await.map(drop)
    }

    /// Reads the presence of many users; who was never here is left out.
    pub async fn presences(&self, users: &[UserId], read: Read) -> Result<HashMap<UserId, Presence>, StoreError> {
        let keys: Vec<Key> = users.iter().map(Key::presence).collect();
        let items = self.get_many(&keys, read).await?;
        items.into_iter().map(|item| Ok((Key::of(&item)?.owner()?, from_item(item)?))).collect()
    }

    /// Where these users are connected.
    pub async fn connected(&self, users: &[UserId], now: Time, read: Read) -> Result<Vec<Connected>, StoreError> {
        let mut connected: Vec<Connected> = Vec::new();
        for (user, presence) in self.presences(users, read).await? {
            let live = presence.live(now);
            connected.extend(live.map(|(id, connection)| Connected {
                user: user.clone(),
                connection: id.clone(),
                since: connection.connected_at,
            }));
        }
        // The order that a map gives is another each time.
        connected.sort();
        Ok(connected)
    }
}
