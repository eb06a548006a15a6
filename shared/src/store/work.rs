//! The sparse index of what is due. An item is in it only while it has `work_pk` and `work_sk`.
//!
//! | `work_pk` | `work_sk` | the item | why |
//! |---|---|---|---|
//! | `OPEN#shard` | user | ACCOUNT | may have open sends: the sweep finishes and drops them |
//! | `UNSETTLED#shard` | user, entry | ENTRY | an earning that is not yet in the balance |
//! | `WAITING#shard` | since, user, conversation | INBOX | may hold what no device of its user has |
//! | `ONLINE#shard` | when, user | PRESENCE | may have live connections; the first of them ends then, and the sweep looks |
//! | `ARCHIVE#shard` | when, conversation | META | may have messages to be moved or deleted then: the cleanup looks |
//!
//! A row is a proposal: the index lags behind, so whoever acts on one reads the item itself first.

use futures::stream::{Stream, StreamExt as _, TryStreamExt as _, iter, try_unfold};
use sha2::{Digest as _, Sha256};
use wire::{ConversationId, Time, UserId};

use super::client::error::StoreError;
use super::client::item::{Item, text};
use super::client::{Store, Update};
use super::table::Key;
use crate::limits::{CLEANUP_LOOK_EVERY, CLEANUP_PAGE, CLOCKS_DIFFER_MAX, CONNECTION_LIFE, WORK_SHARDS};

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Accounts with open sends.
    Open,
    /// Earnings that are not yet in a balance.
    Unsettled,
    /// Conversations that may hold something undelivered.
    Waiting,
    /// Users with connections.
    Online,
    /// Conversations that the cleanup looks at.
    Archive,
}

/// Between a user and what follows: no user id has a control character, so no user's rows look like another's.
const SEPARATOR: char = '\u{1f}';

impl Work {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Unsettled => "UNSETTLED",
            Self::Waiting => "WAITING",
            Self::Online => "ONLINE",
            Self::Archive => "ARCHIVE",
        }
    }

    fn shard_pk(self, shard: u64) -> String {
        format!("{}#{shard}", self.prefix())
    }

    /// The partition of the rows of a user, or of a conversation.
    fn pk(self, of: &str) -> String {
        let hash = Sha256::digest(of.as_bytes());
        self.shard_pk(u64::from(hash[0]) % WORK_SHARDS)
    }
}

/// How an unsettled entry sorts: by user.
fn unsettled_sk(user: &UserId, entry_sk: &str) -> String {
    format!("{user}{SEPARATOR}{entry_sk}")
}

/// What the places of everything that sorts by time begin with, and those of earlier moments are below.
pub(super) fn before(moment: Time) -> String {
    format!("{:013}", moment.ms)
}

/// The latest moment for which a look of the cleanup's is set now, by any clock.
pub(super) fn latest_look(now: Time) -> Time {
    now.after(CLEANUP_LOOK_EVERY + CLOCKS_DIFFER_MAX)
}

/// When a connection ends at the latest that is registered now, by any clock.
pub(super) fn latest_end(now: Time) -> Time {
    now.after(CONNECTION_LIFE + CLOCKS_DIFFER_MAX)
}

/// What takes an item out of the index.
pub(super) const UNLIST: &str = "REMOVE #work_pk, #work_sk";

/// What puts an item into the index, or elsewhere in it.
pub(super) const LIST: &str = "SET #work_pk = :work_pk, #work_sk = :work_sk";

/// A place in the index of what is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Which kind of work, and which part of it.
    pub pk: String,
    /// Who or what is due, and in which order.
    pub sk: String,
}

impl Listing {
    /// Where an ACCOUNT with open sends stands.
    pub fn open(user: &UserId) -> Self {
        Self { pk: Work::Open.pk(user.as_str()), sk: user.as_str().to_owned() }
    }

    /// Where a PRESENCE with connections stands whose first connection ends then.
    pub fn online(until: Time, user: &UserId) -> Self {
        Self { pk: Work::Online.pk(user.as_str()), sk: format!("{}{SEPARATOR}{user}", before(until)) }
    }

    /// Where an ENTRY stands that isn't in the balance.
    pub fn unsettled(user: &UserId, entry_sk: &str) -> Self {
        Self { pk: Work::Unsettled.pk(user.as_str()), sk: unsettled_sk(user, entry_sk) }
    }

    /// Where an INBOX stands in which something waits.
    pub fn waiting(since: Time, user: &UserId, conversation: &ConversationId) -> Self {
        Self {
            pk: Work::Waiting.pk(user.as_str()),
            sk: format!("{}{SEPARATOR}{user}{SEPARATOR}{conversation}", before(since)),
        }
    }

    /// Where a META stands that the cleanup is to look at.
    pub fn archive(at: Time, conversation: &ConversationId) -> Self {
        Self { pk: Work::Archive.pk(conversation.as_str()), sk: format!("{}{SEPARATOR}{conversation}", before(at)) }
    }

    /// Whether both are the same place but for the time that they begin with.
    pub fn differs_in_time_only(&self, other: &Self) -> bool {
        let behind_time = |sk: &str| sk.split_once(SEPARATOR).map(|(_, rest)| rest.to_owned());
        self.pk == other.pk && behind_time(&self.sk) == behind_time(&other.sk)
    }

