//! How connections end.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use local::gateway::Limits;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::world::{World, close_code, limits, soon};

#[tokio::test]
async fn an_idle_connection_is_closed_whatever_it_pings() {
    let mut world = World::start(Limits { idle: Duration::from_millis(300), ..limits() }).await;
    let (mut client, _) = world.client().await;
    let began = tokio::time::Instant::now();
    let mut pings = tokio::time::interval(Duration::from_millis(50));
    let code = soon(async {
        loop {
            tokio::select! {
                _ = pings.tick() => client.send(Message::Ping(Vec::new().into())).await.expect("is sent"),
                message = client.next() => match message.expect("a message").expect("no error") {
                    Message::Close(frame) => return u16::from(frame.expect("a code").code),
                    other => assert!(matches!(other, Message::Pong(_)), "{other:?}"),
                }
            }
        }
    })
    .await;
    assert_eq!(code, 1001);
    assert!(began.elapsed() >= Duration::from_millis(250));
    assert_eq!(world.event_of("disconnect").await["requestContext"]["disconnectReason"], "Going away");
}

#[tokio::test]
async fn no_connection_outlives_its_life_however_busy() {
    let life = Duration::from_millis(500);
    let mut world = World::start(Limits { idle: Duration::from_millis(200), life, ..limits() }).await;
    let (mut client, _) = world.client().await;
    let began = tokio::time::Instant::now();
    let mut frames = tokio::time::interval(Duration::from_millis(40));
    let code = soon(async {
        loop {
            tokio::select! {
                _ = frames.tick() => drop(client.send(Message::text("busy")).await),
                message = client.next() => if let Some(Ok(Message::Close(frame))) = message {
                    return u16::from(frame.expect("a code").code);
                }
            }
        }
    })
    .await;
    assert_eq!(code, 1001);
    assert!(began.elapsed() >= Duration::from_millis(400), "frames keep it from being idle");
}

#[tokio::test]
async fn disconnect_says_how_the_connection_ended() {
    let mut world = World::start(limits()).await;
    let (mut client, id) = world.client().await;
    client.close(None).await.expect("closes");
    let event = world.event_of("disconnect").await;
    let context = &event["requestContext"];
    assert_eq!((&context["connectionId"], &context["eventType"]), (&json!(id), &json!("DISCONNECT")));
    assert_eq!((&context["disconnectStatusCode"], &context["authorizer"]["sub"]), (&json!(1005), &json!("ann")));

    let (client, _) = world.client().await;
    drop(client);
    assert_eq!(world.event_of("disconnect").await["requestContext"]["disconnectStatusCode"], 1006);
}

#[tokio::test]
async fn a_client_that_goes_away_during_connect_is_disconnected_too() {
    let mut world = World::start(limits()).await;
    let mut socket = TcpStream::connect(world.address()).await.expect("connects");
    let request = format!(
        "GET /ws HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        world.address()
    );
    socket.write_all(request.as_bytes()).await.expect("is sent");
    let id = world.event_of("authorize").await["requestContext"]["connectionId"].clone();
    drop(socket);
    assert_eq!(world.event_of("disconnect").await["requestContext"]["connectionId"], id);
}

#[tokio::test]
async fn disconnects_can_be_made_to_go_missing() {
    let mut world = World::start(Limits { lose_disconnects_percent: 100, ..limits() }).await;
    let (mut client, id) = world.client().await;
    client.close(None).await.expect("closes");
    while soon(client.next()).await.is_some() {}
    let World { gateway, mut events, .. } = world;
    soon(gateway.stop()).await;
    while let Some((function, event)) = events.recv().await {
        assert!(function != "disconnect", "{id} was disconnected: {event}");
    }
}

#[tokio::test]
async fn a_gateway_that_stops_says_goodbye() {
    let mut world = World::start(limits()).await;
    let (mut client, _) = world.client().await;
    let World { gateway, mut events, .. } = world;
    let (code, ()) = tokio::join!(close_code(&mut client), soon(gateway.stop()));
    assert_eq!(code, 1001);
    let mut disconnected = false;
    while let Some((function, _)) = events.recv().await {
        disconnected |= function == "disconnect";
    }
    assert!(disconnected, "before stop() returns");
}
