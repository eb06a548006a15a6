//! A gateway in front of fake functions, and its clients.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_apigatewaymanagement::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_apigatewaymanagement::error::ProvideErrorMetadata as _;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use futures::StreamExt as _;
use local::gateway::{Api, FRAME_BYTES_MAX, Gateway, Limits};
use local::invoker::Invoker;
use local::origin::Origin;
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
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

pub(crate) type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("happens before the deadline")
}

/// A gateway in front of fake functions.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    /// What the functions got: their names and events.
    pub(crate) events: mpsc::UnboundedReceiver<(String, Value)>,
    /// Lets a function go on that holds a frame.
    pub(crate) release: Arc<Notify>,
}

impl World {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::start_for(limits, &[]).await
    }

    /// One that pages of these web sites may use.
    pub(crate) async fn start_for(limits: Limits, sites: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (seen, events) = mpsc::unbounded_channel();
        let release = Arc::new(Notify::new());
        let held = Arc::clone(&release);
        let invoker = Invoker::new(move |function, event| {
            let held = Arc::clone(&held);
            seen.send((function.clone(), event.clone())).expect("the test listens");
            async move { answer(&function, &event, address, &held).await }
        });
        let template = Template::parse(DEPLOYED).expect("parses");
        let parameters = template.parameter_values(&BTreeMap::new()).expect("defaults");
        let deployment = template.deploy(&parameters, "http://127.0.0.1:0").expect("deploys");
        let api = Api {
            websocket: deployment.websocket,
            http_routes: deployment.http_routes,
            allowed_origins: sites.iter().map(|site| Origin::parse(site).expect("an origin")).collect(),
            tokens: TokenIssuer::new(Some("a secret of at least 32 bytes, really".to_owned()), &parameters),
            limits,
            invoker,
        };
        Self { gateway: Gateway::start(listener, api).expect("starts"), events, release }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    pub(crate) async fn connect(
        &self,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(Client, Response), Error> {
        let mut request = format!("ws://{}/ws?{query}", self.address()).into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        // A client that takes no larger frames than the gateway may send.
        let config = WebSocketConfig::default().max_frame_size(Some(FRAME_BYTES_MAX));
        soon(connect_async_with_config(request, Some(config), false)).await
    }

    /// A client, and its connection's id.
    pub(crate) async fn client(&mut self) -> (Client, String) {
        let (client, _) = self.connect("", &[]).await.expect("connects");
        let event = self.event_of("connect").await;
        (client, event["requestContext"]["connectionId"].as_str().expect("an id").to_owned())
    }

    /// The next event that this function gets.
    pub(crate) async fn event_of(&mut self, function: &str) -> Value {
        loop {
            let (name, event) = soon(self.events.recv()).await.expect("the gateway runs");
            if name == function {
                return event;
            }
        }
    }

    pub(crate) async fn refusal(&self, query: &str) -> u16 {
        match self.connect(query, &[]).await {
            Err(Error::Http(response)) => response.status().as_u16(),
            other => panic!("was not refused: {other:?}"),
        }
    }

    /// The AWS SDK, as the functions have it.
    pub(crate) fn management(&self) -> aws_sdk_apigatewaymanagement::Client {
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
    pub(crate) async fn push(&self, connection_id: &str, message: impl Into<Vec<u8>>) -> Result<(), String> {
        let management = self.management();
        let push = management.post_to_connection().connection_id(connection_id).data(Blob::new(message));
        let pushed = soon(push.send()).await;
        pushed.map(drop).map_err(|error| error.code().expect("an exception").to_owned())
    }

    /// An HTTP request, byte by byte; the answer is its head and its body.
    pub(crate) async fn http(&self, head: &str, body: &str) -> (String, String) {
        http(self.address(), head, body).await
    }
}

pub(crate) async fn http(address: SocketAddr, head: &str, body: &str) -> (String, String) {
    let host = if head.contains("\nhost:") { String::new() } else { format!("host: {address}\r\n") };
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
async fn answer(function: &str, event: &Value, gateway: SocketAddr, release: &Notify) -> Result<Value, InvokeError> {
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
            if query("connect") == "crash" {
                return Err(failed("cannot go on"));
            }
            let status = query("connect").parse().unwrap_or(200);
            let mut headers = json!({ "x-other": "no" });
            if !event["headers"]["sec-websocket-protocol"].is_null() {
                headers["Sec-WebSocket-Protocol"] = "chat.v1".into();
            }
            Ok(json!({ "statusCode": status, "headers": headers }))
        }
        _ => match event["body"].as_str().unwrap_or_default() {
            body if body.contains("fail") => Err(failed("on purpose")),
            body if body.contains("held") => {
                release.notified().await;
                Ok(json!({ "statusCode": 200 }))
            }
            _ => Ok(json!({ "statusCode": 201, "headers": { "content-type": "text/x-fake" }, "body": "made" })),
        },
    }
}

pub(crate) fn limits() -> Limits {
    Limits::default()
}

/// The code of the close frame that the client gets.
pub(crate) async fn close_code(client: &mut Client) -> u16 {
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

pub(crate) async fn text(client: &mut Client) -> String {
    soon(client.next()).await.expect("a message").expect("no error").into_text().expect("text").to_string()
}
