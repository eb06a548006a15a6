//! API Gateway: connections and their frames, and from each of them an event in AWS's shape.
//!
//! As on AWS nothing can be pushed to a connection before `$connect` has returned (410), and nothing larger than 128 KB
//! (413). Unlike there, a connection lives until it is ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use wire::limits::MESSAGE_BYTES_MAX;

use crate::lock::lock;
use crate::world::{Failed, World};

const DOMAIN: &str = "local.execute-api.us-east-1.amazonaws.com";

/// What a client says when it connects.
#[derive(Clone, Debug, Default)]
pub struct Handshake {
    authorization: Option<String>,
    subprotocols: Option<String>,
    query: BTreeMap<String, String>,
}

impl Handshake {
    /// With a token in the `Authorization` header.
    pub fn with_header(token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}")), ..Self::default() }
    }

    /// With a token among the subprotocols, as browsers do.
    pub fn with_subprotocol(token: &str) -> Self {
        Self { subprotocols: Some(format!("chat.v1, bearer.{token}")), ..Self::default() }
    }

    /// With a token in the query.
    pub fn with_query(token: &str) -> Self {
        Self::default().and("token", token)
    }

    /// And this in the query.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.query.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// A connection that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub connection: String,
    /// The subprotocol that the server answered.
    pub subprotocol: Option<String>,
}

/// A frame that a client has received.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// What it says.
    pub json: Value,
    /// How long it is.
    pub bytes: usize,
}

/// An answer of the HTTP API.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Value,
}

/// Every connection.
#[derive(Clone, Default)]
pub struct Connections {
    wires: Arc<Mutex<BTreeMap<String, Wire>>>,
    /// Every message that a client was ever shown, with the client's user.
    shown: Arc<Mutex<Vec<Value>>>,
    news: Arc<Notify>,
}

/// One connection.
struct Wire {
    authorizer: Map<String, Value>,
    connected_at: i64,
    open: bool,
    frames: VecDeque<Frame>,
}

impl Connections {
    /// Sends a frame to a client; the status that `@connections` answers.
    pub(crate) fn push(&self, id: &str, body: &[u8]) -> u16 {
        if body.len() > MESSAGE_BYTES_MAX {
            return 413;
        }
        let json: Value = serde_json::from_slice(body).expect("a frame is JSON");
        let mut wires = lock(&self.wires);
        let Some(wire) = wires.get_mut(id).filter(|wire| wire.open) else { return 410 };
        let data = &json["data"];
        let several = data["messages"].as_array().into_iter().flatten();
        lock(&self.shown).extend(several.chain(data.get("message")).cloned());
        wire.frames.push_back(Frame { json, bytes: body.len() });
        self.news.notify_waiters();
        200
    }

    /// Ends a connection; the status that `@connections` answers.
    pub(crate) fn close(&self, id: &str) -> u16 {
        match lock(&self.wires).get_mut(id).filter(|wire| wire.open) {
            Some(wire) => {
                wire.open = false;
                204
            }
            None => 410,
        }
    }

    /// Whether it is there.
    pub(crate) fn is_open(&self, id: &str) -> bool {
        lock(&self.wires).get(id).is_some_and(|wire| wire.open)
    }

    /// Takes the frames that match, in their order.
    pub(crate) fn take(&self, id: &str, matches: impl Fn(&Value) -> bool) -> Vec<Frame> {
        let mut wires = lock(&self.wires);
        let frames = &mut wires.get_mut(id).expect("a connection").frames;
        let (taken, left) = std::mem::take(frames).into_iter().partition(|frame| matches(&frame.json));
        *frames = left;
        Vec::from(taken)
    }

    /// Takes the first frame that matches, as soon as there is one.
    pub(crate) async fn next(&self, id: &str, matches: impl Fn(&Value) -> bool) -> Frame {
        loop {
            let news = self.news.notified();
            {
                let mut wires = lock(&self.wires);
                let frames = &mut wires.get_mut(id).expect("a connection").frames;
                if let Some(at) = frames.iter().position(|frame| matches(&frame.json)) {
                    return frames.remove(at).expect("it is there");
                }
            }
            news.await;
        }
    }

    /// Every message that a client was ever shown.
    pub(crate) fn shown(&self) -> Vec<Value> {
        lock(&self.shown).clone()
    }

