//! Frames: which function gets them, and what is too large.

use futures::SinkExt as _;
use local::gateway::{FRAME_BYTES_MAX, MESSAGE_BYTES_MAX};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::world::{World, close_code, limits, text};

/// How many frames of one connection the gateway has its functions work on at a time.
const FRAMES_IN_FLIGHT_MAX: usize = 32;

fn frame(size: usize, kind: Data, last: bool) -> Message {
    Message::Frame(Frame::message(vec![b'x'; size], OpCode::Data(kind), last))
}

#[tokio::test]
async fn a_frame_goes_to_its_action_s_function_with_the_caller_s_identity() {
    let mut world = World::start(limits()).await;
    let (mut client, id) = world.client().await;
    let body = r#"{"action":"sendMessage","content":"hi"}"#;
    client.send(Message::text(body)).await.expect("is sent");
    let event = world.event_of("send").await;
    assert_eq!(event["body"], body);
    assert_eq!(event["isBase64Encoded"], false);
    let context = &event["requestContext"];
    assert_eq!(context["routeKey"], "sendMessage");
    assert_eq!(context["eventType"], "MESSAGE");
    assert_eq!(context["connectionId"], id);
    let mut authorizer = context["authorizer"].clone();
    assert!(authorizer["integrationLatency"].take().is_u64());
    let said = json!({ "principalId": "ann", "sub": "ann", "expires": "5", "integrationLatency": null });
    assert_eq!(authorizer, said);
    assert!(context["connectedAt"].as_i64() <= context["requestTimeEpoch"].as_i64());
}

#[tokio::test]
async fn a_frame_without_a_known_action_goes_to_the_default_route() {
    let mut world = World::start(limits()).await;
    let (mut client, _) = world.client().await;
    for body in ["no JSON", "[]", r#"{"action":"dance"}"#, r#"{"action":5}"#, r#"{"action":"$connect"}"#] {
        client.send(Message::text(body)).await.expect("is sent");
        let event = world.event_of("presence").await;
        assert_eq!((&event["requestContext"]["routeKey"], &event["body"]), (&json!("$default"), &json!(body)));
    }
}

#[tokio::test]
async fn frames_of_one_connection_run_side_by_side() {
    let mut world = World::start(limits()).await;
    let (mut client, _) = world.client().await;
    for body in ["held until the next is seen", "the next"] {
        client.send(Message::text(body)).await.expect("is sent");
        assert_eq!(world.event_of("presence").await["body"], body);
    }
    world.release.notify_one();
    client.close(None).await.expect("closes");
    world.event_of("disconnect").await;
}

#[tokio::test]
async fn only_so_many_frames_of_one_connection_run_at_a_time() {
    let mut world = World::start(limits()).await;
    let (mut client, id) = world.client().await;
    for n in 0..=FRAMES_IN_FLIGHT_MAX {
        client.send(Message::text(format!("held {n}"))).await.expect("is sent");
    }
    for _ in 0..FRAMES_IN_FLIGHT_MAX {
        world.event_of("presence").await;
    }
    // It takes many turns of the gateway's to bring a push; one of them would have been the next frame's.
    world.push(&id, "meanwhile").await.expect("is queued");
    assert_eq!(text(&mut client).await, "meanwhile");
    assert!(world.events.is_empty(), "one frame too many is worked on");
    world.release.notify_one();
    assert_eq!(world.event_of("presence").await["body"], format!("held {FRAMES_IN_FLIGHT_MAX}"));
}

#[tokio::test]
async fn a_function_that_fails_is_answered_for() {
    let mut world = World::start(limits()).await;
    let (mut client, id) = world.client().await;
    client.send(Message::text(r#"{"action":"ping","fail":true}"#)).await.expect("is sent");
    let answer: Value = serde_json::from_str(&text(&mut client).await).expect("JSON");
    assert_eq!(answer["message"], "Internal server error");
    assert_eq!(answer["connectionId"], id);
    assert!(answer["requestId"].is_string());
}

#[tokio::test]
async fn the_largest_frame_and_the_largest_message_pass() {
    let mut world = World::start(limits()).await;
    let (mut client, _) = world.client().await;
    client.send(frame(FRAME_BYTES_MAX, Data::Text, true)).await.expect("is sent");
    assert_eq!(world.event_of("presence").await["body"].as_str().map(str::len), Some(FRAME_BYTES_MAX));
    for (kind, last) in [(Data::Text, false), (Data::Continue, false), (Data::Continue, false), (Data::Continue, true)]
    {
        client.send(frame(FRAME_BYTES_MAX, kind, last)).await.expect("is sent");
    }
    assert_eq!(world.event_of("presence").await["body"].as_str().map(str::len), Some(MESSAGE_BYTES_MAX));
}

#[tokio::test]
async fn a_frame_that_is_too_large_closes_with_1009() {
    let mut world = World::start(limits()).await;
    for size in [FRAME_BYTES_MAX + 1, MESSAGE_BYTES_MAX, 1024 * 1024] {
        let (mut client, _) = world.client().await;
        // The close frame may arrive before all is sent.
        let _ = client.send(frame(size, Data::Text, true)).await;
        assert_eq!(close_code(&mut client).await, 1009, "{size} bytes");
        assert_eq!(world.event_of("disconnect").await["requestContext"]["disconnectStatusCode"], 1009);
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_closes_with_1009_whatever_its_frames() {
    let mut world = World::start(limits()).await;
    let (mut client, _) = world.client().await;
    client.send(frame(FRAME_BYTES_MAX, Data::Text, false)).await.expect("is sent");
    for _ in 0..4 {
        let _ = client.send(frame(FRAME_BYTES_MAX, Data::Continue, false)).await;
    }
    assert_eq!(close_code(&mut client).await, 1009);
}

#[tokio::test]
async fn a_binary_frame_closes_with_1003() {
    let mut world = World::start(limits()).await;
    let (mut client, _) = world.client().await;
    client.send(Message::binary(vec![1, 2, 3])).await.expect("is sent");
    assert_eq!(close_code(&mut client).await, 1003);
}
