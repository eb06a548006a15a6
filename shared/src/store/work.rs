//! The sparse index of what is due. An item is in it only while it has `work_pk` and `work_sk`.
//!
//! | `work_pk` | `work_sk` | the item | why |
//! |---|---|---|---|
//! | `OPEN#shard` | since, user | ACCOUNT | may have open sends: the sweep finishes and drops them |
//! | `UNSETTLED#shard` | user, entry | ENTRY | an earning that is not yet in the balance |
//! | `WAITING#shard` | since, user, conversation | INBOX | may hold what no device of its user has |
//! | `ONLINE#shard` | when, user | PRESENCE | may have live connections; the first of them ends then, and the sweep looks |
//! | `ARCHIVE#shard` | when, conversation | META | may have messages to be moved or deleted then: the cleanup looks |
//!
//! A row is a proposal: the index lags behind, so whoever acts on one reads the item itself first.
//!
//! What is due stands by a time and keeps its place while it is listed, so what has waited longest comes first; what was
//! looked at and stays due goes to the end. Unsettled earnings stand by user, as settling asks for one user's: who walks
//! through all of them goes on where the last walk ended.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{Stream, StreamExt as _, TryStreamExt as _, iter, try_unfold};
use sha2::{Digest as _, Sha256};
use wire::{ConversationId, Time, UserId};

use super::client::error::StoreError;
use super::client::item::{Item, text};
use super::client::{Store, Update};
use super::several::Several;
use super::table::{ENTRY_PREFIX, INBOX_PREFIX, Key};
use crate::clock::is_to_come;
use crate::limits::{
    CLEANUP_LOOK_EVERY, CLOCKS_DIFFER_MAX, CONNECTION_LIFE, FOLD_AFTER, MEMBER_PATIENCE, TOMBSTONE_LIFE, VOID_AFTER,
    WAITING_MARK_LIFE, WORK_PAGE, WORK_SHARDS,
};

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
    /// Memberships whose change isn't done, and tombstones that wait for their end.
    Member,
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
            Self::Member => "MEMBER",
        }
    }

    /// Which item a row proposes. What is listed there besides, a later version has put there: it is passed over, as no function
    /// may read what isn't a user's or a conversation's.
    fn key(self, key: &Key) -> Result<Key, StoreError> {
        let sk = key.sk.as_str();
        let is_known = match self {
            Self::Open => sk == "ACCOUNT" && key.owner().is_ok(),
            Self::Online => sk == "PRESENCE" && key.owner().is_ok(),
            Self::Unsettled => sk.starts_with(ENTRY_PREFIX) && key.owner().is_ok(),
            Self::Waiting => sk.starts_with(INBOX_PREFIX) && key.owner().is_ok(),
            Self::Archive => sk == "META" && key.conversation().is_ok(),
            Self::Member => key.conversation().is_ok() && key.member_user().is_ok(),
        };
        if is_known {
            return Ok(key.clone());
        }
        Err(StoreError::broken(&format!("{key} is listed in {}, and of no kind that belongs there", self.prefix())))
    }

    /// Which items these rows propose.
    fn keys(self, rows: Vec<Item>) -> Result<Vec<Key>, StoreError> {
        Ok(Several::of(rows, |key, _| self.key(key))?.read)
    }

    fn shard_pk(self, shard: u64) -> String {
        format!("{}#{shard}", self.prefix())
    }

    /// Which rows are due: those that stand before the first moment, and, behind them, those after the second, which a
    /// clock that was wrong has set. A row without a time, as an earlier version listed some, is on either side.
    fn due(self, now: Time) -> [(&'static str, Time); 2] {
        let (before, after) = match self {
            Self::Open => (now.before(VOID_AFTER), now.after(CLOCKS_DIFFER_MAX)),
            Self::Waiting => (now.before(WAITING_MARK_LIFE), now.after(CLOCKS_DIFFER_MAX)),
            Self::Online => (now, latest_end(now)),
            Self::Archive => (now, latest_look(now)),
            Self::Member => (now.before(MEMBER_PATIENCE), now.after(TOMBSTONE_LIFE + CLOCKS_DIFFER_MAX)),
            // All of them: they have no time.
            Self::Unsettled => (Time { ms: 0 }, Time { ms: 0 }),
        };
        [("#work_sk < :sk", before), ("#work_sk > :sk", after)]
    }

    /// The partition of the rows of a user, or of a conversation.
    fn pk(self, of: &str) -> String {
        let hash = Sha256::digest(of.as_bytes());
        self.shard_pk(u64::from(hash[0]) % WORK_SHARDS)
    }
}

