//! `docs/asyncapi.yaml` says what this package does, all of it and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use wire::{
    ACTIONS, Action, Code, Content, ERROR_EVENTS, Echo, Event, Frame, MarkDelivered, MarkRead, Marks, Request as _,
    SendMessage, ServerFrame, error_frame, parse,
};

mod changes;
mod samples;
mod schema;

use changes::{about_limits, changed, of_each_type, together};
use schema::{Fields, Schemas, list, members, text};

/// The message that has no event: the platform's own.
const PLATFORM: &str = "platform";

/// Words of which a later version may have more: whoever reads them takes any.
const OPEN: [&str; 3] = ["kind", "role", "code"];

fn document() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/asyncapi.yaml");
    let text = std::fs::read_to_string(path).expect("the document");
    serde_saphyr::from_str(&text).expect("YAML")
}

/// The messages that operations of this kind carry to the server (`receive`), or from it, by name.
fn messages(document: &Value, action: &str) -> BTreeMap<String, Value> {
    let operations = members(&document["operations"]).values().filter(|operation| operation["action"] == action);
    let messages = operations.flat_map(|operation| list(&operation["messages"]));
    messages.map(|message| named(document, message)).collect()
}

/// What a server may send: answers and pushes, by name.
fn from_server(document: &Value) -> BTreeMap<String, Value> {
    let replies =
        members(&document["operations"]).values().filter_map(|operation| operation.pointer("/reply/messages"));
    let replies = replies.flat_map(list).map(|message| named(document, message));
    replies.chain(messages(document, "send")).collect()
}

/// A message that is referred to by way of its channel, with its name.
fn named(document: &Value, message: &Value) -> (String, Value) {
    let schemas = Schemas::of(document);
    let message = schemas.at(text(&schemas.at(text(&message["$ref"]))["$ref"]));
    (text(&message["name"]).to_owned(), message.clone())
}

