//! What a token may say, and when it may end.

use ring::hmac;
use serde_json::{Value, json};
use shared::limits::{TOKEN_LEEWAY, TOKEN_LIFE_MAX};
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
