//! Which callers are let in: of those that web sites send, the machine's own and what `--allow-origin` names.
//!
//! Whoever is let in gets from `/ws` and the HTTP API what API Gateway gives: it looks at no `Origin`, and gives the HTTP API of
//! the template no CORS headers, so other sites' pages can't read its answers. `/dev/token` is there for pages to try things
//! out: it has them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tracing::Level;

use super::answers::error;
use super::shared::Shared;
use crate::logs;
use crate::origin::Origin;

/// Keeps web sites that a browser on this machine has open from using the machine: by a request from their own page
/// (another `Origin`), and by a name of theirs that resolves to this machine (DNS rebinding: another `Host`).
pub(super) async fn refuse_foreign_sites(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    name_host(&mut request);
    let Some(problem) = foreign(request.headers(), &shared.api.allowed_origins) else { return next.run(request).await };
    // Browsers don't show the answer to a handshake or a preflight: its developer finds it here.
    logs::line("gateway", None, Level::WARN, &problem);
    error(StatusCode::FORBIDDEN, "forbidden", &problem)
}

/// Writes into `Host` what an address says that is whole, as it is in HTTP/2 (RFC 9113, section 8.3.1) and to proxies: it counts
/// (RFC 9112, section 3.2.2). Behind this, API Gateway's events among it, there is but one place to look.
fn name_host(request: &mut Request) {
    let named = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = named {
        request.headers_mut().insert(HOST, host);
    }
}

fn foreign(headers: &HeaderMap, allowed: &[Origin]) -> Option<String> {
    let header = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let host = header(HOST).unwrap_or_default();
    if !is_address_or_localhost(&host) {
        return Some(format!("Host is {host:?}: reach this machine by its IP address or as localhost"));
    }
    let origin = header(ORIGIN)?;
    let same = origin.split_once("://").is_some_and(|(_, site)| site.eq_ignore_ascii_case(&host));
    if same || allowed.iter().any(|allowed| allowed.as_str() == origin) {
        return None;
    }
    Some(match Origin::parse(&origin) {
        Ok(site) => {
            format!("Origin is {origin:?}, which is not this machine: to let it in, start with --allow-origin {site}")
        }
        Err(_) => format!("Origin is {origin:?}, which is no web site that could be let in: serve its page by HTTP"),
    })
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

/// Lets pages of these origins read the answers (CORS), and tells their browsers so before they ask.
pub(super) fn share_with(origins: &[Origin]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().map(Origin::header)))
        .allow_methods([Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
}

/// Lets no web page pass, not even one of this machine's own: on AWS these requests carry a signature.
pub(super) async fn refuse_browsers(request: Request, next: Next) -> Response {
    if request.headers().contains_key(ORIGIN) {
        return error(StatusCode::FORBIDDEN, "forbidden", "no web page may ask for this");
    }
    next.run(request).await
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
