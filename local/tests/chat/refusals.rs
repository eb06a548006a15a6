//! What is refused, and what becomes of the connection.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use local::gateway::{FRAME_BYTES_MAX, MESSAGE_BYTES_MAX};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::client::{Client, send};
use crate::world::{World, eventually};

#[tokio::test]
async fn a_bad_frame_is_answered_and_the_connection_stays_open() {
    let world = World::start(&[]).await;
    let mut ann = Client::connects(&world, "ann").await;
    for (frame, event, code, field) in [
        ("hello", "error", "bad_request", None),
        ("[]", "error", "bad_request", None),
        (r#"{"content":"hello"}"#, "error", "bad_request", Some("action")),
        (r#"{"action":5}"#, "error", "bad_request", Some("action")),
        (r#"{"action":"ping","requestId":5}"#, "error", "bad_request", Some("requestId")),
        (r#"{"action":"dance"}"#, "error", "unknown_action", None),
        (r#"{"action":"$connect"}"#, "error", "unknown_action", None),
        (r#"{"action":"getMessages"}"#, "error", "bad_request", Some("conversationId")),
        (r#"{"action":"getMessages","conversationId":7}"#, "error", "bad_request", Some("conversationId")),
        (r#"{"action":"getMessages","conversationId":"c","limit":101}"#, "error", "bad_request", Some("limit")),
        (r#"{"action":"getPresence","userIds":"bob"}"#, "error", "bad_request", Some("userIds")),
        (
            r#"{"action":"sendMessage","to":"bob","content":5,"clientMessageId":"1"}"#,
            "message:error",
            "bad_request",
            Some("content"),
        ),
        (
            r#"{"action":"sendMessage","to":"bob","content":""}"#,
            "message:error",
            "bad_request",
            Some("clientMessageId"),
        ),
    ] {
        ann.says(Message::text(frame)).await;
        let error = ann.hears_error(event).await;
        assert_eq!((&error["code"], &error["retryable"]), (&json!(code), &json!(false)), "{frame}: {error}");
        assert_eq!(error["details"]["field"].as_str(), field, "{frame}: {error}");
    }
    for (request, code) in [
        (send("bob", "", "1"), "content_empty"),
        (send("bob", &"x".repeat(10_001), "1"), "content_too_long"),
        (send("ann", "to myself", "1"), "self_conversation"),
        (json!({ "action": "getConversation", "conversationId": "of-others" }), "not_a_participant"),
    ] {
        assert_eq!(ann.is_refused(request).await, code);
    }
    // Nothing of it left a trace, and the last id is still free.
    assert_eq!(ann.asks(send("bob", &"é".repeat(10_000), "1")).await["message"]["seq"], 1);
}

#[tokio::test]
async fn what_the_gateway_does_not_take_closes_the_connection() {
    let world = World::start(&[]).await;
    let part = |size: usize, kind: Data, last: bool| {
        Message::Frame(Frame::message(vec![b'x'; size], OpCode::Data(kind), last))
    };
    let parts = MESSAGE_BYTES_MAX / FRAME_BYTES_MAX;
    let long_message = (0..=parts).map(|n| {
        let kind = if n == 0 { Data::Text } else { Data::Continue };
        part(FRAME_BYTES_MAX, kind, n == parts)
    });
    for (messages, code) in [
        (vec![Message::binary("{}")], 1003),
        (vec![part(FRAME_BYTES_MAX + 1, Data::Text, true)], 1009),
        (long_message.collect(), 1009),
    ] {
        let mut ann = Client::connects(&world, "ann").await;
        for message in messages {
            ann.says(message).await;
        }
        assert_eq!(ann.is_closed().await, Some(code));
    }
}

#[tokio::test]
async fn a_token_lets_in_by_each_of_its_three_ways() {
    let world = World::start(&[]).await;
    let token = world.token(json!({ "sub": "ann" })).await;
    for (query, headers) in [
        (format!("token={token}&device=phone"), vec![]),
        (String::new(), vec![("authorization", format!("Bearer {token}"))]),
        (String::new(), vec![("sec-websocket-protocol", format!("chat.v1, bearer.{token}"))]),
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut ann = Client::tries(&world, &query, &headers).await.expect("is let in");
        assert!(ann.asks(json!({ "action": "ping" })).await["serverTime"].is_string());
    }
}

#[tokio::test]
async fn a_bad_token_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::start_in(dir.path(), &[]).await;
    let secret = std::fs::read(dir.path().join("jwt-secret")).expect("is kept");
    shared::auth::crypto::install();
    let signed = |claims: Value, secret: &[u8]| {
        encode(&Header::default(), &claims, &EncodingKey::from_secret(secret)).expect("is signed")
    };
    let in_a_year = jsonwebtoken::get_current_timestamp() + 365 * 86_400;
    let good = signed(json!({ "sub": "ann", "exp": in_a_year }), &secret);
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let (head, signature) =
        (good.split('.').next().expect("a head"), good.split('.').next_back().expect("a signature"));
    let unsigned = format!("{}.{}.", part(&json!({ "alg": "none" })), part(&json!({ "sub": "ann", "exp": in_a_year })));
    let forged = format!("{head}.{}.{signature}", part(&json!({ "sub": "bob", "exp": in_a_year })));
    for (name, query) in [
        ("none", String::new()),
        ("an empty one", "token=".to_owned()),
        ("garbage", "token=garbage".to_owned()),
        ("three parts of garbage", "token=a.b.c".to_owned()),
        (
            "one signed with another secret",
            format!("token={}", signed(json!({ "sub": "ann", "exp": in_a_year }), b"x")),
        ),
        ("one with other claims than were signed", format!("token={forged}")),
        ("one that has expired", format!("token={}", signed(json!({ "sub": "ann", "exp": 1_000_000_000 }), &secret))),
        ("one that never expires", format!("token={}", signed(json!({ "sub": "ann" }), &secret))),
        ("one without a user", format!("token={}", signed(json!({ "exp": in_a_year }), &secret))),
        ("one with an empty user", format!("token={}", signed(json!({ "sub": "", "exp": in_a_year }), &secret))),
        ("one that isn't signed", format!("token={unsigned}")),
    ] {
        assert_eq!(Client::tries(&world, &query, &[]).await.err(), Some(401), "{name}");
    }
    Client::tries(&world, &format!("token={good}"), &[]).await.expect("the good one is let in");
}

#[tokio::test]
async fn a_token_that_expires_ends_the_connection() {
    let world = World::start(&[]).await;
    let token = world.token(json!({ "sub": "ann", "ttlSeconds": 1 })).await;
    let mut ann = Client::tries(&world, &format!("token={token}"), &[]).await.expect("is let in");
    // The next frame meets the end, unless the sweep has come before: then it isn't answered.
    eventually(async || match ann.asks_at_once(&[json!({ "action": "ping" })]).await.remove(0) {
        Some(answer) if answer["success"] == true => false,
        Some(answer) => {
            assert_eq!(answer["error"]["code"], "token_expired");
            true
        }
        None => true,
    })
    .await;
    assert_eq!(ann.is_closed().await, Some(1000));
}
