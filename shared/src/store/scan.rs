//! The whole table, page by page, for [`crate::chat::verify`] alone: no index lists everything, and one that is broken would hide
//! what it lacks. What a page shows is a proposal: whoever finds something wrong with it reads strongly before saying so.
//!
//! Also what `verify` needs beyond what the functions do: an item with its place in the index, and putting it there.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wire::{Coins, ConversationId, IdempotencyKey, Seq, UserId};

use super::blocks::{Block, blocked_by};
use super::client::condition::{Condition, Part};
use super::client::error::StoreError;
use super::client::item::{Item, from_item, number};
use super::client::{Read, Store};
use super::ledger::Entry;
use super::log::{Slot, seq_of};
use super::profiles::Profile;
use super::receipts::Receipt;
use super::several::Several;
use super::table::{
    BLOCK_PREFIX, ENTRY_PREFIX, INBOX_PREFIX, Key, LOG_PREFIX, MEMBER_PREFIX, RECEIPT_PREFIX, SEGMENT_PREFIX,
    TOPUP_PREFIX, user_pk,
};
use super::work::{LIST, Listing};

/// What a scan brings of the items: all that a RECEIPT, an ENTRY and a BLOCK have. No content.
const SCANNED: &str = "#pk, #sk, #cmid, #fingerprint, #conversation, #seq, #price, #created_at, #void, #kind, #amount, \
                       #counterparty, #version, #blocked, #delivered_seq, #read_seq, #work_pk, #work_sk";
/// What the lines of a ledger are added up from.
const LEDGER: &str = "#pk, #sk, #kind, #amount, #created_at, #work_pk, #work_sk";

/// What is said of a key that is none of ours.
const UNKNOWN: &str = "no kind of item has such a key";

/// An item, by its kind.
#[derive(Debug)]
pub enum Found {
    /// ACCOUNT.
    Account(UserId),
    /// PROFILE.
    Profile,
    /// BLOCK.
    Block,
    /// PRESENCE.
    Presence(UserId),
    /// INBOX.
    Inbox(UserId, ConversationId),
    /// RECEIPT.
    Receipt(UserId, Box<Receipt>),
    /// ENTRY.
    Entry(UserId, Line),
    /// TOPUP.
    Topup,
    /// META.
    Meta(ConversationId),
    /// MEMBER.
    Member(ConversationId),
    /// TAIL.
    Tail(ConversationId),
    /// SEGMENT.
    Segment(ConversationId),
    /// LOG.
    Log(ConversationId),
    /// What can't be read: why.
    Unknown(String),
}

impl Found {
    /// The kind's name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Account(_) => "ACCOUNT",
            Self::Profile => "PROFILE",
            Self::Block => "BLOCK",
            Self::Presence(_) => "PRESENCE",
            Self::Inbox(..) => "INBOX",
            Self::Receipt(..) => "RECEIPT",
            Self::Entry(..) => "ENTRY",
            Self::Topup => "TOPUP",
            Self::Meta(_) => "META",
            Self::Member(_) => "MEMBER",
            Self::Tail(_) => "TAIL",
            Self::Segment(_) => "SEGMENT",
            Self::Log(_) => "LOG",
            Self::Unknown(_) => "UNKNOWN",
        }
    }
}

/// One line of a ledger, with its key and its place in the index.
#[derive(Debug)]
pub struct Line {
    /// Its sort key.
    pub sk: String,
    /// What it says.
    pub entry: Entry,
    /// Where it stands in the index: there until it is folded into the balance.
    pub listing: Option<Listing>,
}

impl Line {
    /// What follows the time in its key.
    pub fn id(&self) -> &str {
        self.sk.splitn(3, '#').nth(2).unwrap_or_default()
    }
}

/// Why an item must be in the index: the condition on which it is put there.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    /// ACCOUNT: sends are open.
    Open,
    /// PRESENCE: there are connections.
    Online,
    /// ENTRY: it stands in the index, at a wrong place.
    Unsettled,
    /// INBOX: something is undelivered.
    Waiting,
    /// META: the cleanup hasn't said that it has nothing more to do.
    Archive,
}

