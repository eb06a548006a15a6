//! The events that API Gateway sends to functions, in the shapes of its developer guide: WebSocket APIs with a Lambda
//! proxy integration and a REQUEST authorizer, HTTP APIs with payload format 2.0.
//!
//! Nothing in here draws an id or asks a clock: the tests' worlds make their events here, too.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use wire::Time;

use crate::clock;
use crate::template::{ACCOUNT_ID, API_ID, HttpRoute, REGION};

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    pub(super) connection: String,
    pub(super) stage: String,
    pub(super) domain: String,
    pub(super) source_ip: IpAddr,
    pub(super) user_agent: String,
    pub(super) connected_at: Time,
    /// What the authorizer said of them, once it has.
    pub(super) authorizer: Option<Map<String, Value>>,
}

/// What tells a request, a frame or a connection's end from all others, and when it came.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// The id.
    pub id: String,
    /// When.
    pub time: Time,
}

/// The ARN that an authorizer's policy is about.
pub(super) fn method_arn(peer: &Peer) -> String {
    format!("arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{API_ID}/{}/$connect", peer.stage)
}

/// What the authorizer gets.
pub(super) fn authorize(peer: &Peer, request: &Parts, stamp: &Stamp) -> Value {
    let mut event = handshake(peer, request, stamp);
    event["type"] = "REQUEST".into();
    event["methodArn"] = method_arn(peer).into();
    event["stageVariables"] = json!({});
    event
}

/// What `$connect` gets.
pub(super) fn connect(peer: &Peer, request: &Parts, stamp: &Stamp) -> Value {
    let mut event = handshake(peer, request, stamp);
    event["isBase64Encoded"] = false.into();
    event
}

/// What a frame's route gets.
#[must_use]
pub fn message(peer: &Peer, route_key: &str, body: &str, stamp: &Stamp) -> Value {
    let mut context = context(peer, route_key, "MESSAGE", stamp);
    context["messageId"] = stamp.id.as_str().into();
    json!({ "requestContext": context, "body": body, "isBase64Encoded": false })
}

/// What `$disconnect` gets.
#[must_use]
pub fn disconnect(peer: &Peer, code: u16, reason: &str, stamp: &Stamp) -> Value {
    let mut context = context(peer, "$disconnect", "DISCONNECT", stamp);
    context["disconnectStatusCode"] = code.into();
    context["disconnectReason"] = reason.into();
    let headers = json!({ "Host": peer.domain });
    json!({ "headers": headers, "requestContext": context, "isBase64Encoded": false })
}

fn handshake(peer: &Peer, request: &Parts, stamp: &Stamp) -> Value {
    let headers = &request.headers;
    let mut single = Map::new();
    let mut multiple = Map::new();
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        single.insert(name.to_string(), values.last().map(|value| value.as_ref()).into());
        multiple.insert(name.to_string(), json!(values));
    }
    let mut event = json!({
        "headers": single,
        "multiValueHeaders": multiple,
        "requestContext": context(peer, "$connect", "CONNECT", stamp),
    });
    let query = query(&request.uri);
    if !query.is_empty() {
        let last = query.iter().map(|(name, values)| (name.clone(), json!(values.last())));
        event["queryStringParameters"] = Value::Object(last.collect());
        event["multiValueQueryStringParameters"] = json!(query);
    }
    event
}

fn context(peer: &Peer, route_key: &str, event_type: &str, stamp: &Stamp) -> Value {
    let mut context = json!({
        "routeKey": route_key,
        "eventType": event_type,
        "messageDirection": "IN",
        "stage": peer.stage,
        "connectionId": peer.connection,
        "connectedAt": peer.connected_at.ms,
        "requestId": stamp.id,
        "extendedRequestId": stamp.id,
        "requestTime": common_log_time(stamp.time),
        "requestTimeEpoch": stamp.time.ms,
        "identity": { "sourceIp": peer.source_ip, "userAgent": peer.user_agent },
        "domainName": peer.domain,
        "apiId": API_ID,
    });
    if let Some(authorizer) = &peer.authorizer {
        context["authorizer"] = Value::Object(authorizer.clone());
    }
    context
}

/// What a route of the HTTP API gets, with what it has found in the path.
#[must_use]
pub fn http(
    route: &HttpRoute,
    path_parameters: &BTreeMap<String, String>,
    request: &Parts,
    source_ip: IpAddr,
    body: &[u8],
    stamp: &Stamp,
) -> Value {
    let headers = request.headers.keys().filter(|name| *name != COOKIE);
    let headers: Map<_, _> = headers.map(|name| (name.to_string(), joined(&request.headers, name).into())).collect();
    let header = |name: &str| headers.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": route.key(),
        "rawPath": request.uri.path(),
        "rawQueryString": request.uri.query().unwrap_or_default(),
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": API_ID,
            "domainName": header("host"),
            "domainPrefix": API_ID,
            "http": {
                "method": request.method.as_str(),
                "path": request.uri.path(),
                "protocol": format!("{:?}", request.version),
                "sourceIp": source_ip,
                "userAgent": header("user-agent"),
            },
            "requestId": stamp.id,
            "routeKey": route.key(),
            "stage": "$default",
            "time": common_log_time(stamp.time),
            "timeEpoch": stamp.time.ms,
        },
    });
    let cookies = request.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies: Vec<_> = cookies.flat_map(|cookies| cookies.split("; ")).collect();
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    let query = query(&request.uri);
    if !query.is_empty() {
        let joined = query.into_iter().map(|(name, values)| (name, values.join(",").into()));
        event["queryStringParameters"] = Value::Object(joined.collect());
    }
    if !path_parameters.is_empty() {
        event["pathParameters"] = json!(path_parameters);
    }
    // AWS goes by the content type. What is text can't be told from what it calls text.
    let text = std::str::from_utf8(body);
    if !body.is_empty() {
        event["body"] = text.map_or_else(|_| STANDARD.encode(body), str::to_owned).into();
    }
    event["isBase64Encoded"] = text.is_err().into();
    event["headers"] = Value::Object(headers);
    event
}

/// The decoded query, with all values of a name in order.
fn query(uri: &Uri) -> BTreeMap<String, Vec<String>> {
    let mut query = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        query.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    query
}

fn common_log_time(time: Time) -> String {
    clock::timestamp(time).strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// A header's values, joined by commas.
pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.collect::<Vec<_>>().join(",")
}
