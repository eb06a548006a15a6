//! API Gateway on one machine: one HTTP server for the WebSocket API, its `@connections` API, the HTTP API and the web
//! client.
//!
//! In reading order: this file puts the parts together and keeps foreign web sites out; `events` has the JSON that
//! functions get; `connections` is who is connected; `websocket` is one connection's life; `management` is
//! `@connections`; `http_api` is the HTTP API.
//!
//! What API Gateway limits is limited here, with the same answers. What differs, on purpose: header names arrive in
//! lower case; the signatures of `@connections` requests are not checked, instead only this machine may send them; an
//! authorizer's policy is checked for its effects and resources, not for conditions.

mod connections;
mod events;
mod http_api;
mod management;
mod websocket;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::serve::ListenerExt as _;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::invoker::Invoker;
use crate::template::{HttpRoute, WebSocketRoutes};
use crate::token::TokenIssuer;
use crate::web;
use connections::Connections;

/// The largest WebSocket frame, in bytes (API Gateway's quotas).
pub const FRAME_BYTES_MAX: usize = 32 * 1024;
/// The largest WebSocket message, in bytes, in both directions (API Gateway's quotas).
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// The largest body of a request to the HTTP API, in bytes (API Gateway's quotas).
pub const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// How many connections one machine serves at a time.
pub const CONNECTIONS_MAX: u32 = 10_000;
/// How long the last frames and `$disconnect`s may take when the gateway stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The limits that can be set, to meet in seconds what takes hours on AWS.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A connection without a data frame in either direction is closed after this.
    pub idle: Duration,
    /// No connection lives longer.
    pub life: Duration,
    /// How many pushes one connection takes in a second; the rest gets 429. None: as many as fit its buffer.
    pub pushes_per_second: Option<u32>,
    /// How many of 100 `$disconnect`s go missing, as they may on AWS.
    pub lose_disconnects_percent: u8,
}

impl Default for Limits {
    /// AWS's limits.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(10 * 60),
            life: Duration::from_secs(2 * 60 * 60),
            pushes_per_second: None,
            lose_disconnects_percent: 0,
        }
    }
}

/// What the gateway serves.
#[derive(Debug)]
pub struct Api {
    /// The routes of the WebSocket API.
    pub websocket: WebSocketRoutes,
    /// The routes of the HTTP API.
    pub http_routes: Vec<HttpRoute>,
    /// Who signs the tokens of `/dev/token`.
    pub tokens: TokenIssuer,
    /// The limits.
    pub limits: Limits,
    /// Who runs the functions.
    pub invoker: Invoker,
}

/// What every request may touch.
#[derive(Debug)]
struct Shared {
    api: Api,
    address: SocketAddr,
    connections: Connections,
    stopping: watch::Sender<bool>,
}

/// The running gateway.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Gateway {
    /// Serves an API on this listener.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn start(listener: TcpListener, api: Api) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { api, address, connections: Connections::new(), stopping: watch::Sender::new(false) });
        let app = router(Arc::clone(&shared)).into_make_service_with_connect_info::<SocketAddr>();
        let mut stopping = shared.stopping.subscribe();
        let stop = async move {
            // The sender lives as long as the server.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        };
        let listener = listener.tap_io(|socket| {
            // Frames are small and each one is awaited. Without this they are only slower.
            let _ = socket.set_nodelay(true);
        });
        let server = background(async move {
            // It only ends when it is told to, and then without an error.
            let _ = axum::serve(listener, app).with_graceful_shutdown(stop).await;
        });
        Ok(Self { shared, server })
    }

    /// Where the gateway listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Accepts nothing more, closes every connection with 1001, and waits for the last frames and `$disconnect`s, but
    /// not for longer than 5 s.
    pub async fn stop(mut self) {
        self.shared.stopping.send_replace(true);
        let ended = async {
            self.shared.connections.all_ended().await;
            // An error would be a panic, which has been printed.
            let _ = (&mut self.server).await;
        };
        if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            self.server.abort();
        }
    }
}

/// Starts work that outlives the request it came with: the server, and each connection. [`Gateway::stop`] waits for it.
#[expect(clippy::disallowed_methods, reason = "nothing freezes this process, and stop() waits for what is started")]
fn background<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(work)
}

fn router(shared: Arc<Shared>) -> Router {
    let this_machine_only = Router::new()
        .route("/@connections/{id}", post(management::push).get(management::look).delete(management::close))
        .route("/dev/token", post(issue_token))
        .layer(from_fn_with_state(Arc::clone(&shared), require_this_machine));
    Router::new()
        .merge(this_machine_only)
        .merge(web::routes())
        .route("/ws", any(websocket::open))
        .fallback(http_api::answer)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(refuse_foreign_sites))
        .with_state(shared)
}

/// Keeps web sites that a browser on this machine has open from using the machine: by a request from their own page
/// (another `Origin`), and by a name of theirs that resolves to this machine (DNS rebinding: another `Host`).
async fn refuse_foreign_sites(request: Request, next: Next) -> Response {
    match foreign(request.headers()) {
        Some(problem) => error(StatusCode::FORBIDDEN, "forbidden", &problem),
        None => next.run(request).await,
    }
}

fn foreign(headers: &HeaderMap) -> Option<String> {
    let header = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let host = header(HOST).unwrap_or_default();
    if !is_address_or_localhost(&host) {
        return Some(format!("Host is {host:?}: reach this machine by its IP address or as localhost"));
    }
    let origin = header(ORIGIN)?;
    let same = origin.split_once("://").is_some_and(|(_, site)| site.eq_ignore_ascii_case(&host));
    (!same).then(|| format!("Origin is {origin:?}, which is not this machine: other web sites may not use it"))
}

/// Whether a `Host` is an IP address or `localhost`: no foreign name server can make these mean another machine.
fn is_address_or_localhost(host: &str) -> bool {
    let port = |text: &str| text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let (name, rest) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((name, rest)) => (name, rest),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    port(rest) && (name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok())
}

/// Lets only this machine pass: on AWS these requests carry a signature, or don't exist.
async fn require_this_machine(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if peer.ip().is_loopback() || peer.ip() == shared.address.ip() {
        return next.run(request).await;
    }
    error(StatusCode::FORBIDDEN, "forbidden", "only this machine may ask for this")
}

async fn issue_token(State(shared): State<Arc<Shared>>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return error(rejection.status(), "bad_request", &rejection.body_text()),
    };
    match shared.api.tokens.issue(&body) {
        Ok(token) => json_response(StatusCode::OK, &json!({ "token": token })),
        Err(problem) => error(StatusCode::BAD_REQUEST, "bad_request", &problem.to_string()),
    }
}

/// An error in the form that the project's own HTTP API has.
fn error(status: StatusCode, code: &str, message: &str) -> Response {
    json_response(status, &json!({ "error": { "code": code, "message": message } }))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// A header's values, joined by commas.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_localhost() {
        for host in ["127.0.0.1:3000", "127.0.0.1", "localhost:3000", "LOCALHOST", "[::1]:3000", "192.168.1.5:80"] {
            assert!(is_address_or_localhost(host), "{host}");
        }
        for host in ["", "example.com", "127.0.0.1.example.com:3000", "localhost.example.com", "[::1", "127.0.0.1:x"] {
            assert!(!is_address_or_localhost(host), "{host}");
        }
    }
}