    /// Where an item stands.
    pub(super) fn of(item: &Item) -> Option<Self> {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        Some(Self { pk: text("work_pk")?, sk: text("work_sk")? })
    }

    /// The attributes that put an item there.
    pub(super) fn item(self) -> Item {
        Item::from([("work_pk".to_owned(), text(self.pk)), ("work_sk".to_owned(), text(self.sk))])
    }
}

impl Update<'_> {
    /// What `:work_pk` and `:work_sk` stand for.
    pub(super) fn at(self, listing: &Listing) -> Self {
        self.value(":work_pk", text(&listing.pk)).value(":work_sk", text(&listing.sk))
    }
}

impl Store {
    /// What is due of one kind, at most MAX rows in all, over all shards.
    pub async fn work_due(&self, work: Work, max: usize) -> Result<Vec<Key>, StoreError> {
        let each = max.div_ceil(usize::try_from(WORK_SHARDS).unwrap_or(1));
        let shards = (0..WORK_SHARDS).map(|shard| self.work_rows(work.shard_pk(shard), None, each));
        let mut rows: Vec<Key> = futures::future::try_join_all(shards).await?.into_iter().flatten().collect();
        rows.truncate(max);
        Ok(rows)
    }

    /// The conversations that were marked as waiting before a moment, or by a clock that was wrong, at most MAX.
    pub async fn work_waiting_since(&self, before: Time, now: Time, max: usize) -> Result<Vec<Key>, StoreError> {
        self.work_outside(Work::Waiting, before, now.after(CLOCKS_DIFFER_MAX), max).await
    }

    /// The users whose connections are due: the first of them has ended, stands further in the future than any connection
    /// lives, or has no time, as an earlier version listed them. At most MAX.
    pub async fn work_ended(&self, now: Time, max: usize) -> Result<Vec<Key>, StoreError> {
        self.work_outside(Work::Online, now, latest_end(now), max).await
    }

    /// What stands before one moment or after another, over all shards: of each shard at most its part of MAX of both.
    async fn work_outside(&self, work: Work, before: Time, after: Time, max: usize) -> Result<Vec<Key>, StoreError> {
        let each = max.div_ceil(usize::try_from(WORK_SHARDS).unwrap_or(1));
        let ranges = [("#work_sk < :sk", self::before(before)), ("#work_sk > :sk", self::before(after))];
        let rows = (0..WORK_SHARDS).flat_map(|shard| {
            let rows = move |range| self.work_rows(work.shard_pk(shard), Some(range), each);
            ranges.clone().map(rows)
        });
        Ok(futures::future::try_join_all(rows).await?.into_iter().flatten().collect())
    }

    /// The conversations of one shard that the cleanup was to look at before a moment, what was due first in front, and behind
    /// them those whose look was set by a clock that was wrong: read page by page, as they are asked for.
    pub fn work_looks(&self, shard: u64, now: Time) -> impl Stream<Item = Result<Key, StoreError>> + use<'_> {
        let latest = latest_look(now);
        self.work_looks_in(shard, "#work_sk < :sk", now).chain(self.work_looks_in(shard, "#work_sk > :sk", latest))
    }

    /// The conversations of one shard whose looks stand in a range.
    fn work_looks_in(
        &self,
        shard: u64,
        range: &'static str,
        moment: Time,
    ) -> impl Stream<Item = Result<Key, StoreError>> + use<'_> {
        let pages = try_unfold(Some(None), move |from: Option<Option<Item>>| async move {
            let Some(start) = from else { return Ok(None) };
            let query = self.query(&format!("#work_pk = :pk AND {range}")).value(":pk", Work::Archive.shard_pk(shard));
            let query = query.value(":sk", before(moment)).on_work_index().starting_after(start);
            let page = query.limit(CLEANUP_PAGE).page().await?;
            let rows = iter(page.items.into_iter().map(|item| Key::of(&item)));
            Ok(Some((rows, page.next.map(Some))))
        });
        pages.try_flatten()
    }

    /// The unsettled entries of one user that the index knows of, at most MAX.
    pub(super) async fn work_unsettled_of(&self, user: &UserId, max: usize) -> Result<Vec<Key>, StoreError> {
        let range = ("begins_with(#work_sk, :sk)", unsettled_sk(user, ""));
        self.work_rows(Work::Unsettled.pk(user.as_str()), Some(range), max).await
    }

    /// Rows of one shard, page by page until MAX.
    async fn work_rows(&self, pk: String, range: Option<(&str, String)>, max: usize) -> Result<Vec<Key>, StoreError> {
        let mut rows = Vec::new();
        let mut start = None;
        loop {
            let rest = u32::try_from(max - rows.len()).unwrap_or(u32::MAX);
            let query = match &range {
                None => self.query("#work_pk = :pk"),
                Some((condition, sk)) => {
                    self.query(&format!("#work_pk = :pk AND {condition}")).value(":sk", sk.clone())
                }
            };
            let page = query.value(":pk", pk.clone()).on_work_index().starting_after(start).limit(rest).page().await?;
            for item in &page.items {
                rows.push(Key::of(item)?);
            }
            start = page.next;
            if start.is_none() || rows.len() >= max {
                return Ok(rows);
            }
        }
    }
}