    /// Opens every connection again that there ever was, as if nothing had been sent to it.
    pub(crate) fn reset(&self) {
        for wire in lock(&self.wires).values_mut() {
            wire.open = true;
            wire.frames.clear();
        }
        lock(&self.shown).clear();
    }

    fn wire<T>(&self, id: &str, see: impl Fn(&Wire) -> T) -> T {
        see(lock(&self.wires).get(id).expect("a connection"))
    }
}

impl World {
    /// A handshake: the authorizer, then `$connect`. A refusal is its status.
    ///
    /// # Errors
    /// The status of the refusal.
    pub async fn handshake(&self, handshake: &Handshake) -> Result<Accepted, u16> {
        let id = format!("{}=", self.next_id("connection"));
        let now = self.now().ms;
        let mut event = self.handshake_event(handshake);
        event["requestContext"] = self.context(&id, now, "$connect", "CONNECT");
        let authorizer = match self.authorize(&event).await {
            Ok(authorizer) => authorizer,
            Err(Failed::Error(text)) if text == "Unauthorized" => return Err(401),
            Err(_) => return Err(500),
        };
        event["requestContext"]["authorizer"] = Value::Object(authorizer.clone());
        let answer = self.invoke(self.route("$connect"), event).await.map_err(|_| 502_u16)?;
        match answer["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok()) {
            Some(200..300) => {}
            Some(429) => {
                self.refuses_as_too_many(&id);
                return Err(429);
            }
            status => return Err(status.unwrap_or(502)),
        }
        if let Some(wait) = self.opens(&id) {
            tokio::time::sleep(wait).await;
        }
        let wire = Wire { authorizer, connected_at: now, open: true, frames: VecDeque::new() };
        lock(&self.connections().wires).insert(id.clone(), wire);
        let subprotocol = answer["headers"]["Sec-WebSocket-Protocol"].as_str().map(str::to_owned);
        Ok(Accepted { connection: id, subprotocol })
    }

    /// Asks the authorizer; what it says comes with every later event of the connection.
    async fn authorize(&self, event: &Value) -> Result<Map<String, Value>, Failed> {
        let mut event = event.clone();
        event["type"] = "REQUEST".into();
        event["methodArn"] = "arn:aws:execute-api:us-east-1:000000000000:local/chat/$connect".into();
        let function = self.deployment().websocket.authorizer.as_deref().expect("an authorizer");
        let answer = self.invoke(function, event).await?;
        assert_eq!(answer["policyDocument"]["Statement"][0]["Effect"], "Allow", "{answer}");
        let mut context = answer["context"].as_object().expect("a context").clone();
        context.insert("principalId".to_owned(), answer["principalId"].clone());
        context.insert("integrationLatency".to_owned(), 1.into());
        Ok(context)
    }

    /// A client's frame, to the function of its route.
    pub(crate) async fn frame(&self, connection: &str, text: &str) -> Result<Value, Failed> {
        assert!(self.connections().is_open(connection), "the connection is closed: nothing can be said on it");
        let action = selected(text, &self.deployment().websocket.selection_field);
        // A client can't choose one of the routes that API Gateway has for itself.
        let known = action
            .as_deref()
            .filter(|key| !key.starts_with('$') && self.deployment().websocket.routes.contains_key(*key));
        let route = known.unwrap_or("$default");
        let event = json!({
            "requestContext": self.context_of(connection, route, "MESSAGE"), "body": text, "isBase64Encoded": false,
        });
        let answer = self.invoke(self.route(route), event).await;
        if !self.connections().is_open(connection) {
            self.disconnect(connection).await;
        }
        answer
    }

    /// Tells the functions that a connection has ended.
    pub(crate) async fn disconnect(&self, connection: &str) {
        let mut context = self.context_of(connection, "$disconnect", "DISCONNECT");
        context["disconnectStatusCode"] = 1_001.into();
        context["disconnectReason"] = "Going away".into();
        let headers = json!({ "Host": DOMAIN });
        let event = json!({ "headers": headers, "requestContext": context, "isBase64Encoded": false });
        // Best effort, here as there: nobody waits for an answer.
        let _ = self.invoke(self.route("$disconnect"), event).await;
    }

    /// One HTTP request, to the function of its route.
    pub async fn http(&self, method: &str, path: &str, token: Option<&str>, body: Option<String>) -> HttpAnswer {
        self.http_as(method, path, token, |event| event["body"] = body.into()).await
    }