impl Due {
    const fn condition(self) -> &'static Condition {
        match self {
            Self::Open => &STILL_OPEN,
            Self::Online => &STILL_ONLINE,
            Self::Unsettled => &STILL_UNSETTLED,
            Self::Waiting => &STILL_WAITING,
            Self::Archive => &STILL_TO_ARCHIVE,
        }
    }
}

/// Of [`Due::Open`].
pub const STILL_OPEN: Condition = Condition {
    name: "an account is listed",
    parts: &[Part { name: "sends are open", expression: "size(#open) > :zero" }],
};

/// Of [`Due::Online`].
pub const STILL_ONLINE: Condition = Condition {
    name: "a presence is listed anew",
    parts: &[Part { name: "there are connections", expression: "size(#connections) > :zero" }],
};

/// Of [`Due::Unsettled`].
pub const STILL_UNSETTLED: Condition = Condition {
    name: "an entry is listed",
    parts: &[Part { name: "it is not folded yet", expression: "attribute_exists(#work_pk)" }],
};

/// Of [`Due::Waiting`].
pub const STILL_WAITING: Condition = Condition {
    name: "an inbox is listed",
    parts: &[Part { name: "something is undelivered", expression: "#delivered_seq < #last_seq" }],
};

/// Of [`Due::Archive`].
pub const STILL_TO_ARCHIVE: Condition = Condition {
    name: "a conversation is listed",
    parts: &[
        Part { name: "it is there", expression: "attribute_exists(#first_seq)" },
        Part { name: "the cleanup has something to do", expression: "attribute_not_exists(#idle)" },
    ],
};

impl Store {
    /// A page of the whole table, eventually consistent, and where the next one starts.
    pub async fn scan(&self, after: Option<&Key>, limit: u32) -> Result<(Vec<(Key, Found)>, Option<Key>), StoreError> {
        let page = self.scan_page(SCANNED, after, limit).await?;
        let items = page.items.into_iter().map(|item| Ok((Key::of(&item)?, found(item)?)));
        let next = page.next.as_ref().map(Key::of).transpose()?;
        Ok((items.collect::<Result<_, StoreError>>()?, next))
    }

    /// Reads an item, strongly, with its place in the index.
    pub async fn kept<T: DeserializeOwned>(&self, key: Key) -> Result<Option<(T, Option<Listing>)>, StoreError> {
        let Some(item) = self.get(key, Read::Strong).await? else { return Ok(None) };
        let listing = Listing::of(&item);
        Ok(Some((from_item(item)?, listing)))
    }

    /// Puts an item at its place in the index, **if** it is still due.
    pub async fn list(&self, key: Key, due: Due, listing: &Listing) -> Result<(), StoreError> {
        let update = self.update(key, LIST).only_if(due.condition()).at(listing);
        let update = match due {
            Due::Open | Due::Online => update.value(":zero", number(0)),
            Due::Unsettled | Due::Waiting | Due::Archive => update,
        };
        update.run().await.map(drop)
    }

    /// A page of a user's ledger, strongly and as far as it can be read, and where the next one starts.
    pub async fn ledger_page(
        &self,
        user: &UserId,
        after: Option<Item>,
    ) -> Result<(Vec<Line>, Option<Item>), StoreError> {
        let query = self.query("#pk = :pk AND begins_with(#sk, :sk)").value(":pk", user_pk(user));
        let query = query.value(":sk", ENTRY_PREFIX).read(Read::Strong).project(LEDGER).starting_after(after);
        let page = query.page().await?;
        Ok((Several::of(page.items, |_, item| line(item))?.read, page.next))
    }

    /// Lines of ledgers, strongly, by their keys; those that don't exist are left out.
    pub async fn ledger_lines(&self, keys: &[Key]) -> Result<HashMap<Key, Entry>, StoreError> {
        let items = self.get_many(keys, Read::Strong).await?;
        items.into_iter().map(|item| Ok((Key::of(&item)?, from_item(item)?))).collect()
    }

