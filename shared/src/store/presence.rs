//! PRESENCE: a user's live connections, all in one item: one read finds every device of a user, one batch those of a
//! hundred users. `$disconnect` may never come, so an entry also ends by its time and by the first 410.
//!
//! In the index it stands by the moment when its first connection ends: then the sweep looks.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use wire::{ConnectionId, Device, Time, UserId};

use super::client::condition::{Condition, Part};
use super::client::error::StoreError;
use super::client::item::{AttributeValue, Item, attribute, from_item, ms, number};
use super::client::{Read, Store, Written};
use super::several::Several;
use super::table::Key;
use super::work::{LIST, LIST_IF_NOT_LISTED, Listing, UNLIST, latest_end};
use crate::limits::{CONNECT_GRACE, CONNECTIONS_MAX, TOKEN_LEEWAY};

/// One live connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The client's name for its device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Since when.
    #[serde(with = "ms")]
    pub connected_at: Time,
    /// When it is dead whatever we were told: no connection lives longer, and none longer than its token.
    #[serde(with = "ms")]
    pub expires_at: Time,
}

impl Connection {
    /// Whether it can't be alive any more. What would live longer than any connection does was registered by a clock that
    /// was wrong.
    pub fn is_over(&self, now: Time) -> bool {
        self.expires_at <= now || self.expires_at > latest_end(now)
    }

    /// Whether it may be closed: no frame on it is answered any more.
    pub fn may_be_closed(&self, now: Time) -> bool {
        self.is_over(now) && self.is_over(now.before(TOKEN_LEEWAY))
    }
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
        self.connections.iter().filter(move |(_, connection)| !connection.is_over(now))
    }

    /// The connections that can't be alive any more, and on which no frame is answered.
    pub fn over(&self, now: Time) -> impl Iterator<Item = (&ConnectionId, &Connection)> {
        self.connections.iter().filter(move |(_, connection)| connection.may_be_closed(now))
    }

    /// When the first of the connections ends.
    fn first_end(&self) -> Option<Time> {
        self.connections.values().map(|connection| connection.expires_at).min()
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
    /// Whether it can't be alive any more: it hears nothing.
    pub is_over: bool,
    /// Whether who meets it closes it.
    pub may_be_closed: bool,
}

impl Connected {
    /// Whether it can be pushed to by now, if ever: a connection is in presence a moment before its `$connect` has
    /// returned, and until then a push to it meets 410 as if it had gone.
    pub fn is_settled(&self, now: Time) -> bool {
        self.since.after(CONNECT_GRACE) <= now
    }
}

/// What became of registering a connection.
#[derive(Clone, Debug)]
pub enum Added {
    /// It is registered.
    Here(Stands),
    /// It was refused: there are [`CONNECTIONS_MAX`], perhaps with this one.
    Full(Stands),
    /// It was refused: the user has no item yet.
    NoItem,
}

/// What became of giving a user's connections their place in the index.
#[derive(Clone, Debug)]
pub enum Listed {
    /// They have it, or there are none.
    Here,
    /// It was refused: connections have come or gone.
    Changed(Stands),
}

/// A user's connections as they are kept, and where they stand in the index.
#[derive(Clone, Debug)]
pub struct Stands {
    /// The connections.
    pub presence: Presence,
    /// Their place.
    listing: Option<Listing>,
    /// The connections as they are written.
    connections: AttributeValue,
}

impl Stands {
    fn of(user: &UserId, item: Item) -> Result<Self, StoreError> {
        let connections = item.get("connections").cloned();
        let connections =
            connections.ok_or_else(|| StoreError::broken(&format!("the presence of {user} has no connections")))?;
        Ok(Self { listing: Listing::of(&item), connections, presence: from_item(item)? })
    }

    /// The place where the connections should stand, while there are any.
    pub fn due(&self, user: &UserId) -> Option<Listing> {
        Some(Listing::online(self.presence.first_end()?, user))
    }

    /// Whether they stand there.
    pub fn is_at(&self, place: &Listing) -> bool {
        self.listing.as_ref() == Some(place)
    }

    /// Whether the sweep would look only after the first connection has ended.
    pub fn is_late(&self, user: &UserId) -> bool {
        let due = self.due(user);
        self.listing
            .as_ref()
            .zip(due)
            .is_some_and(|(listing, due)| listing.differs_in_time_only(&due) && listing.sk > due.sk)
    }
}

/// Nobody has more connections than [`CONNECTIONS_MAX`]. What doesn't exist has no size.
pub const HAS_ROOM: Condition = Condition {
    name: "a registering",
    parts: &[Part { name: "the item is there, and has room", expression: "size(#connections) < :max" }],
};

