//! RECEIPT: the end of a send. Where one is, everything about the send is done. It never expires.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use wire::{ClientMessageId, Coins, ConversationId, Fingerprint, Seq, Time, UserId};

use super::client::error::StoreError;
use super::client::item::{from_item, ms, to_item};
use super::client::{Read, Store};
use super::several::Several;
use super::table::{Key, RECEIPT_PREFIX, user_pk};
use crate::limits::UPTO_PAGES_MAX;

/// The end of a send: a number, or void.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The sender's id of it.
    #[serde(rename = "cmid")]
    pub client_message_id: ClientMessageId,
    /// What it said, hashed.
    pub fingerprint: Fingerprint,
    /// Where it went.
    pub conversation: ConversationId,
    /// Its number.
    pub seq: Seq,
    /// What it cost.
    pub price: Coins,
    /// The message's time.
    #[serde(with = "ms")]
    pub created_at: Time,
    /// Whether it was given up: never visible, and its price is refunded by the drop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub void: bool,
}

/// Between these is every time-ordered id: it begins with a digit from 0 to 7.
const TIME_ORDERED: [&str; 2] = ["0", "8"];

impl Store {
    /// Reads a RECEIPT, strongly.
    pub async fn receipt(&self, user: &UserId, id: &ClientMessageId) -> Result<Option<Receipt>, StoreError> {
        self.get(Key::receipt(user, id), Read::Strong).await?.map(from_item).transpose()
    }

    /// Reads the RECEIPTs of many sends of one user, strongly, as far as they can be read; those that don't exist are left out.
    pub async fn receipts(
        &self,
        user: &UserId,
        ids: impl Iterator<Item = &ClientMessageId>,
    ) -> Result<Vec<Receipt>, StoreError> {
        let keys: Vec<Key> = ids.map(|id| Key::receipt(user, id)).collect();
        Ok(Several::of(self.get_many(&keys, Read::Strong).await?, |_, item| from_item(item))?.read)
    }

    /// Which of these sends have a RECEIPT, strongly.
    pub async fn receipts_there(&self, sends: &[(&UserId, &ClientMessageId)]) -> Result<Vec<bool>, StoreError> {
        let keys: Vec<Key> = sends.iter().map(|(user, id)| Key::receipt(user, id)).collect();
        let found = self.get_many(&keys, Read::Strong).await?;
        let found = found.iter().map(Key::of).collect::<Result<HashSet<Key>, _>>()?;
        Ok(keys.iter().map(|key| found.contains(key)).collect())
    }

    /// An id that is at least as high as each time-ordered one of a user's RECEIPTs, strongly: the highest of them, where it is
    /// among the first [`UPTO_PAGES_MAX`] pages; else what the last page has ended with; empty where there is none. Other ids lie
    /// between them.
    pub async fn receipts_upto(&self, user: &UserId) -> Result<String, StoreError> {
        let [from, to] = TIME_ORDERED.map(|bound| format!("{RECEIPT_PREFIX}{bound}"));
        let (mut start, mut lowest) = (None, String::new());
        for _ in 0..UPTO_PAGES_MAX {
            let query = self.query("#pk = :pk AND #sk BETWEEN :from AND :to").value(":pk", user_pk(user));
            let query = query.value(":from", from.as_str()).value(":to", to.as_str()).project("#pk, #sk");
            let page = query.read(Read::Strong).backwards().starting_after(start).page().await?;
            for item in page.items {
                let key = Key::of(&item)?;
                lowest = key.sk.strip_prefix(RECEIPT_PREFIX).unwrap_or_default().to_owned();
                if lowest.parse::<ClientMessageId>().is_ok_and(|id| id.is_time_ordered()) {
                    return Ok(lowest);
                }
            }
            start = page.next;
            if start.is_none() {
                return Ok(String::new());
            }
        }
        Ok(lowest)
    }

    /// Puts a RECEIPT **if there is none**. Whoever repeats it would write the same.
    pub async fn receipt_put(&self, user: &UserId, receipt: &Receipt) -> Result<(), StoreError> {
        self.put_new(Key::receipt(user, &receipt.client_message_id), to_item(receipt)?).await.map(drop)
    }
}
