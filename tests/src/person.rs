//! The people: values with verbs. A verb waits until the function that it runs has ended, so that all it does is done.

use std::time::Duration;

use serde_json::{Value, json};
use wire::{ClientMessageId, Time};

use crate::gateway::{Frame, Handshake};
use crate::network::Fault;
use crate::world::World;

/// How long somebody waits for a frame.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody.
#[derive(Clone)]
pub struct Person {
    world: World,
    /// The id that their tokens say.
    pub id: String,
}

impl Person {
    pub(crate) fn new(world: &World, id: &str) -> Self {
        Self { world: world.clone(), id: id.to_owned() }
    }

    /// Connects, with a good token.
    pub async fn connects(&self) -> Phone {
        self.connects_with(&self.world.token(&self.id, Value::Null)).await
    }

    /// Connects, with a token that is good for so long.
    pub async fn connects_for(&self, life: Duration) -> Phone {
        let exp = self.world.now().after(life).ms / 1_000;
        self.connects_with(&self.world.token(&self.id, json!({ "exp": exp }))).await
    }

    /// Connects, with this token of theirs.
    pub async fn connects_with(&self, token: &str) -> Phone {
        match self.world.handshake(&Handshake::with_header(token)).await {
            Ok(accepted) => self.on(accepted.connection),
            Err(status) => panic!("{} was refused with {status}", self.id),
        }
    }

    /// On a connection of theirs.
    pub fn on(&self, connection: String) -> Phone {
        Phone { person: self.clone(), connection, ids: Ids::TimeOrdered }
    }

    /// What waits for them, by the operators' API.
    pub async fn buffered(&self) -> Value {
        let path = format!("/api/messages/buffered/{}", crate::world::encoded(&self.id));
        self.world.admin("GET", &path, None).await.body
    }

    /// The connections that presence knows.
    pub fn known_connections(&self) -> Vec<String> {
        let pk = format!("USER#{}", self.id);
        let items = self.world.items();
        let presence = items.iter().find(|item| item["pk"] == pk.as_str() && item["sk"] == "PRESENCE");
        let connections = presence.and_then(|item| item["connections"].as_object());
        connections.into_iter().flat_map(|map| map.keys().cloned()).collect()
    }
}

/// One connection of somebody.
#[derive(Clone)]
pub struct Phone {
    /// Whose.
    pub person: Person,
    /// Its id.
    pub connection: String,
    /// How it names its messages.
    pub ids: Ids,
}

/// How a client names its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// By time, as our clients do.
    TimeOrdered,
    /// In any other way.
    Other,
}

/// The final answer to a request, and the pages before it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The answer's frame.
    pub frame: Value,
    /// The `sync:page`s before it.
    pub pages: Vec<Frame>,
}

impl Answer {
    /// The event's name.
    pub fn event(&self) -> &str {
        self.frame["event"].as_str().unwrap_or_default()
    }

    /// What it brings.
    ///
    /// # Panics
    /// When it is an error.
    #[track_caller]
    pub fn data(&self) -> &Value {
        assert_eq!(self.frame["success"], true, "refused: {:#}", self.frame);
        &self.frame["data"]
    }

    /// The error's code.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn code(&self) -> &str {
        let code = self.frame["error"]["code"].as_str();
        code.unwrap_or_else(|| panic!("this should have been refused: {:#}", self.frame))
    }

    /// The error's details.
    pub fn details(&self) -> &Value {
        &self.frame["error"]["details"]
    }

    /// The messages of the pages, in the order in which they came.
    pub fn messages(&self) -> Vec<Value> {
        let pages = self.pages.iter().map(|page| &page.json["data"]["messages"]);
        pages.flat_map(|messages| messages.as_array().cloned().unwrap_or_default()).collect()
    }
}

impl std::ops::Index<&str> for Answer {
    type Output = Value;

    #[track_caller]
    fn index(&self, field: &str) -> &Value {
        &self.data()[field]
    }
}

