//! What an operator sees: one line a request, which says what it cost and nothing of what was said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use shared::limits::ACTION_CHARS_LOGGED;
use shared::telemetry;
use tests::{Call, Fault, Handshake, Operation, Phone, World};
use tracing::Level;
use tracing::dispatcher::DefaultGuard;

/// Somebody who reads the log from now on.
pub(crate) struct Operator {
    written: Arc<Mutex<String>>,
    _guard: DefaultGuard,
}

impl Operator {
    fn reads_from(level: Level) -> Self {
        // Whether anybody wants an event is asked where it is first met: a test on another thread that nobody watches would
        // say no for all. So somebody always listens.
        static SOMEBODY: Once = Once::new();
        SOMEBODY.call_once(|| {
            let log = telemetry::log("others".to_owned(), Level::DEBUG, |_| {});
            tracing::dispatcher::set_global_default(log).expect("the first");
        });
        let written = Arc::new(Mutex::new(String::new()));
        let log = written.clone();
        let log = telemetry::log("chat".to_owned(), level, move |line| log.lock().expect("the log").push_str(line));
        Self { written, _guard: tracing::dispatcher::set_default(&log) }
    }

    pub(crate) fn reads() -> Self {
        Self::reads_from(Level::DEBUG)
    }

    /// Takes all that was written.
    fn text(&self) -> String {
        std::mem::take(&mut self.written.lock().expect("the log"))
    }

    /// Takes all that was written, line by line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }

    /// Takes the requests' own lines.
    pub(crate) fn requests(&self) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line["message"] == "request");
        lines
    }

    /// Takes the line of the one request that was made.
    fn request(&self) -> Value {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0)
    }
}

/// What the calls of a request cost, by what the engine said, and how many were answered before the answer was sent.
fn cost(calls: &[Call], phone: &Phone, request: &Value) -> (f64, f64, usize) {
    let calls: Vec<&Call> =
        calls.iter().filter(|call| request["function_request_id"] == call.trace_id.as_str()).collect();
    let units = |write: bool| {
        let dynamo = calls.iter().filter(|call| matches!(call.operation, Operation::Dynamo(..)));
        dynamo.filter(|call| call.operation.is_write() == write).map(|call| call.units).sum()
    };
    let answer = calls.iter().find(|call| call.operation == Operation::Push(phone.connection.clone()));
    (units(false), units(true), answer.expect("an answer").round_trip - 1)
}

