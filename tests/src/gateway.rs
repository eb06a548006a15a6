//! API Gateway: connections and their frames, and from each of them an event, as the local machine makes it.
//!
//! As on AWS nothing can be pushed to a connection before `$connect` has returned (410), and nothing larger than 128 KB
//! (413). Unlike there, a connection lives until it is ended.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use axum::http::Request;
use axum::http::request::Parts;
use local::gateway::events::{self, Peer, Stamp};
use local::gateway::{Exception, MESSAGE_BYTES_MAX, admit};
use local::invoker::Invoker;
use local::template::HttpRoute;
use serde_json::{Value, json};
use tokio::sync::Notify;
use wire::{ERROR_EVENTS, Echo, Request as _, SendMessage, ServerFrame, error_frame};

use crate::lock::lock;
use crate::world::{Failed, World, encoded};

const DOMAIN: &str = "local.execute-api.us-east-1.amazonaws.com";
/// Where everybody is.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a client says when it connects.
#[derive(Clone, Debug, Default)]
pub struct Handshake {
    header: Option<(&'static str, String)>,
    query: String,
}

impl Handshake {
    /// With a token in the `Authorization` header.
    pub fn with_header(token: &str) -> Self {
        Self { header: Some(("Authorization", format!("Bearer {token}"))), ..Self::default() }
    }

    /// With a token among the subprotocols, as browsers do.
    pub fn with_subprotocol(token: &str) -> Self {
        Self { header: Some(("Sec-WebSocket-Protocol", format!("chat.v1, bearer.{token}"))), ..Self::default() }
    }

    /// With a token in the query.
    pub fn with_query(token: &str) -> Self {
        Self::default().and("token", token)
    }

    /// And this in the query.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.query += &format!("{}={}&", encoded(name), encoded(value));
        self
    }
}

/// A connection that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub connection: String,
    /// The subprotocol that the server answered.
    pub subprotocol: Option<String>,
}

/// A frame that a client has received.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// What it says.
    pub json: Value,
    /// How long it is.
    pub bytes: usize,
}

/// An answer of the HTTP API.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Value,
}

/// Every connection.
#[derive(Clone, Default)]
pub struct Connections {
    wires: Arc<Mutex<BTreeMap<String, Wire>>>,
    /// Every message that a client was ever shown, with the client's user.
    shown: Arc<Mutex<Vec<Value>>>,
    news: Arc<Notify>,
}

/// Whoever uses `wire` reads each frame that is sent, and knows every field of it.
fn is_read_by_clients(frame: &Value) {
    let again = match ServerFrame::parse(&frame.to_string()) {
        Ok(ServerFrame::Event { event, request_id }) => event.frame(request_id.as_ref()),
        Ok(ServerFrame::Refused { error, request_id, client_message_id }) => {
            let sends = frame["event"] == ERROR_EVENTS[0];
            let action = sends.then(|| SendMessage::ACTION.to_owned());
            error_frame(&error, &Echo { action, request_id, client_message_id })
        }
        other => panic!("{frame} is read as {other:?}"),
    };
    let again: Value = serde_json::from_slice(&again).expect("JSON");
    assert_eq!(again, *frame, "what is read, sent again, is the same");
}

/// One connection.
struct Wire {
    peer: Peer,
    open: bool,
    frames: VecDeque<Frame>,
}

impl Connections {
    /// Sends a frame to a client; the status that `@connections` answers.
    pub(crate) fn push(&self, id: &str, body: &[u8]) -> u16 {
        if body.len() > MESSAGE_BYTES_MAX {
            return Exception::PayloadTooLarge as u16;
        }
        let json: Value = serde_json::from_slice(body).expect("a frame is JSON");
        is_read_by_clients(&json);
        let mut wires = lock(&self.wires);
        let Some(wire) = wires.get_mut(id).filter(|wire| wire.open) else { return Exception::Gone as u16 };
        let data = &json["data"];
        let several = data["messages"].as_array().into_iter().flatten();
        lock(&self.shown).extend(several.chain(data.get("message")).cloned());
        wire.frames.push_back(Frame { json, bytes: body.len() });
        self.news.notify_waiters();
        200
    }

    /// Ends a connection; the status that `@connections` answers.
    pub(crate) fn close(&self, id: &str) -> u16 {
        match lock(&self.wires).get_mut(id).filter(|wire| wire.open) {
            Some(wire) => {
                wire.open = false;
                204
            }
            None => Exception::Gone as u16,
        }
    }

    /// Whether it is there.
    pub(crate) fn is_open(&self, id: &str) -> bool {
        lock(&self.wires).get(id).is_some_and(|wire| wire.open)
    }

    /// Takes the frames that match, in their order.
    pub(crate) fn take(&self, id: &str, matches: impl Fn(&Value) -> bool) -> Vec<Frame> {
        let mut wires = lock(&self.wires);
        let frames = &mut wires.get_mut(id).expect("a connection").frames;
        let (taken, left) = std::mem::take(frames).into_iter().partition(|frame| matches(&frame.json));
        *frames = left;
        Vec::from(taken)
    }

