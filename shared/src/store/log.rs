//! LOG: a conversation's messages, numbered 1, 2, 3 … without holes. A slot is taken once and never given to another send.

use serde::{Deserialize, Serialize};

use super::table::{
    Item, Key, LOG_PREFIX, Page, Read, Store, StoreError, Written, conversation_pk, from_item, log_sk, ms, to_item,
};
use crate::limits::{PAGE_BYTES_MAX, WALK_PAGE_SLOTS};
use crate::protocol::{ClientMessageId, Coins, ConversationId, Message, Seq, Status, Time, UserId};
use crate::send::SendId;

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

/// A page of a log, in the order of the numbers.
#[derive(Debug)]
pub struct LogPage {
    /// The slots.
    pub slots: Vec<(Seq, LogItem)>,
    /// Whether there is more in the direction that was asked for.
    pub more: bool,
}

impl Store {
    /// The highest number of a log, strongly; 0 when it is empty.
    pub async fn log_tail(&self, conversation: &ConversationId) -> Result<Seq, StoreError> {
        let query = self.query("#pk = :pk AND begins_with(#sk, :sk)").value(":pk", conversation_pk(conversation));
        let page = query.value(":sk", LOG_PREFIX).read(Read::Strong).backwards().limit(1).project("#pk, #sk").page();
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
        let query = self.query("#pk = :pk AND #sk >= :sk").value(":pk", conversation_pk(conversation));
        let query = query.value(":sk", log_sk(from)).read(Read::Eventual).limit(WALK_PAGE_SLOTS);
        let page = query.project("#pk, #sk, #sid, #void").page().await?;
        page.items.into_iter().map(|item| Ok((seq_of(&item)?, from_item(item)?))).collect()
    }

    /// What slot SEQ holds, strongly.
    pub async fn log_item(&self, conversation: &ConversationId, seq: Seq) -> Result<Option<LogItem>, StoreError> {
        self.get(Key::log(conversation, seq), Read::Strong).await?.map(from_item).transpose()
    }

    /// The messages above AFTER, strongly: at most LIMIT, and never more than a frame holds.
    pub async fn log_after(
        &self,
        conversation: &ConversationId,
        after: Seq,
        limit: u32,
    ) -> Result<LogPage, StoreError> {
        let query = self.query("#pk = :pk AND #sk BETWEEN :from AND :to").value(":pk", conversation_pk(conversation));
        let query = query.value(":from", log_sk(after.next())).value(":to", log_sk(Seq(u64::MAX)));
        let page = query.read(Read::Strong).limit(limit + 1).page().await?;
        fit(page, limit)
    }

    /// The messages below BEFORE (nothing: the newest), strongly: at most LIMIT, and never more than a frame holds.
    pub async fn log_before(
        &self,
        conversation: &ConversationId,
        before: Option<Seq>,
        limit: u32,
    ) -> Result<LogPage, StoreError> {
        let to = Seq(before.map_or(u64::MAX, |before| before.0.saturating_sub(1)));
        let query = self.query("#pk = :pk AND #sk BETWEEN :from AND :to").value(":pk", conversation_pk(conversation));
        let query = query.value(":from", log_sk(Seq(0))).value(":to", log_sk(to));
        let page = query.read(Read::Strong).backwards().limit(limit + 1).page().await?;
        let mut page = fit(page, limit)?;
        page.slots.reverse();
        Ok(page)
    }

    /// Single messages of several conversations; those that don't exist are left out.
    pub async fn log_items(
        &self,
        slots: &[(ConversationId, Seq)],
    ) -> Result<Vec<((ConversationId, Seq), LogItem)>, StoreError> {
        let keys: Vec<Key> = slots.iter().map(|(conversation, seq)| Key::log(conversation, *seq)).collect();
        let items = self.get_many(&keys, Read::Eventual).await?;
        let place = |item: &Item| {
            let key = Key::of(item)?;
            let slot = keys.iter().position(|wanted| *wanted == key).and_then(|at| slots.get(at)).cloned();
            slot.ok_or_else(|| StoreError::broken("an item that nobody asked for"))
        };
        items.into_iter().map(|item| Ok((place(&item)?, from_item(item)?))).collect()
    }
}

/// The number in a LOG item's key.
fn seq_of(item: &Item) -> Result<Seq, StoreError> {
    let key = Key::of(item)?;
    let seq = key.sk.strip_prefix(LOG_PREFIX).and_then(|digits| digits.parse().ok());
    seq.map(Seq).ok_or_else(|| StoreError::broken(&format!("{} is no message's key", key.sk)))
}

/// Ends a page at LIMIT, or before its frame would be too large. One item more than LIMIT was asked for: `DynamoDB` says
/// that there may be more whenever an answer is full, and a client must not be told of a page that never comes.
fn fit(page: Page, limit: u32) -> Result<LogPage, StoreError> {
    let count = page.items.len();
    let mut bytes = 0;
    let mut slots = Vec::with_capacity(count);
    for item in page.items.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        let slot: (Seq, LogItem) = (seq_of(&item)?, from_item(item)?);
        bytes += message_bytes(&slot.1);
        // The first always fits: the longest content, escaped, has half a page.
        if bytes > PAGE_BYTES_MAX && !slots.is_empty() {
            break;
        }
        slots.push(slot);
    }
    let more = page.next.is_some() || slots.len() < count;
    Ok(LogPage { slots, more })
}

/// About how many bytes a message takes in a frame; never fewer than it does.
fn message_bytes(item: &LogItem) -> usize {
    let json = |text: &str| serde_json::to_string(text).map_or(text.len() * 6, |json| json.len());
    // 512 covers the names, the conversation's id, numbers and times.
    json(&item.content) + json(item.sender.as_str()) + json(item.client_message_id.as_str()) + 512
}