/// Who was last seen when is said once for each connection.
pub const IS_CONNECTED: Condition = Condition {
    name: "a removal",
    parts: &[Part { name: "the connection is there", expression: "attribute_exists(#connections.#id)" }],
};

/// A connection that came or went meanwhile may make it another moment.
pub const CONNECTED_AS_SEEN: Condition = Condition {
    name: "a presence is listed",
    parts: &[Part { name: "nobody came or went since the look", expression: "#connections = :seen" }],
};

/// Only who has no connection leaves the index.
pub const NOBODY_CONNECTED: Condition = Condition {
    name: "a presence is unlisted",
    parts: &[Part { name: "no connection is left", expression: "size(#connections) = :zero" }],
};

impl Store {
    /// Registers a connection, **if** the user's item is there and has room.
    pub async fn presence_add(
        &self,
        user: &UserId,
        id: &ConnectionId,
        connection: &Connection,
    ) -> Result<Added, StoreError> {
        let update = self
            .update(Key::presence(user), &format!("SET #connections.#id = :connection, {LIST_IF_NOT_LISTED}"))
            .only_if(&HAS_ROOM)
            .name("#id", id.as_str())
            .value(":connection", attribute(connection)?)
            .at(&Listing::online(connection.expires_at, user))
            .value(":max", number(CONNECTIONS_MAX));
        match update.run().await? {
            Written::Done(item) => Ok(Added::Here(Stands::of(user, item)?)),
            Written::Refused(Some(item)) => Ok(Added::Full(Stands::of(user, item)?)),
            Written::Refused(None) => Ok(Added::NoItem),
        }
    }

    /// Makes a user's item with a first connection, **if there is none**; says whether it did.
    pub async fn presence_create(
        &self,
        user: &UserId,
        id: &ConnectionId,
        connection: &Connection,
    ) -> Result<bool, StoreError> {
        let connections = HashMap::from([(id.as_str().to_owned(), attribute(connection)?)]);
        let mut item = Item::from([("connections".to_owned(), AttributeValue::M(connections))]);
        item.extend(Listing::online(connection.expires_at, user).item());
        Ok(matches!(self.put_new(Key::presence(user), item).await?, Written::Done(_)))
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
        let mut update = self.update(Key::presence(user), expression).only_if(&IS_CONNECTED);
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

    /// Reads a user's connections, and where they stand in the index, perhaps a moment ago: what has changed since refuses
    /// whoever acts on it, and the sweep looks again.
    pub async fn presence_stands(&self, user: &UserId) -> Result<Option<Stands>, StoreError> {
        self.get(Key::presence(user), Read::Eventual).await?.map(|item| Stands::of(user, item)).transpose()
    }

    /// Has the sweep look at a user's connections when PLACE says, **if** they are those that were seen: one that has come or
    /// gone meanwhile may make it another moment.
    pub async fn presence_list(&self, user: &UserId, seen: Stands, place: &Listing) -> Result<Listed, StoreError> {
        let update = self.update(Key::presence(user), LIST).only_if(&CONNECTED_AS_SEEN).at(place);
        match update.value(":seen", seen.connections).run().await? {
            Written::Refused(Some(item)) => Ok(Listed::Changed(Stands::of(user, item)?)),
            Written::Done(_) | Written::Refused(None) => Ok(Listed::Here),
        }
    }

    /// Takes a user out of the index of those online, **if** no connection is left.
    pub async fn presence_unlist(&self, user: &UserId) -> Result<(), StoreError> {
        let update = self.update(Key::presence(user), UNLIST);
        update.only_if(&NOBODY_CONNECTED).value(":zero", number(0)).run().await.map(drop)
    }

    /// Reads the presence of many users, as far as it can be read; who was never here is left out.
    pub async fn presences(&self, users: &[UserId], read: Read) -> Result<HashMap<UserId, Presence>, StoreError> {
        let keys: Vec<Key> = users.iter().map(Key::presence).collect();
        let items = self.get_many(&keys, read).await?;
        let presence = |key: &Key, item| Ok((key.owner()?, from_item(item)?));
        Ok(Several::of(items, presence)?.read.into_iter().collect())
    }

    /// Where these users are connected, with what can't be alive any more and that nobody has taken out yet.
    pub async fn connected(&self, users: &[UserId], now: Time, read: Read) -> Result<Vec<Connected>, StoreError> {
        let mut connected: Vec<Connected> = Vec::new();
        for (user, presence) in self.presences(users, read).await? {
            connected.extend(presence.connections.iter().map(|(id, connection)| Connected {
                user: user.clone(),
                connection: id.clone(),
                since: connection.connected_at,
                is_over: connection.is_over(now),
                may_be_closed: connection.may_be_closed(now),
            }));
        }
        // The order that a map gives is another each time.
        connected.sort();
        Ok(connected)
    }
}