impl Phone {
    /// Asks, and waits for the answer.
    ///
    /// # Panics
    /// When there is none.
    pub async fn says(&self, frame: Value) -> Answer {
        let asked = frame.to_string();
        self.tries(frame).await.unwrap_or_else(|| panic!("{}: no answer to {asked}", self.person.id))
    }

    /// Asks; there is no answer when the function died before it could give one.
    pub async fn tries(&self, mut frame: Value) -> Option<Answer> {
        if frame["requestId"].is_null() {
            frame["requestId"] = self.person.world.next_id("ask").into();
        }
        // Whether it died shows in the answer: there is none.
        let _ = self.person.world.frame(&self.connection, &frame.to_string()).await;
        let ours = |answer: &Value| answer["requestId"] == frame["requestId"];
        let frames = self.person.world.connections().take(&self.connection, ours);
        let (pages, finals): (Vec<_>, Vec<_>) =
            frames.into_iter().partition(|frame| frame.json["event"] == "sync:page");
        // A push whose reply is lost is repeated; it says the same.
        let frame = finals.first()?.json.clone();
        assert!(finals.iter().all(|other| other.json == frame), "a request has one final answer: {finals:#?}");
        Some(Answer { frame, pages })
    }

    /// Says something that need not be JSON; gives the frames that this connection has received by then.
    pub async fn writes(&self, text: &str) -> Vec<Value> {
        let _ = self.person.world.frame(&self.connection, text).await;
        self.heard()
    }

    /// The same, and it names its messages so.
    pub fn with(self, ids: Ids) -> Self {
        Self { ids, ..self }
    }

    fn next_message_id(&self) -> String {
        match self.ids {
            Ids::TimeOrdered => self.person.world.next_message_id(),
            Ids::Other => self.person.world.next_id("m"),
        }
    }

    /// Sends a text to somebody.
    pub async fn sends_to(&self, user: &str, content: &str) -> Answer {
        self.says(self.message_to(user, content)).await
    }

    /// Sends a text to a conversation.
    pub async fn sends(&self, conversation: &Value, content: &str) -> Answer {
        let id = self.next_message_id();
        let frame = json!({
            "action": "sendMessage", "conversationId": conversation, "content": content, "clientMessageId": id,
        });
        self.says(frame).await
    }

    /// The frame that sends a text to somebody, with an id of its own: for saying it more than once.
    pub fn message_to(&self, user: &str, content: &str) -> Value {
        let id = self.next_message_id();
        json!({ "action": "sendMessage", "to": user, "content": content, "clientMessageId": id })
    }

    /// Sends a text to somebody; the function dies when that is decided, before anything is published. Gives the frame.
    ///
    /// # Panics
    /// When there is an answer.
    pub async fn dies_sending(&self, user: &str, content: &str) -> Value {
        let world = &self.person.world;
        let frame = self.message_to(user, content);
        world.breaks_once(Fault::KillBefore, |call| call.operation.writes("MSG#"));
        assert!(self.tries(frame.clone()).await.is_none(), "the function has died");
        world.heals();
        frame
    }

    /// Asks for everything since the delivered horizon.
    pub async fn syncs(&self) -> Answer {
        self.says(json!({ "action": "sync" })).await
    }

    /// Asks for the one conversation with somebody; its id.
    pub async fn opens(&self, other: &str) -> Value {
        let answer = self.says(json!({ "action": "getOrCreateDirect", "otherUserId": other })).await;
        answer["conversation"]["conversationId"].clone()
    }

    /// Makes a group; its id.
    pub async fn makes_group(&self, request: &str, others: &[&str]) -> Value {
        let frame = json!({
            "action": "createGroup", "name": "Friends", "participants": others, "clientRequestId": request,
        });
        self.says(frame).await["conversation"]["conversationId"].clone()
    }

