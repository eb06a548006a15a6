//! ENTRY: one line of a user's ledger, put once. A credit never touches the receiver's ACCOUNT on a message's way; settling
//! folds earnings into the balance later, many at once and each exactly once, without a transaction.

use serde::{Deserialize, Serialize};
use wire::{
    Coins, ConversationId, Cursor, IdempotencyKey, Limit, Time, Transaction, TransactionKind, TransactionsList, UserId,
};

use super::client::error::StoreError;
use super::client::item::{Item, from_item, ms, number, to_item};
use super::client::{Read, Store, Written};
use super::several::Several;
use super::table::{ENTRY_PREFIX, Key, user_pk};
use super::work::{Listing, UNLIST};
use crate::error::Error;
use crate::limits::SETTLE_NEWEST;

/// One line of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is for.
    pub kind: TransactionKind,
    /// Whole coins; negative when they were spent.
    pub amount: i64,
    /// The conversation, of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// The other side, of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterparty: Option<UserId>,
    /// Of a charge: who gets how much of it. An earlier version didn't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// When it was decided.
    #[serde(with = "ms")]
    pub created_at: Time,
}

/// Who gets how much of a price, as it was when the send was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// What the receiver earns.
    pub earned: Coins,
    /// Who gets the rest, if there is a rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub house: Option<UserId>,
}

impl Entry {
    /// Whether it must be folded into the balance: a charge was taken from it when it was decided.
    fn is_credit(&self) -> bool {
        self.kind != TransactionKind::Charge
    }
}

/// What became of a top-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToppedUp {
    /// It is in the ledger, now or since an earlier attempt.
    Here,
    /// The key was used for another amount.
    Reused,
}

impl Store {
    /// Puts a line into a user's ledger, **if there is none** with this id at this time. The time is the decision's.
    pub async fn entry_put(&self, user: &UserId, id: &str, entry: &Entry) -> Result<(), StoreError> {
        let key = Key::entry(user, entry.created_at, id);
        let mut item = to_item(entry)?;
        if entry.is_credit() {
            item.extend(Listing::unsettled(user, &key.sk).item());
        }
        self.put_new(key, item).await.map(drop)
    }

    /// Adds coins to a user, once per key: TOPUP is put **if there is none**, and fixes amount and time; then its ENTRY.
    /// A repeat finishes what an earlier attempt left.
    pub async fn topup(
        &self,
        user: &UserId,
        key: &IdempotencyKey,
        amount: Coins,
        at: Time,
    ) -> Result<ToppedUp, StoreError> {
        let item = Item::from([("amount".to_owned(), number(amount.0)), ("at".to_owned(), number(at.ms))]);
        let at = match self.put_new(Key::topup(user, key), item).await? {
            Written::Done(_) => at,
            Written::Refused(item) => {
                let (there, at) = topup_of(item)?;
                if there != amount {
                    return Ok(ToppedUp::Reused);
                }
                at
            }
        };
        let amount = i64::try_from(amount.0).map_err(|_| StoreError::broken("a top-up that is too large"))?;
        let kind = TransactionKind::Topup;
        let entry = Entry { kind, amount, conversation: None, counterparty: None, split: None, created_at: at };
        self.entry_put(user, &format!("topup#{key}"), &entry).await?;
        Ok(ToppedUp::Here)
    }

    /// Whether a top-up's key was used, perhaps some writes ago: [`Store::topup`] decides.
    pub async fn topup_is_there(&self, user: &UserId, key: &IdempotencyKey) -> Result<bool, StoreError> {
        Ok(self.get(Key::topup(user, key), Read::Eventual).await?.is_some())
    }

