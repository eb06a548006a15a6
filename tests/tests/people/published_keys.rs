//! Which of an issuer's published keys a token is checked by: only those for signatures of its algorithm, and whatever is odd
//! beside them harms nobody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use shared::limits::{JWKS_REFETCH_AFTER, KEYS_TRIED_MAX};

use super::issuers_keys::{Does, Issuer, KEYS, handshake, handshake_with, issuers_world, s};
use super::observed::Operator;

/// The issuer's key of this name.
fn key(id: &str) -> Value {
    let keys: Value = serde_json::from_str(KEYS).expect("JSON");
    keys["keys"].as_array().expect("keys").iter().find(|key| key["kid"] == id).expect("it is there").clone()
}

/// The same with other members; null takes one out.
fn with(mut key: Value, members: &Value) -> Value {
    let fields = key.as_object_mut().expect("a key");
    for (name, value) in members.as_object().expect("members") {
        fields.insert(name.clone(), value.clone());
        fields.retain(|_, value| !value.is_null());
    }
    key
}

/// Another's key for ES256, by the same name.
fn anothers() -> Value {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.as_ref(), &random).expect("a key");
    let part = |bytes: &[u8]| json!(URL_SAFE_NO_PAD.encode(bytes));
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    with(key("ES256"), &json!({ "x": part(x), "y": part(y) }))
}

fn publishes(issuer: &Issuer, keys: &[Value]) {
    issuer.does(Does::Send(json!({ "keys": keys }).to_string()));
}

