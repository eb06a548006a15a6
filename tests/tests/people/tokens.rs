//! What a token may say, how long it may be, and when it may end.

use ring::hmac;
use serde_json::{Value, json};
use shared::limits::{TOKEN_BYTES_MAX, TOKEN_LEEWAY, TOKEN_LIFE_MAX, TOKEN_QUERY_BYTES_MAX};
use tests::world::SECRET;
use tests::{Handshake, World};

use super::connecting::{hmac, hs256, second, signed};
use super::observed::Operator;

/// What an operator's request with this token is answered.
async fn asks_as_operator(world: &World, token: &str) -> u16 {
    world.http("GET", "/api/wallets/ann", Some(token), None).await.status
}

#[tokio::test(start_paused = true)]
async fn roles_are_nobodys_matter_in_the_chat_and_what_is_no_text_is_no_role() {
    let world = World::new().await;
    for (roles, status) in [
        (json!(["admin"]), 200),
        (json!("admin"), 200),
        (json!([7, "admin", null]), 200),
        (json!(["user"]), 403),
        (json!(["user", 7]), 403),
        (json!("user admin"), 403),
        (json!([["admin"]]), 403),
        (json!([]), 403),
        (json!({ "admin": true }), 403),
        (json!(null), 403),
        (json!(7), 403),
        (json!(true), 403),
    ] {
        let token = world.token("operator", json!({ "roles": roles }));
        assert!(world.handshake(&Handshake::with_header(&token)).await.is_ok(), "{roles}");
        assert_eq!(asks_as_operator(&world, &token).await, status, "{roles}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_header_names_what_must_be_understood_is_refused() {
    let world = World::new().await;
    let claims = json!({ "sub": "ann", "exp": world.now().ms / 1_000 + 60, "crit": ["exp"] });
    let token = |header: &Value| signed(&claims, header, hmac(hmac::HMAC_SHA256, SECRET.as_bytes()));
    for (more, good) in [
        (json!({}), true),
        (json!({ "critical": ["exp"], "x5u": "https://example.com", "more": [{}] }), true),
        (json!({ "crit": ["exp"] }), false),
        (json!({ "crit": ["b64"], "b64": true }), false),
        (json!({ "crit": [] }), false),
        (json!({ "crit": null }), false),
        (json!({ "crit": "exp" }), false),
    ] {
        let mut header = json!({ "alg": "HS256", "typ": "JWT" });
        header.as_object_mut().expect("a header").extend(more.as_object().expect("members").clone());
        let answer = world.handshake(&Handshake::with_header(&token(&header))).await.map(drop);
        assert_eq!(answer, if good { Ok(()) } else { Err(401) }, "{header}");
    }
}

/// A good token of so many bytes.
fn of_length(world: &World, bytes: usize) -> String {
    let padded = |letters: usize| world.token("operator", json!({ "roles": ["admin"], "more": "x".repeat(letters) }));
    // Four letters of a token are three of what it says.
    let about = (bytes - padded(0).len()) * 3 / 4;
    let token = (about - 2..about + 3).map(padded).find(|token| token.len() == bytes);
    token.expect("some have just this length")
}

#[tokio::test(start_paused = true)]
async fn a_token_is_read_up_to_the_limit_of_where_it_stands() {
    let world = World::new().await;
    let carriers = [
        (Handshake::with_header as fn(&str) -> Handshake, TOKEN_BYTES_MAX),
        (Handshake::with_subprotocol, TOKEN_BYTES_MAX),
        (Handshake::with_query, TOKEN_QUERY_BYTES_MAX),
    ];
    let too_long = |operator: &Operator| -> Vec<(Value, Value)> {
        let mut lines = operator.lines();
        lines.retain(|line| line["message"] == "a token is too long");
        lines.iter().map(|line| (line["bytes"].clone(), line["bytes_max"].clone())).collect()
    };
    for (carrier, bytes_max) in carriers {
        let (fits, fits_not) = (of_length(&world, bytes_max), of_length(&world, bytes_max + 1));
        let operator = Operator::reads();
        assert!(world.handshake(&carrier(&fits)).await.is_ok(), "{bytes_max}");
        assert_eq!(too_long(&operator), []);
        assert_eq!(world.handshake(&carrier(&fits_not)).await, Err(401), "{bytes_max}");
        assert_eq!(too_long(&operator), [(json!(bytes_max + 1), json!(bytes_max))]);
    }
    let (good, longer) = (of_length(&world, TOKEN_BYTES_MAX), of_length(&world, TOKEN_BYTES_MAX + 1));
    let first_counts = Handshake::with_header(&longer).and("token", &world.token("ann", Value::Null));
    assert_eq!(world.handshake(&first_counts).await, Err(401));
    let operator = Operator::reads();
    assert_eq!(asks_as_operator(&world, &good).await, 200);
    assert_eq!(asks_as_operator(&world, &longer).await, 401);
    assert_eq!(too_long(&operator), [(json!(TOKEN_BYTES_MAX + 1), json!(TOKEN_BYTES_MAX))]);
}

#[tokio::test(start_paused = true)]
async fn a_token_with_eighty_groups_in_it_is_good() {
    let world = World::new().await;
    let groups: Vec<String> = (0..80).map(|n| format!("{n:08}-0000-4000-8000-000000000000")).collect();
    let token = world.token("ann", json!({ "groups": groups }));
    assert!(token.len() > 4_200, "{}", token.len());
    assert!(world.handshake(&Handshake::with_header(&token)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_within_ten_years() {
    let world = World::new().await;
    let told =
        |operator: &Operator| operator.lines().iter().filter(|line| line["message"] == "a token ends too late").count();
    let latest = i64::try_from((TOKEN_LIFE_MAX + TOKEN_LEEWAY).as_secs()).expect("ten years");
    for (ahead, status, lines) in [(latest, 200, 0), (latest + 1, 401, 1)] {
        let token = world.token("operator", json!({ "roles": ["admin"], "exp": second(&world).await + ahead }));
        let operator = Operator::reads();
        assert_eq!(asks_as_operator(&world, &token).await, status, "{ahead}");
        assert_eq!(told(&operator), lines);
    }
    for exp in [json!(world.now().ms + 60_000), json!(u64::MAX), json!(1e19)] {
        let token = hs256(&json!({ "sub": "ann", "exp": exp }), SECRET);
        assert_eq!(world.handshake(&Handshake::with_header(&token)).await, Err(401), "{exp}");
    }
}