    /// A page of a user's ledger, newest first.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the cursor isn't one of ours.
    pub async fn entries(
        &self,
        user: &UserId,
        cursor: Option<&Cursor>,
        Limit(limit): Limit,
    ) -> Result<TransactionsList, Error> {
        let below = match cursor.map(Cursor::position).transpose()? {
            // A position that isn't a ledger's must not reach the user's other items.
            Some(position) if !position.starts_with(ENTRY_PREFIX) => return Err(Cursor::foreign().into()),
            Some(position) => position,
            None => format!("{ENTRY_PREFIX}~"),
        };
        let query = self.query("#pk = :pk AND #sk BETWEEN :from AND :to").value(":pk", user_pk(user));
        let query = query.value(":from", ENTRY_PREFIX).value(":to", below.clone()).backwards();
        // One more: the cursor is the last key that was shown, and BETWEEN includes it.
        let page = query.read(Read::Strong).limit(limit + 2).page().await?;
        let mut rows: Vec<(String, Item)> = Vec::with_capacity(page.items.len());
        for item in page.items {
            let key = Key::of(&item)?;
            if key.sk < below {
                rows.push((key.sk, item));
            }
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let next_cursor = (rows.len() > limit).then(|| Cursor::new(&rows[limit - 1].0));
        let rows = rows.into_iter().take(limit).map(|(_, item)| item).collect();
        let rows = Several::of(rows, |key, item| Ok(transaction(&key.sk, from_item(item)?)))?;
        Ok(TransactionsList { transactions: rows.read, next_cursor, skipped: rows.skipped.len() })
    }

    /// Of these entries those that aren't in the balance, as they are now, and as far as they can be read: strongly.
    pub async fn entries_unsettled(&self, proposed: &[Key]) -> Result<Vec<Unsettled>, StoreError> {
        let items = self.get_many(proposed, Read::Strong).await?;
        Unsettled::of_all(items)
    }

    /// Of a user's [`SETTLE_NEWEST`] newest lines those that aren't in the balance, as they are now: strongly, however far
    /// behind the index is.
    pub async fn entries_unsettled_newest(&self, user: &UserId) -> Result<Vec<Unsettled>, StoreError> {
        let query = self.query("#pk = :pk AND begins_with(#sk, :sk)").value(":pk", user_pk(user));
        let query = query.value(":sk", ENTRY_PREFIX).backwards().read(Read::Strong).limit(SETTLE_NEWEST);
        Unsettled::of_all(query.page().await?.items)
    }

    /// Says of an entry that the balance has it. Entries are never deleted, so it is there.
    pub async fn entry_settled(&self, user: &UserId, sk: &str) -> Result<(), StoreError> {
        let key = Key { pk: user_pk(user), sk: sk.to_owned() };
        self.update(key, UNLIST).run().await.map(drop)
    }
}

/// An earning, a share or a top-up that isn't in the balance.
#[derive(Clone, Debug)]
pub struct Unsettled {
    /// Its sort key.
    pub sk: String,
    /// What it adds.
    pub amount: Coins,
}

impl Unsettled {
    /// Of these entries those that the balance doesn't have. What can't be read is in no balance, and isn't folded.
    fn of_all(mut items: Vec<Item>) -> Result<Vec<Self>, StoreError> {
        items.retain(|item| Listing::of(item).is_some());
        let unsettled = |key: &Key, item| {
            let amount = u64::try_from(from_item::<Entry>(item)?.amount).ok().map(Coins);
            let amount = amount.ok_or_else(|| StoreError::broken(&format!("{key} is an earning below nothing")))?;
            Ok(Self { sk: key.sk.clone(), amount })
        };
        Ok(Several::of(items, unsettled)?.read)
    }
}

/// The amount and time that a TOPUP fixes.
fn topup_of(item: Option<Item>) -> Result<(Coins, Time), StoreError> {
    #[derive(Deserialize)]
    struct Topup {
        amount: Coins,
        #[serde(with = "ms")]
        at: Time,
    }
    let item = item.ok_or_else(|| StoreError::broken("a top-up is there and is empty"))?;
    from_item::<Topup>(item).map(|topup| (topup.amount, topup.at))
}

/// As a client sees it. The id is what follows the time in the key.
fn transaction(sk: &str, entry: Entry) -> Transaction {
    let id = sk.splitn(3, '#').nth(2).unwrap_or(sk).to_owned();
    Transaction {
        id,
        kind: entry.kind.into(),
        amount: entry.amount,
        conversation_id: entry.conversation,
        counterparty: entry.counterparty,
        created_at: entry.created_at,
    }
}