/// Whether an entry has waited long enough for others to be folded with it, or its time was set by a clock that was wrong.
fn is_to_be_folded(entry: &Key, now: Time) -> bool {
    let at = entry.sk.strip_prefix(ENTRY_PREFIX).and_then(|rest| rest.split('#').next()?.parse().ok());
    at.is_none_or(|ms| Time { ms } <= now.before(FOLD_AFTER) || is_to_come(Time { ms }, now))
}

/// How an unsettled entry sorts: by user.
fn unsettled_sk(user: &UserId, entry_sk: &str) -> String {
    format!("{user}{SEPARATOR}{entry_sk}")
}

/// What the places of everything that sorts by time begin with, and those of earlier moments are below.
pub(super) fn before(moment: Time) -> String {
    format!("{:013}", moment.ms)
}

/// How what stands by a time sorts, and what else tells its place from others.
fn timed_sk(at: Time, rest: impl Display) -> String {
    format!("{}{SEPARATOR}{rest}", before(at))
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
pub const UNLIST: &str = "REMOVE #work_pk, #work_sk";

/// What puts an item into the index, or elsewhere in it.
pub const LIST: &str = "SET #work_pk = :work_pk, #work_sk = :work_sk";

/// The part of a SET that puts an item into the index, and leaves it where it is while it is there.
pub(super) const LIST_IF_NOT_LISTED: &str = "#work_pk = :work_pk, #work_sk = if_not_exists(#work_sk, :work_sk)";

/// A place in the index of what is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Which kind of work, and which part of it.
    pub pk: String,
    /// Who or what is due, and in which order.
    pub sk: String,
}

impl Listing {
    /// Where an ACCOUNT stands that has had open sends since then.
    pub fn open(since: Time, user: &UserId) -> Self {
        Self { pk: Work::Open.pk(user.as_str()), sk: timed_sk(since, user) }
    }

    /// Where a PRESENCE with connections stands whose first connection ends then.
    pub fn online(until: Time, user: &UserId) -> Self {
        Self { pk: Work::Online.pk(user.as_str()), sk: timed_sk(until, user) }
    }

    /// Where an ENTRY stands that isn't in the balance.
    pub fn unsettled(user: &UserId, entry_sk: &str) -> Self {
        Self { pk: Work::Unsettled.pk(user.as_str()), sk: unsettled_sk(user, entry_sk) }
    }

    /// Where an INBOX stands in which something waits.
    pub fn waiting(since: Time, user: &UserId, conversation: &ConversationId) -> Self {
        Self {
            pk: Work::Waiting.pk(user.as_str()),
            sk: timed_sk(since, format_args!("{user}{SEPARATOR}{conversation}")),
        }
    }

    /// Where a META stands that the cleanup is to look at.
    pub fn archive(at: Time, conversation: &ConversationId) -> Self {
        Self { pk: Work::Archive.pk(conversation.as_str()), sk: timed_sk(at, conversation) }
    }

    /// Where a MEMBER stands that is looked at then: it was changed, and what follows isn't done; or it is a tombstone.
    pub fn member(at: Time, user: &UserId, conversation: &ConversationId) -> Self {
        Self { pk: Work::Member.pk(user.as_str()), sk: timed_sk(at, format_args!("{user}{SEPARATOR}{conversation}")) }
    }

