//! `events/` has one event for each function, as AWS sends it. Each is answered.

use serde_json::{Map, Value, json};
use tests::World;

/// The event of a function, with what only a running deployment knows.
fn event(function: &str, known: &[(&str, &str)]) -> Value {
    let path = format!("{}/../events/{function}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let text = known.iter().fold(text, |text, (name, value)| text.replace(name, value));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[tokio::test(start_paused = true)]
async fn every_function_answers_its_event() {
    answered(|event| event).await;
}

/// What the functions use of API Gateway's events. The rest changes with its versions, and with who stands in its place.
const USED: [&str; 7] =
    ["headers", "queryStringParameters", "pathParameters", "body", "isBase64Encoded", "methodArn", "requestContext"];
const USED_OF_CONTEXT: [&str; 3] = ["connectionId", "authorizer", "routeKey"];

/// An event of API Gateway's, of which everything that isn't used is changed.
fn with_the_rest(mut event: Value, change: impl Fn(&mut Map<String, Value>, &[&str])) -> Value {
    if let Some(context) = event["requestContext"].as_object_mut() {
        change(context, &USED_OF_CONTEXT);
        change(event.as_object_mut().expect("an object"), &USED);
    }
    event
}

#[tokio::test(start_paused = true)]
async fn an_event_needs_no_more_than_what_is_used_of_it() {
    answered(|event| with_the_rest(event, |fields, used| fields.retain(|name, _| used.contains(&name.as_str())))).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_used_of_an_event_may_be_anything() {
    let anything = |fields: &mut Map<String, Value>, used: &[&str]| {
        let others =
            ["connectedAt", "requestTimeEpoch", "identity", "http", "timeEpoch", "rawPath", "cookies", "version"];
        let all: Vec<String> = fields.keys().cloned().chain(others.map(str::to_owned)).collect();
        for name in all.into_iter().filter(|name| !used.contains(&name.as_str())) {
            fields.insert(name, json!([{ "of": 1.5 }]));
        }
        // And `null` is what is not there.
        for name in used.iter().filter(|name| !["routeKey", "methodArn", "isBase64Encoded"].contains(name)) {
            fields.entry((*name).to_owned()).or_insert(Value::Null);
        }
    };
    answered(|event| with_the_rest(event, anything)).await;
}

/// Every function gets its event, changed, and answers it.
async fn answered(change: impl Fn(Value) -> Value) {
    let world = World::new().await;
    let token = world.token("ann", json!({ "roles": ["admin"] }));
    let phone = world.person("ann").connects_with(&token).await;
    let conversation = phone.opens("bob").await;
    let conversation = conversation.as_str().expect("an id");
    phone.makes_group("g1", &["bob"]).await;
    world.person("bob").connects().await.sends_to("ann", "hi").await.data();
    let known = [("TOKEN", &*token), ("CONNECTION", &*phone.connection), ("CONVERSATION", conversation)];
    for function in world.deployment().functions.keys() {
        phone.heard();
        let answer = world.invoke(function, change(event(function, &known))).await;
        let answer = answer.unwrap_or_else(|failed| panic!("{function}: {failed:?}"));
        let (status, heard) = (&answer["statusCode"], phone.heard());
        match function.as_str() {
            "authorize" => assert_eq!(answer["context"]["userId"], "ann"),
            "connect" | "disconnect" => assert_eq!(status, 200, "{function}"),
            "admin" => assert_eq!((status, &answer["body"]), (&json!(200), &json!(r#"{"balance":0,"userId":"ann"}"#))),
            "deliver" => {
                assert_eq!(answer, json!({ "batchItemFailures": [] }));
                assert!(heard.iter().any(|frame| frame["event"] == "message:new"), "{heard:#?}");
            }
            "cleanup" | "sweep" => assert!(answer.is_null()),
            "verify" => assert_eq!((&answer["findings"], &answer["cursor"]), (&json!([]), &Value::Null)),
            _ => {
                assert_eq!(status, 200, "{function}");
                assert!(
                    !heard.is_empty() && heard.iter().all(|frame| frame["success"] == true),
                    "{function}: {heard:#?}"
                );
            }
        }
    }
    let events = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../events")).expect("a folder").count();
    assert_eq!(events, world.deployment().functions.len(), "each event belongs to a function");
}