fn examples(message: &Value) -> impl Iterator<Item = &Value> {
    list(&message["examples"]).iter().map(|example| &example["payload"])
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// What calls a frame of a server's what it is.
fn name_of(frame: &Value) -> &str {
    frame["event"].as_str().unwrap_or(PLATFORM)
}

/// The names of all events, as what reads them says where it knows none.
fn events() -> BTreeSet<String> {
    let error = serde_json::from_str::<Event>(r#"{"event":"?"}"#).expect_err("there is no such event").to_string();
    let known = error.split("expected one of ").nth(1).expect("a list of those that are known");
    names(known.split('`').skip(1).step_by(2))
}

/// A frame without what is `null`, which counts as not given.
fn given(frame: &Value) -> Value {
    let without = |object: &Map<String, Value>| {
        object.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    Value::Object(without(members(frame)))
}

/// The same, also within it.
fn all_given(value: &Value) -> Value {
    match value {
        Value::Object(object) => given(&object.iter().map(|(name, value)| (name.clone(), all_given(value))).collect()),
        Value::Array(items) => items.iter().map(all_given).collect(),
        other => other.clone(),
    }
}

/// Whether the server takes this frame for this action, as far as it looks at nothing but the frame.
fn is_taken(action: &Action, frame: &Value) -> bool {
    let text = frame.to_string();
    let sends = || {
        let send: SendMessage = parse(&text).ok()?;
        send.target().ok()?;
        Content::new(send.content).ok()
    };
    let marks = || {
        let MarkRead { conversation_id, seq, marks } = parse(&text).ok()?;
        Marks::of(conversation_id, seq, marks).ok()
    };
    let has = |name: &str| frame.get(name).is_some_and(|value| !value.is_null());
    Frame::new(&text).is_ok_and(|frame| frame.action == action.name)
        && (action.read)(&text).is_ok()
        && (action.name != SendMessage::ACTION || sends().is_some())
        && (![MarkRead::ACTION, MarkDelivered::ACTION].contains(&action.name) || marks().is_some())
        // The function `read` refuses this, and `groups` a list of nobody where it must name somebody.
        && !(has("before") && has("after"))
        && !["participants", "admins"].iter().any(|list| frame.get(list) == Some(&json!([])))
}

/// What a client that has read this frame would send, if it were the server.
fn again(frame: &Value) -> Option<Value> {
    let bytes = match ServerFrame::parse(&frame.to_string()).ok()? {
        ServerFrame::Event { event, request_id } => event.frame(request_id.as_ref()),
        ServerFrame::Refused { error, request_id, client_message_id } => {
            let sends = frame["event"] == ERROR_EVENTS[0];
            let action = sends.then(|| SendMessage::ACTION.to_owned());
            error_frame(&error, &Echo { action, request_id, client_message_id })
        }
        ServerFrame::Unknown { .. } => return None,
        ServerFrame::Platform { message, connection_id, request_id } => {
            let frame = json!({ "message": message, "connectionId": connection_id, "requestId": request_id });
            return Some(given(&frame));
        }
    };
    serde_json::from_slice(&bytes).ok()
}

#[test]
fn every_action_is_described_and_no_other() {
    let document = document();
    assert_eq!(
        messages(&document, "receive").into_keys().collect::<BTreeSet<_>>(),
        names(ACTIONS.iter().map(|action| action.name)),
        "what the server receives, and the table of actions"
    );
    for (name, operation) in members(&document["operations"]).iter().filter(|(_, it)| it["action"] == "receive") {
        let [message] = list(&operation["messages"]).as_slice() else { panic!("{name} is more than one action") };
        let (action, _) = named(&document, message);
        assert_eq!(*name, action, "an operation is called as its action");
        let action = ACTIONS.iter().find(|row| row.name == action).expect("it is in the table");
        let (error, pages) = match action.name {
            SendMessage::ACTION => (ERROR_EVENTS[0], None),
            wire::Sync::ACTION => (ERROR_EVENTS[1], Some("sync:page")),
            _ => (ERROR_EVENTS[1], None),
        };
        let replies = list(&operation["reply"]["messages"]).iter().map(|reply| named(&document, reply).0);
        let expected = pages.into_iter().chain([action.answer, error]);
        assert_eq!(replies.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{name}: what answers it");
    }
}

#[test]
fn every_event_is_described_and_no_other_and_each_has_samples() {
    let document = document();
    let all: BTreeSet<String> = events().into_iter().chain(names(ERROR_EVENTS)).chain(names([PLATFORM])).collect();
    assert!(all.len() > 15, "{all:?}");
    assert_eq!(from_server(&document).into_keys().collect::<BTreeSet<_>>(), all, "docs/asyncapi.yaml");
    assert_eq!(names(samples::frames().iter().map(name_of)), all, "samples.rs");
    let channels = members(&document["channels"]).values().flat_map(|channel| members(&channel["messages"]).values());
    let carried = names(channels.map(|message| text(&message["$ref"])));
    let there = members(&document["components"]["messages"]).keys().map(|key| format!("#/components/messages/{key}"));
    assert_eq!(carried, there.collect(), "the messages of the channel");
    assert_eq!(carried.len(), all.len() + ACTIONS.len(), "each message is one action or one event");
}

#[test]
fn every_error_code_is_described_with_its_details() {
    let document = document();
    let code = &document["components"]["schemas"]["ErrorCode"];
    let codes: Vec<Value> = Code::ALL.iter().map(|code| json!(code)).collect();
    assert_eq!(code["enum"], json!(codes));
    assert_eq!(codes, Code::ALL.iter().map(|code| json!(code.as_str())).collect::<Vec<_>>());
    let rows = Code::ALL.iter().map(|code| {
        let row = json!({ "retryable": code.is_retryable(), "details": code.details() });
        (code.as_str().to_owned(), row)
    });
    assert_eq!(code["x-codes"], Value::Object(rows.collect()));
    let details = &document["components"]["schemas"]["ErrorDetails"]["properties"];
    let named = Code::ALL.iter().flat_map(|code| code.details().iter().copied());
    assert_eq!(names(members(details).keys().map(String::as_str)), names(named));
}

/// The document's examples are what this package says of itself: so what holds of these holds of those.
#[test]
fn the_examples_are_the_samples() {
    let document = document();
    let mut samples: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for frame in samples::frames() {
        samples.entry(name_of(&frame).to_owned()).or_default().push(frame);
    }
    for (name, message) in from_server(&document) {
        let (samples, examples) = (&samples[&name], examples(&message).cloned().collect::<Vec<_>>());
        assert!(*samples == examples, "{name}: the document's examples are not the samples:\n{}", lines(samples));
    }
    for (name, message) in messages(&document, "receive") {
        let action = ACTIONS.iter().find(|action| action.name == name).expect("it is in the table");
        let mut samples: Vec<Value> = action.frames().collect();
        samples.iter_mut().for_each(|sample| sample["requestId"] = json!("r1"));
        let examples: Vec<Value> = examples(&message).cloned().collect();
        assert!(samples == examples, "{name}: the document's examples are not the samples:\n{}", lines(&samples));
    }
}

fn lines(frames: &[Value]) -> String {
    frames.iter().map(|frame| format!("- payload: {frame}\n")).collect()
}

#[test]
fn every_field_is_described_and_no_other() {
    let document = document();
    let schemas = Schemas::of(&document);
    let (mut found, mut fields, mut used) = (Fields::default(), BTreeSet::new(), BTreeSet::new());
    for (name, message) in from_server(&document).into_iter().chain(messages(&document, "receive")) {
        let here = text(&message["title"]);
        schemas.name(here, &message["payload"], &mut fields, &mut used);
        for frame in examples(&message) {
            schemas.find(here, &message["payload"], frame, &mut found);
        }
        assert!(fields.iter().any(|field| field.starts_with(here)), "{name} has fields");
    }
    assert_eq!(found.unnamed, BTreeSet::new(), "these fields are sent, and the document doesn't name them");
    let unsent: Vec<&String> = fields.difference(&found.seen).collect();
    assert!(unsent.is_empty(), "the document names these fields, and no sample has them: {unsent:?}");
    let there = members(&document["components"]["schemas"]).keys().map(|key| format!("#/components/schemas/{key}"));
    assert_eq!(there.collect::<BTreeSet<_>>(), used, "every schema is used");
}

#[test]
fn a_request_is_right_by_the_document_where_the_server_takes_it() {
    let document = document();
    let schemas = Schemas::of(&document);
    for (name, message) in messages(&document, "receive") {
        let action = ACTIONS.iter().find(|action| action.name == name).expect("it is in the table");
        let frames: Vec<&Value> = examples(&message).collect();
        let all = frames.iter().flat_map(|frame| changed(frame, &of_each_type(), &about_limits()));
        let all = frames.iter().map(|frame| (String::new(), (*frame).clone())).chain(all).chain(together(&frames));
        let (mut right, mut wrong) = (0, 0);
        for (change, frame) in all {
            let by_document = schemas.check(&message["payload"], &given(&frame));
            let taken = is_taken(action, &frame);
            assert_eq!(by_document.is_ok(), taken, "{name}: {change}: the document says {by_document:?}");
            *(if taken { &mut right } else { &mut wrong }) += 1;
        }
        assert!(right >= frames.len() && wrong > 0, "{name}: {right} are right, {wrong} are wrong");
    }
}

#[test]
fn an_answer_or_a_push_is_right_by_the_document_where_a_client_reads_all_of_it() {
    let document = document();
    let schemas = Schemas::of(&document);
    for (name, message) in from_server(&document) {
        for frame in examples(&message) {
            assert_eq!(again(frame).as_ref(), Some(frame), "{name}: what is read, sent again, is the same");
            assert_eq!(schemas.check(&message["payload"], frame), Ok(()), "{name}: {frame}");
            let (mut right, mut wrong) = (0, 0);
            for (change, frame) in changed(frame, &of_each_type(), &[]) {
                let frame = all_given(&frame);
                let by_document = schemas.check(&message["payload"], &frame);
                let read = again(&frame).is_some_and(|again| again == frame);
                let is_new_word = OPEN.iter().any(|word| change.contains(&format!("{word} = \"")));
                assert!(
                    by_document.is_ok() == read || is_new_word,
                    "{name}: {change}: the document says {by_document:?}"
                );
                *(if by_document.is_ok() { &mut right } else { &mut wrong }) += 1;
            }
            assert!(wrong > right, "{name}: most changes break it: {right} are right, {wrong} are wrong");
        }
    }
}
