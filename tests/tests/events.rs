//! `events/` has one event for each function, as AWS sends it. Each is answered.

use serde_json::{Value, json};
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
    let world = World::new().await;
    let token = world.token("ann", json!({ "roles": ["admin"] }));
    let phone = world.person("ann").connects_with(&token).await;
    let conversation = phone.opens("bob").await;
    let conversation = conversation.as_str().expect("an id");
    world.person("bob").connects().await.sends_to("ann", "hi").await.data();
    let known = [("TOKEN", &*token), ("CONNECTION", &*phone.connection), ("CONVERSATION", conversation)];
    for function in world.deployment().functions.keys() {
        phone.heard();
        let answer = world.invoke(function, event(function, &known)).await;
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
