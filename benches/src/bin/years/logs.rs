//! What people read on the WebSocket, hashed.

use std::collections::BTreeMap;

use benches::problem::Problem;
use client::Connection;
use client::connection::PATIENCE;
use sha2::{Digest as _, Sha256};
use wire::{ConversationId, Event, GetMessages, Limit, Message, Seq};

/// The longest page.
const PAGE: Limit = Limit(wire::limits::PAGE_ITEMS_MAX);

/// A message as it is shown, hashed: all of it but how far it has come, which goes on.
pub(crate) type Digest = [u8; 16];
/// What each conversation holds.
pub(crate) type Logs = Vec<Vec<Digest>>;
/// A token for each person.
pub(crate) type Tokens = BTreeMap<String, String>;

/// Connects somebody.
pub(crate) async fn connect(address: &str, token: &str) -> Result<Connection, client::Problem> {
    Connection::open(&format!("ws://{address}/ws"), token, PATIENCE).await
}

/// Asks for the page of a conversation above a number.
pub(crate) fn page_above(conversation_id: &ConversationId, after: usize) -> GetMessages {
    let (conversation_id, after) = (conversation_id.clone(), Some(Seq(after as u64)));
    GetMessages { conversation_id, before: None, after, limit: PAGE }
}

/// All of a conversation, hashed message by message.
pub(crate) async fn read(connection: &mut Connection, conversation: &ConversationId) -> Result<Vec<Digest>, Problem> {
    let mut read = Vec::new();
    loop {
        let Event::MessagesPage { messages, has_more, .. } =
            connection.ask(&page_above(conversation, read.len())).await?
        else {
            return Err(format!("no page of {conversation} above {}", read.len()).into());
        };
        for message in messages {
            if message.seq.0 != read.len() as u64 + 1 {
                return Err(format!("{conversation}: {} stands behind {}", message.seq, read.len()).into());
            }
            read.push(digest(&message)?);
        }
        if !has_more {
            return Ok(read);
        }
    }
}

/// What a message shows, hashed.
pub(crate) fn digest(message: &Message) -> Result<Digest, Problem> {
    let mut shown = serde_json::to_value(message)?;
    shown["status"].take();
    let hash = Sha256::digest(shown.to_string());
    let mut digest = Digest::default();
    digest.copy_from_slice(&hash[..16]);
    Ok(digest)
}
