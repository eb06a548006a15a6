//! Pushes, by `@connections`.

use aws_sdk_apigatewaymanagement::error::ProvideErrorMetadata as _;
use local::gateway::{FRAME_BYTES_MAX, Limits, MESSAGE_BYTES_MAX};

use crate::world::{World, close_code, limits, soon, text};

#[tokio::test]
async fn a_push_arrives_and_a_long_one_comes_in_frames_of_32_kb() {
    let mut world = World::start(limits()).await;
    let (mut client, id) = world.client().await;
    for message in ["hi".to_owned(), "ü".repeat(FRAME_BYTES_MAX / 2 + 1), "é".repeat(MESSAGE_BYTES_MAX / 2)] {
        world.push(&id, message.clone()).await.expect("is queued");
        assert!(text(&mut client).await == message, "{} bytes arrive as they were", message.len());
    }
}

#[tokio::test]
async fn a_push_to_nobody_is_gone() {
    let mut world = World::start(limits()).await;
    assert_eq!(world.push("L0SM9cOFvHcCIhw=", "hi").await, Err("GoneException".to_owned()));
    let (mut client, id) = world.client().await;
    world.push(&id, "hi").await.expect("is queued");
    client.close(None).await.expect("closes");
    world.event_of("disconnect").await;
    assert_eq!(world.push(&id, "hi").await, Err("GoneException".to_owned()));
}

#[tokio::test]
async fn a_push_that_is_too_large_is_refused() {
    let mut world = World::start(limits()).await;
    let (_client, id) = world.client().await;
    let refused = world.push(&id, vec![b'x'; MESSAGE_BYTES_MAX + 1]).await;
    assert_eq!(refused, Err("PayloadTooLargeException".to_owned()));
}

#[tokio::test]
async fn a_client_that_does_not_read_makes_pushes_exceed_the_limit() {
    let mut world = World::start(limits()).await;
    let (mut client, id) = world.client().await;
    let mut queued = 0;
    let refused = soon(async {
        loop {
            match world.push(&id, vec![b'x'; MESSAGE_BYTES_MAX]).await {
                Ok(()) => queued += 1,
                Err(error) => return error,
            }
        }
    })
    .await;
    assert_eq!(refused, "LimitExceededException");
    for _ in 0..queued {
        assert_eq!(text(&mut client).await.len(), MESSAGE_BYTES_MAX, "what was queued arrives");
    }
    world.push(&id, "hi").await.expect("there is room again");
}

#[tokio::test]
async fn pushes_that_come_too_fast_exceed_the_limit() {
    let mut world = World::start(Limits { pushes_per_second: Some(1), ..limits() }).await;
    let (_client, id) = world.client().await;
    let refused = soon(async {
        loop {
            if let Err(error) = world.push(&id, "hi").await {
                return error;
            }
        }
    })
    .await;
    assert_eq!(refused, "LimitExceededException");
}

#[tokio::test]
async fn deleting_a_connection_closes_it_after_what_was_pushed() {
    let mut world = World::start(limits()).await;
    let (mut client, id) = world.client().await;
    world.push(&id, "the last words").await.expect("is queued");
    soon(world.management().delete_connection().connection_id(&id).send()).await.expect("is deleted");
    assert_eq!(world.push(&id, "hi").await, Err("GoneException".to_owned()));
    assert_eq!(text(&mut client).await, "the last words");
    assert_eq!(close_code(&mut client).await, 1000);
}

#[tokio::test]
async fn a_connection_can_be_looked_at() {
    let mut world = World::start(limits()).await;
    let (_client, id) = world.client().await;
    let management = world.management();
    let found = soon(management.get_connection().connection_id(&id).send()).await.expect("is there");
    assert!(found.connected_at().expect("a time") <= found.last_active_at().expect("a time"));
    assert_eq!(found.identity().and_then(|identity| identity.source_ip()), Some("127.0.0.1"));
    let error = soon(management.get_connection().connection_id("nobody").send()).await.expect_err("is gone");
    assert_eq!(error.code(), Some("GoneException"));
}
