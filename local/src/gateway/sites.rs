//! Which callers are let in: none that a foreign web site has sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::answers::error;
use super::shared::Shared;

/// Keeps web sites that a browser on this machine has open from using the machine: by a request from their own page
/// (another `Origin`), and by a name of theirs that resolves to this machine (DNS rebinding: another `Host`).
pub(super) async fn refuse_foreign_sites(request: Request, next: Next) -> Response {
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
pub(super) async fn require_this_machine(
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
