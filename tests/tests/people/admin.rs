use futures::future::join_all;
use serde_json::{Value, json};
use shared::limits::{STATS_ROWS_MAX, WORK_SHARDS};
use shared::store::table::Key;
use shared::store::work::Listing;
use tests::years::item;
use tests::{Handshake, World};

const ROUTES: [(&str, &str); 8] = [
    ("GET", "/api/messages/buffered/ann"),
    ("DELETE", "/api/messages/buffered/ann"),
    ("GET", "/api/messages/buffer-stats"),
    ("POST", "/api/wallets/ann/credits"),
    ("GET", "/api/wallets/ann"),
    ("GET", "/api/wallets/ann/transactions"),
    ("PUT", "/api/users/ann/price"),
    ("PUT", "/api/users/ann/profile"),
];

#[tokio::test(start_paused = true)]
async fn only_an_operator_may_and_anybody_may_ask_for_health() {
    let world = World::new().await;
    let health = world.http("GET", "/healthz", None, None).await;
    assert_eq!(health.status, 200);
    let user = world.token("ann", Value::Null);
    let other = world.token("ann", json!({ "roles": ["moderator", "Admin"] }));
    let expired = world.token("operator", json!({ "roles": ["admin"], "exp": world.now().ms / 1_000 - 6 }));
    for (method, path) in ROUTES {
        for (token, status, code) in [
            (None, 401, "unauthorized"),
            (Some("rubbish"), 401, "unauthorized"),
            (Some(&*expired), 401, "token_expired"),
            (Some(&*user), 403, "forbidden"),
            (Some(&*other), 403, "forbidden"),
        ] {
            let answer = world.http(method, path, token, None).await;
            assert_eq!((answer.status, &answer.body["error"]["code"]), (status, &json!(code)), "{method} {path}");
        }
    }
    assert_eq!(world.admin("GET", "/api/nothing", None).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_top_up_counts_once_per_key() {
    let world = World::new().await;
    let answers = join_all((0..20).map(|_| world.credits("ann", 50, "spring"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let repeat = world.credits("ann", 50, "spring").await;
    assert_eq!(repeat.body, json!({ "userId": "ann", "balance": 50 }));
    let other = world.credits("ann", 51, "spring").await;
    assert_eq!((other.status, &other.body["error"]["code"]), (409, &json!("idempotency_key_reused")));
    assert_eq!(world.credits("bob", 51, "spring").await.body["balance"], 51, "a key is a user's");
    assert_eq!(world.admin("GET", "/api/wallets/ann", None).await.body, json!({ "userId": "ann", "balance": 50 }));
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_request_is_named() {
    let world = World::new().await;
    let credits = "/api/wallets/ann/credits";
    for (method, path, body, field) in [
        ("POST", credits, json!({ "idempotencyKey": "k" }), "amount"),
        ("POST", credits, json!({ "amount": 0, "idempotencyKey": "k" }), "amount"),
        ("POST", credits, json!({ "amount": -5, "idempotencyKey": "k" }), "amount"),
        ("POST", credits, json!({ "amount": 1.5, "idempotencyKey": "k" }), "amount"),
        ("POST", credits, json!({ "amount": 9_007_199_254_740_992_u64, "idempotencyKey": "k" }), "amount"),
        ("POST", credits, json!({ "amount": 1 }), "idempotencyKey"),
        ("POST", credits, json!({ "amount": 1, "idempotencyKey": "" }), "idempotencyKey"),
        ("PUT", "/api/users/ann/price", json!({ "price": -1 }), "price"),
        ("PUT", "/api/users/ann/price", json!({}), "price"),
        ("GET", "/api/wallets/ann/transactions?limit=101", Value::Null, "limit"),
        ("GET", "/api/wallets/ann/transactions?limit=x", Value::Null, "limit"),
        ("GET", "/api/wallets/ann/transactions?cursor=QUNDT1VOVA", Value::Null, "cursor"),
        ("GET", &format!("/api/wallets/{}", "x".repeat(129)), Value::Null, "userId"),
    ] {
        let answer = world.admin(method, path, Some(body.clone()).filter(|body| !body.is_null())).await;
        let error = &answer.body["error"];
        assert_eq!((answer.status, &error["code"]), (400, &json!("bad_request")), "{method} {path} {body}");
        let (message, named) = (error["message"].as_str(), error["details"]["field"].as_str());
        assert!(
            named == Some(field) || message.is_some_and(|message| message.contains(field)),
            "{path} {body}: {error}"
        );
    }
    let token = world.token("operator", json!({ "roles": ["admin"] }));
    let answer = world.http("POST", credits, Some(&token), Some("not json".to_owned())).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("bad_request")));
    world.is_at_rest();
}

#[tokio::test(start_paused = true)]
async fn a_balance_never_grows_beyond_what_can_be_counted() {
    let world = World::new().await;
    let most = 9_007_199_254_740_991;
    assert_eq!(world.credits("ann", most, "a").await.body["balance"], most);
    assert_eq!(world.credits("ann", 1, "b").await.status, 400);
    assert_eq!(world.admin("GET", "/api/wallets/ann", None).await.body["balance"], most);
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_somebody_can_be_seen_and_cleared() {
    let world = World::new().await;
    let (ann, carl) = (world.person("ann").connects().await, world.person("carl").connects().await);
    let sent = ann.sends_to("bob", "one").await;
    ann.sends_to("bob", "two").await.data();
    carl.sends_to("bob", "three").await.data();
    let bob = world.person("bob");
    let waiting = bob.buffered().await;
    assert_eq!((&waiting["userId"], &waiting["undelivered"]), (&json!("bob"), &json!(3)));
    let ranges = waiting["conversations"].as_array().expect("a list");
    let from_ann = ranges.iter().find(|one| one["conversationId"] == sent["message"]["conversationId"]);
    assert_eq!(from_ann.map(|one| (&one["fromSeq"], &one["toSeq"])), Some((&json!(1), &json!(2))));
    let stats = world.admin("GET", "/api/messages/buffer-stats", None).await.body;
    assert_eq!(
        (&stats["undelivered"], &stats["usersWaiting"], &stats["connections"]),
        (&json!(3), &json!(1), &json!(2))
    );
    assert_eq!(stats["oldestAt"], sent["message"]["createdAt"]);
    assert_eq!(world.admin("DELETE", "/api/messages/buffered/bob", None).await.body, json!({ "cleared": 3 }));
    assert_eq!(bob.buffered().await, json!({ "userId": "bob", "undelivered": 0, "conversations": [] }));
    let stats = world.admin("GET", "/api/messages/buffer-stats", None).await.body;
    assert_eq!(
        (&stats["usersWaiting"], stats.get("oldestAt")),
        (&json!(0), None),
        "though they are listed for a while"
    );
    assert_eq!(bob.connects().await.syncs().await["messages"], 0);
    assert_eq!(world.admin("DELETE", "/api/messages/buffered/bob", None).await.body, json!({ "cleared": 0 }));
    world.comes_to_rest().await;
    let stats = world.admin("GET", "/api/messages/buffer-stats", None).await.body;
    assert_eq!(
        (&stats["openSends"], &stats["unsettledEarnings"], &stats["undelivered"]),
        (&json!(0), &json!(0), &json!(0))
    );
}

#[tokio::test(start_paused = true)]
async fn a_wallets_ledger_has_pages_and_names_may_be_of_any_script() {
    let world = World::new().await;
    let name = "Ånn / 🦀?";
    for n in 1..=3 {
        world.tops_up(name, n).await;
    }
    let path = format!("/api/wallets/{}/transactions?limit=2", "%C3%85nn%20%2F%20%F0%9F%A6%80%3F");
    let first = world.admin("GET", &path, None).await.body;
    assert_eq!(first["transactions"].as_array().map(Vec::len), Some(2), "{first}");
    let next = format!("{path}&cursor={}", first["nextCursor"].as_str().expect("a cursor"));
    let rest = world.admin("GET", &next, None).await.body;
    assert_eq!((rest["transactions"].as_array().map(Vec::len), rest.get("nextCursor")), (Some(1), None));
    assert_eq!(world.person(name).connects().await.balance().await, 6);
}

/// By a fault of the client's or of what is between; nobody else would write to us so.
#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_text_is_refused_after_who_asks() {
    let world = World::new().await;
    let token = world.token("operator", json!({ "roles": ["admin"] }));
    for body in ["/w==", "eyJhbW91bnQiOjUsImlkZW1wb3RlbmN5S2V5Ijoi//8ifQ==", "%%%", "eyJ", "e30=\n"] {
        let binary = |event: &mut Value| (event["body"], event["isBase64Encoded"]) = (body.into(), true.into());
        assert_eq!(world.http_as("GET", "/healthz", None, binary).await.status, 200, "{body}");
        for (method, path) in ROUTES {
            let answer = world.http_as(method, path, None, binary).await;
            assert_eq!(
                (answer.status, &answer.body["error"]["code"]),
                (401, &json!("unauthorized")),
                "{method} {path}"
            );
            let answer = world.http_as(method, path, Some(&token), binary).await;
            assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("bad_request")), "{method} {path}");
        }
    }
    let text = |event: &mut Value| {
        event["body"] = "eyJhbW91bnQiOjUsImlkZW1wb3RlbmN5S2V5IjoiayJ9".into();
        event["isBase64Encoded"] = true.into();
    };
    let answer = world.http_as("POST", "/api/wallets/ann/credits", Some(&token), text).await;
    assert_eq!(answer.body, json!({ "userId": "ann", "balance": 5 }), "text is text, however it travels");
}

/// API Gateway may hand on a byte that is no text as the sign for that, or as it was written.
#[tokio::test(start_paused = true)]
async fn what_is_no_text_names_nobody() {
    let world = World::new().await;
    let token = world.token("operator", json!({ "roles": ["admin"] }));
    let body = json!({ "amount": 5, "idempotencyKey": "k", "price": 5 }).to_string();
    let routes = ROUTES.into_iter().filter(|(_, path)| path.contains("ann"));
    for (method, path) in routes {
        for name in ["%FF", "%FE", "an%C3", "%ED%A0%BD", "%EF%BF%BD", "ann%80"] {
            let path = path.replace("ann", name);
            for still_encoded in [false, true] {
                let change = |event: &mut Value| {
                    event["body"] = body.clone().into();
                    if still_encoded {
                        event["pathParameters"]["userId"] = name.into();
                    }
                };
                let answer = world.http_as(method, &path, Some(&token), change).await;
                if still_encoded && name == "%EF%BF%BD" {
                    // Whoever calls themselves so.
                    assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
                    continue;
                }
                let named = (&answer.body["error"]["code"], &answer.body["error"]["details"]["field"]);
                assert_eq!((answer.status, named), (400, (&json!("bad_request"), &json!("userId"))), "{method} {path}");
            }
        }
    }
    for query in ["limit=%FF", "limit=1%FF", "cursor=%FF", "cursor=QUNDT1VOVA%FE"] {
        let path = format!("/api/wallets/ann/transactions?{query}");
        for still_encoded in [false, true] {
            let change = |event: &mut Value| {
                let (name, value) = query.split_once('=').expect("a pair");
                if still_encoded {
                    event["queryStringParameters"][name] = value.into();
                }
            };
            let answer = world.http_as("GET", &path, Some(&token), change).await;
            let field = query.split('=').next();
            assert_eq!((answer.status, answer.body["error"]["details"]["field"].as_str()), (400, field), "{query}");
        }
    }
    // A device's name comes by an address, too; a token and a frame are text, and say what they mean.
    let handshake = Handshake::with_header(&world.token("\u{fffd}", Value::Null));
    for device in ["\u{fffd}", "phone %FF"] {
        assert_eq!(world.handshake(&handshake.clone().and("device", device)).await, Err(400), "{device}");
    }
    let phone = world.person("\u{fffd}").connects().await;
    let sent = phone.sends_to("\u{fffd}\u{fffd}", "hi").await;
    assert_eq!(sent["message"]["senderId"], "\u{fffd}");
    // A name may have a percent sign.
    for (name, path) in [("100%", "100%25"), ("%41", "%2541"), ("50%é", "50%25%C3%A9")] {
        let answer = world.admin("GET", &format!("/api/wallets/{path}"), None).await;
        assert_eq!(answer.body, json!({ "userId": name, "balance": 0 }));
    }
}

#[tokio::test(start_paused = true)]
async fn no_field_of_a_body_comes_twice() {
    let world = World::new().await;
    let token = world.token("operator", json!({ "roles": ["admin"] }));
    let asks = async |path: &str, method: &str, body: &str| {
        let answer = world.http(method, path, Some(&token), Some(body.to_owned())).await;
        (answer.status, answer.body["error"]["details"]["field"].clone())
    };
    let credits = r#"{"amount":10,"amount":500,"idempotencyKey":"key"}"#;
    assert_eq!(asks("/api/wallets/ann/credits", "POST", credits).await, (400, json!("amount")));
    assert_eq!(asks("/api/users/ann/price", "PUT", r#"{"price":1,"price":1}"#).await, (400, json!("price")));
    assert_eq!(world.admin("GET", "/api/wallets/ann", None).await.body["balance"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_reason_has_a_limit() {
    let world = World::new().await;
    let credits = async |key: &str, reason: Value| {
        let body = json!({ "amount": 1, "idempotencyKey": key, "reason": reason });
        world.admin("POST", "/api/wallets/ann/credits", Some(body)).await
    };
    for (n, reason) in [json!("é".repeat(500)), json!("two\nlines"), json!(""), Value::Null].into_iter().enumerate() {
        assert_eq!(credits(&n.to_string(), reason.clone()).await.status, 200, "{reason}");
    }
    for long in ["é".repeat(501), "x".repeat(100_000)] {
        let answer = credits("long", json!(long)).await;
        assert_eq!((answer.status, &answer.body["error"]["details"]["field"]), (400, &json!("reason")));
        assert_eq!(answer.body["error"]["message"], "reason: a reason has at most 500 characters");
    }
    assert_eq!(world.admin("GET", "/api/wallets/ann", None).await.body["balance"], 4);
}

#[tokio::test(start_paused = true)]
async fn a_whole_number_is_one_however_it_is_written() {
    let world = World::new().await;
    let token = world.token("operator", json!({ "roles": ["admin"] }));
    for (n, amount) in ["5", "5.0", "0.5e1", "50E-1"].into_iter().enumerate() {
        let body = format!(r#"{{"amount":{amount},"idempotencyKey":"{n}","note":1e400}}"#);
        let answer = world.http("POST", "/api/wallets/ann/credits", Some(&token), Some(body)).await;
        assert_eq!((answer.status, &answer.body["balance"]), (200, &json!(5 * (n + 1))), "{amount}");
    }
    let body = r#"{"price":9007199254740991.0}"#.to_owned();
    let answer = world.http("PUT", "/api/users/ann/price", Some(&token), Some(body)).await;
    assert_eq!(answer.body, json!({ "userId": "ann", "price": 9_007_199_254_740_991_u64 }));
    for limit in ["2", "2.0", "2e0", "20e-1"] {
        let page = world.admin("GET", &format!("/api/wallets/ann/transactions?limit={limit}"), None).await.body;
        assert_eq!(page["transactions"].as_array().map(Vec::len), Some(2), "{limit}: {page}");
    }
    for limit in ["1.5", "0", "-2", "101", "null", "", "\"2\"", "two", "[2]", "1e400"] {
        let path = format!("/api/wallets/ann/transactions?limit={}", tests::world::encoded(limit));
        let error = &world.admin("GET", &path, None).await.body["error"];
        assert_eq!(error["message"], "limit: expected a whole number from 1 to 100", "{limit}: {error}");
    }
}

/// What of the index can be counted is counted up to a limit, and that is said.
#[tokio::test(start_paused = true)]
async fn what_waits_is_counted_up_to_a_limit() {
    let shards = usize::try_from(WORK_SHARDS).expect("few");
    for (each, complete) in [(STATS_ROWS_MAX / shards - 1, true), (STATS_ROWS_MAX / shards + 1, false)] {
        let world = World::new().await;
        let lines = (0..each * shards).map(|n| {
            let pk = format!("UNSETTLED#{}", n % shards);
            let key = Key { pk: format!("USER#{n}"), sk: "ENTRY#1#topup#k".to_owned() };
            item(key, &json!({}), Some(&Listing { pk, sk: n.to_string() }))
        });
        world.imports(lines.collect());
        let stats = world.admin("GET", "/api/messages/buffer-stats", None).await.body;
        let counted = (each * shards).min(STATS_ROWS_MAX);
        assert_eq!((&stats["unsettledEarnings"], &stats["complete"]), (&json!(counted), &json!(complete)));
    }
    // Conversations in which something may wait.
    let world = World::new().await;
    let lines = (0..=STATS_ROWS_MAX + shards).map(|n| {
        let key = Key { pk: format!("USER#{n}"), sk: "INBOX#one".to_owned() };
        let inbox = json!({
            "kind": "direct", "peer": "bob", "last_seq": 0, "delivered_seq": 0, "read_seq": 0, "last_at": 0,
        });
        item(key, &inbox, Some(&Listing { pk: format!("WAITING#{}", n % shards), sk: n.to_string() }))
    });
    world.imports(lines.collect());
    let stats = world.admin("GET", "/api/messages/buffer-stats", None).await.body;
    assert_eq!((&stats["usersWaiting"], &stats["complete"]), (&json!(0), &json!(false)));
}
