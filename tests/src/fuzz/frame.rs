//! Any bytes as a frame: the envelope, each action's fields, and what a client is told. No function runs.

use serde_json::Value;
use shared::chat::send::Attempt;
use shared::error::Error;
use wire::limits::{CLIENT_ID_CHARS_MAX, ERROR_TEXT_CHARS_MAX, MESSAGE_BYTES_MAX};
use wire::{
    ACTIONS, ConversationId, Cursor, Echo, Event, Frame, GetConversations, GetOrCreateDirect, GetTransactions,
    RequestId, SendMessage, Seq, ServerFrame, Time, UserId, direct_id, error_frame, parse,
};

/// Who says it.
const SPEAKER: &str = "ann";

/// Looks at what was read, beyond that it can be read: some actions have rules of their own.
type Rule = fn(&str, Option<&RequestId>) -> Result<(), Error>;

const RULES: [Rule; 4] = [get_or_create_direct, get_conversations, send_message, get_transactions];

/// Reads any bytes as a frame. Nothing may panic, and every refusal must be a frame that can be sent, and that names what it
/// answers.
///
/// # Panics
/// When a rule is broken.
pub fn frame(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // A client reads whatever comes, too.
    let _ = ServerFrame::parse(&text);
    let echo = Echo::of(&text);
    echoes_what_is_there(&text, &echo);
    let frame = match Frame::new(&text) {
        Ok(frame) => frame,
        Err(invalid) => return is_told(&invalid.into(), &echo),
    };
    assert_eq!((Some(&frame.action), &frame.request_id), (echo.action.as_ref(), &echo.request_id), "both have read it");
    is_told(&Error::UnknownAction(frame.action), &echo);
    // It is read as each of them, whatever action it names.
    let read = ACTIONS.iter().map(|action| (action.read)(&text).map(drop).map_err(Error::from));
    let ruled = RULES.iter().map(|rule| rule(&text, echo.request_id.as_ref()));
    for error in read.chain(ruled).filter_map(Result::err) {
        is_told(&error, &echo);
    }
}

/// What is echoed of an object is what is in it, also when something is wrong with the text behind that.
fn echoes_what_is_there(text: &str, echo: &Echo) {
    let Ok(Value::Object(members)) = serde_json::from_str(text) else { return };
    let member = |name: &str| members.get(name).and_then(Value::as_str);
    let is_short = |id: &&str| id.chars().count() <= CLIENT_ID_CHARS_MAX;
    let there = Echo {
        action: member("action").map(str::to_owned),
        request_id: member("requestId").and_then(|id| id.parse().ok()),
        client_message_id: member("clientMessageId").filter(is_short).map(str::to_owned),
    };
    assert_eq!(*echo, there);
    let open = text.trim_end().strip_suffix('}').expect("an object ends so");
    for broken in [open, &format!("{open},"), &format!("{open},\"content\":\"requestId"), &format!("{text}]\"")] {
        assert_eq!(Echo::of(broken), there, "{broken}");
    }
    assert_eq!(Echo::of(&format!("[{text}]")), Echo::default());
    let within = Echo::of(&format!("{{\"action\":{text},\"requestId\":[{text}],\"content\":{text}"));
    assert_eq!(within, Echo::default(), "what is within an object is not its own");
}

/// A refusal's frame says what is wrong, echoes what it must, and isn't too long to be sent.
fn is_told(error: &Error, echo: &Echo) {
    let frame = error_frame(&error.body("trace"), echo);
    is_sendable(&frame);
    let Echo { request_id, client_message_id, .. } = echo.clone();
    is_read_as(&frame, ServerFrame::Refused { error: error.body("trace"), request_id, client_message_id });
    let frame: Value = serde_json::from_slice(&frame).expect("a frame is JSON");
    assert_eq!(frame["success"], false, "{frame:#}");
    let text = frame["error"]["message"].as_str().unwrap_or_default();
    assert!((1..=ERROR_TEXT_CHARS_MAX + 1).contains(&text.chars().count()), "a text for a person is short: {frame:#}");
    assert!(error.cause().is_none(), "what a client says is no fault of ours: {error:?}");
}

fn is_sendable(frame: &[u8]) {
    assert!(frame.len() <= MESSAGE_BYTES_MAX, "{} bytes can't be sent", frame.len());
}

/// A client reads what was meant.
fn is_read_as(frame: &[u8], meant: ServerFrame) {
    assert_eq!(ServerFrame::parse(&String::from_utf8_lossy(frame)), Ok(meant));
}

/// The conversation is the same one, whoever asks.
fn get_or_create_direct(text: &str, _: Option<&RequestId>) -> Result<(), Error> {
    let other = parse::<GetOrCreateDirect>(text)?.other_user_id;
    let id = direct_id(&speaker(), &other);
    assert_eq!(id, direct_id(&other, &speaker()));
    assert_eq!(id.as_str().parse(), Ok::<ConversationId, _>(id.clone()), "our ids are valid");
    Ok(())
}

fn get_conversations(text: &str, _: Option<&RequestId>) -> Result<(), Error> {
    parse::<GetConversations>(text)?.cursor.map_or(Ok(()), |cursor| is_canonical(&cursor))
}

fn get_transactions(text: &str, _: Option<&RequestId>) -> Result<(), Error> {
    parse::<GetTransactions>(text)?.cursor.map_or(Ok(()), |cursor| is_canonical(&cursor))
}

/// A position has one cursor.
fn is_canonical(cursor: &Cursor) -> Result<(), Error> {
    assert_eq!(Cursor::new(&cursor.position()?), *cursor);
    Ok(())
}

/// What is said arrives as it was said, and fits a frame.
fn send_message(text: &str, request_id: Option<&RequestId>) -> Result<(), Error> {
    let request: SendMessage = parse(text)?;
    let content = request.content.clone();
    let attempt = Attempt::new(&speaker(), request)?;
    let message = attempt.message(Seq(1), attempt.max_price.unwrap_or_default(), Time::default());
    let event = Event::MessageSent { message, duplicate: false, balance: None };
    let sent = event.frame(request_id);
    is_sendable(&sent);
    is_read_as(&sent, ServerFrame::Event { event, request_id: request_id.cloned() });
    let sent: Value = serde_json::from_slice(&sent).expect("a frame is JSON");
    assert_eq!(sent["data"]["message"]["content"], content);
    Ok(())
}

fn speaker() -> UserId {
    SPEAKER.parse().expect("a user id")
}
