//! The sparse index of what is due. An item is in it only while it has `work_pk` and `work_sk`.
//!
//! | `work_pk` | `work_sk` | the item | why |
//! |---|---|---|---|
//! | `OPEN#shard` | user | ACCOUNT | may have open sends: the sweep finishes and drops them |
//! | `UNSETTLED#shard` | user, entry | ENTRY | an earning that is not yet in the balance |
//! | `WAITING#shard` | since, user, conversation | INBOX | may hold what no device of its user has |
//! | `ONLINE#shard` | user | PRESENCE | may have live connections |
//! | `ARCHIVE#shard` | when, conversation | META | may have messages to be moved or deleted then: the cleanup looks |
//!
//! A row is a proposal: the index lags behind, so whoever acts on one reads the item itself first.

use futures::stream::{Stream, TryStreamExt as _, iter, try_unfold};
use sha2::{Digest as _, Sha256};

use super::table::{Item, Key, Store, StoreError, text};
use crate::limits::{CLEANUP_PAGE, WORK_SHARDS};
use crate::protocol::{ConversationId, Time, UserId};

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
pub(super) const SEPARATOR: char = '\u{1f}';

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
    pub(super) fn pk(self, of: &str) -> String {
        let hash = Sha256::digest(of.as_bytes());
        self.shard_pk(u64::from(hash[0]) % WORK_SHARDS)
    }
}

/// How an unsettled entry sorts: by user.
pub(super) fn unsettled_sk(user: &UserId, entry_sk: &str) -> String {
    format!("{user}{SEPARATOR}{entry_sk}")
}

/// How a waiting conversation sorts: the longest first.
pub(super) fn waiting_sk(since: Time, user: &UserId, conversation: &ConversationId) -> String {
    format!("{:013}{SEPARATOR}{user}{SEPARATOR}{conversation}", since.ms)
}

/// What the places of conversations begin with that the cleanup was to look at before a moment are below.
pub(super) fn archive_before(moment: Time) -> String {
    format!("{:013}", moment.ms)
}

/// How a conversation sorts that the cleanup looks at: what is due first.
pub(super) fn archive_sk(at: Time, conversation: &ConversationId) -> String {
    format!("{}{SEPARATOR}{conversation}", archive_before(at))
}

/// What takes an item out of the index.
pub(super) const UNLIST: &str = "REMOVE #work_pk, #work_sk";

/// The attributes that put an item into the index.
pub(super) fn work_item(pk: String, sk: String) -> Item {
    Item::from([("work_pk".to_owned(), text(pk)), ("work_sk".to_owned(), text(sk))])
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

    /// The conversations that were marked as waiting before a moment, at most MAX.
    pub async fn work_waiting_since(&self, before: Time, max: usize) -> Result<Vec<Key>, StoreError> {
        let each = max.div_ceil(usize::try_from(WORK_SHARDS).unwrap_or(1));
        let until = format!("{:013}", before.ms);
        let range = ("#work_sk < :sk", until);
        let shards =
            (0..WORK_SHARDS).map(|shard| self.work_rows(Work::Waiting.shard_pk(shard), Some(range.clone()), each));
        Ok(futures::future::try_join_all(shards).await?.into_iter().flatten().collect())
    }

    /// The conversations of one shard that the cleanup was to look at before a moment, what was due first in front: read
    /// page by page, as they are asked for.
    pub fn work_looks(&self, shard: u64, before: Time) -> impl Stream<Item = Result<Key, StoreError>> + use<'_> {
        let pages = try_unfold(Some(None), move |from: Option<Option<Item>>| async move {
            let Some(start) = from else { return Ok(None) };
            let query = self.query("#work_pk = :pk AND #work_sk < :sk").value(":pk", Work::Archive.shard_pk(shard));
            let query = query.value(":sk", archive_before(before)).on_work_index().starting_after(start);
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