    /// What top-ups fix, strongly, by their keys; those that don't exist are left out.
    pub async fn topups(&self, keys: &[Key]) -> Result<HashMap<Key, Coins>, StoreError> {
        #[derive(Deserialize)]
        struct Topup {
            amount: Coins,
        }
        let items = self.get_many(keys, Read::Strong).await?;
        let topup = |key: &Key, item| Ok((key.clone(), from_item::<Topup>(item)?.amount));
        Ok(Several::of(items, topup)?.read.into_iter().collect())
    }

    /// Who holds these slots, strongly; those that don't exist are left out.
    pub async fn log_slots_at(
        &self,
        conversation: &ConversationId,
        numbers: impl Iterator<Item = Seq>,
    ) -> Result<HashMap<Seq, Slot>, StoreError> {
        let keys: Vec<Key> = numbers.map(|seq| Key::log(conversation, seq)).collect();
        let items = self.get_many(&keys, Read::Strong).await?;
        items.into_iter().map(|item| Ok((seq_of(&item)?, from_item(item)?))).collect()
    }
}

fn line(item: Item) -> Result<Line, StoreError> {
    let (sk, listing) = (Key::of(&item)?.sk, Listing::of(&item));
    Ok(Line { sk, listing, entry: from_item(item)? })
}

/// What an item is. One that isn't as it should be is no error: it is what is looked for.
fn found(item: Item) -> Result<Found, StoreError> {
    let key = Key::of(&item)?;
    let found = match (key.conversation(), key.owner()) {
        (Ok(conversation), _) => of_conversation(&key, conversation),
        (_, Ok(user)) => of_user(&key, user, item),
        _ => Err(UNKNOWN.to_owned()),
    };
    Ok(found.unwrap_or_else(Found::Unknown))
}

fn of_conversation(key: &Key, conversation: ConversationId) -> Result<Found, String> {
    match key.sk.as_str() {
        "META" => Ok(Found::Meta(conversation)),
        "TAIL" => Ok(Found::Tail(conversation)),
        sk if sk.starts_with(MEMBER_PREFIX) && key.member_user().is_ok() => Ok(Found::Member(conversation)),
        sk if sk.starts_with(SEGMENT_PREFIX) => Ok(Found::Segment(conversation)),
        sk if sk.starts_with(LOG_PREFIX) => Ok(Found::Log(conversation)),
        _ => Err(UNKNOWN.to_owned()),
    }
}

fn of_user(key: &Key, user: UserId, item: Item) -> Result<Found, String> {
    let broken = |error: StoreError| error.to_string();
    match key.sk.as_str() {
        "ACCOUNT" => Ok(Found::Account(user)),
        "PROFILE" => from_item::<Profile>(item).map(|_| Found::Profile).map_err(broken),
        "PRESENCE" => Ok(Found::Presence(user)),
        sk => match () {
            () if sk.starts_with(ENTRY_PREFIX) => line(item).map(|line| Found::Entry(user, line)).map_err(broken),
            () if sk.starts_with(RECEIPT_PREFIX) => {
                from_item(item).map(|receipt| Found::Receipt(user, Box::new(receipt))).map_err(broken)
            }
            () if sk.starts_with(INBOX_PREFIX) => {
                sk[INBOX_PREFIX.len()..].parse().map(|conversation| Found::Inbox(user, conversation))
            }
            () if sk.starts_with(BLOCK_PREFIX) => {
                blocked_by(key).and_then(|_| from_item::<Block>(item)).map(|_| Found::Block).map_err(broken)
            }
            () if sk.starts_with(TOPUP_PREFIX) => {
                sk[TOPUP_PREFIX.len()..].parse().map(|_: IdempotencyKey| Found::Topup)
            }
            () => Err(UNKNOWN.to_owned()),
        },
    }
}
