//! Every field of every request, with every kind of JSON that it doesn't take: the answer names the field, in words of the
//! wire. Whoever reads it knows the protocol, not what the server is written in.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tests::World;
use wire::ACTIONS;

/// What a field may hold.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Whole,
    Bool,
    Users,
    /// Users, or none.
    AnyUsers,
    Since,
    /// Nothing but `null` is taken of [`VALUES`].
    Nothing,
}

use Kind::{AnyUsers, Bool, Nothing, Since, Text, Users, Whole};

impl Kind {
    /// That of a field that holds this.
    fn of(field: &str, value: &Value) -> Self {
        match (field, value) {
            // Of an address, and of a time, none of the texts is one.
            ("cursor" | "attachment" | "avatar" | "marks" | "until", _) => Nothing,
            // Also where a sample takes it away.
            ("name", _) | (_, Value::String(_)) => Text,
            (_, Value::Number(_)) => Whole,
            (_, Value::Bool(_)) => Bool,
            ("add" | "remove", _) => AnyUsers,
            (_, Value::Array(_)) => Users,
            (_, Value::Object(_)) => Since,
            (_, Value::Null) => Nothing,
        }
    }

    /// Those of [`VALUES`] that are right.
    fn takes(self) -> &'static [&'static str] {
        match self {
            Text => &[r#""x""#],
            Whole => &["7", "7.0", "70e-1"],
            Bool => &["true"],
            Users => &[r#"["x"]"#],
            AnyUsers => &["[]", r#"["x"]"#],
            Since => &["{}", r#"{"x":7}"#],
            Nothing => &[],
        }
    }
}

/// One of each kind of JSON, and those at the edge of one.
const VALUES: [&str; 25] = [
    "null",
    "true",
    "7",
    "7.0",
    "70e-1",
    "-1",
    "1.5",
    "1e-400",
    "9007199254740992",
    "9007199254740991.5",
    "1e400",
    r#""""#,
    r#""x""#,
    r#""7""#,
    r#""\ud83d""#,
    r#""\u0000""#,
    "[]",
    "[7]",
    r#"["x"]"#,
    r#"["x",null]"#,
    r#"["x","\ud83d"]"#,
    "{}",
    r#"{"x":7}"#,
    r#"{"x":"7"}"#,
    r#"{"x y":7}"#,
];

/// Words that only a programmer knows, or only one of this language.
const RUST: [&str; 24] = [
    "struct", "map", "sequence", "tuple", "enum", "variant", "newtype", "unit", "option", "Option", "None", "Some",
    "borrowed", "u8", "u32", "u64", "i32", "i64", "usize", "f64", "bool", "boolean", "floating", "type",
];

/// A field of an object that is right: its name, its kind, what it holds, and whether it may be left out.
struct Field {
    name: String,
    kind: Kind,
    right: String,
    needed: bool,
}

/// The fields of each action's samples. One is needed where no other sample has only fields that are there without it.
fn samples() -> Vec<(&'static str, Vec<Field>)> {
    let mut all = Vec::new();
    for action in &ACTIONS {
        let samples: Vec<Value> =
            action.samples.iter().map(|sample| serde_json::from_str(sample).expect("JSON")).collect();
        let names =
            |sample: &Value| -> BTreeSet<String> { sample.as_object().expect("fields").keys().cloned().collect() };
        for sample in &samples {
            let there = names(sample);
            let is_needed = |name: &String| {
                !samples.iter().any(|other| names(other).iter().all(|it| it != name && there.contains(it)))
            };
            let field = |(name, value): (&String, &Value)| Field {
                name: name.clone(),
                kind: Kind::of(name, value),
                right: value.to_string(),
                needed: is_needed(name),
            };
            all.push((action.name, sample.as_object().expect("fields").iter().map(field).collect()));
        }
    }
    all
}

/// The text of an object that is right, but that FIELD holds VALUE, or isn't there.
fn with(fixed: &str, fields: &[Field], field: &str, value: Option<&str>) -> String {
    let mut members: Vec<String> = Some(fixed.to_owned()).filter(|fixed| !fixed.is_empty()).into_iter().collect();
    for Field { name, right, .. } in fields {
        let text = if name == field { value } else { Some(&**right) };
        members.extend(text.map(|text| format!("\"{name}\":{text}")));
    }
    format!("{{{}}}", members.join(","))
}

/// The answer says what is wrong in this field, or in a part of it, so that anybody understands it.
#[track_caller]
fn is_named(error: &Value, field: &str, asked: &str) {
    assert_eq!(error["code"], "bad_request", "{asked}: {error:#}");
    let named = error["details"]["field"].as_str().unwrap_or_default();
    let part = named.strip_prefix(field);
    assert!(part.is_some_and(|part| part.is_empty() || part.starts_with(['.', '['])), "{asked}: {error:#}");
    is_readable(error["message"].as_str().expect("a message"), asked);
}

#[track_caller]
fn is_readable(message: &str, asked: &str) {
    let words: BTreeSet<&str> = message.split(|c: char| !c.is_alphanumeric()).collect();
    let said: Vec<&str> = RUST.into_iter().filter(|word| words.contains(word)).collect();
    assert!(!message.is_empty() && said.is_empty(), "{asked}: {said:?} in {message}");
}

#[tokio::test(start_paused = true)]
async fn a_field_of_a_frame_that_holds_another_kind_is_named_in_words_of_the_wire() {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    for (action, fields) in samples() {
        // Nobody asks faster than they may.
        world.advance(Duration::from_secs(10)).await;
        let fixed = format!(r#""requestId":"r","action":"{action}""#);
        for Field { name: field, kind, needed, .. } in &fields {
            // Of two of which one is needed, the first is named where both are missing.
            let missing = if ["to", "marks"].contains(&&**field) { "conversationId" } else { field };
            for value in VALUES {
                // Nothing is wrong with these types; what they stand for is other tests' matter.
                let right = kind.takes().contains(&value) || (!needed && value == "null");
                let empty = *field == "content" && [r#""""#, r#""7""#, r#""\u0000""#].contains(&value);
                let also_text = matches!(kind, Text) && value == r#""7""#;
                let asked = with(&fixed, &fields, field, Some(value));
                let answers = phone.writes(&asked).await;
                let answer = answers.iter().find(|answer| answer["event"] != "sync:page").expect("an answer");
                assert_eq!(answer["requestId"], "r", "{asked}: {answer:#}");
                if right || empty || also_text {
                    assert!(
                        answer["error"]["details"]["field"] != *field || matches!(kind, Nothing),
                        "{asked}: {answer:#}"
                    );
                } else {
                    is_named(&answer["error"], if value == "null" { missing } else { field }, &asked);
                }
            }
            if *needed {
                let asked = with(&fixed, &fields, field, None);
                is_named(&phone.writes(&asked).await[0]["error"], missing, &asked);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_envelope_that_holds_another_kind_is_named_in_words_of_the_wire() {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    for value in VALUES {
        if !["null", r#""""#, r#""x""#, r#""7""#].contains(&value) {
            let asked = format!(r#"{{"action":"getBalance","requestId":{value}}}"#);
            is_named(&phone.writes(&asked).await[0]["error"], "requestId", &asked);
        }
        if !value.starts_with('"') || value == r#""\ud83d""# {
            let asked = format!(r#"{{"requestId":"r","action":{value}}}"#);
            let answer = &phone.writes(&asked).await[0];
            is_named(&answer["error"], "action", &asked);
            assert_eq!((&answer["event"], &answer["requestId"]), (&json!("error"), &json!("r")), "{asked}");
        }
        if !value.starts_with('{') {
            let error = &phone.writes(value).await[0]["error"];
            assert_eq!((&error["code"], error.get("details")), (&json!("bad_request"), None), "{value}: {error:#}");
            is_readable(error["message"].as_str().expect("a message"), value);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_or_a_field_of_it_that_holds_another_kind_is_named_in_words_of_the_wire() {
    let world = World::new().await;
    let token = world.token("operator", json!({ "roles": ["admin"] }));
    let field = |name: &str, value: Value, needed| Field {
        name: name.to_owned(),
        kind: Kind::of(name, &value),
        right: value.to_string(),
        needed,
    };
    let credits = [
        field("amount", json!(7), true),
        field("idempotencyKey", json!("x"), true),
        field("reason", json!("x"), false),
    ];
    let requests = [
        ("POST", "/api/wallets/ann/credits", &credits[..]),
        ("PUT", "/api/users/ann/price", &[field("price", json!(7), true)][..]),
    ];
    for (method, path, fields) in requests {
        let ask = async |body: &str| world.http(method, path, Some(&token), Some(body.to_owned())).await;
        for Field { name: field, kind, needed, .. } in fields {
            let texts = [r#""""#, r#""7""#, r#""\u0000""#];
            for value in VALUES {
                let text = matches!(kind, Text) && texts.contains(&value) && (field == "reason" || value == r#""7""#);
                if kind.takes().contains(&value) || text || (!needed && value == "null") {
                    continue;
                }
                let asked = with("", fields, field, Some(value));
                let answer = ask(&asked).await;
                assert_eq!(answer.status, 400, "{asked}: {answer:?}");
                is_named(&answer.body["error"], field, &asked);
            }
            if *needed {
                let asked = with("", fields, field, None);
                is_named(&ask(&asked).await.body["error"], field, &asked);
            }
        }
        let by_position = [r#"[5,"key",null]"#, "[5]", r#"{"0":5,"1":"key"}"#];
        for body in VALUES.into_iter().filter(|value| !value.starts_with('{')).chain(by_position) {
            let answer = ask(body).await;
            assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("bad_request")), "{body}");
            is_readable(answer.body["error"]["message"].as_str().expect("a message"), body);
        }
    }
    assert_eq!(world.admin("GET", "/api/wallets/ann", None).await.body["balance"], 0, "nothing was credited");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_holds_another_kind_is_named_in_words_of_the_wire() {
    let world = World::new().await;
    let cursor = json!({ "began_at": 7, "after": { "pk": "x", "sk": "x" }, "from": ["x", 7], "unpaid": -7 });
    let wrong = |field: &str, value: Value| {
        let mut order = json!({ "repair": true, "cursor": cursor });
        *order.pointer_mut(field).expect("a field") = value;
        order
    };
    let values = [
        json!(true),
        json!("\0"),
        json!(1.5),
        json!(1e300),
        json!([]),
        json!([7, 7, 7, 7]),
        json!({}),
        json!({ "x": 7 }),
    ];
    for (place, field, right) in [
        ("", "", json!({})),
        ("/repair", "repair", json!(true)),
        ("/cursor", "cursor", Value::Null),
        ("/cursor/began_at", "cursor.began_at", Value::Null),
        ("/cursor/after", "cursor.after", Value::Null),
        ("/cursor/after/pk", "cursor.after.pk", json!("\0")),
        ("/cursor/from", "cursor.from", Value::Null),
        ("/cursor/from/0", "cursor.from[0]", Value::Null),
        ("/cursor/from/1", "cursor.from[1]", Value::Null),
        ("/cursor/unpaid", "cursor.unpaid", Value::Null),
    ] {
        for value in &values {
            // Of a kind that is right; what it stands for is another matter.
            if std::mem::discriminant(value) == std::mem::discriminant(&right) {
                continue;
            }
            let order = wrong(place, value.clone());
            let refused = format!("{:?}", world.invoke("verify", order.clone()).await.expect_err("it is refused"));
            let message = refused.strip_prefix("Error(\"").unwrap_or(&refused);
            assert!(message.starts_with(field), "{order}: {refused}");
            is_readable(message, &order.to_string());
        }
    }
}
