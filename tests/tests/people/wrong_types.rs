//! Every field of every request, with every kind of JSON that it doesn't take: the answer names the field, in words of the
//! wire. Whoever reads it knows the protocol, not what the server is written in.

use std::collections::BTreeSet;

use serde::de::value::Error as Stopped;
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde_json::{Value, json};
use tests::World;
use wire::{
    GetBalance, GetConversation, GetConversations, GetMessages, GetOrCreateDirect, GetPresence, GetReceipts,
    GetTransactions, MarkDelivered, MarkRead, Ping, Request, SendMessage, Sync, Typing,
};

/// What a field may hold: how that is written, and a text that is right.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Whole,
    Bool,
    Users,
    Since,
    /// Nothing but `null` is taken.
    Nothing,
}

use Kind::{Bool, Nothing, Since, Text, Users, Whole};

impl Kind {
    fn right(self) -> &'static str {
        match self {
            Text => r#""x""#,
            Whole => "7",
            Bool => "true",
            Users => r#"["x"]"#,
            Since => r#"{"x":7}"#,
            Nothing => "null",
        }
    }

    /// Those of [`VALUES`] that are right.
    fn takes(self) -> &'static [&'static str] {
        match self {
            Text => &[r#""x""#],
            Whole => &["7", "7.0", "70e-1"],
            Bool => &["true"],
            Users => &[r#"["x"]"#],
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

/// Every field of a request, and whether it may be left out.
struct Sample {
    name: &'static str,
    fields: &'static [(&'static str, Kind, bool)],
}

const NEEDED: bool = true;
const OPTIONAL: bool = false;

/// Each action, with all of its fields; two where two of them exclude each other.
const SAMPLES: [Sample; 16] = [
    Sample { name: "ping", fields: &[] },
    Sample { name: "sync", fields: &[("since", Since, OPTIONAL), ("limit", Whole, OPTIONAL)] },
    Sample { name: "getOrCreateDirect", fields: &[("otherUserId", Text, NEEDED)] },
    Sample { name: "getConversations", fields: &[("cursor", Nothing, OPTIONAL), ("limit", Whole, OPTIONAL)] },
    Sample { name: "getConversation", fields: &[("conversationId", Text, NEEDED)] },
    Sample {
        name: "sendMessage",
        fields: &[
            ("conversationId", Text, NEEDED),
            ("content", Text, NEEDED),
            ("clientMessageId", Text, NEEDED),
            ("attachment", Nothing, OPTIONAL),
            ("replyTo", Whole, OPTIONAL),
            ("maxPrice", Whole, OPTIONAL),
        ],
    },
    Sample {
        name: "sendMessage",
        fields: &[("to", Text, OPTIONAL), ("content", Text, NEEDED), ("clientMessageId", Text, NEEDED)],
    },
    Sample {
        name: "getMessages",
        fields: &[("conversationId", Text, NEEDED), ("before", Whole, OPTIONAL), ("limit", Whole, OPTIONAL)],
    },
    Sample { name: "getMessages", fields: &[("conversationId", Text, NEEDED), ("after", Whole, OPTIONAL)] },
    Sample { name: "markDelivered", fields: &[("conversationId", Text, NEEDED), ("seq", Whole, NEEDED)] },
    Sample { name: "markRead", fields: &[("conversationId", Text, NEEDED), ("seq", Whole, NEEDED)] },
    Sample { name: "getReceipts", fields: &[("conversationId", Text, NEEDED), ("seq", Whole, NEEDED)] },
    Sample { name: "typing", fields: &[("conversationId", Text, NEEDED), ("typing", Bool, NEEDED)] },
    Sample { name: "getPresence", fields: &[("userIds", Users, NEEDED)] },
    Sample { name: "getBalance", fields: &[] },
    Sample { name: "getTransactions", fields: &[("cursor", Nothing, OPTIONAL), ("limit", Whole, OPTIONAL)] },
];

/// The fields that a type is read from.
fn fields_of<R: DeserializeOwned>() -> BTreeSet<&'static str> {
    struct Asked<'a>(&'a mut BTreeSet<&'static str>);
    impl<'de> Deserializer<'de> for Asked<'_> {
        type Error = Stopped;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stopped> {
            Err(serde::de::Error::custom("only objects"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Stopped> {
            self.0.extend(fields);
            self.deserialize_any(visitor)
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut fields = BTreeSet::new();
    assert!(R::deserialize(Asked(&mut fields)).is_err(), "a request is an object");
    fields
}

fn row<R: Request>() -> (&'static str, BTreeSet<&'static str>) {
    (R::ACTION, fields_of::<R>())
}

#[tokio::test]
async fn every_action_and_every_field_is_tried() {
    let types = [
        row::<Ping>(),
        row::<Sync>(),
        row::<GetOrCreateDirect>(),
        row::<GetConversations>(),
        row::<GetConversation>(),
        row::<SendMessage>(),
        row::<GetMessages>(),
        row::<MarkDelivered>(),
        row::<MarkRead>(),
        row::<GetReceipts>(),
        row::<Typing>(),
        row::<GetPresence>(),
        row::<GetBalance>(),
        row::<GetTransactions>(),
    ];
    let world = World::new().await;
    let routes = world.deployment().websocket.routes.keys().map(String::as_str).filter(|route| !route.starts_with('$'));
    let actions: BTreeSet<&str> = types.iter().map(|(action, _)| *action).collect();
    assert_eq!(actions, routes.collect());
    for (action, fields) in types {
        let samples = SAMPLES.iter().filter(|sample| sample.name == action);
        let tried: BTreeSet<&str> = samples.flat_map(|sample| sample.fields).map(|(name, ..)| *name).collect();
        assert_eq!(tried, fields, "{action}");
    }
}

/// The text of an object that is right, but that FIELD holds VALUE, or isn't there.
fn with(fixed: &str, fields: &[(&str, Kind, bool)], field: &str, value: Option<&str>) -> String {
    let mut members: Vec<String> = Some(fixed.to_owned()).filter(|fixed| !fixed.is_empty()).into_iter().collect();
    for (name, kind, _) in fields {
        let text = if *name == field { value } else { Some(kind.right()) };
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
    for Sample { name: action, fields } in &SAMPLES {
        let fixed = format!(r#""requestId":"r","action":"{action}""#);
        for (field, kind, needed) in *fields {
            for value in VALUES {
                // Nothing is wrong with these types; what they stand for is other tests' matter.
                let right = kind.takes().contains(&value) || (!needed && value == "null");
                let empty = *field == "content" && [r#""""#, r#""7""#, r#""\u0000""#].contains(&value);
                let also_text = matches!(kind, Text) && value == r#""7""#;
                let asked = with(&fixed, fields, field, Some(value));
                let answers = phone.writes(&asked).await;
                let answer = answers.iter().find(|answer| answer["event"] != "sync:page").expect("an answer");
                assert_eq!(answer["requestId"], "r", "{asked}: {answer:#}");
                if right || empty || also_text {
                    assert!(
                        answer["error"]["details"]["field"] != *field || matches!(kind, Nothing),
                        "{asked}: {answer:#}"
                    );
                } else {
                    is_named(&answer["error"], field, &asked);
                }
            }
            if *needed {
                let asked = with(&fixed, fields, field, None);
                is_named(&phone.writes(&asked).await[0]["error"], field, &asked);
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
    let credits: &[_] = &[("amount", Whole, NEEDED), ("idempotencyKey", Text, NEEDED), ("reason", Text, OPTIONAL)];
    let requests = [
        ("POST", "/api/wallets/ann/credits", credits),
        ("PUT", "/api/users/ann/price", &[("price", Whole, NEEDED)][..]),
    ];
    for (method, path, fields) in requests {
        let ask = async |body: &str| world.http(method, path, Some(&token), Some(body.to_owned())).await;
        for (field, kind, needed) in fields {
            let texts = [r#""""#, r#""7""#, r#""\u0000""#];
            for value in VALUES {
                let text = matches!(kind, Text) && texts.contains(&value) && (*field == "reason" || value == r#""7""#);
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
