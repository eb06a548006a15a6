//! ACCOUNT: what a user can spend, and the sends that are under way. Every decision about a send is one write on it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wire::limits::COINS_MAX;
use wire::{ClientMessageId, Coins, ConversationId, Fingerprint, SendId, Seq, Time, UserId};

use super::client::condition::{Condition, Part};
use super::client::error::StoreError;
use super::client::item::{AttributeValue, Item, attribute, from_item, ms, number, text};
use super::client::{Read, Store, Update, Written};
use super::several::Several;
use super::table::Key;
use super::work::{LIST, LIST_IF_NOT_LISTED, Listing, UNLIST};
use crate::limits::{CLOCKS_DIFFER_MAX, OPEN_MAX};

/// A send that was decided and is not yet dropped. No content: ACCOUNT is written often and each write costs its size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSend {
    /// The sender's id of it; its RECEIPT is found by it.
    #[serde(rename = "cmid")]
    pub client_message_id: ClientMessageId,
    /// Where it goes.
    #[serde(rename = "conv")]
    pub conversation: ConversationId,
    /// Its number will be above this.
    pub base: Seq,
    /// What it costs.
    pub price: Coins,
    /// What the receiver earns.
    #[serde(rename = "earn")]
    pub earning: Coins,
    /// Who gets the rest, if there is a rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub house: Option<UserId>,
    /// What it says, hashed.
    #[serde(rename = "print")]
    pub fingerprint: Fingerprint,
    /// When it was decided; the message's time, whoever publishes it.
    #[serde(rename = "at", with = "ms")]
    pub claimed_at: Time,
}

/// A user's account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// What can be spent.
    pub balance: Coins,
    /// Sends that are under way, or finished and not yet dropped.
    pub open: BTreeMap<SendId, OpenSend>,
    /// Counts the drops.
    pub epoch: u64,
    /// No time-ordered id above this was ever dropped, where `upto_epoch` is the epoch: a send with such an id, which isn't open,
    /// was never claimed.
    #[serde(default)]
    pub dropped_upto: String,
    /// At which epoch `dropped_upto` was true. Another epoch means that a function has dropped which didn't know of it; accounts
    /// that such a function has made have none.
    #[serde(default)]
    pub upto_epoch: Option<u64>,
    /// When the sends so far would have ended at the sustained rate: the "theoretical arrival time" of GCRA
    /// (ITU-T I.371), milliseconds since 1970.
    #[serde(default)]
    pub rate_until: i64,
    /// Counts the foldings of earnings.
    #[serde(default)]
    pub settle_version: u64,
    /// The entries that the last folding took, until their flags are removed.
    #[serde(default)]
    pub settling: BTreeSet<String>,
}

impl Account {
    /// Whether `dropped_upto` says all that was dropped.
    pub fn tells_what_was_dropped(&self) -> bool {
        self.upto_epoch == Some(self.epoch)
    }

    /// Whether this account tells, without a RECEIPT, that a send was never claimed.
    pub fn tells_that_unclaimed(&self, id: &SendId, client_message_id: &ClientMessageId) -> bool {
        client_message_id.is_time_ordered()
            && self.tells_what_was_dropped()
            && client_message_id.as_str() > self.dropped_upto.as_str()
            && !self.open.contains_key(id)
    }

    /// How much more can be held beside the balance and what open sends took from it, which refunds may bring back. Claims and
    /// refunds leave that sum as it is and only a folding raises it, so what is said here stays true until then. Nothing, where
    /// it is more than can be held already.
    pub fn room(&self) -> Option<Coins> {
        let held = self.open.values().try_fold(self.balance, |sum, send| sum.checked_add(send.price))?;
        Some(Coins(COINS_MAX - held.0))
    }

    /// Whether so much more can be held.
    pub fn has_room_for(&self, more: Coins) -> bool {
        self.room().is_some_and(|room| more <= room)
    }
}

/// How fast a user may send.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Milliseconds from one send to the next, in the long run.
    interval_ms: i64,
    /// How far ahead of the clock `rate_until` may be before a send.
    ahead_ms: i64,
}