    /// Has what ann has in the samples of the table of actions: a conversation with bob, and a group of both; in each something was
    /// said.
    pub async fn has_what_samples_say(&self) {
        self.sends_to("bob", "hi").await.data();
        let group = self.makes_group("g1", &["bob"]).await;
        self.sends(&group, "hi all").await.data();
        self.heard();
    }

    /// Changes a group, as these fields say.
    pub async fn updates(&self, group: &Value, fields: Value) -> Answer {
        let mut frame = json!({ "action": "updateGroup", "conversationId": group });
        fields.as_object().into_iter().flatten().for_each(|(field, value)| frame[field] = value.clone());
        self.says(frame).await
    }

    /// Leaves a group.
    pub async fn leaves(&self, group: &Value) -> Answer {
        self.says(json!({ "action": "leaveGroup", "conversationId": group })).await
    }

    /// Who is in a group, by their ids, with what they may do.
    pub async fn members(&self, group: &Value) -> Vec<(String, String)> {
        let answer = self.says(json!({ "action": "getMembers", "conversationId": group })).await;
        let text = |member: &Value, field: &str| member[field].as_str().unwrap_or_default().to_owned();
        let members = answer["members"].as_array().cloned().unwrap_or_default();
        members.iter().map(|member| (text(member, "userId"), text(member, "role"))).collect()
    }

    /// Says how far it has a conversation.
    pub async fn marks_delivered(&self, conversation: &Value, seq: u64) -> Answer {
        self.says(json!({ "action": "markDelivered", "conversationId": conversation, "seq": seq })).await
    }

    /// Says how far it has read a conversation.
    pub async fn marks_read(&self, conversation: &Value, seq: u64) -> Answer {
        self.says(json!({ "action": "markRead", "conversationId": conversation, "seq": seq })).await
    }

    /// What its owner can spend.
    pub async fn balance(&self) -> u64 {
        let answer = self.says(json!({ "action": "getBalance" })).await;
        answer["balance"].as_u64().expect("a balance is a whole number")
    }

    /// The newest messages of a conversation.
    pub async fn history(&self, conversation: &Value) -> Vec<Value> {
        let asks = json!({ "action": "getMessages", "conversationId": conversation, "limit": 100 });
        self.says(asks).await["messages"].as_array().cloned().unwrap_or_default()
    }

    /// Takes what was pushed so far.
    pub fn heard(&self) -> Vec<Value> {
        let frames = self.person.world.connections().take(&self.connection, |_| true);
        frames.into_iter().map(|frame| frame.json).collect()
    }

    /// Takes the messages that were pushed so far.
    pub fn heard_messages(&self) -> Vec<Value> {
        self.heard()
            .into_iter()
            .filter(|frame| frame["event"] == "message:new")
            .map(|frame| frame["data"]["message"].clone())
            .collect()
    }

    /// Waits for the next event of this name; its data.
    pub async fn hears(&self, event: &str) -> Value {
        let next = self.person.world.connections().next(&self.connection, |frame| frame["event"] == event);
        match tokio::time::timeout(PATIENCE, next).await {
            Ok(frame) => frame.json["data"].clone(),
            Err(_) => panic!("{} waits for {event} and has only heard {:#?}", self.person.id, self.heard()),
        }
    }

    /// Whether the server has left it open.
    pub fn is_connected(&self) -> bool {
        self.person.world.connections().is_open(&self.connection)
    }

    /// Disconnects, and the server is told.
    pub async fn goes_away(&self) {
        self.vanishes();
        self.person.world.disconnect(&self.connection).await;
    }

    /// Disconnects; nobody is told.
    pub fn vanishes(&self) {
        self.person.world.connections().close(&self.connection);
    }
}

/// A UUID of version 7 of a moment; the number stands for its random bits.
pub fn uuid_v7(at: Time, n: u64) -> String {
    let n = u128::from(n);
    ClientMessageId::time_ordered(at.ms, (n >> 24 & 0xfff) << 62 | (n >> 12 & 0xfff) << 48 | n & 0xfff)
        .as_str()
        .to_owned()
}
