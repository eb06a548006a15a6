//! Web sites: which are kept out, and what those get that are let in.

use axum::body::{Body, to_bytes};
use axum::http::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;

use crate::world::{World, limits};

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
async fn a_web_site_is_let_in_when_it_is_named() {
    let world = World::start_for(limits(), &["http://localhost:5173", "https://app.example.com/"]).await;
    for site in ["http://localhost:5173", "https://app.example.com"] {
        world.connect("", &[("origin", site)]).await.expect("connects");
        let shared = format!("access-control-allow-origin: {site}\r\n");
        let preflight = "access-control-request-method: POST\naccess-control-request-headers: content-type";
        let (head, _) = world.http(&format!("OPTIONS /dev/token\norigin: {site}\n{preflight}"), "").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains(&shared), "{head}");
        assert!(head.contains("access-control-allow-methods: POST\r\n"), "{head}");
        assert!(head.contains("access-control-allow-headers: content-type\r\n"), "{head}");
        for (body, status) in [(r#"{"sub":"ann"}"#, "200 "), ("{}", "400 ")] {
            let (head, body) = world.http(&format!("POST /dev/token\norigin: {site}"), body).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")) && head.contains(&shared), "{head}: {body}");
        }
    }
    for origin in ["http://localhost:5174", "https://localhost:5173", "http://app.example.com", "null"] {
        let (head, _) = world.http(&format!("POST /dev/token\norigin: {origin}"), r#"{"sub":"ann"}"#).await;
        assert!(head.starts_with("HTTP/1.1 403 ") && !head.contains("access-control"), "{origin}: {head}");
    }
    // By a name of its own (DNS rebinding) it isn't, and for what only functions ask for neither.
    for request in ["GET /healthz\nhost: app.example.com", "POST /@connections/x"] {
        let (head, _) = world.http(&format!("{request}\norigin: https://app.example.com"), "").await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{request}: {head}");
    }
}

/// The HTTP API of the template has no `CorsConfiguration`: on AWS a browser keeps its answers from other sites' pages, and
/// asks nothing that needs a preflight.
#[tokio::test]
async fn the_http_api_has_no_cors_headers_as_on_aws() {
    let mut world = World::start_for(limits(), &["http://localhost:5173"]).await;
    let (head, _) = world.http("GET /healthz\norigin: http://localhost:5173", "").await;
    assert!(head.starts_with("HTTP/1.1 201 ") && !head.contains("access-control"), "{head}");
    assert_eq!(world.event_of("admin").await["headers"]["origin"], "http://localhost:5173");
    let preflight = "OPTIONS /api/users/ann/price\norigin: http://localhost:5173\naccess-control-request-method: PUT";
    let (head, body) = world.http(preflight, "").await;
    assert!(head.starts_with("HTTP/1.1 404 ") && !head.contains("access-control"), "{head}");
    assert_eq!(body, r#"{"message":"Not Found"}"#);
}

#[tokio::test]
async fn a_web_site_that_is_refused_says_how_to_let_it_in() {
    let world = World::start(limits()).await;
    let (_, body) = world.http("GET /ws\norigin: http://localhost:5173", "").await;
    assert!(body.contains("to let it in, start with --allow-origin http://localhost:5173"), "{body}");
    let (_, body) = world.http("GET /ws\norigin: null", "").await;
    assert!(!body.contains("--allow-origin"), "no option lets a file in: {body}");
}

/// What somebody gets who speaks HTTP/2, where an address takes the place of `Host`.
async fn asks_by_http2(world: &World, url: &str) -> (u16, String) {
    let socket = TcpStream::connect(world.address()).await.expect("it listens");
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (mut client, connection) = handshake.await.expect("speaks HTTP/2");
    let asked = async {
        let request = Request::get(url).body(Body::empty()).expect("a request");
        let answer = client.send_request(request).await.expect("is answered");
        assert_eq!(answer.version(), Version::HTTP_2);
        let status = answer.status().as_u16();
        let body = to_bytes(Body::new(answer.into_body()), usize::MAX).await.expect("a body");
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    tokio::select! {
        answer = asked => answer,
        ended = connection => panic!("the connection has ended: {ended:?}"),
    }
}

#[tokio::test]
async fn who_speaks_http2_is_answered_and_kept_out_alike() {
    let mut world = World::start(limits()).await;
    let address = world.address();
    assert_eq!(asks_by_http2(&world, &format!("http://{address}/healthz")).await.0, 201);
    let event = world.event_of("admin").await;
    assert_eq!(event["headers"]["host"], address.to_string());
    assert_eq!(event["requestContext"]["domainName"], address.to_string());
    let (status, body) = asks_by_http2(&world, "http://example.com/healthz").await;
    assert!(status == 403 && body.contains("Host is"), "{status}: {body}");
    // A whole address counts more than the line beside it.
    let (head, _) = world.http("GET http://example.com/healthz", "").await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
}