impl Rate {
    /// So many a second, so many at once.
    pub fn new(sends_per_second: u64, burst: u64) -> Self {
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let interval_ms = 1_000 / whole(sends_per_second).max(1);
        Self { interval_ms, ahead_ms: interval_ms.saturating_mul(whole(burst) - 1) }
    }

    /// From where on a `rate_until` was set by a clock that was wrong: no send sets it so high now, by any other.
    fn beyond(self, now: Time) -> i64 {
        now.after(CLOCKS_DIFFER_MAX).ms.saturating_add(self.ahead_ms).saturating_add(self.interval_ms).saturating_add(1)
    }

    /// How long an account must wait before its next send; nothing when it may send.
    pub fn wait(self, account: &Account, now: Time) -> Option<Duration> {
        if account.rate_until >= self.beyond(now) {
            return None;
        }
        let wait = account.rate_until - now.ms - self.ahead_ms;
        u64::try_from(wait).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
    }
}

/// What the decision about a send asks for.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// The send's id.
    pub id: &'a SendId,
    /// What is recorded.
    pub send: &'a OpenSend,
    /// What tells that it was never claimed before.
    pub by: ClaimBy,
    /// Which open sends are dropped by the same write: those that are known to have become messages, with all that follows.
    pub drops: &'a [SendId],
    /// To which of their ids `dropped_upto` is raised, if it must be.
    pub raises_to: Option<&'a str>,
    /// How fast the user may send.
    pub rate: Rate,
    /// What the account's `rate_until` was when last seen. It only chooses the form of the write.
    pub rate_until: i64,
}

/// What tells that a send was never claimed before, if it isn't open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimBy {
    /// The epoch that a look saw, which then found no RECEIPT.
    Epoch(u64),
    /// Its id: it sorts by time, and is above all that were dropped.
    Id,
}

/// What became of a claim.
#[derive(Debug)]
pub enum Claimed {
    /// It was made; the account as it is now.
    Here(Account),
    /// It was not; the account as it was. It may hold our own claim, made by an attempt whose answer was lost.
    Refused(Account),
}

/// Sends that have ended, to be taken out of an account.
#[derive(Clone, Debug)]
pub struct Drop {
    /// The epoch of the ACCOUNT read that named them.
    pub epoch: u64,
    /// Which.
    pub ids: Vec<SendId>,
    /// What the void ones among them had cost.
    pub refund: Coins,
    /// The highest time-ordered id that is dropped then, with these, where that is known.
    pub upto: Option<String>,
}

/// What became of a drop of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It was made.
    Here,
    /// It was not: another drop was, or this one, whose answer was lost.
    ByAnother,
    /// It was not: a send has been claimed.
    NotAll,
}

const CLAIMED_ONCE: Part = Part { name: "a send is claimed once", expression: "attribute_not_exists(#open.#sid)" };
const ABOVE_ALL_DROPPED: Part =
    Part { name: "its id is above all that were dropped", expression: "#dropped_upto < :cmid" };
const ALL_DROPS_TOLD: Part =
    Part { name: "no function has dropped that doesn't say up to where", expression: "#epoch = #upto_epoch" };
const CAN_BE_PAID: Part = Part { name: "it can be paid", expression: "#balance >= :price" };
const THERE_IS_ROOM: Part = Part { name: "there is room", expression: "size(#open) < :open_max" };
const RATE_HOLDS: Part = Part {
    name: "the rate holds",
    expression: "(attribute_not_exists(#rate_until) OR #rate_until BETWEEN :rate_from AND :rate_to)",
};

/// A send is decided.
pub const CLAIM: Condition = Condition {
    name: "a claim",
    parts: &[
        CLAIMED_ONCE,
        Part { name: "no drop has removed it since the look", expression: "#epoch = :epoch" },
        CAN_BE_PAID,
        THERE_IS_ROOM,
        RATE_HOLDS,
    ],
};