    /// The same, whose event is as CHANGE makes it: with a body that is no text, or as another gateway would write it.
    pub async fn http_as(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        change: impl FnOnce(&mut Value),
    ) -> HttpAnswer {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let found = self.deployment().http_routes.iter().filter(|route| route.method == method);
        let found: Option<(&_, _)> =
            found.filter_map(|route| Some((route, parameters(&route.path, path)?))).min_by_key(
                // A literal path comes before one with a parameter.
                |(_, parameters)| parameters.len(),
            );
        let Some((route, parameters)) = found else {
            return HttpAnswer { status: 404, body: json!({ "message": "Not Found" }) };
        };
        let key = format!("{method} {}", route.path);
        let query_map: Map<String, Value> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decoded(value).into()))
            .collect();
        let mut headers = json!({ "host": DOMAIN, "content-type": "application/json", "user-agent": "tests" });
        if let Some(token) = token {
            headers["authorization"] = format!("Bearer {token}").into();
        }
        let mut event = json!({
            "version": "2.0", "routeKey": key, "rawPath": path, "rawQueryString": query, "headers": headers,
            "queryStringParameters": query_map, "pathParameters": parameters, "isBase64Encoded": false,
            "requestContext": {
                "accountId": "000000000000", "apiId": "local", "domainName": DOMAIN, "domainPrefix": "local",
                "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "tests" },
                "requestId": self.next_id("request"), "routeKey": key, "stage": "$default",
                "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": self.now().ms,
            },
        });
        change(&mut event);
        let answer = match self.invoke(&route.function, event).await {
            Ok(answer) => answer,
            Err(failed) => return HttpAnswer { status: 500, body: json!({ "message": format!("{failed:?}") }) },
        };
        let body = serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or_default();
        HttpAnswer { status: answer["statusCode"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(502), body }
    }

    fn route(&self, key: &str) -> &str {
        &self.deployment().websocket.routes[key]
    }

    fn handshake_event(&self, handshake: &Handshake) -> Value {
        let mut headers = json!({
            "Host": DOMAIN, "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https",
        });
        let more = [("Authorization", &handshake.authorization), ("Sec-WebSocket-Protocol", &handshake.subprotocols)];
        for (name, value) in more {
            if let Some(value) = value {
                headers[name] = value.as_str().into();
            }
        }
        let several = |map: &Value| -> Value {
            let map = map.as_object().into_iter().flatten();
            Value::Object(map.map(|(name, value)| (name.clone(), json!([value]))).collect())
        };
        let mut event = json!({ "headers": headers, "multiValueHeaders": several(&headers), "isBase64Encoded": false });
        if !handshake.query.is_empty() {
            let query = json!(handshake.query);
            event["multiValueQueryStringParameters"] = several(&query);
            event["queryStringParameters"] = query;
        }
        event
    }

    fn context_of(&self, connection: &str, route: &str, kind: &str) -> Value {
        let (at, authorizer) = self.connections().wire(connection, |wire| (wire.connected_at, wire.authorizer.clone()));
        let mut context = self.context(connection, at, route, kind);
        context["authorizer"] = Value::Object(authorizer);
        context
    }

    fn context(&self, connection: &str, connected_at: i64, route: &str, kind: &str) -> Value {
        let id = self.next_id("request");
        json!({
            "routeKey": route, "eventType": kind, "messageDirection": "IN", "connectionId": connection,
            "connectedAt": connected_at, "requestId": id, "extendedRequestId": id, "messageId": id,
            "requestTime": "01/Jan/2026:00:00:00 +0000", "requestTimeEpoch": self.now().ms,
            "identity": { "sourceIp": "127.0.0.1", "userAgent": "tests" },
            "domainName": DOMAIN, "stage": self.deployment().websocket.stage, "apiId": "local",
        })
    }
}

/// What a frame says in FIELD. What else is in it isn't looked at, as long as it is JSON.
fn selected(text: &str, field: &str) -> Option<String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    serde_json::from_str(members.get(field)?.get()).ok()
}

/// The parameters of a path, if it is one of this route's.
fn parameters(route: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (route, path): (Vec<&str>, Vec<&str>) = (route.split('/').collect(), path.split('/').collect());
    let mut parameters = BTreeMap::new();
    for (pattern, part) in route.iter().zip(&path) {
        match pattern.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => drop(parameters.insert(name.to_owned(), decoded(part))),
            None if pattern == part => {}
            None => return None,
        }
    }
    (route.len() == path.len()).then_some(parameters)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
