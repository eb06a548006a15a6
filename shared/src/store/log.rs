//! LOG: a conversation's messages, numbered 1, 2, 3 … without holes. A slot is taken once and never given to another send.

use std::ops::{Range, RangeInclusive};

use serde::{Deserialize, Serialize};
use wire::{ClientMessageId, Coins, ConversationId, Message, SendId, Seq, Status, Time, UserId};

use super::client::error::StoreError;
use super::client::item::{Item, from_item, ms, to_item};
use super::client::{Page, Read, Store, Written};
use super::several::Several;
use super::table::{Key, LOG_PREFIX, conversation_pk, log_sk};
use crate::limits::{BATCH_WRITE_ITEMS_MAX, DELETE_PAUSE, WALK_PAGE_SLOTS};

/// What a slot holds: a message, or a void where a send was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogItem {
    /// Who said it.
    pub sender: UserId,
    /// Which send it is.
    pub sid: SendId,
    /// The sender's id of it.
    #[serde(rename = "cmid")]
    pub client_message_id: ClientMessageId,
    /// What was said; nothing in a void.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content: String,
    /// The number of the message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// What it cost.
    pub price: Coins,
    /// When its send was decided.
    #[serde(with = "ms")]
    pub created_at: Time,
    /// Whether the send was given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub void: bool,
}

impl LogItem {
    /// As a client sees it.
    pub fn message(self, conversation: &ConversationId, seq: Seq, status: Status) -> Message {
        Message {
            conversation_id: conversation.clone(),
            seq,
            sender_id: self.sender,
            client_message_id: self.client_message_id,
            content: self.content,
            reply_to: self.reply_to,
            price: if self.void { Coins(0) } else { self.price },
            created_at: self.created_at,
            status,
            deleted: self.void,
        }
    }
}

/// What became of publishing in a slot.
#[derive(Debug)]
pub enum Published {
    /// It is ours, now.
    Here,
    /// It was taken; by whom and as what.
    Taken(Slot),
}

/// Who holds a slot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Slot {
    /// Which send.
    pub sid: SendId,
    /// Whether as a void.
    #[serde(default)]
    pub void: bool,
}

/// What one answer has of a log.
#[derive(Debug)]
pub struct LogPage {
    /// The slots.
    pub slots: Vec<(Seq, LogItem)>,
    /// Whether there may be more behind its end.
    pub more: bool,
    /// The numbers of what can't be read.
    pub unreadable: Vec<Seq>,
}

impl Store {
    /// The highest number of a log; 0 when it is empty.
    pub async fn log_tail(&self, conversation: &ConversationId, read: Read) -> Result<Seq, StoreError> {
        let query = self.query("#pk = :pk AND begins_with(#sk, :sk)").value(":pk", conversation_pk(conversation));
        let page = query.value(":sk", LOG_PREFIX).read(read).backwards().limit(1).project("#pk, #sk").page();
        page.await?.items.first().map_or(Ok(Seq(0)), seq_of)
    }

    /// Publishes in slot SEQ, **if nobody holds it**.
    pub async fn log_publish(
        &self,
        conversation: &ConversationId,
        seq: Seq,
        item: &LogItem,
    ) -> Result<Published, StoreError> {
        match self.put_new(Key::log(conversation, seq), to_item(item)?).await? {
            Written::Done(_) => Ok(Published::Here),
            Written::Refused(Some(item)) => Ok(Published::Taken(from_item(item)?)),
            Written::Refused(None) => Err(StoreError::broken("a slot was taken and is empty")),
        }
    }

    /// Who holds the slots from FROM on, perhaps some writes ago: up to [`WALK_PAGE_SLOTS`]. A slot that is taken stays so,
    /// and one that only looks free refuses whoever publishes there.
    pub async fn log_slots(&self, conversation: &ConversationId, from: Seq) -> Result<Vec<(Seq, Slot)>, StoreError> {
        let query = self.query("#pk = :pk AND #sk BETWEEN :from AND :to").value(":pk", conversation_pk(conversation));
        let query = query.value(":from", log_sk(from)).value(":to", log_sk(Seq(u64::MAX)));
        let query = query.read(Read::Eventual).limit(WALK_PAGE_SLOTS);
        let page = query.project("#pk, #sk, #sid, #void").page().await?;
        page.items.into_iter().map(|item| Ok((seq_of(&item)?, from_item(item)?))).collect()
    }