/// A send is decided whose id tells that it never was before.
pub const CLAIM_BY_ID: Condition = Condition {
    name: "a claim by id",
    parts: &[CLAIMED_ONCE, ABOVE_ALL_DROPPED, ALL_DROPS_TOLD, CAN_BE_PAID, THERE_IS_ROOM, RATE_HOLDS],
};

/// The same, and others are dropped of which one has a higher id than all that were dropped so far. That one is still open, so
/// this claim needs no more room than there is.
pub const CLAIM_BY_ID_RAISES: Condition = Condition {
    name: "a claim by id that drops",
    parts: &[
        CLAIMED_ONCE,
        ABOVE_ALL_DROPPED,
        ALL_DROPS_TOLD,
        Part { name: "what was dropped so far only rises", expression: "#dropped_upto < :upto" },
        CAN_BE_PAID,
        RATE_HOLDS,
    ],
};

/// Every slot up to a base was seen as another's: what was seen further is not forgotten.
pub const BASE_IS_LOWER: Condition = Condition {
    name: "a base rises",
    parts: &[Part { name: "it is open, and its base lower", expression: "#open.#sid.#base < :base" }],
};

/// Sends are dropped once, and a look that saw neither an entry nor its RECEIPT meets another epoch.
pub const NOT_DROPPED_SINCE: Condition = Condition {
    name: "a drop",
    parts: &[Part { name: "no other drop since the look", expression: "#epoch = :epoch" }],
};

/// The last open sends are dropped, and with them the account's place in the index.
pub const DROPS_ALL: Condition = Condition {
    name: "a drop of all",
    parts: &[
        Part { name: "no other drop since the look", expression: "#epoch = :epoch" },
        Part { name: "no send was claimed since", expression: "size(#open) = :count" },
    ],
};

/// Only an account without open sends leaves the index.
pub const NOTHING_OPEN: Condition = Condition {
    name: "an account is unlisted",
    parts: &[Part { name: "no send is open", expression: "size(#open) = :zero" }],
};

/// Earnings are folded once.
pub const NOT_FOLDED_SINCE: Condition = Condition {
    name: "a folding",
    parts: &[Part { name: "no other folding since the look", expression: "#settle_version = :version" }],
};

/// These entries of `open`, as an expression names them.
fn entries_of(ids: &[SendId]) -> String {
    (0..ids.len()).map(|n| format!("#open.#sid{n}")).collect::<Vec<_>>().join(", ")
}

impl Update<'_> {
    /// What [`entries_of`] stands for.
    fn names_of(self, ids: &[SendId]) -> Self {
        ids.iter().enumerate().fold(self, |update, (n, id)| update.name(&format!("#sid{n}"), id.as_str()))
    }
}

impl Store {
    /// Reads an account, strongly; one that doesn't exist yet is created.
    pub async fn account(&self, user: &UserId) -> Result<Account, StoreError> {
        match self.account_if_any(user).await? {
            Some(account) => Ok(account),
            None => self.account_create(user).await,
        }
    }

    /// Reads an account, strongly.
    pub async fn account_if_any(&self, user: &UserId) -> Result<Option<Account>, StoreError> {
        self.get(Key::account(user), Read::Strong).await?.map(from_item).transpose()
    }

    /// Reads many accounts, as far as they can be read.
    pub async fn accounts(&self, keys: &[Key]) -> Result<Vec<Account>, StoreError> {
        Ok(Several::of(self.get_many(keys, Read::Eventual).await?, |_, item| from_item(item))?.read)
    }

    /// Creates an account **if there is none**. `open` must be there: `DynamoDB` can't set an entry of a missing map.
    async fn account_create(&self, user: &UserId) -> Result<Account, StoreError> {
        let zero = || number(0);
        let item = Item::from([
            ("balance".to_owned(), zero()),
            ("open".to_owned(), AttributeValue::M(Item::new())),
            ("epoch".to_owned(), zero()),
            ("dropped_upto".to_owned(), text("")),
            ("upto_epoch".to_owned(), zero()),
            ("settle_version".to_owned(), zero()),
        ]);
        match self.put_new(Key::account(user), item).await? {
            Written::Refused(Some(item)) => from_item(item),
            _ => Ok(Account { upto_epoch: Some(0), ..Account::default() }),
        }
    }

