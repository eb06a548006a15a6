//! A person with a connection.

use std::collections::VecDeque;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::binary::soon;
use crate::world::World;

/// How often a request is repeated at most.
const ATTEMPTS_MAX: usize = 100;
/// The wait before a request is repeated.
const BACKOFF: Duration = Duration::from_millis(50);

/// A request to send TEXT to somebody, under the name ID.
pub(crate) fn send(to: &str, text: &str, id: &str) -> Value {
    json!({ "action": "sendMessage", "to": to, "content": text, "clientMessageId": id })
}

/// One connection.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Frames that were not waited for when they came, oldest first.
    heard: VecDeque<Value>,
    asked: usize,
    closed_with: Option<u16>,
}

impl Client {
    /// Connects this user, and syncs.
    pub(crate) async fn connects(world: &World, user: &str) -> Self {
        let token = world.token(json!({ "sub": user })).await;
        let mut client = Self::tries(world, &format!("token={token}"), &[]).await.expect("is let in");
        client.asks(json!({ "action": "sync" })).await;
        client
    }

    /// Tries to connect with this query and these headers; the error is the refusal's status.
    pub(crate) async fn tries(world: &World, query: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let url = format!("ws://{}/ws?{query}", world.machine.address);
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        match soon(connect_async(request)).await {
            Ok((socket, _)) => Ok(Self { socket, heard: VecDeque::new(), asked: 0, closed_with: None }),
            Err(Error::Http(refusal)) => Err(refusal.status().as_u16()),
            Err(other) => panic!("neither connected nor refused: {other}"),
        }
    }

    /// Asks; the answer's data.
    pub(crate) async fn asks(&mut self, request: Value) -> Value {
        let mut answer = self.asks_for_an_answer(request).await;
        assert_eq!(answer["success"], true, "{answer}");
        answer["data"].take()
    }

    /// Asks for what is refused; the error's code.
    pub(crate) async fn is_refused(&mut self, request: Value) -> String {
        let answer = self.asks_for_an_answer(request).await;
        assert_eq!(answer["success"], false, "{answer}");
        answer["error"]["code"].as_str().expect("a code").to_owned()
    }

    async fn asks_for_an_answer(&mut self, request: Value) -> Value {
        self.asks_at_once(&[request]).await.remove(0).expect("an answer")
    }

    /// Asks all of it before any answer. None is what got no answer: its function died, or the connection was lost.
    pub(crate) async fn asks_at_once(&mut self, requests: &[Value]) -> Vec<Option<Value>> {
        let first = self.asked;
        for request in requests {
            let mut request = request.clone();
            request["requestId"] = self.asked.to_string().into();
            self.asked += 1;
            // Whoever reads notices that the connection is lost.
            let _ = soon(self.socket.send(Message::text(request.to_string()))).await;
        }
        let mut answers = vec![None; requests.len()];
        let mut missing = requests.len();
        while missing > 0 {
            let Some(frame) = self.frame().await else { break };
            if frame["event"].is_null() {
                // The gateway, for a function that died. It doesn't say which request it was.
                missing -= 1;
                continue;
            }
            let number = frame["requestId"].as_str().filter(|_| frame["event"] != "sync:page");
            match number.map(|number| number.parse::<usize>().expect("a number of ours")) {
                None => self.heard.push_back(frame),
                // The late answer to something that was taken for lost.
                Some(number) if number < first => {}
                Some(number) => {
                    assert!(answers[number - first].is_none(), "a second answer: {frame}");
                    answers[number - first] = Some(frame);
                    missing -= 1;
                }
            }
        }
        answers
    }

    /// Asks all of it at once, and again what is retryable or got no answer, as the protocol says.
    pub(crate) async fn persists(&mut self, requests: &[Value]) -> Vec<Value> {
        let mut finals = vec![Value::Null; requests.len()];
        let mut open: Vec<usize> = (0..requests.len()).collect();
        for _ in 0..ATTEMPTS_MAX {
            let again: Vec<Value> = open.iter().map(|at| requests[*at].clone()).collect();
            for (at, answer) in std::mem::take(&mut open).into_iter().zip(self.asks_at_once(&again).await) {
                match answer.filter(|answer| answer["error"]["retryable"] != true) {
                    Some(answer) => finals[at] = answer,
                    None => open.push(at),
                }
            }
            if open.is_empty() {
                return finals;
            }
            // As clients do: a function that died while it started is not started again at once.
            tokio::time::sleep(BACKOFF).await;
        }
        panic!("no final answer to {} of {} requests", open.len(), requests.len());
    }

    /// Waits for a push; its data.
    pub(crate) async fn hears(&mut self, event: &str) -> Value {
        let mut frame = self.hears_frame(event).await;
        frame["data"].take()
    }

    /// Waits for an error that answers no request of ours.
    pub(crate) async fn hears_error(&mut self, event: &str) -> Value {
        let mut frame = self.hears_frame(event).await;
        frame["error"].take()
    }

    async fn hears_frame(&mut self, event: &str) -> Value {
        let mut at = 0;
        loop {
            if at == self.heard.len() {
                let frame = self.frame().await.expect("the connection is open");
                self.heard.push_back(frame);
            }
            if self.heard[at]["event"] == event {
                return self.heard.remove(at).expect("it is there");
            }
            at += 1;
        }
    }

    /// What of this kind has come and was not waited for.
    pub(crate) fn has_heard(&mut self, event: &str) -> Vec<Value> {
        let (these, others) = std::mem::take(&mut self.heard).into_iter().partition(|frame| frame["event"] == event);
        self.heard = others;
        these.into_iter().map(|mut frame: Value| frame["data"].take()).collect()
    }

    /// Sends this message, whatever it is.
    pub(crate) async fn says(&mut self, message: Message) {
        soon(self.socket.send(message)).await.expect("is sent");
    }

    /// Every message of a conversation above 0, in pages. A function that starts slowly may exceed its time limit: it is asked again.
    pub(crate) async fn reads_all(&mut self, conversation: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().map_or(json!(0), |message| message["seq"].clone());
            let request =
                json!({ "action": "getMessages", "conversationId": conversation, "after": after, "limit": 100 });
            let answer = self.persists(&[request]).await.remove(0);
            assert_eq!(answer["success"], true, "{answer}");
            let page = &answer["data"];
            all.extend(page["messages"].as_array().expect("messages").iter().cloned());
            if page["hasMore"] == false {
                return all;
            }
        }
    }

    /// Leaves, with a farewell.
    pub(crate) async fn leaves(mut self) {
        // It may be closed already.
        let _ = soon(self.socket.close(None)).await;
        self.is_closed().await;
    }

    /// Waits until the other side has closed the connection; the code.
    pub(crate) async fn is_closed(&mut self) -> Option<u16> {
        while let Some(frame) = self.frame().await {
            self.heard.push_back(frame);
        }
        self.closed_with
    }

    /// The next frame. None: the connection has ended.
    async fn frame(&mut self) -> Option<Value> {
        loop {
            match soon(self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("JSON")),
                // Reading on is what answers it.
                Some(Ok(Message::Close(frame))) => self.closed_with = frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}