    /// Takes the first frame that matches, as soon as there is one.
    pub(crate) async fn next(&self, id: &str, matches: impl Fn(&Value) -> bool) -> Frame {
        loop {
            let news = self.news.notified();
            {
                let mut wires = lock(&self.wires);
                let frames = &mut wires.get_mut(id).expect("a connection").frames;
                if let Some(at) = frames.iter().position(|frame| matches(&frame.json)) {
                    return frames.remove(at).expect("it is there");
                }
            }
            news.await;
        }
    }

    /// Every message that a client was ever shown.
    pub(crate) fn shown(&self) -> Vec<Value> {
        lock(&self.shown).clone()
    }

    /// Opens every connection again that there ever was, as if nothing had been sent to it.
    pub(crate) fn reset(&self) {
        for wire in lock(&self.wires).values_mut() {
            wire.open = true;
            wire.frames.clear();
        }
        lock(&self.shown).clear();
    }

    fn peer(&self, id: &str) -> Peer {
        lock(&self.wires).get(id).expect("a connection").peer.clone()
    }
}

impl World {
    /// A handshake: the authorizer, then `$connect`. A refusal is its status.
    ///
    /// # Errors
    /// The status of the refusal.
    pub async fn handshake(&self, handshake: &Handshake) -> Result<Accepted, u16> {
        let id = format!("{}=", self.next_id("connection"));
        let request = asked("GET", &format!("/chat?{}", handshake.query), handshake.header.clone()).ok_or(400_u16)?;
        let world = self.clone();
        let invoker = Invoker::new(move |function, event| {
            let world = world.clone();
            async move { Box::pin(world.invoke(&function, event)).await.map_err(Failed::told) }
        });
        let admitted = admit(&self.deployment().websocket, &invoker, &id, &request, HERE, &self.stamp()).await;
        let (peer, subprotocol) = admitted.map_err(|refusal| {
            if refusal.status == 429 {
                self.refuses_as_too_many(&id);
            }
            refusal.status.as_u16()
        })?;
        if let Some(wait) = self.opens(&id) {
            tokio::time::sleep(wait).await;
        }
        let wire = Wire { peer, open: true, frames: VecDeque::new() };
        lock(&self.connections().wires).insert(id.clone(), wire);
        Ok(Accepted { connection: id, subprotocol })
    }

    /// A client's frame, to the function of its route.
    pub(crate) async fn frame(&self, connection: &str, text: &str) -> Result<Value, Failed> {
        assert!(self.connections().is_open(connection), "the connection is closed: nothing can be said on it");
        let (route_key, function) = self.deployment().websocket.of_frame(text);
        let event = events::message(&self.connections().peer(connection), route_key, text, &self.stamp());
        let answer = self.invoke(function, event).await;
        if !self.connections().is_open(connection) {
            self.disconnect(connection).await;
        }
        answer
    }

    /// Tells the functions that a connection has ended.
    pub(crate) async fn disconnect(&self, connection: &str) {
        let event = events::disconnect(&self.connections().peer(connection), 1_001, "Going away", &self.stamp());
        // Best effort, here as there: nobody waits for an answer.
        let _ = self.invoke(&self.deployment().websocket.routes["$disconnect"], event).await;
    }

    /// One HTTP request, to the function of its route.
    pub async fn http(&self, method: &str, path: &str, token: Option<&str>, body: Option<String>) -> HttpAnswer {
        self.http_as(method, path, token, |event| event["body"] = body.into()).await
    }

    /// The same, whose event is as CHANGE makes it: with a body that is no text, or as another gateway would write it.
    pub async fn http_as(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        change: impl FnOnce(&mut Value),
    ) -> HttpAnswer {
        let refusal = |status, message: &str| HttpAnswer { status, body: json!({ "message": message }) };
        let token = token.map(|token| ("authorization", format!("Bearer {token}")));
        let Some(request) = asked(method, path, token) else { return refusal(400, "Bad Request") };
        let found = HttpRoute::of(&self.deployment().http_routes, method, request.uri.path());
        let Some((route, parameters)) = found else { return refusal(404, "Not Found") };
        let mut event = events::http(route, &parameters, &request, HERE, &[], &self.stamp());
        change(&mut event);
        let answer = match self.invoke(&route.function, event).await {
            Ok(answer) => answer,
            Err(failed) => return refusal(500, &format!("{failed:?}")),
        };
        let body = serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or_default();
        HttpAnswer { status: answer["statusCode"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(500), body }
    }

    fn stamp(&self) -> Stamp {
        Stamp { id: self.next_id("request"), time: self.now() }
    }
}

/// What somebody asks, as a server reads it. That refuses what is no address.
fn asked(method: &str, uri: &str, more: Option<(&str, String)>) -> Option<Parts> {
    let fixed = [("host", DOMAIN), ("content-type", "application/json"), ("user-agent", "tests")];
    let request = Request::builder().method(method).uri(uri);
    let request = fixed.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let request = more.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    Some(request.body(()).ok()?.into_parts().0)
}