    /// Whether both are the same place but for the time that they begin with.
    pub fn differs_in_time_only(&self, other: &Self) -> bool {
        let behind_time = |sk: &str| sk.split_once(SEPARATOR).map(|(_, rest)| rest.to_owned());
        self.pk == other.pk && behind_time(&self.sk) == behind_time(&other.sk)
    }

    /// Whether this is the same partition, and a user's id is all that it says, as an earlier version listed accounts.
    pub fn is_without_time(&self, other: &Self, user: &UserId) -> bool {
        self.pk == other.pk && self.sk == user.as_str()
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

/// A row of what is due.
#[derive(Clone, Debug)]
pub struct Row {
    /// The item that it proposes.
    pub key: Key,
    /// The time that its place says, where it says one.
    pub at: Option<Time>,
}

impl Row {
    fn of(work: Work, key: &Key, item: &Item) -> Result<Self, StoreError> {
        let time = |listing: Listing| listing.sk.split_once(SEPARATOR)?.0.parse().ok();
        Ok(Self { key: work.key(key)?, at: Listing::of(item).and_then(time).map(|ms| Time { ms }) })
    }
}

/// Where walks through what has no time have ended, by shard. A new process begins in front.
#[derive(Clone, Debug, Default)]
pub struct LeftOff(Arc<Mutex<BTreeMap<u64, String>>>);

impl LeftOff {
    fn at(&self, shard: u64) -> String {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(&shard).cloned().unwrap_or_else(|| FIRST.to_owned())
    }

    fn set(&self, shard: u64, place: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(shard, place);
    }
}

/// In front of, and behind, every row that begins with a user's id.
const FIRST: &str = "\u{1}";
const LAST: &str = "\u{10ffff}";
/// The character behind [`SEPARATOR`].
const BEHIND_SEPARATOR: char = '\u{20}';

impl Update<'_> {
    /// What `:work_pk` and `:work_sk` stand for.
    pub(super) fn at(self, listing: &Listing) -> Self {
        self.value(":work_pk", text(&listing.pk)).value(":work_sk", text(&listing.sk))
    }
}

impl Store {
    /// What is listed of one kind, due or not: at most MAX rows in all, over all shards.
    pub async fn work_listed(&self, work: Work, max: usize) -> Result<Vec<Key>, StoreError> {
        let each = max.div_ceil(usize::try_from(WORK_SHARDS).unwrap_or(1));
        let shards = (0..WORK_SHARDS).map(|shard| self.work_rows(work, shard, each));
        let mut rows: Vec<Key> = futures::future::try_join_all(shards).await?.into_iter().flatten().collect();
        rows.truncate(max);
        Ok(rows)
    }

    /// What is due of one kind in one shard, what stands longest in front: read page by page, as it is asked for.
    pub fn work_due(&self, work: Work, shard: u64, now: Time) -> impl Stream<Item = Result<Row, StoreError>> + use<'_> {
        let [first, then] = work.due(now).map(|range| self.work_range(work, shard, range));
        first.chain(then)
    }

    /// The rows of one shard that stand before or after a moment.
    fn work_range(
        &self,
        work: Work,
        shard: u64,
        (range, moment): (&'static str, Time),
    ) -> impl Stream<Item = Result<Row, StoreError>> + use<'_> {
        let pages = try_unfold(Some(None), move |from: Option<Option<Item>>| async move {
            let Some(start) = from else { return Ok(None) };
            let query = self.query(&format!("#work_pk = :pk AND {range}")).value(":pk", work.shard_pk(shard));
            let query = query.value(":sk", before(moment)).on_work_index().starting_after(start);
            let page = query.limit(WORK_PAGE).page().await?;
            let rows = Several::of(page.items, |key, item| Row::of(work, key, &item))?.read;
            Ok(Some((iter(rows.into_iter().map(Ok)), page.next.map(Some))))
        });
        pages.try_flatten()
    }