    /// What slot SEQ holds, strongly.
    pub async fn log_item(&self, conversation: &ConversationId, seq: Seq) -> Result<Option<LogItem>, StoreError> {
        self.get(Key::log(conversation, seq), Read::Strong).await?.map(from_item).transpose()
    }

    /// What these numbers hold, strongly, from the lowest or from the highest on: what one answer has of it, at most LIMIT.
    /// All of it must be readable.
    pub async fn log_range(
        &self,
        conversation: &ConversationId,
        numbers: RangeInclusive<Seq>,
        limit: usize,
        backwards: bool,
    ) -> Result<LogPage, StoreError> {
        let page = self.log_page(conversation, numbers, limit, backwards).await?;
        let slots = page.items.into_iter().map(|item| Ok((seq_of(&item)?, from_item(item)?)));
        let slots = slots.collect::<Result<_, StoreError>>()?;
        Ok(LogPage { slots, more: page.next.is_some(), unreadable: Vec::new() })
    }

    /// The same from the lowest number on, as far as it can be read.
    pub async fn log_range_readable(
        &self,
        conversation: &ConversationId,
        numbers: RangeInclusive<Seq>,
        limit: usize,
    ) -> Result<LogPage, StoreError> {
        let page = self.log_page(conversation, numbers, limit, false).await?;
        let slots = Several::of(page.items, |_, item| Ok((seq_of(&item)?, from_item(item)?)))?;
        let unreadable = slots.skipped.into_iter().filter_map(|key| seq_of(&key.item()).ok()).collect();
        Ok(LogPage { slots: slots.read, more: page.next.is_some(), unreadable })
    }

    async fn log_page(
        &self,
        conversation: &ConversationId,
        numbers: RangeInclusive<Seq>,
        limit: usize,
        backwards: bool,
    ) -> Result<Page, StoreError> {
        let query = self.query("#pk = :pk AND #sk BETWEEN :from AND :to").value(":pk", conversation_pk(conversation));
        let query = query.value(":from", log_sk(*numbers.start())).value(":to", log_sk(*numbers.end()));
        let query = query.read(Read::Strong).limit(u32::try_from(limit).unwrap_or(u32::MAX));
        if backwards { query.backwards() } else { query }.page().await
    }

    /// Deletes what these slots hold, in as few calls as it can be done. No condition: a slot that moved is never taken
    /// again, as every send begins above it.
    pub async fn log_delete(&self, conversation: &ConversationId, slots: Range<Seq>) -> Result<(), StoreError> {
        let mut from = slots.start;
        while from < slots.end {
            let to = slots.end.min(Seq(from.0 + BATCH_WRITE_ITEMS_MAX as u64));
            self.delete_batch((from.0..to.0).map(|seq| Key::log(conversation, Seq(seq)))).await?;
            // A conversation is one partition, which takes 1,000 write units per second: half of them are for who chats.
            tokio::time::sleep(DELETE_PAUSE).await;
            from = to;
        }
        Ok(())
    }

    /// Single messages of several conversations; those that don't exist are left out.
    pub async fn log_items(
        &self,
        slots: &[(ConversationId, Seq)],
    ) -> Result<Vec<((ConversationId, Seq), LogItem)>, StoreError> {
        let keys: Vec<Key> = slots.iter().map(|(conversation, seq)| Key::log(conversation, *seq)).collect();
        let items = self.get_many(&keys, Read::Eventual).await?;
        let place = |key: &Key| {
            let slot = keys.iter().position(|wanted| wanted == key).and_then(|at| slots.get(at)).cloned();
            slot.ok_or_else(|| StoreError::broken("an item that nobody asked for"))
        };
        Ok(Several::of(items, |key, item| Ok((place(key)?, from_item(item)?)))?.read)
    }
}

/// The number in a LOG item's key.
pub(super) fn seq_of(item: &Item) -> Result<Seq, StoreError> {
    let key = Key::of(item)?;
    let seq = key.sk.strip_prefix(LOG_PREFIX).and_then(|digits| digits.parse().ok());
    seq.map(Seq).ok_or_else(|| StoreError::broken(&format!("{} is no message's key", key.sk)))
}
