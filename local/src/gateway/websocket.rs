//! One connection's life: authorizer, `$connect`, frames, close, `$disconnect`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tracing::Level;

use super::admission::{Refusal, admit};
use super::answers::{error, json_response};
use super::api::{FRAME_BYTES_MAX, MESSAGE_BYTES_MAX};
use super::connections::{Connection, Outgoing};
use super::events::{self, Stamp, joined};
use super::shared::{Shared, background, stamp};
use crate::{ids, logs};

/// How many frames of one connection are worked on at a time; the next ones wait in the client's TCP buffer.
const FRAMES_IN_FLIGHT_MAX: usize = 32;
/// How long a client may take to go on after 101.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Each connection has a buffer of this size; larger frames are read in parts.
const READ_BUFFER_BYTES: usize = 4 * 1024;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// How a connection ended.
#[derive(Debug)]
struct Ending {
    code: CloseCode,
    reason: String,
    /// Whether a close frame is still to be sent.
    tell: bool,
    /// Whether what the client sends can't be understood any more.
    broken: bool,
}

impl Ending {
    fn ours(code: CloseCode, reason: &str) -> Self {
        Self { code, reason: reason.to_owned(), tell: true, broken: false }
    }

    fn broken(code: CloseCode, reason: &str) -> Self {
        Self { broken: true, ..Self::ours(code, reason) }
    }

    fn lost() -> Self {
        Self { tell: false, ..Self::broken(CloseCode::Abnormal, "Connection lost") }
    }

    fn theirs(frame: Option<CloseFrame>) -> Self {
        let (code, reason) = frame.map_or_else(
            || (CloseCode::Status, "Client-side close frame status not set".to_owned()),
            |frame| (frame.code, frame.reason.to_string()),
        );
        Self { code, reason, tell: false, broken: false }
    }
}

/// `GET /ws`: the handshake. The connection is a task of its own, so that a client that goes away in the middle
/// doesn't leave a `$connect` without its `$disconnect`.
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let (Some(key), Some(upgrade)) = (handshake_key(&parts), parts.extensions.remove::<OnUpgrade>()) else {
        return refuse_plain_http();
    };
    let Some(place) = shared.connections.place().filter(|_| !*shared.stopping.borrow()) else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "this machine has no place for more connections");
    };
    let (answer, answered) = oneshot::channel();
    background(async move {
        let (id, stamp, opened) = (ids::id(), stamp(), Instant::now());
        match admit(&shared.api.websocket, &shared.api.invoker, &id, &parts, peer.ip(), &stamp).await {
            Ok((peer, protocol)) => {
                let (connection, outgoing) = Connection::new(peer, opened);
                shared.connections.insert(&connection);
                // The client has gone if nobody takes the answer; then there is no upgrade either.
                let _ = answer.send(switch_protocols(&key, protocol.as_deref()));
                live(shared, connection, upgrade, outgoing).await;
            }
            Err(refusal) => {
                let _ = answer.send(refuse(&id, &stamp, refusal));
            }
        }
        drop(place);
    });
    answered.await.unwrap_or_else(|_| error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the connection failed"))
}

