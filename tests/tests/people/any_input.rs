//! Properties: whatever a client says, it gets one answer in words, nothing panics and nothing is `internal`.

use std::collections::BTreeSet;

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_assume, prop_oneof};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};
use serde_json::{Value, json};
use tests::person::Phone;
use tests::{Handshake, World};
use wire::{ACTIONS, Action, UserId, direct_id};

/// Cases of a property that runs functions.
const CASES: u32 = 300;

/// Runs a property in a world of its own; the world's clock costs no time.
fn holds<S: Strategy>(strategy: &S, property: impl AsyncFn(&World, &Phone, S::Value) -> TestCaseResult) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("tokio");
    let world = runtime.block_on(World::new());
    let phone = runtime.block_on(async { world.person("ann").connects().await });
    let outcome = runner(CASES).run(strategy, |value| runtime.block_on(property(&world, &phone, value)));
    outcome.unwrap_or_else(|error| panic!("{error}"));
    world.is_sound();
}

/// Runs the same cases each time: a test must not fail by luck.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Any JSON, not deep, with the protocol's names among its keys.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!("bob")),
        Just(json!(1)),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let key = prop_oneof![field(), ".{0,8}".prop_map(String::from)];
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(key, inner, 0..5).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// A name that means something in some frame.
fn field() -> impl Strategy<Value = String> {
    let of = |frame: Value| frame.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let mut names: BTreeSet<String> = ACTIONS.iter().flat_map(Action::frames).flat_map(of).collect();
    names.insert("requestId".to_owned());
    proptest::sample::select(Vec::from_iter(names))
}

/// An action, or something that isn't one.
fn action() -> impl Strategy<Value = Value> {
    let actions = ACTIONS.iter().map(|action| action.name).chain(["$default"]);
    prop_oneof![
        9 => proptest::sample::select(actions.collect::<Vec<_>>()).prop_map(Value::from),
        1 => any_json(),
    ]
}

/// Exactly one answer, and one that a person can act on.
fn one_answer(frames: &[Value]) -> TestCaseResult {
    let finals: Vec<&Value> =
        frames.iter().filter(|frame| frame["event"] != "sync:page" && frame["event"] != "message:new").collect();
    prop_assert_eq!(finals.len(), 1, "{:#?}", frames);
    if finals[0]["success"] == false {
        prop_assert!(finals[0]["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{:#}", finals[0]);
        prop_assert!(finals[0]["error"]["code"] != "internal", "{:#}", finals[0]);
    }
    Ok(())
}

#[test]
fn any_text_is_answered_once() {
    holds(&any::<String>(), async |_, phone, text| {
        one_answer(&phone.writes(&text).await)?;
        prop_assert!(phone.is_connected());
        Ok(())
    });
}

#[test]
fn any_fields_of_any_action_are_answered_once() {
    let frame = (action(), btree_map(field(), any_json(), 0..6));
    holds(&frame, async |_, phone, (action, fields)| {
        let mut frame: Value = fields.into_iter().collect();
        frame["action"] = action;
        one_answer(&phone.writes(&frame.to_string()).await)?;
        prop_assert!(phone.is_connected());
        Ok(())
    });
}

#[test]
fn any_frame_that_ends_too_early_is_refused_by_its_name() {
    let frame = (btree_map("[a-z\\\\\"{\\[:é🦀]{0,8}", any_json(), 0..4), any::<proptest::sample::Index>());
    holds(&frame, async |_, phone, (fields, cut)| {
        let rest = Value::from_iter(fields).to_string();
        let text = format!(r#"{{"requestId":"r","clientMessageId":"m","action":"sendMessage",{}"#, &rest[1..]);
        // Behind the names.
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).skip(62).collect();
        let frames = phone.writes(&text[..*cut.get(&places)]).await;
        one_answer(&frames)?;
        let named =
            (frames[0]["event"].as_str(), frames[0]["requestId"].as_str(), frames[0]["clientMessageId"].as_str());
        prop_assert_eq!(named, (Some("message:error"), Some("r"), Some("m")), "{:#?}", frames);
        Ok(())
    });
}

#[test]
fn any_cursor_is_ours_or_refused() {
    let cursor = prop_oneof![
        "[A-Za-z0-9_-]{0,40}".prop_map(String::from),
        // What ours look like inside, and what others' items do.
        "(ENTRY|INBOX|RECEIPT|USER|MSG)#.{0,20}".prop_map(|text| wire::Cursor::new(&text)).prop_map(text_of),
        "-?[0-9]{1,20} .{0,20}".prop_map(|text| wire::Cursor::new(&text)).prop_map(text_of),
    ];
    holds(&cursor, async |_, phone, cursor| {
        for action in ["getTransactions", "getConversations"] {
            one_answer(&phone.writes(&json!({ "action": action, "cursor": cursor }).to_string()).await)?;
        }
        Ok(())
    });
}

fn text_of(cursor: wire::Cursor) -> String {
    serde_json::to_value(cursor).ok().and_then(|value| value.as_str().map(str::to_owned)).expect("a cursor is a text")
}

#[test]
fn any_token_that_nobody_signed_is_refused() {
    let token = prop_oneof!["[!-~]{0,80}", "[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}"];
    holds(&token, async |world, _, token| {
        for handshake in
            [Handshake::with_header(&token), Handshake::with_subprotocol(&token), Handshake::with_query(&token)]
        {
            prop_assert_eq!(world.handshake(&handshake).await.err(), Some(401));
        }
        Ok(())
    });
}

#[test]
fn any_two_pairs_have_one_conversation_only_if_they_are_one_pair() {
    // Few letters, so that names are prefixes of each other and share their seams; and any letters at all.
    let name =
        || prop_oneof!["[ab_#:|]{1,4}", "\\PC{1,6}"].prop_filter_map("a user id", |text| text.parse::<UserId>().ok());
    let outcome = runner(20_000).run(&[name(), name(), name(), name()], |[a, b, c, d]| {
        prop_assume!(a != b && c != d);
        let same = (a == c && b == d) || (a == d && b == c);
        prop_assert_eq!(direct_id(&a, &b) == direct_id(&c, &d), same);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
