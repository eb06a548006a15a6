//! People on the WebSocket.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::machine::Machine;
use crate::problem::Problem;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest page.
const PAGE: u32 = 100;

/// Somebody's connection.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    asked: u64,
}

/// A message as it is shown, hashed: all of it but how far it has come, which goes on.
pub(crate) type Digest = [u8; 16];
/// What each conversation holds.
pub(crate) type Logs = Vec<Vec<Digest>>;
/// A token for each person.
pub(crate) type Tokens = BTreeMap<String, String>;

impl Client {
    /// A token for somebody, which outlives a restart of the machine.
    pub(crate) async fn token(machine: &Machine, user: &str) -> Result<String, Problem> {
        let answer = machine.posts("/dev/token", &json!({ "sub": user, "ttlSeconds": 86_400 })).await?;
        Ok(answer["token"].as_str().ok_or_else(|| format!("no token: {answer}"))?.to_owned())
    }

    /// Connects somebody.
    pub(crate) async fn connect(address: &str, token: &str) -> Result<Self, Problem> {
        let (socket, _) = connect_async(format!("ws://{address}/ws?token={token}")).await?;
        Ok(Self { socket, asked: 0 })
    }

    /// Asks, and waits for the final answer.
    pub(crate) async fn asks(&mut self, mut request: Value) -> Result<Value, Problem> {
        self.asked += 1;
        let id = self.asked.to_string();
        request["requestId"] = id.as_str().into();
        self.socket.send(Message::text(request.to_string())).await?;
        let answer = async {
            while let Some(message) = self.socket.next().await {
                let Message::Text(text) = message? else { continue };
                let frame: Value = serde_json::from_str(&text)?;
                if frame["requestId"] == id.as_str() && frame["event"] != "sync:page" {
                    return Ok(frame);
                }
                // The gateway's own, for a function that has died.
                if frame["event"].is_null() {
                    return Err(format!("no answer: {frame}").into());
                }
            }
            Err("the connection has ended".into())
        };
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| "no answer in time")?
    }

    /// A page of a conversation, above a number; whether there is more.
    pub(crate) async fn page(&mut self, conversation: &str, after: u64) -> Result<(Vec<Value>, bool), Problem> {
        let request = json!({ "action": "getMessages", "conversationId": conversation, "after": after, "limit": PAGE });
        let mut answer = self.asks(request).await?;
        match answer["data"]["messages"].take() {
            Value::Array(messages) => Ok((messages, answer["data"]["hasMore"] == true)),
            _ => Err(format!("no page of {conversation} above {after}: {answer}").into()),
        }
    }

    /// All of a conversation, hashed message by message.
    pub(crate) async fn reads(&mut self, conversation: &str) -> Result<Vec<Digest>, Problem> {
        let mut read = Vec::new();
        loop {
            let (messages, more) = self.page(conversation, read.len() as u64).await?;
            for message in messages {
                if message["seq"] != read.len() as u64 + 1 {
                    return Err(format!("{conversation}: {} stands behind {}", message["seq"], read.len()).into());
                }
                read.push(digest(message));
            }
            if !more {
                return Ok(read);
            }
        }
    }
}

/// What a message shows, hashed.
pub(crate) fn digest(mut message: Value) -> Digest {
    message["status"].take();
    let hash = Sha256::digest(message.to_string().as_bytes());
    let mut digest = Digest::default();
    digest.copy_from_slice(&hash[..16]);
    digest
}