/// The key of a WebSocket handshake of version 13 (RFC 6455, section 4.2.1), if the request is one.
fn handshake_key(parts: &Parts) -> Option<HeaderValue> {
    let has = |name: HeaderName, token: &str| {
        joined(&parts.headers, &name).split(',').any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    let upgrades = has(CONNECTION, "upgrade") && has(UPGRADE, "websocket") && has(SEC_WEBSOCKET_VERSION, "13");
    parts.headers.get(SEC_WEBSOCKET_KEY).filter(|_| upgrades && parts.method == Method::GET).cloned()
}

fn refuse_plain_http() -> Response {
    let mut response = error(StatusCode::UPGRADE_REQUIRED, "bad_request", "this is a WebSocket: connect with ws://");
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

fn switch_protocols(key: &HeaderValue, protocol: Option<&str>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(protocol) = protocol.and_then(|protocol| HeaderValue::try_from(protocol).ok()) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

fn refuse(id: &str, stamp: &Stamp, refusal: Refusal) -> Response {
    if let Some(problem) = refusal.problem {
        logs::line("gateway", Some(id), Level::ERROR, &problem);
    }
    json_response(refusal.status, &json!({ "message": refusal.message, "connectionId": id, "requestId": stamp.id }))
}

/// From 101 to the last frame's answer and `$disconnect`.
async fn live(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    upgrade: OnUpgrade,
    outgoing: UnboundedReceiver<Outgoing>,
) {
    let mut frames = JoinSet::new();
    let (ending, socket) = match tokio::time::timeout(UPGRADE_TIMEOUT, upgrade).await {
        Ok(Ok(io)) => converse(&shared, &connection, io, outgoing, &mut frames).await,
        Ok(Err(_)) | Err(_) => (Ending::lost(), None),
    };
    // Whoever pushes from now on learns that the connection has ended.
    shared.connections.remove(&connection.peer.connection);
    tokio::join!(close(socket, &ending), disconnect(&shared, &connection, &ending));
    while frames.join_next().await.is_some() {}
}

/// Tells `$disconnect`, unless that is made to go missing.
async fn disconnect(shared: &Shared, connection: &Connection, ending: &Ending) {
    if ids::chance(shared.api.limits.lose_disconnects_percent) {
        return;
    }
    let event = events::disconnect(&connection.peer, ending.code.into(), &ending.reason, &stamp());
    if let Err(error) = shared.api.invoker.invoke(&shared.api.websocket.routes["$disconnect"], event).await {
        logs::line("gateway", Some(&connection.peer.connection), Level::ERROR, &format!("$disconnect: {error}"));
    }
}

/// Reads and writes until one side ends it or a limit is reached. The socket is still to be closed.
async fn converse(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    io: Upgraded,
    mut outgoing: UnboundedReceiver<Outgoing>,
    frames: &mut JoinSet<()>,
) -> (Ending, Option<Socket>) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_frame_size(Some(FRAME_BYTES_MAX))
        .max_message_size(Some(MESSAGE_BYTES_MAX));
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, Some(config)).await;
    let (mut sink, mut stream) = socket.split();
    let mut stopping = shared.stopping.subscribe();
    let ending = tokio::select! {
        ending = read(shared, connection, &mut stream, frames) => ending,
        ending = write(connection, &mut sink, &mut outgoing) => ending,
        () = expire(connection, shared.api.limits.idle, shared.api.limits.life) => {
            Ending::ours(CloseCode::Away, "Going away")
        }
        _ = stopping.wait_for(|stopping| *stopping) => Ending::ours(CloseCode::Away, "Going away"),
    };
    (ending, stream.reunite(sink).ok())
}

/// Passes each frame to its route's function, several at a time, until the client or an error ends it.
async fn read(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    stream: &mut SplitStream<Socket>,
    frames: &mut JoinSet<()>,
) -> Ending {
    loop {
        if frames.len() >= FRAMES_IN_FLIGHT_MAX {
            frames.join_next().await;
        }
        while frames.try_join_next().is_some() {}
        match stream.next().await {
            Some(Ok(Message::Text(body))) => {
                connection.touch();
                frames.spawn(handle(Arc::clone(shared), Arc::clone(connection), body.to_string()));
            }
            // API Gateway takes no binary frames.
            Some(Ok(Message::Binary(_))) => {
                return Ending::ours(CloseCode::Unsupported, "Binary frames are not supported");
            }
            Some(Ok(Message::Close(frame))) => return Ending::theirs(frame),
            // Pings are answered by the protocol's implementation; they don't keep a connection from being idle.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(Error::Capacity(_))) => return Ending::broken(CloseCode::Size, "Message too long"),
            Some(Err(Error::Utf8(_))) => return Ending::broken(CloseCode::Invalid, "Text is not UTF-8"),
            Some(Err(Error::Protocol(error))) if error != ProtocolError::ResetWithoutClosingHandshake => {
                return Ending::broken(CloseCode::Protocol, "Protocol error");
            }
            Some(Err(_)) | None => return Ending::lost(),
        }
    }
}

/// Has the route's function work on a frame. Its answer goes nowhere: without route responses API Gateway drops it.
async fn handle(shared: Arc<Shared>, connection: Arc<Connection>, body: String) {
    let (route_key, function) = shared.api.websocket.of_frame(&body);
    let stamp = stamp();
    let event = events::message(&connection.peer, route_key, &body, &stamp);
    if let Err(error) = shared.api.invoker.invoke(function, event).await {
        logs::line("gateway", Some(&stamp.id), Level::ERROR, &format!("{route_key}: {error}"));
        let message = "Internal server error";
        let message = json!({ "message": message, "connectionId": connection.peer.connection, "requestId": stamp.id });
        // Who can't be told has ended the connection, or doesn't read what it is sent.
        let _ = connection.push(Bytes::from(message.to_string()), None);
    }
}

/// Writes what is queued, until the queue says to close or the client is lost.
async fn write(
    connection: &Connection,
    sink: &mut SplitSink<Socket, Message>,
    outgoing: &mut UnboundedReceiver<Outgoing>,
) -> Ending {
    loop {
        match outgoing.recv().await {
            Some(Outgoing::Message(message, room)) => {
                for frame in fragments(&message) {
                    if sink.feed(Message::Frame(frame)).await.is_err() {
                        return Ending::lost();
                    }
                }
                if sink.flush().await.is_err() {
                    return Ending::lost();
                }
                drop(room);
                connection.touch();
            }
            Some(Outgoing::Close(code, reason)) => return Ending::ours(code, reason),
            // The connection holds the other end for as long as this runs.
            None => return Ending::lost(),
        }
    }
}

/// A message as frames of up to 32 KB: text if it is UTF-8.
fn fragments(message: &Bytes) -> impl Iterator<Item = Frame> {
    let kind = if std::str::from_utf8(message).is_ok() { Data::Text } else { Data::Binary };
    let count = message.len().div_ceil(FRAME_BYTES_MAX).max(1);
    (0..count).map(move |number| {
        let from = number * FRAME_BYTES_MAX;
        let part = message.slice(from..message.len().min(from + FRAME_BYTES_MAX));
        let kind = if number == 0 { kind } else { Data::Continue };
        Frame::message(part, OpCode::Data(kind), number + 1 == count)
    })
}

/// Returns when a connection has been idle for too long, or has lived for too long.
async fn expire(connection: &Connection, idle: Duration, life: Duration) {
    let end_of_life = connection.opened + life;
    loop {
        let end = end_of_life.min(connection.active() + idle);
        if end <= tokio::time::Instant::now() {
            return;
        }
        tokio::time::sleep_until(end).await;
    }
}

/// Sends the close frame, or the answer to the client's, and waits for the client, but not for long.
async fn close(socket: Option<Socket>, ending: &Ending) {
    let Some(mut socket) = socket else { return };
    // Errors in here mean that the client has gone, which is what is wanted.
    let farewell = async {
        if ending.tell {
            let frame = CloseFrame { code: ending.code, reason: ending.reason.as_str().into() };
            let _ = socket.close(Some(frame)).await;
        } else {
            let _ = socket.flush().await;
        }
        if ending.broken {
            // Closing with unread bytes would make TCP reset the connection, and the close frame might never be read.
            let io = socket.get_mut();
            let _ = io.shutdown().await;
            let mut unread = [0; READ_BUFFER_BYTES];
            while matches!(io.read(&mut unread).await, Ok(1..)) {}
        } else {
            while matches!(socket.next().await, Some(Ok(_))) {}
        }
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
}