    /// The users of one shard whose oldest unsettled entry is due to be folded, each once: from where the last walk ended, once
    /// around.
    pub fn work_unsettled<'a>(
        &'a self,
        shard: u64,
        now: Time,
        left_off: &'a LeftOff,
    ) -> impl Stream<Item = Result<UserId, StoreError>> + use<'a> {
        let began = left_off.at(shard);
        let around = [(began.clone(), LAST.to_owned()), (FIRST.to_owned(), began)];
        let around = around.into_iter().filter(|(from, to)| from < to);
        let pages = try_unfold((around, None::<(String, String)>), move |(mut around, mut part)| async move {
            let Some((from, to)) = part.take().or_else(|| around.next()) else { return Ok(None) };
            let query = self.query("#work_pk = :pk AND #work_sk BETWEEN :from AND :to");
            let query =
                query.value(":pk", Work::Unsettled.shard_pk(shard)).value(":from", from).value(":to", to.clone());
            let page = query.on_work_index().limit(WORK_PAGE).page().await?;
            if let Some(last) = page.items.last().and_then(Listing::of) {
                // Behind all of this user's rows: however many there are, settling asks for them.
                let user = last.sk.split(SEPARATOR).next().unwrap_or_default();
                let behind = format!("{user}{BEHIND_SEPARATOR}");
                left_off.set(shard, behind.clone());
                part = page.next.map(|_| (behind, to));
            }
            // A page begins with a user's oldest entry, and has each user's oldest before the others.
            let mut keys = Work::Unsettled.keys(page.items)?;
            keys.dedup_by(|key, oldest| key.pk == oldest.pk);
            keys.retain(|oldest| is_to_be_folded(oldest, now));
            let users: Vec<UserId> = keys.iter().map(Key::owner).collect::<Result<_, _>>()?;
            Ok(Some((iter(users.into_iter().map(Ok)), (around, part))))
        });
        pages.try_flatten()
    }

    /// The next unsettled entries of one user that the index knows of, at most MAX: those behind an entry's sort key, or the
    /// first.
    pub async fn work_unsettled_of(
        &self,
        user: &UserId,
        behind: Option<&str>,
        max: usize,
    ) -> Result<Vec<Key>, StoreError> {
        let from = unsettled_sk(user, &behind.map(|sk| format!("{sk}{FIRST}")).unwrap_or_default());
        let (mut keys, mut start) = (Vec::new(), None);
        loop {
            let query = self.query("#work_pk = :pk AND #work_sk BETWEEN :from AND :to");
            let query = query.value(":pk", Work::Unsettled.pk(user.as_str())).value(":from", from.as_str());
            let query = query.value(":to", format!("{user}{BEHIND_SEPARATOR}")).on_work_index().starting_after(start);
            let page = query.limit(u32::try_from(max - keys.len()).unwrap_or(u32::MAX)).page().await?;
            keys.extend(Work::Unsettled.keys(page.items)?);
            start = page.next;
            // What was passed over isn't what was asked for: it is asked on.
            if start.is_none() || keys.len() >= max {
                return Ok(keys);
            }
        }
    }

    /// Rows of one shard, page by page until MAX.
    async fn work_rows(&self, work: Work, shard: u64, max: usize) -> Result<Vec<Key>, StoreError> {
        let mut rows = Vec::new();
        let mut start = None;
        loop {
            let rest = u32::try_from(max - rows.len()).unwrap_or(u32::MAX);
            let query = self.query("#work_pk = :pk").value(":pk", work.shard_pk(shard));
            let page = query.on_work_index().starting_after(start).limit(rest).page().await?;
            rows.extend(work.keys(page.items)?);
            start = page.next;
            if start.is_none() || rows.len() >= max {
                return Ok(rows);
            }
        }
    }
}
