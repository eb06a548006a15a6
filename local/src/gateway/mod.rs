//! API Gateway on one machine: one HTTP server for the WebSocket API, its `@connections` API, the HTTP API and the web
//! client.
//!
//! In reading order: this file puts the parts together; `api` is what it serves and its limits; `sites` keeps foreign web
//! sites out; `connections` is who is connected; `shared` is what every request may touch; [`events`] has the JSON that
//! functions get; `admission` is who may connect; `websocket` is one connection's life; `management` is `@connections`;
//! `http_api` is the HTTP API; `answers` is how all of them answer. The tests' worlds have no sockets, and the same
//! [`events`], [`admit`] and [`Exception`].
//!
//! What API Gateway limits is limited here, with the same answers. What differs, on purpose: header names arrive in
//! lower case; the signatures of `@connections` requests are not checked, instead only this machine may send them; an
//! authorizer's policy is checked for its effects and resources, not for conditions.

mod admission;
mod answers;
mod api;
mod connections;
pub mod events;
mod http_api;
mod management;
mod shared;
mod sites;
mod websocket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, post};
use axum::serve::ListenerExt as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::web;
pub use admission::{Refusal, admit};
pub use answers::Exception;
use answers::{error, json_response};
pub use api::{
    ADDRESS_CHARS_MAX, Api, BODY_BYTES_MAX, FRAME_BYTES_MAX, Limits, MACHINE_CONNECTIONS_MAX, MESSAGE_BYTES_MAX,
};
use connections::Connections;
use shared::{Shared, background};
use sites::{refuse_browsers, refuse_foreign_sites, require_this_machine, share_with};

/// How long the last frames and `$disconnect`s may take when the gateway stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

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

fn router(shared: Arc<Shared>) -> Router {
    let this_machine_only = Router::new()
        .route("/@connections/{id}", post(management::push).get(management::look).delete(management::close))
        .layer(from_fn(refuse_browsers))
        .route("/dev/token", post(issue_token).layer(share_with(&shared.api.allowed_origins)))
        .layer(from_fn_with_state(Arc::clone(&shared), require_this_machine));
    Router::new()
        .merge(this_machine_only)
        .merge(web::routes())
        .route("/ws", any(websocket::open))
        .fallback(http_api::answer)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&shared), refuse_foreign_sites))
        .with_state(shared)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::extract::connect_info::MockConnectInfo;

    use super::*;
    use crate::invoker::Invoker;
    use crate::server::{self, Server};
    use crate::template::{DEPLOYED, Template};
    use crate::token::TokenIssuer;

    /// What somebody at PEER gets from a gateway that listens on HOST.
    async fn gets(host: &str, peer: &str, line: &str) -> String {
        let template = Template::parse(DEPLOYED).expect("parses");
        let parameters = template.parameter_values(&BTreeMap::new()).expect("defaults");
        let deployment = template.deploy(&parameters, "http://127.0.0.1:0").expect("deploys");
        let api = Api {
            websocket: deployment.websocket,
            http_routes: deployment.http_routes,
            allowed_origins: Vec::new(),
            tokens: TokenIssuer::new(Some("a secret of at least 32 bytes, really".to_owned()), &parameters),
            limits: Limits::default(),
            invoker: Invoker::new(|_, _| async { unreachable!("nobody calls a function") }),
        };
        let address = SocketAddr::new(host.parse().expect("an address"), 3_000);
        let shared = Shared { api, address, connections: Connections::new(), stopping: watch::Sender::new(false) };
        let peer = SocketAddr::new(peer.parse().expect("an address"), 50_000);
        let server = Server::start(router(Arc::new(shared)).layer(MockConnectInfo(peer))).await.expect("starts");
        server::asks(server.address, line, "", r#"{"sub":"ann"}"#).await
    }

    #[tokio::test]
    async fn with_any_host_only_this_machine_gets_tokens_and_manages_connections() {
        for (host, peer, is_this) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("0.0.0.0", "127.0.0.1", true),
            ("0.0.0.0", "192.168.1.9", false),
            ("192.168.1.5", "192.168.1.5", true),
            ("192.168.1.5", "192.168.1.9", false),
            ("::", "fd00::9", false),
        ] {
            for (line, status) in [("POST /dev/token", 200), ("GET /@connections/nobody=", 410)] {
                let status = if is_this { status } else { 403 };
                let answer = gets(host, peer, line).await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host} {peer} {line}: {answer}");
            }
            assert!(gets(host, peer, "GET /").await.starts_with("HTTP/1.1 200 "), "the web client is for all");
        }
    }
}
