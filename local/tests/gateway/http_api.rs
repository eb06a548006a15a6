//! The HTTP API, and the web client's files.

use serde_json::json;

use crate::world::{World, limits};

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
async fn the_web_client_is_served_with_a_policy() {
    let world = World::start(limits()).await;
    for (path, content_type) in [("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")] {
        let (head, _) = world.http(&format!("GET {path}"), "").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains(&format!("content-type: {content_type}")), "{head}");
        assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    }
}