#[tokio::test]
async fn an_odd_key_beside_a_good_one_is_passed_over_and_told() {
    let rsa = |members: Value| with(key("RS256"), &members).to_string();
    let odd = [
        "null".to_owned(),
        "7".to_owned(),
        r#""a key""#.to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        rsa(json!({ "kid": 7 })),
        rsa(json!({ "x5c": "MIIC" })),
        rsa(json!({ "key_ops": "verify" })),
        rsa(json!({ "use": 7 })),
        rsa(json!({ "alg": 7 })),
        rsa(json!({ "n": null })),
        rsa(json!({ "e": 65_537 })),
        rsa(json!({ "n": "not base64!" })),
        rsa(json!({ "kty": "AKP" })),
        rsa(json!({ "kty": null })),
        // What can't be read at all is no other key's matter either.
        r#"{"kty":"RSA","kid":"\ud800"}"#.to_owned(),
        r#"{"kty":"RSA","more":1e999}"#.to_owned(),
        format!("{}{}", "[".repeat(200), "]".repeat(200)),
    ];
    for odd in odd {
        let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
        issuer.does(Does::Send(format!(r#"{{"keys":[{odd},{},{odd}],"more":[]}}"#, key("ES256"))));
        let operator = Operator::reads();
        let answer = world.handshake(&handshake(&world, Algorithm::ES256, "ES256")).await;
        assert!(answer.is_ok(), "{odd}: {answer:?}");
        let mut lines = operator.lines();
        lines.retain(|line| line["message"] == "keys of the issuer are passed over");
        let told: Vec<_> = lines.iter().map(|line| (&line["level"], &line["keys"], &line["first"])).collect();
        assert_eq!(told, [(&json!("WARN"), &json!(2), &json!(0))], "{odd}");
    }
}

#[tokio::test]
async fn keys_that_are_not_for_us_are_nothing_to_tell() {
    let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
    let others = [json!({ "use": "enc" }), json!({ "alg": "RS512" }), json!({ "key_ops": ["wrapKey"] })];
    let others = others.iter().map(|members| with(key("RS256"), members));
    let p384 = with(key("ES256"), &json!({ "kid": "P-384", "crv": "P-384" }));
    publishes(&issuer, &others.chain([p384, key("ES256")]).collect::<Vec<_>>());
    let operator = Operator::reads();
    assert!(world.handshake(&handshake(&world, Algorithm::ES256, "ES256")).await.is_ok());
    let lines = operator.lines();
    assert!(lines.iter().all(|line| line["level"] == "INFO"), "{lines:#?}");
}

#[tokio::test]
async fn what_is_no_list_of_keys_is_none() {
    for document in ["{}", "[]", r#"{"keys":{}}"#, r#"{"keys":null}"#, "no JSON"] {
        let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
        issuer.does(Does::Send(document.to_owned()));
        assert_eq!(world.handshake(&handshake(&world, Algorithm::ES256, "ES256")).await, Err(500), "{document}");
    }
}

#[tokio::test]
async fn a_key_is_taken_only_for_signatures_and_for_its_own_algorithm() {
    let (ec, ed, rsa) = (Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256);
    for (algorithm, id, members, good) in [
        (ec, "ES256", json!({}), true),
        (ec, "ES256", json!({ "use": null }), true),
        (ec, "ES256", json!({ "use": "enc" }), false),
        (ec, "ES256", json!({ "use": "SIG" }), false),
        (ec, "ES256", json!({ "use": null, "key_ops": ["verify"] }), true),
        (ec, "ES256", json!({ "key_ops": ["sign", "verify"] }), true),
        (ec, "ES256", json!({ "key_ops": ["sign", "deriveKey"] }), false),
        (ec, "ES256", json!({ "key_ops": [] }), false),
        (ec, "ES256", json!({ "use": "enc", "key_ops": ["verify"] }), false),
        (ec, "ES256", json!({ "alg": "ES256" }), true),
        (ec, "ES256", json!({ "alg": "RS256" }), false),
        (ec, "ES256", json!({ "alg": "ECDH-ES" }), false),
        (ec, "ES256", json!({ "crv": "P-384" }), false),
        (ec, "ES256", json!({ "crv": "Ed25519" }), false),
        (rsa, "RS256", json!({ "alg": "RS256" }), true),
        (rsa, "RS256", json!({ "alg": "PS256" }), false),
        (rsa, "RS256", json!({ "alg": "RSA-OAEP" }), false),
        (ed, "EdDSA", json!({ "alg": "EdDSA" }), true),
        (ed, "EdDSA", json!({ "alg": "ES256" }), false),
        (ed, "EdDSA", json!({ "crv": "P-256" }), false),
    ] {
        let (world, issuer) = issuers_world(vec![rsa, ec, ed]).await;
        publishes(&issuer, &[with(key(id), &members)]);
        let answer = world.handshake(&handshake(&world, algorithm, id)).await.map(drop);
        assert_eq!(answer, if good { Ok(()) } else { Err(401) }, "{id} {members}");
    }
}

#[tokio::test]
async fn a_name_is_needed_only_where_both_have_one() {
    let nameless = |key: Value| with(key, &json!({ "kid": null }));
    let (named, unnamed) = (json!({ "alg": "ES256", "kid": "ES256" }), json!({ "alg": "ES256" }));
    let others = json!({ "alg": "ES256", "kid": "another's" });
    for (header, keys, good) in [
        (&named, vec![key("ES256")], true),
        (&unnamed, vec![key("ES256")], true),
        (&named, vec![nameless(key("ES256"))], true),
        (&unnamed, vec![nameless(key("ES256"))], true),
        (&unnamed, vec![anothers(), key("RS256"), key("ES256")], true),
        (&unnamed, vec![anothers()], false),
        (&others, vec![key("ES256")], false),
        (&others, vec![nameless(key("ES256")), key("ES256")], true),
        (&json!({ "alg": "ES256", "kid": 7 }), vec![nameless(key("ES256"))], false),
    ] {
        let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
        publishes(&issuer, &keys);
        let answer = world.handshake(&handshake_with(&world, Algorithm::ES256, header)).await.map(drop);
        assert_eq!(answer, if good { Ok(()) } else { Err(401) }, "{header} with {keys:?}");
    }
}

#[tokio::test]
async fn all_keys_that_fit_a_token_are_tried_up_to_a_limit() {
    for (others, answer) in [(1, Ok(())), (KEYS_TRIED_MAX - 1, Ok(())), (KEYS_TRIED_MAX, Err(401))] {
        let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
        // Those that don't fit aren't tried.
        let fit_not = vec![with(key("RS256"), &json!({ "kid": "ES256" })); KEYS_TRIED_MAX];
        let fit = std::iter::repeat_with(anothers).take(others);
        publishes(&issuer, &fit_not.into_iter().chain(fit).chain([key("ES256")]).collect::<Vec<_>>());
        let token = handshake(&world, Algorithm::ES256, "ES256");
        assert_eq!(world.handshake(&token).await.map(drop), answer, "with {others} others");
    }
}

#[tokio::test]
async fn a_key_that_takes_anothers_name_is_fetched() {
    let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
    let token = handshake(&world, Algorithm::ES256, "ES256");
    publishes(&issuer, &[anothers()]);
    assert_eq!(world.handshake(&token).await, Err(401));
    publishes(&issuer, &[key("ES256")]);
    assert_eq!(world.handshake(&token).await, Err(401), "not yet");
    assert_eq!(issuer.asked(), 1);
    world.sets_clock(s(JWKS_REFETCH_AFTER) + 1);
    assert!(world.handshake(&token).await.is_ok());
    assert_eq!(issuer.asked(), 2);
}
