//! Any lines as what happens in a world: frames, HTTP requests, and events as no gateway would make them.

use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use wire::{Echo, RequestId};

use crate::network::Operation;
use crate::person::Phone;
use crate::world::{Moment, World};

/// How many lines of a scene are played; the rest would only be slow.
const LINES_MAX: usize = 8;
/// Who is there, each with one phone.
const PEOPLE: [&str; 2] = ["ann", "bob"];
/// What each can spend.
const COINS: u64 = 10;
/// What a message to bob costs.
const PRICE: u64 = 4;

/// Plays a scene in a world of its own, where everybody has a few coins and bob has a price. Each line is one of
///
/// ```text
/// ann FRAME              what ann's phone says; bob's likewise
/// METHOD PATH BODY       an operator's HTTP request
/// FUNCTION EVENT         an event in JSON, to a function of this name
/// ```
///
/// and any other is nothing. Says whether there was anything to play.
///
/// # Panics
/// When a rule is broken: something panics, a frame hasn't one answer, a refusal doesn't name its frame, something refused has left a trace, something is
/// called our fault, or the world isn't sound.
pub fn scene(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<Line<'_>> = text.lines().filter_map(Line::parse).take(LINES_MAX).collect();
    if lines.is_empty() {
        return false;
    }
    STAGE.with(|(runtime, stage)| {
        runtime.block_on(async {
            stage.world.returns_to(&stage.beginning);
            for line in &lines {
                stage.plays(line).await;
            }
        });
        stage.world.is_sound();
    });
    true
}

thread_local! {
    /// One for all scenes of a thread; each finds it as it was at the beginning.
    static STAGE: (Runtime, Stage) = {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("tokio");
        let stage = runtime.block_on(Stage::new());
        (runtime, stage)
    };
}

/// One thing that happens.
enum Line<'a> {
    Frame(usize, &'a str),
    Http(&'a str, &'a str, Option<&'a str>),
    Event(&'a str, Value),
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (word, rest) = line.split_once(' ')?;
        if let Some(person) = PEOPLE.iter().position(|name| *name == word) {
            return Some(Self::Frame(person, rest));
        }
        if ["GET", "POST", "PUT", "DELETE"].contains(&word) {
            let (path, body) = rest.split_once(' ').map_or((rest, None), |(path, body)| (path, Some(body)));
            return Some(Self::Http(word, path, body));
        }
        let known = local::functions::FUNCTIONS.iter().any(|function| function.name() == word);
        let event = serde_json::from_str(rest).ok().filter(|_| known)?;
        Some(Self::Event(word, event))
    }
}

/// Where scenes are played.
struct Stage {
    world: World,
    phones: Vec<Phone>,
    beginning: Moment,
}

impl Stage {
    async fn new() -> Self {
        let world = World::new().await;
        let mut phones = Vec::new();
        for name in PEOPLE {
            phones.push(world.person(name).connects().await);
            // This also makes the account, as else a send's first look does, even if the send is refused.
            world.tops_up(name, COINS).await;
        }
        world.prices(PEOPLE[1], PRICE).await;
        let beginning = world.moment();
        Self { world, phones, beginning }
    }

    async fn plays(&self, line: &Line<'_>) {
        self.world.calls();
        let refused = match line {
            Line::Frame(person, text) => self.frame(&self.phones[*person], text).await,
            Line::Http(method, path, body) => self.http(method, path, *body).await,
            Line::Event(function, event) => self.event(function, event.clone()).await,
        };
        if let Some(refused) = refused {
            let calls = self.world.calls();
            let written = calls.iter().filter(|call| call.operation.is_write() && call.status == Some(200));
            let trace = written.map(|call| &call.operation).find(|write| !may_be_written(write, &refused));
            assert!(trace.is_none(), "something refused has left a trace: {refused:#}: {trace:#?}");
        }
        for phone in &self.phones {
            // Nobody asks what else was pushed.
            phone.heard();
        }
    }

    /// The answer, if it refuses: it must name what it refuses, whatever can be read of that.
    async fn frame(&self, phone: &Phone, text: &str) -> Option<Value> {
        if !phone.is_connected() {
            return None;
        }
        let frames = phone.writes(text).await;
        let mut finals = frames.iter().filter(|frame| frame["event"] != "sync:page");
        let (answer, others) = (finals.next().expect("a frame is answered"), finals.count());
        assert_eq!(others, 0, "a frame has one answer: {frames:#?}");
        if answer["success"] == true {
            return None;
        }
        let Echo { action, request_id, client_message_id } = Echo::of(text);
        let named = (answer["requestId"].as_str(), answer["clientMessageId"].as_str());
        let asked = (request_id.as_ref().map(RequestId::as_str), client_message_id.as_deref());
        assert_eq!(named, asked, "a refusal names what it refuses: {answer:#}");
        let event = if action.as_deref() == Some("sendMessage") { "message:error" } else { "error" };
        assert_eq!(answer["event"], event, "{answer:#}");
        let error = &answer["error"];
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{answer:#}");
        assert!(error["code"] != "internal" && error["code"] != "unavailable", "no fault of ours: {answer:#}");
        Some(answer.clone())
    }

    /// The answer, if it refuses.
    async fn http(&self, method: &str, path: &str, body: Option<&str>) -> Option<Value> {
        let token = self.world.token("operator", json!({ "roles": ["admin"] }));
        let answer = self.world.http(method, path, Some(&token), body.map(str::to_owned)).await;
        assert!(answer.status < 500, "no fault of ours: {answer:?}");
        (answer.status >= 400).then_some(answer.body)
    }

    /// The answer, if it refuses.
    async fn event(&self, function: &str, event: Value) -> Option<Value> {
        match self.world.invoke(function, event).await {
            Ok(answer) if answer["statusCode"].as_u64().is_some_and(|status| status >= 400) => Some(answer),
            Ok(_) => None,
            Err(failed) => Some(format!("{failed:?}").into()),
        }
    }
}

/// Whether something refused may leave this: who can't pay has all that was earned folded into the balance before.
fn may_be_written(write: &Operation, refused: &Value) -> bool {
    refused["error"]["code"] == "insufficient_balance" && (write.writes("ACCOUNT") || write.writes("ENTRY#"))
}
