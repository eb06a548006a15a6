//! What clients and functions see of the gateway, over real sockets. The functions are fakes, so that each test says
//! what they answer; everything else is the machine's own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_apigatewaymanagement::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_apigatewaymanagement::error::ProvideErrorMetadata as _;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use futures::{SinkExt as _, StreamExt as _};
use local::gateway::{Api, FRAME_BYTES_MAX, Gateway, Limits, MESSAGE_BYTES_MAX};
use local::invoker::Invoker;
use local::runtime::InvokeError;
use local::template::{DEPLOYED, Template};
use local::token::TokenIssuer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("happens before the deadline")
}

/// A gateway in front of fake functions.
struct World {
    gateway: Gateway,
    /// What the functions got: their names and events.
    events: mpsc::UnboundedReceiver<(String, Value)>,
}

impl World {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (seen, events) = mpsc::unbounded_channel();
        let second_frame = Arc::new(Notify::new());
        let invoker = Invoker::new(move |function, event| {
            let second_frame = Arc::clone(&second_frame);
            seen.send((function.clone(), event.clone())).expect("the test listens");
            async move { answer(&function, &event, address, &second_frame).await }
        });
        let template = Template::parse(DEPLOYED).expect("parses");
        let parameters = template.parameter_values(&BTreeMap::new()).expect("defaults");
        let deployment = template.deploy(&parameters, "http://127.0.0.1:0").expect("deploys");
        let api = Api {
            websocket: deployment.websocket,
            http_routes: deployment.http_routes,
            tokens: TokenIssuer::new(None, &parameters),
            limits,
            invoker,
        };
        Self { gateway: Gateway::start(listener, api).expect("starts"), events }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    async fn connect(&self, query: &str, headers: &[(&'static str, &str)]) -> Result<(Client, Response), Error> {
        let mut request = format!("ws://{}/ws?{query}", self.address()).into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        // A client that takes no larger frames than the gateway may send.
        let config = WebSocketConfig::default().max_frame_size(Some(FRAME_BYTES_MAX));
        soon(connect_async_with_config(request, Some(config), false)).await
    }

    /// A client, and its connection's id.
    async fn client(&mut self) -> (Client, String) {
        let (client, _) = self.connect("", &[]).await.expect("connects");
        let event = self.event_of("connect").await;
        (client, event["requestContext"]["connectionId"].as_str().expect("an id").to_owned())
    }

    /// The next event that this function gets.
    async fn event_of(&mut self, function: &str) -> Value {
        loop {
            let (name, event) = soon(self.events.recv()).await.expect("the gateway runs");
            if name == function {
                return event;
            }
        }
    }

    async fn refusal(&self, query: &str) -> u16 {
        match self.connect(query, &[]).await {
            Err(Error::Http(response)) => response.status().as_u16(),
            other => panic!("was not refused: {other:?}"),
        }
    }

    /// The AWS SDK, as the functions have it.
    fn management(&self) -> aws_sdk_apigatewaymanagement::Client {
        let config = aws_sdk_apigatewaymanagement::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .retry_config(RetryConfig::disabled())
            .endpoint_url(format!("http://{}", self.address()));
        aws_sdk_apigatewaymanagement::Client::from_conf(config.build())
    }

    /// Pushes; the error is the exception's name.
    async fn push(&self, connection_id: &str, message: impl Into<Vec<u8>>) -> Result<(), String> {
        let management = self.management();
        let push = management.post_to_connection().connection_id(connection_id).data(Blob::new(message));
        let pushed = soon(push.send()).await;
        pushed.map(drop).map_err(|error| error.code().expect("an exception").to_owned())
    }

    /// An HTTP request, byte by byte; the answer is its head and its body.
    async fn http(&self, head: &str, body: &str) -> (String, String) {
        http(self.address(), head, body).await
    }
}

async fn http(address: SocketAddr, head: &str, body: &str) -> (String, String) {
    let host = if head.contains("host:") { String::new() } else { format!("host: {address}\r\n") };
    let (first, rest) = head.split_once('\n').unwrap_or((head, ""));
    let rest: String = rest.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    let length = body.len();
    let request =
        format!("{first} HTTP/1.1\r\n{host}{rest}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let mut socket = TcpStream::connect(address).await.expect("connects");
    socket.write_all(request.as_bytes()).await.expect("is sent");
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.expect("is answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

/// What the fake functions answer. The query or the frame says what they are to do.
async fn answer(
    function: &str,
    event: &Value,
    gateway: SocketAddr,
    second_frame: &Notify,
) -> Result<Value, InvokeError> {
    let query = |name: &str| event["queryStringParameters"][name].as_str().unwrap_or_default();
    let failed = |message: &str| InvokeError::Function { error_type: "Fake".to_owned(), message: message.to_owned() };
    match function {
        "authorize" => match query("authorize") {
            "unauthorized" => Err(failed("Unauthorized")),
            "crash" => Err(failed("cannot go on")),
            other => Ok(json!({
                "principalId": "ann",
                "policyDocument": { "Statement": [{
                    "Effect": if other == "deny" { "Deny" } else { "Allow" },
                    "Action": "execute-api:Invoke",
                    "Resource": if other == "elsewhere" { json!("arn:other") } else { event["methodArn"].clone() },
                }] },
                "context": { "sub": "ann", "expires": 5 },
            })),
        },
        "connect" => {
            let id = event["requestContext"]["connectionId"].as_str().expect("an id");
            let (head, _) = http(gateway, &format!("POST /@connections/{id}"), "too early").await;
            assert!(head.starts_with("HTTP/1.1 410 "), "a push from inside $connect: {head}");
            let status = query("connect").parse().unwrap_or(200);
            let mut headers = json!({ "x-other": "no" });
            if !event["headers"]["sec-websocket-protocol"].is_null() {
                headers["Sec-WebSocket-Protocol"] = "chat.v1".into();
            }
            Ok(json!({ "statusCode": status, "headers": headers }))
        }
        _ => match event["body"].as_str().unwrap_or_default() {
            body if body.contains("fail") => Err(failed("on purpose")),
            body if body.contains("first") => {
                second_frame.notified().await;
                Ok(json!({ "statusCode": 200 }))
            }
            body if body.contains("second") => {
                second_frame.notify_one();
                Ok(json!({ "statusCode": 200 }))
            }
            _ => Ok(json!({ "statusCode": 201, "headers": { "content-type": "text/x-fake" }, "body": "made" })),
        },
    }
}

fn limits() -> Limits {
    Limits::default()
}

fn frame(size: usize, kind: Data, last: bool) -> Message {
    Message::Frame(Frame::message(vec![b'x'; size], OpCode::Data(kind), last))
}

/// The code of the close frame that the client gets.
async fn close_code(client: &mut Client) -> u16 {
    loop {
        match soon(client.next()).await {
            Some(Ok(Message::Close(frame))) => {
                // Reading on is what answers it.
                while soon(client.next()).await.is_some_and(|message| message.is_ok()) {}
                return frame.expect("a code").code.into();
            }
            Some(Ok(_)) => {}
            other => panic!("no close frame, but {other:?}"),
        }
    }
}

async fn text(client: &mut Client) -> String {
    soon(client.next()).await.expect("a message").expect("no error").into_text().expect("text").to_string()
}

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
    assert_eq!(context["authorizer"], json!({ "principalId": "ann", "sub": "ann", "expires": "5" }));
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
    client.send(Message::text("first, which waits for the next")).await.expect("is sent");
    client.send(Message::text("second")).await.expect("is sent");
    client.close(None).await.expect("closes");
    soon(world.gateway.stop()).await;
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
    let World { gateway, mut events } = world;
    soon(gateway.stop()).await;
    while let Some((function, event)) = events.recv().await {
        assert!(function != "disconnect", "{id} was disconnected: {event}");
    }
}

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

#[tokio::test]
async fn a_gateway_that_stops_says_goodbye() {
    let mut world = World::start(limits()).await;
    let (mut client, _) = world.client().await;
    let World { gateway, mut events } = world;
    let (code, ()) = tokio::join!(close_code(&mut client), soon(gateway.stop()));
    assert_eq!(code, 1001);
    let mut disconnected = false;
    while let Some((function, _)) = events.recv().await {
        disconnected |= function == "disconnect";
    }
    assert!(disconnected, "before stop() returns");
}

#[tokio::test]
async fn an_http_request_becomes_an_event_and_its_answer_a_response() {
    let mut world = World::start(limits()).await;
    let request = "POST /api/wallets/a%2Fb/credits?x=1&x=2&y=%20\ncontent-type: application/json\ncookie: a=1; b=2\nx-two: 1\nx-two: 2";
    let (head, body) = world.http(request, r#"{"amount":5}"#).await;
    assert!(head.starts_with("HTTP/1.1 201 ") && head.contains("content-type: text/x-fake"), "{head}");
    assert_eq!(body, "made");
    let event = world.event_of("admin").await;
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "POST /api/wallets/{userId}/credits");
    assert_eq!(event["rawPath"], "/api/wallets/a%2Fb/credits");
    assert_eq!(event["rawQueryString"], "x=1&x=2&y=%20");
    assert_eq!(event["queryStringParameters"], json!({ "x": "1,2", "y": " " }));
    assert_eq!(event["pathParameters"], json!({ "userId": "a/b" }));
    assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
    assert_eq!(event["headers"]["x-two"], "1,2");
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!(r#"{"amount":5}"#), &json!(false)));
    let http = &event["requestContext"]["http"];
    assert_eq!(
        (&http["method"], &http["protocol"], &http["sourceIp"]),
        (&json!("POST"), &json!("HTTP/1.1"), &json!("127.0.0.1"))
    );
    assert_eq!(event["requestContext"]["stage"], "$default");
}

#[tokio::test]
async fn an_http_request_that_has_no_route_or_fails_is_answered_as_on_aws() {
    let world = World::start(limits()).await;
    let (head, body) = world.http("GET /nowhere", "").await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert_eq!(body, r#"{"message":"Not Found"}"#);
    let (head, body) = world.http("PUT /api/users/ann/price", "fail").await;
    assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    assert_eq!(body, r#"{"message":"Internal Server Error"}"#);
}

#[tokio::test]
async fn other_web_sites_are_kept_out() {
    let world = World::start(limits()).await;
    let address = world.address();
    for path in ["GET /healthz", "GET /ws", "POST /dev/token", "GET /", "POST /@connections/x"] {
        for header in ["origin: http://example.com", "origin: null", "origin: http://127.0.0.1:1", "host: example.com"]
        {
            let (head, _) = world.http(&format!("{path}\n{header}"), "").await;
            assert!(head.starts_with("HTTP/1.1 403 "), "{path} with {header}: {head}");
        }
    }
    let (head, _) = world.http(&format!("GET /\norigin: http://{address}"), "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let origin = [("origin", "http://example.com")];
    assert!(matches!(world.connect("", &origin).await, Err(Error::Http(response)) if response.status() == 403));
}

#[tokio::test]
async fn the_web_client_is_served_with_a_policy() {
    let world = World::start(limits()).await;
    for (path, content_type) in [("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")] {
        let (head, _) = world.http(&format!("GET {path}"), "").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains(&format!("content-type: {content_type}")), "{head}");
        assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    }
}