/// A figure; none is nothing.
pub(crate) fn figure(line: &Value, name: &str) -> f64 {
    line[name].as_f64().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_request_is_one_line_with_what_was_asked_and_what_it_cost() {
    let world = World::new().await;
    let (ann, _bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let operator = Operator::reads();
    world.calls();
    let mut frame = ann.message_to("bob", "hi");
    frame["requestId"] = "mine".into();
    ann.says(frame.clone()).await.data();
    let line = operator.request();
    for (field, value) in [
        ("level", json!("INFO")),
        ("message", json!("request")),
        ("service", json!("chat")),
        ("function_name", json!("send")),
        ("function", json!("send")),
        ("correlation_id", json!("mine")),
        ("cold_start", json!(true)),
        ("action", json!("sendMessage")),
        ("outcome", json!("ok")),
        ("Requests", json!(1.0)),
        ("ColdStarts", json!(1.0)),
        ("PushesSent", json!(2.0)),
    ] {
        assert_eq!(line[field], value, "{field} of {line:#}");
    }
    assert!(line["timestamp"].as_str().expect("a time").starts_with("2026-01-01T00:00:0"), "{line:#}");
    assert!(line["function_request_id"].as_str().expect("an id").starts_with("trace-"), "{line:#}");
    assert!(figure(&line, "duration_ms") > 5.0, "{line:#}");
    let (reads, writes, round_trips) = cost(&world.calls(), &ann, &line);
    let seen = (figure(&line, "ReadUnits"), figure(&line, "WriteUnits"), line["round_trips"].as_u64());
    assert_eq!(seen, (reads, writes, u64::try_from(round_trips).ok()), "{line:#}");

    ann.says(frame).await.data();
    let again = operator.request();
    assert_eq!((&again["cold_start"], &again["Duplicates"]), (&json!(false), &json!(1.0)));
    ann.writes(r#"{"action":"ping"}"#).await;
    let unnamed = operator.request();
    assert_eq!(unnamed["correlation_id"], unnamed["function_request_id"], "the invocation's id serves as well");
}

#[tokio::test(start_paused = true)]
async fn requests_at_the_same_time_are_counted_apart() {
    let world = World::deployed_with(&[("DefaultPrice", "1")]).await;
    world.tops_up("ann", 100).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    let operator = Operator::reads();
    world.calls();
    join_all((0..8).map(|n| ann.sends(&conversation, if n % 2 == 0 { "even" } else { "odd" }))).await;
    bob.balance().await;
    let calls = world.calls();
    let requests = operator.requests();
    assert_eq!(requests.len(), 9);
    for line in requests {
        let asker = if line["action"] == "getBalance" { &bob } else { &ann };
        let (reads, writes, round_trips) = cost(&calls, asker, &line);
        let seen = (figure(&line, "ReadUnits"), figure(&line, "WriteUnits"), line["round_trips"].as_u64());
        assert_eq!(seen, (reads, writes, u64::try_from(round_trips).ok()), "{line:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_once_with_its_cause() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let operator = Operator::reads();
    world.breaks(|call| matches!(call.operation, Operation::Dynamo(..)).then_some(Fault::Refuse(500)));
    assert_eq!(ann.sends_to("bob", "hi").await.code(), "unavailable");
    let lines = operator.lines();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line = &lines[0];
    assert_eq!(
        (&line["level"], &line["outcome"], &line["code"]),
        (&json!("ERROR"), &json!("failed"), &json!("unavailable"))
    );
    assert!(
        line["cause"].as_str().is_some_and(|cause| cause.contains("GetItem") || cause.contains("Query")),
        "{line:#}"
    );
    assert!(figure(line, "Retries") >= 3.0 && figure(line, "Errors") == 1.0, "{line:#}");
    world.heals();

    assert_eq!(
        ann.says(json!({ "action": "getMessages", "conversationId": "none" })).await.code(),
        "not_a_participant"
    );
    let line = operator.request();
    assert_eq!((&line["level"], &line["outcome"], &line["cause"]), (&json!("INFO"), &json!("refused"), &Value::Null));
    assert_eq!(world.handshake(&Handshake::with_header("forged")).await.err(), Some(401));
    let line = operator.request();
    assert_eq!(
        (&line["function"], &line["outcome"], &line["code"]),
        (&json!("authorize"), &json!("refused"), &json!("unauthorized"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_counted() {
    let world = World::deployed_with(&[("DefaultPrice", "2")]).await;
    world.tops_up("ann", 100).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    // So long that a 410 can only mean its end.
    world.advance(Duration::from_secs(60)).await;
    let gone = world.person("bob").connects().await;
    world.advance(Duration::from_secs(60)).await;
    gone.vanishes();
    let operator = Operator::reads();
    let sent = ann.sends_to("bob", "hi").await;
    let line = operator.request();
    let pushes = ["PushesSent", "PushesGone", "ConnectionsRemoved"].map(|name| figure(&line, name));
    assert_eq!(pushes, [2.0, 1.0, 1.0], "{line:#}");

    bob.marks_delivered(&sent["message"]["conversationId"], 1).await.data();
    assert_eq!(figure(&operator.request(), "Deliveries"), 1.0);
    bob.marks_delivered(&sent["message"]["conversationId"], 1).await.data();
    assert_eq!(figure(&operator.request(), "Deliveries"), 0.0, "it has not moved");
    bob.balance().await;
    assert_eq!(figure(&operator.request(), "SettleBatches"), 1.0);

    let busy = Operation::Push(bob.connection.clone());
    world.breaks(move |call| (call.operation == busy).then_some(Fault::Refuse(429)));
    ann.sends(&sent["message"]["conversationId"], "busy").await.data();
    let lines = operator.lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!((&lines[0]["level"], &lines[0]["message"]), (&json!("WARN"), &json!("a push failed")));
    assert_eq!(["PushesFailed", "Retries"].map(|name| figure(&lines[1], name)), [1.0, 1.0], "{:#}", lines[1]);
    world.heals();
}

#[tokio::test(start_paused = true)]
async fn a_push_that_is_tried_again_is_found_by_the_clients_name_for_its_request() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    world.advance(shared::limits::CONNECT_GRACE).await;
    let operator = Operator::reads();
    let (busy, mut left) = (Operation::Push(bob.connection.clone()), 3);
    world.breaks(move |call| {
        let refused = left > 0 && call.operation == busy;
        left -= usize::from(refused);
        refused.then_some(Fault::Refuse(429))
    });
    for (name, content) in [("mine", "refused, and brought later"), ("another", "brought at once")] {
        let mut frame = ann.message_to("bob", content);
        frame["requestId"] = name.into();
        ann.says(frame).await.data();
        world.queue_empties().await;
    }
    let lines = operator.lines();
    let told = |id: &str| -> Vec<&str> {
        let lines = lines.iter().filter(|line| line["correlation_id"] == id);
        lines.filter_map(|line| line["message"].as_str()).collect()
    };
    assert_eq!(
        told("mine"),
        ["a push failed", "request", "a push failed", "a push is left in the queue", "a push is done"],
        "from send to deliver, through its turns"
    );
    assert_eq!(told("another"), ["request"]);
}

#[tokio::test(start_paused = true)]
async fn the_sweep_says_how_old_the_oldest_open_send_is() {
    let world = World::new().await;
    let operator = Operator::reads();
    world.sweeps().await;
    let line = operator.requests().remove(0);
    assert_eq!((&line["OpenSends"], &line["OldestOpenSend"]), (&json!(0.0), &json!(0.0)), "none is a figure, too");
    let ann = world.person("ann").connects().await;
    ann.dies_sending("bob", "lost").await;
    operator.text();
    world.advance(Duration::from_secs(90)).await;
    world.sweeps().await;
    let line = operator.requests().remove(0);
    assert_eq!((&line["function"], &line["action"]), (&json!("sweep"), &json!("sweep")));
    assert_eq!(figure(&line, "OpenSends"), 1.0);
    assert!((90.0..91.0).contains(&figure(&line, "OldestOpenSend")), "{line:#}");
}

#[tokio::test(start_paused = true)]
async fn the_cleanup_says_what_it_did_and_what_waits() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    for n in 1..=3 {
        ann.sends_to("bob", &n.to_string()).await.data();
    }
    let names = ["MessagesMoved", "SegmentsWritten", "MessagesDeleted", "UsersWaiting"];
    let operator = Operator::reads();
    for (days, figures) in [(0, [0.0, 0.0, 0.0, 1.0]), (100, [2.0, 1.0, 0.0, 1.0]), (1, [0.0, 0.0, 2.0, 1.0])] {
        world.advance(Duration::from_secs(days * 86_400)).await;
        world.cleans_up().await;
        let line = operator.request();
        assert_eq!(names.map(|name| figure(&line, name)), figures, "{line:#}");
        assert_eq!(figure(&line, "SegmentBytes") > 0.0, figures[1] > 0.0);
        assert!(figure(&line, "OldestWaiting") >= (days * 86_400) as f64, "{line:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn figures_are_metrics_and_their_dimensions_are_few() {
    let world = World::new().await;
    // The metrics are in the line, so it is written at any level.
    let operator = Operator::reads_from(Level::ERROR);
    say_everything(&world).await;
    let lines = operator.lines();
    let mut combinations: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in lines {
        assert_eq!(line["message"], "request");
        assert!(line["_aws"]["Timestamp"].is_i64(), "{line:#}");
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().expect("directives") {
            assert_eq!(directive["Namespace"], telemetry::NAMESPACE);
            let dimensions: Vec<&str> =
                directive["Dimensions"][0].as_array().expect("a set").iter().filter_map(Value::as_str).collect();
            assert!(dimensions.iter().all(|name| ["service", "function", "outcome", "code"].contains(name)));
            let values = dimensions.iter().map(|name| line[*name].as_str().expect("a dimension's value is a text"));
            let values = values.collect::<Vec<_>>().join(" ");
            for metric in directive["Metrics"].as_array().expect("metrics") {
                let name = metric["Name"].as_str().expect("a name");
                assert!(line[name].is_f64(), "{name} of {line:#}");
                combinations.entry(name.to_owned()).or_default().insert(values.clone());
            }
        }
    }
    let paid_for: usize = combinations.values().map(BTreeSet::len).sum();
    assert!(paid_for < 60, "{paid_for} metrics: {combinations:#?}");
}

/// What nobody may find in a log.
const SECRET: &str = "a-very-private-word";

/// Says everything that can be said, with the secret wherever there is room for one. Answers don't matter.
async fn say_everything(world: &World) {
    let token = world.token("ann", json!({ "roles": [SECRET], "name": SECRET }));
    for handshake in [
        Handshake::with_header(&token),
        Handshake::with_subprotocol(&token),
        Handshake::with_query(&token),
        Handshake::with_query(&token).and("device", SECRET),
        Handshake::with_query(&token).and("device", &format!("{SECRET}\n")),
        Handshake::with_query(SECRET),
        Handshake::with_header(SECRET),
    ] {
        let _ = world.handshake(&handshake).await;
    }
    let Ok(accepted) = world.handshake(&Handshake::with_query(&token)).await else { return };
    let phone = world.person("ann").on(accepted.connection);
    let conversation = wire::direct_id(&"ann".parse().expect("an id"), &"bob".parse().expect("an id"));
    let routes = world.deployment().websocket.routes.keys().filter(|route| !route.starts_with('$'));
    let actions: Vec<String> = routes.cloned().chain([SECRET.to_owned(), "$connect".to_owned()]).collect();
    for id in [conversation.as_str(), SECRET] {
        for action in &actions {
            let frame = json!({
                "action": action, "conversationId": id, "content": SECRET, "clientMessageId": SECRET, "seq": 1,
                "typing": true, "userIds": ["bob"], "otherUserId": "bob", "note": SECRET,
            });
            phone.writes(&frame.to_string()).await;
            phone.writes(&json!({ "action": action, "conversationId": SECRET, "seq": SECRET, "content": [SECRET], "limit": SECRET, "cursor": SECRET }).to_string()).await;
        }
        phone.tries(phone.message_to("bob", SECRET)).await;
    }
    for text in [SECRET.to_owned(), format!("[\"{SECRET}\"]"), format!("{{\"action\":\"{SECRET}")] {
        phone.writes(&text).await;
    }
    let admin = world.token("operator", json!({ "roles": ["admin"], "name": SECRET }));
    for route in &world.deployment().http_routes {
        let path = route.path.replace("{userId}", "bob");
        for token in [Some(admin.as_str()), Some(SECRET), None] {
            let body = json!({ "amount": 1, "idempotencyKey": SECRET, "price": 2, "note": SECRET }).to_string();
            world.http(&route.method, &format!("{path}?cursor={SECRET}"), token, Some(body)).await;
            world.http(&route.method, &path, token, Some(SECRET.to_owned())).await;
        }
    }
    world.advance(Duration::from_secs(90)).await;
    let _ = world.tries_to_sweep().await;
    let _ = world.tries_to_clean_up().await;
    phone.goes_away().await;
}

#[tokio::test(start_paused = true)]
async fn no_line_holds_what_was_said_or_by_whose_token() {
    let world = World::new().await;
    let _bob = world.person("bob").connects().await;
    let operator = Operator::reads();
    let dynamo = |call: &Call| matches!(call.operation, Operation::Dynamo(..));
    let mut lines = 0;
    for broken in
        [None, Some(Fault::Refuse(500)), Some(Fault::Refuse(400)), Some(Fault::Refuse(200)), Some(Fault::LoseReply)]
    {
        for breaks_pushes in [false, true] {
            // One call in seven, so that what comes after a call is reached as well; connecting goes on.
            let mut calls = 0;
            world.breaks(move |call| {
                calls += usize::from(call.function != "connect");
                broken.filter(|_| calls % 7 == 6 && dynamo(call) != breaks_pushes)
            });
            say_everything(&world).await;
            let text = operator.text();
            lines += text.lines().count();
            for hidden in [SECRET, "eyJ", "Bearer", "bearer", "token=", "cursor=", "?"] {
                let found = text.lines().find(|line| line.contains(hidden));
                assert_eq!(found, None, "{hidden} in the log, with {broken:?}");
            }
        }
    }
    assert!(lines > 500, "{lines} lines: there was something to read");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_is_cut_in_the_log_where_it_is_long() {
    let world = World::new().await;
    let operator = Operator::reads();
    let token = world.token("operator", json!({ "roles": ["admin"] }));
    let route = format!("GET /{}", "x".repeat(ACTION_CHARS_LOGGED));
    let answer = world
        .http_as("GET", "/healthz", Some(&token), |event| event["requestContext"]["routeKey"] = route.clone().into())
        .await;
    assert_eq!(answer.status, 404);
    assert_eq!(operator.request()["action"], route[..ACTION_CHARS_LOGGED]);
}