    /// Decides a send: records it and takes its price, **if** it is not recorded (once only), **and** it was never dropped (the
    /// epoch is the one seen, or its id is above all that were), **and** the balance covers it, **and** there is room (or what it
    /// drops makes some), **and** the rate holds. What has ended is dropped by the same write: that costs nothing more.
    ///
    /// The rate has three forms, as an expression knows no maximum: from now on, when the last send is long ago; from
    /// `rate_until` on otherwise; and as if a whole burst had just been sent, where `rate_until` was set by a clock that was
    /// wrong. The condition holds only while `rate_until` is where the form is the right one; it is never taken away.
    pub async fn account_claim(&self, user: &UserId, claim: &Claim<'_>) -> Result<Claimed, StoreError> {
        let (rate, now) = (claim.rate, claim.send.claimed_at.ms);
        let beyond = rate.beyond(claim.send.claimed_at);
        let (rate_set, rate_next, rate_from, rate_to) = if claim.rate_until <= now {
            (":rate_next", now + rate.interval_ms, 0, now)
        } else if claim.rate_until >= beyond {
            (":rate_next", now + rate.ahead_ms + rate.interval_ms, beyond, i64::MAX)
        } else {
            ("#rate_until + :rate_next", rate.interval_ms, 0, now + rate.ahead_ms)
        };
        let dropped = entries_of(claim.drops);
        let counted =
            if dropped.is_empty() { "" } else { ", #epoch = #epoch + :one, #upto_epoch = #upto_epoch + :one" };
        let raised = if claim.raises_to.is_some() { ", #dropped_upto = :upto" } else { "" };
        let expression = format!(
            "SET #open.#sid = :send, #balance = #balance - :price, #rate_until = {rate_set}, \
             {LIST_IF_NOT_LISTED}{counted}{raised}{}",
            if dropped.is_empty() { String::new() } else { format!(" REMOVE {dropped}") }
        );
        let mut update = self.update(Key::account(user), &expression).names_of(claim.drops);
        if !dropped.is_empty() {
            update = update.value(":one", number(1));
        }
        if let Some(upto) = claim.raises_to {
            update = update.value(":upto", text(upto));
        }
        let (cmid, room) = (text(claim.send.client_message_id.as_str()), number(OPEN_MAX));
        update = match (claim.by, claim.raises_to) {
            (ClaimBy::Epoch(epoch), _) => {
                update.only_if(&CLAIM).value(":epoch", number(epoch)).value(":open_max", room)
            }
            (ClaimBy::Id, None) => update.only_if(&CLAIM_BY_ID).value(":cmid", cmid).value(":open_max", room),
            (ClaimBy::Id, Some(_)) => update.only_if(&CLAIM_BY_ID_RAISES).value(":cmid", cmid),
        };
        let update = update
            .name("#sid", claim.id.as_str())
            .value(":send", attribute(claim.send)?)
            .value(":price", number(claim.send.price.0))
            .value(":rate_next", number(rate_next))
            .value(":rate_from", number(rate_from))
            .value(":rate_to", number(rate_to))
            .at(&Listing::open(claim.send.claimed_at, user));
        match update.run().await? {
            Written::Done(item) => Ok(Claimed::Here(from_item(item)?)),
            Written::Refused(Some(item)) => Ok(Claimed::Refused(from_item(item)?)),
            Written::Refused(None) => Err(StoreError::broken("the account has gone")),
        }
    }

    /// Raises the number above which an open send looks for its slot, **if** it is still open and lower.
    /// Every slot up to BASE was seen as another's.
    pub async fn account_raise_base(&self, user: &UserId, id: &SendId, base: Seq) -> Result<(), StoreError> {
        let update = self.update(Key::account(user), "SET #open.#sid.#base = :base");
        let update = update.only_if(&BASE_IS_LOWER).name("#sid", id.as_str()).value(":base", number(base));
        update.run().await.map(drop)
    }

