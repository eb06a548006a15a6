//! Handshakes: who may connect, and what the functions see of it.

use local::gateway::ADDRESS_CHARS_MAX;
use serde_json::json;
use shared::limits::TOKEN_BYTES_MAX;

use crate::world::{World, limits};

#[tokio::test]
async fn the_authorizer_decides_who_may_connect() {
    let world = World::start(limits()).await;
    assert_eq!(world.refusal("authorize=unauthorized").await, 401);
    assert_eq!(world.refusal("authorize=deny").await, 403);
    assert_eq!(world.refusal("authorize=elsewhere").await, 403);
    assert_eq!(world.refusal("authorize=crash").await, 500);
    world.connect("authorize=allow", &[]).await.expect("connects");
}

#[tokio::test]
async fn connect_may_refuse_with_its_own_status() {
    let world = World::start(limits()).await;
    assert_eq!(world.refusal("connect=403").await, 403);
    assert_eq!(world.refusal("connect=503").await, 503);
    assert_eq!(world.refusal("connect=crash").await, 502);
    assert_eq!(world.refusal("connect=99999").await, 502);
}

#[tokio::test]
async fn plain_http_is_told_to_upgrade() {
    let world = World::start(limits()).await;
    let (head, _) = world.http("GET /ws", "").await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
}

#[tokio::test]
async fn of_connect_s_headers_only_the_subprotocol_is_answered() {
    let world = World::start(limits()).await;
    let (_, response) = world.connect("", &[("sec-websocket-protocol", "chat.v1, bearer.x")]).await.expect("connects");
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat.v1");
    assert!(!response.headers().contains_key("x-other"));
}

#[tokio::test]
async fn the_handshake_s_headers_and_query_reach_the_functions() {
    let mut world = World::start(limits()).await;
    world.connect("token=a%20b&device=1&device=2", &[("authorization", "Bearer x")]).await.expect("connects");
    let event = world.event_of("authorize").await;
    assert_eq!(event["type"], "REQUEST");
    assert_eq!(event["methodArn"], "arn:aws:execute-api:us-east-1:000000000000:local/chat/$connect");
    assert_eq!(event["headers"]["authorization"], "Bearer x");
    assert_eq!(event["queryStringParameters"], json!({ "token": "a b", "device": "2" }));
    assert_eq!(event["multiValueQueryStringParameters"]["device"], json!(["1", "2"]));
    assert_eq!(event["requestContext"]["identity"]["sourceIp"], "127.0.0.1");
    let event = world.event_of("connect").await;
    assert_eq!(event["requestContext"]["eventType"], "CONNECT");
    assert_eq!(event["requestContext"]["routeKey"], "$connect");
    assert_eq!(event["requestContext"]["authorizer"]["sub"], "ann");
}

#[tokio::test]
async fn an_address_has_as_many_characters_as_on_aws_and_a_header_may_be_longer() {
    let mut world = World::start(limits()).await;
    let before = format!("wss://{}/ws?token=", world.address()).len();
    let query = |chars: usize| format!("token={}", "x".repeat(chars - before));
    world.connect(&query(ADDRESS_CHARS_MAX), &[]).await.expect("connects");
    assert_eq!(world.refusal(&query(ADDRESS_CHARS_MAX + 1)).await, 414);
    world.event_of("authorize").await;
    let header = format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX));
    world.connect("", &[("authorization", &header)]).await.expect("connects");
    assert_eq!(world.event_of("authorize").await["headers"]["authorization"], header);
}
