//! The events that API Gateway sends to functions, in the shapes of its developer guide: WebSocket APIs with a Lambda
//! proxy integration and a REQUEST authorizer, HTTP APIs with payload format 2.0.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::connections::Connection;
use crate::template::{ACCOUNT_ID, API_ID, REGION};
use crate::{clock, ids};

/// The ARN that an authorizer's policy is about.
pub(super) fn method_arn(connection: &Connection) -> String {
    format!("arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{API_ID}/{}/$connect", connection.stage)
}

/// What the authorizer gets.
pub(super) fn authorize(connection: &Connection, headers: &HeaderMap, uri: &Uri) -> Value {
    let mut event = handshake(connection, headers, uri);
    event["type"] = "REQUEST".into();
    event["methodArn"] = method_arn(connection).into();
    event["stageVariables"] = json!({});
    event
}

/// What `$connect` gets.
pub(super) fn connect(connection: &Connection, headers: &HeaderMap, uri: &Uri) -> Value {
    let mut event = handshake(connection, headers, uri);
    event["isBase64Encoded"] = false.into();
    event
}

/// What a frame's route gets.
pub(super) fn message(connection: &Connection, route_key: &str, body: &str) -> Value {
    let mut context = context(connection, route_key, "MESSAGE");
    context["messageId"] = ids::id().into();
    json!({ "requestContext": context, "body": body, "isBase64Encoded": false })
}

/// What `$disconnect` gets.
pub(super) fn disconnect(connection: &Connection, code: u16, reason: &str) -> Value {
    let mut context = context(connection, "$disconnect", "DISCONNECT");
    context["disconnectStatusCode"] = code.into();
    context["disconnectReason"] = reason.into();
    let headers = json!({ "Host": connection.domain });
    json!({ "headers": headers, "requestContext": context, "isBase64Encoded": false })
}

fn handshake(connection: &Connection, headers: &HeaderMap, uri: &Uri) -> Value {
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
        "requestContext": context(connection, "$connect", "CONNECT"),
    });
    let query = query(uri);
    if !query.is_empty() {
        let last = query.iter().map(|(name, values)| (name.clone(), json!(values.last())));
        event["queryStringParameters"] = Value::Object(last.collect());
        event["multiValueQueryStringParameters"] = json!(query);
    }
    event
}

fn context(connection: &Connection, route_key: &str, event_type: &str) -> Value {
    let now = clock::now();
    let mut context = json!({
        "routeKey": route_key,
        "eventType": event_type,
        "messageDirection": "IN",
        "stage": connection.stage,
        "connectionId": connection.id,
        "connectedAt": connection.connected_at.as_millisecond(),
        "requestId": ids::id(),
        "extendedRequestId": ids::id(),
        "requestTime": common_log_time(now),
        "requestTimeEpoch": now.as_millisecond(),
        "identity": { "sourceIp": connection.source_ip, "userAgent": connection.user_agent },
        "domainName": connection.domain,
        "apiId": API_ID,
    });
    if let Some(authorizer) = connection.authorizer.get() {
        context["authorizer"] = Value::Object(authorizer.clone());
    }
    context
}

/// What a route of the HTTP API gets.
pub(super) fn http(
    route_key: &str,
    path_parameters: &BTreeMap<String, String>,
    request: &Parts,
    source_ip: IpAddr,
    body: &[u8],
) -> Value {
    let now = clock::now();
    let headers = request.headers.keys().filter(|name| *name != COOKIE);
    let headers: Map<_, _> = headers.map(|name| (name.to_string(), joined(&request.headers, name).into())).collect();
    let header = |name: &str| headers.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": route_key,
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
            "requestId": ids::id(),
            "routeKey": route_key,
            "stage": "$default",
            "time": common_log_time(now),
            "timeEpoch": now.as_millisecond(),
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

fn common_log_time(time: Timestamp) -> String {
    time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// A header's values, joined by commas.
pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.collect::<Vec<_>>().join(",")
}