    /// Removes finished sends and counts the drop, **if** the epoch is still the one of the ACCOUNT read that named them:
    /// so a look that saw neither an entry nor its RECEIPT meets another epoch. Returns whether it was made; if not, another drop
    /// was.
    pub async fn account_drop(&self, user: &UserId, drop: &Drop) -> Result<bool, StoreError> {
        let update = self.drop_of(user, drop, "").only_if(&NOT_DROPPED_SINCE);
        Ok(matches!(update.run().await?, Written::Done(_)))
    }

    /// Removes all open sends, as [`Store::account_drop`] does, and takes the account out of the index in the same write: **if**
    /// the epoch is still the one of the ACCOUNT read that named them, **and** they are all there is.
    pub async fn account_drop_all(&self, user: &UserId, drop: &Drop) -> Result<Dropped, StoreError> {
        let update = self.drop_of(user, drop, ", #work_pk, #work_sk").only_if(&DROPS_ALL);
        match update.value(":count", number(drop.ids.len())).run().await? {
            Written::Done(_) => Ok(Dropped::Here),
            Written::Refused(Some(there)) => {
                let there: Account = from_item(there)?;
                Ok(if there.epoch == drop.epoch { Dropped::NotAll } else { Dropped::ByAnother })
            }
            Written::Refused(None) => Err(StoreError::broken("the account has gone")),
        }
    }

    /// The write of a drop; ALSO is what else it removes.
    fn drop_of(&self, user: &UserId, drop: &Drop, also: &str) -> Update<'_> {
        let told = if drop.upto.is_some() { ", #dropped_upto = :upto, #upto_epoch = #epoch + :one" } else { "" };
        let expression = format!(
            "REMOVE {}{also} SET #epoch = #epoch + :one, #balance = #balance + :refund{told}",
            entries_of(&drop.ids)
        );
        let mut update = self.update(Key::account(user), &expression).names_of(&drop.ids);
        if let Some(upto) = &drop.upto {
            update = update.value(":upto", text(upto));
        }
        let update = update.value(":one", number(1)).value(":refund", number(drop.refund.0));
        update.value(":epoch", number(drop.epoch))
    }

    /// Has the sweep look at an account's open sends when those of this time are old.
    ///
    /// No condition: whoever lists it says a time that has been, so the sweep looks soon enough, and where another has taken
    /// it out meanwhile it looks once for nothing.
    pub async fn account_list(&self, user: &UserId, since: Time) -> Result<(), StoreError> {
        self.update(Key::account(user), LIST).at(&Listing::open(since, user)).run().await.map(drop)
    }

    /// Takes an account out of the index of open sends, **if** it has none.
    pub async fn account_unlist(&self, user: &UserId) -> Result<(), StoreError> {
        let update = self.update(Key::account(user), UNLIST);
        update.only_if(&NOTHING_OPEN).value(":zero", number(0)).run().await.map(drop)
    }

    /// Folds earnings into the balance, **if** no folding has been made since the account was read. `settling` comes only
    /// with a new version, so none is half done either. If it fails, nothing may be assumed.
    pub async fn account_fold(
        &self,
        user: &UserId,
        version: u64,
        entries: &[String],
        sum: Coins,
    ) -> Result<bool, StoreError> {
        let update = self.update(
            Key::account(user),
            "SET #balance = #balance + :sum, #settling = :entries, #settle_version = :next",
        );
        let update = update
            .only_if(&NOT_FOLDED_SINCE)
            .value(":sum", number(sum.0))
            .value(":entries", AttributeValue::Ss(entries.to_vec()))
            .value(":version", number(version))
            .value(":next", number(version + 1));
        Ok(matches!(update.run().await?, Written::Done(_)))
    }

    /// Ends a folding, **if** it is still the one of this version.
    pub async fn account_folded(&self, user: &UserId, version: u64) -> Result<(), StoreError> {
        let update = self.update(Key::account(user), "REMOVE #settling");
        update.only_if(&NOT_FOLDED_SINCE).value(":version", number(version)).run().await.map(drop)
    }
}
