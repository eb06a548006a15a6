use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::{join, join_all};
use ring::hmac;
use serde_json::{Value, json};
use shared::limits::{
    CONNECT_GRACE, CONNECTION_LIFE, CONNECTIONS_MAX, SECRET_LIFE, SECRET_REFETCH_AFTER, TOKEN_LEEWAY,
};
use shared::store::presence::IS_CONNECTED;
use tests::world::SECRET;
use tests::{Call, Fault, Handshake, Operation, World};

pub(crate) fn signed(claims: &Value, header: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Signed with a secret.
pub(crate) fn hmac(algorithm: hmac::Algorithm, secret: &[u8]) -> impl FnOnce(&[u8]) -> Vec<u8> {
    move |message| hmac::sign(&hmac::Key::new(algorithm, secret), message).as_ref().to_vec()
}

pub(crate) fn hs256(claims: &Value, secret: &str) -> String {
    signed(claims, &json!({ "alg": "HS256", "typ": "JWT" }), hmac(hmac::HMAC_SHA256, secret.as_bytes()))
}

#[tokio::test(start_paused = true)]
async fn a_token_may_come_in_three_ways_and_the_first_counts() {
    let world = World::new().await;
    let (ann, bad) = (world.token("ann", Value::Null), "x.y.z");
    assert!(world.handshake(&Handshake::with_header(&ann)).await.is_ok());
    assert!(world.handshake(&Handshake::with_query(&ann)).await.is_ok());
    let browser = world.handshake(&Handshake::with_subprotocol(&ann)).await.expect("accepted");
    assert_eq!(browser.subprotocol.as_deref(), Some("chat.v1"));
    let plain = world.handshake(&Handshake::with_header(&ann)).await.expect("accepted");
    assert_eq!(plain.subprotocol, None, "nothing is answered that wasn't offered");
    assert!(world.handshake(&Handshake::with_header(&ann).and("token", bad)).await.is_ok());
    assert_eq!(world.handshake(&Handshake::with_header(bad).and("token", &ann)).await, Err(401));
    assert_eq!(world.handshake(&Handshake::with_subprotocol(bad).and("token", &ann)).await, Err(401));
    assert_eq!(world.person("ann").known_connections().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_good_is_refused_with_401() {
    let world = World::new().await;
    let now = world.now().ms / 1_000;
    let good = json!({ "sub": "ann", "exp": now + 60 });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let none = |claims: &Value| {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT" })), part(claims))
    };
    let hs512 = signed(&good, &json!({ "alg": "HS512" }), hmac(hmac::HMAC_SHA512, SECRET.as_bytes()));
    let mut forged = hs256(&good, SECRET);
    forged.truncate(forged.len() - 6);
    for (what, token) in [
        ("nothing", String::new()),
        ("rubbish", "rubbish".to_owned()),
        ("another secret", hs256(&good, "another secret, of 32 bytes or more")),
        ("a cut signature", forged),
        ("no algorithm", none(&good)),
        ("an algorithm that isn't accepted", hs512),
        ("expired", hs256(&with("exp", json!(now - 6)), SECRET)),
        ("not good yet", hs256(&with("nbf", json!(now + 60)), SECRET)),
        ("no exp", hs256(&json!({ "sub": "ann" }), SECRET)),
        ("exp as text", hs256(&with("exp", json!("tomorrow")), SECRET)),
        ("a list", hs256(&json!(["ann", now + 60, now, ["admin"]]), SECRET)),
        ("no sub", hs256(&json!({ "exp": now + 60 }), SECRET)),
        ("an empty sub", hs256(&with("sub", json!("")), SECRET)),
        ("a control character", hs256(&with("sub", json!("a\nb")), SECRET)),
        ("a sub of 129 bytes", hs256(&with("sub", json!("x".repeat(129))), SECRET)),
    ] {
        assert_eq!(world.handshake(&Handshake::with_header(&token)).await, Err(401), "{what}");
        assert_eq!(world.handshake(&Handshake::with_query(&token)).await, Err(401), "{what}");
    }
    assert_eq!(world.handshake(&Handshake::default()).await, Err(401), "no token");
    for claims in [good.clone(), with("exp", json!(now - 3)), with("exp", json!(now as f64 + 0.5))] {
        assert!(world.handshake(&Handshake::with_header(&hs256(&claims, SECRET))).await.is_ok(), "{claims}");
    }
    world.is_sound();
}

/// Waits until a second begins, and says which: a token's times are whole seconds.
pub(crate) async fn second(world: &World) -> i64 {
    let into_it = u64::try_from(world.now().ms % 1_000).expect("a part of a second");
    world.advance(Duration::from_millis(1_000 - into_it)).await;
    world.now().ms / 1_000
}

#[tokio::test(start_paused = true)]
async fn a_token_is_good_up_to_its_last_moment() {
    let world = World::new().await;
    let status = async |more: Value| {
        let mut claims = json!({ "roles": ["admin"] });
        claims.as_object_mut().expect("claims").extend(more.as_object().expect("claims").clone());
        let token = world.token("operator", claims);
        world.http("GET", "/api/wallets/ann", Some(&token), None).await.status
    };
    assert_eq!(status(json!({})).await, 200);
    let leeway = TOKEN_LEEWAY.as_secs() as i64;
    for (name, ahead, expected) in
        [("exp", -leeway, 200), ("exp", -leeway - 1, 401), ("nbf", leeway, 200), ("nbf", leeway + 1, 401)]
    {
        let at = second(&world).await + ahead;
        assert_eq!(status(json!({ name: at })).await, expected, "{name} {ahead}");
    }
}

/// How often the secret was asked for, of the current version.
fn secret_reads(world: &World) -> usize {
    let current = |call: &Call| matches!(&call.operation, Operation::Secret(_, label) if label == "AWSCURRENT");
    world.calls().iter().filter(|call| call.function == "authorize" && current(call)).count()
}

#[tokio::test(start_paused = true)]
async fn the_secret_can_be_rotated_without_a_deployment() {
    let world = World::new().await;
    let claims = json!({ "sub": "ann", "exp": world.now().ms / 1_000 + 86_400 });
    let secrets = ["the first secret, of 32 bytes or more", "the second secret, of 32 bytes or more", "the third one"];
    let [first, second, short] = secrets.map(|secret| Handshake::with_header(&hs256(&claims, secret)));
    world.has_secrets([("AWSCURRENT", secrets[0].to_owned())]);
    for _ in 0..3 {
        assert!(world.handshake(&first).await.is_ok());
    }
    assert_eq!(secret_reads(&world), 1, "it is kept");
    assert_eq!(world.handshake(&second).await, Err(401), "not yet");

    world.has_secrets([("AWSCURRENT", secrets[1].to_owned()), ("AWSPREVIOUS", secrets[0].to_owned())]);
    world.advance(SECRET_REFETCH_AFTER + Duration::from_secs(1)).await;
    assert!(world.handshake(&second).await.is_ok(), "the first token of the new secret has it fetched");
    assert!(world.handshake(&first).await.is_ok(), "the old secret's tokens live on");
    assert_eq!(secret_reads(&world), 1);

    world.has_secrets([("AWSCURRENT", secrets[1].to_owned()), ("AWSPREVIOUS", secrets[2].to_owned())]);
    world.advance(SECRET_LIFE + Duration::from_secs(1)).await;
    assert_eq!(world.handshake(&first).await, Err(401), "a secret that was taken away ends");
    assert_eq!(world.handshake(&short).await, Err(401), "a secret that is too short is none");
    assert!(world.handshake(&second).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn tokens_that_no_secret_fits_do_not_have_it_fetched_again_and_again() {
    let world = World::new().await;
    let claims = json!({ "sub": "ann", "exp": world.now().ms / 1_000 + 60 });
    let forged = Handshake::with_header(&hs256(&claims, "another secret, of 32 bytes or more"));
    for _ in 0..20 {
        assert_eq!(world.handshake(&forged).await, Err(401));
    }
    assert_eq!(secret_reads(&world), 1);
    world.advance(SECRET_REFETCH_AFTER + Duration::from_secs(1)).await;
    for _ in 0..20 {
        assert_eq!(world.handshake(&forged).await, Err(401));
    }
    assert_eq!(secret_reads(&world), 1, "once more");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_fetched_refuses_nobody_who_was_let_in_before() {
    let world = World::new().await;
    let token = Handshake::with_header(&world.token("ann", Value::Null));
    let unreachable = |call: &Call| matches!(call.operation, Operation::Secret(..)).then_some(Fault::Refuse(500));
    let soon = SECRET_REFETCH_AFTER + Duration::from_secs(1);
    world.breaks(unreachable);
    assert_eq!(world.handshake(&token).await, Err(500), "nobody can be told who they are");
    world.has_secrets([("AWSCURRENT", "short".to_owned())]);
    world.heals();
    world.advance(soon).await;
    assert_eq!(world.handshake(&token).await, Err(500), "a secret that is too short is no secret");
    world.has_secrets([("AWSCURRENT", SECRET.to_owned())]);
    world.advance(soon).await;
    assert!(world.handshake(&token).await.is_ok());
    world.breaks(unreachable);
    secret_reads(&world);
    for (later, answer, tries) in [
        (SECRET_LIFE / 2 + Duration::from_secs(1), Ok(()), true),
        (Duration::from_secs(1), Ok(()), false),
        (soon, Ok(()), true),
        (SECRET_LIFE / 2 - soon, Err(500), true),
        (Duration::from_secs(1), Err(500), false),
    ] {
        world.advance(later).await;
        let answered = world.handshake(&token).await.map(drop);
        assert_eq!((answered, secret_reads(&world) > 0), (answer, tries), "{later:?} later");
    }
    world.heals();
    world.advance(soon).await;
    assert!(world.handshake(&token).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_missing_is_not_fetched_again_and_again() {
    let world = World::new().await;
    let token = Handshake::with_header(&world.token("ann", Value::Null));
    world.has_secrets([]);
    for _ in 0..20 {
        assert_eq!(world.handshake(&token).await, Err(500));
    }
    assert_eq!(secret_reads(&world), 1);
    world.advance(SECRET_REFETCH_AFTER + Duration::from_secs(1)).await;
    for _ in 0..20 {
        assert_eq!(world.handshake(&token).await, Err(500));
    }
    assert_eq!(secret_reads(&world), 1, "once more");
    world.has_secrets([("AWSCURRENT", SECRET.to_owned())]);
    world.advance(SECRET_REFETCH_AFTER + Duration::from_secs(1)).await;
    assert!(world.handshake(&token).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_needs_nothing_of_a_fetch_of_the_secret_does_not_wait_for_it() {
    let world = World::new().await;
    let token = Handshake::with_header(&world.token("ann", Value::Null));
    assert!(world.handshake(&token).await.is_ok());
    world.advance(SECRET_LIFE / 2 + Duration::from_secs(1)).await;
    // Each is tried four times, with waits between.
    world.breaks(|call| matches!(call.operation, Operation::Secret(..)).then_some(Fault::Refuse(500)));
    let connects = async || {
        assert!(world.handshake(&token).await.is_ok());
        world.now()
    };
    let (fetches, goes_on) = join(connects(), connects()).await;
    assert!(goes_on < fetches, "{goes_on:?} {fetches:?}");
}

#[tokio::test(start_paused = true)]
async fn issuer_and_audience_count_when_they_are_configured() {
    let world = World::deployed_with(&[("JwtIssuer", "https://id.example.com"), ("JwtAudience", "chat")]).await;
    for (claims, good) in [
        (json!({ "iss": "https://id.example.com", "aud": "chat" }), true),
        (json!({ "iss": "https://id.example.com", "aud": ["other", "chat"] }), true),
        (json!({ "iss": "https://id.example.com", "aud": "other" }), false),
        (json!({ "iss": "https://id.example.com" }), false),
        (json!({ "iss": "https://other.example.com", "aud": "chat" }), false),
        (json!({ "aud": "chat" }), false),
    ] {
        let answer = world.handshake(&Handshake::with_header(&world.token("ann", claims.clone()))).await;
        assert_eq!(answer.is_ok(), good, "{claims}");
    }
    let (world, anybodys) = (World::new().await, json!({ "iss": ["somebody"], "aud": "anybody" }));
    assert!(world.handshake(&Handshake::with_header(&world.token("ann", anybodys))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_device_has_a_name_of_at_most_64_characters() {
    let world = World::new().await;
    let token = world.token("ann", Value::Null);
    let device = |name: &str| Handshake::with_header(&token).and("device", name);
    assert!(world.handshake(&device(&"ä".repeat(64))).await.is_ok());
    for bad in ["", "a\u{7}", &"x".repeat(65)] {
        assert_eq!(world.handshake(&device(bad)).await, Err(400), "{bad:?}");
    }
    assert_eq!(world.person("ann").known_connections().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_ends_the_connection_at_the_next_frame() {
    let world = World::new().await;
    let phone = world.person("ann").connects_for(Duration::from_secs(60)).await;
    world.advance(Duration::from_secs(64)).await;
    assert_eq!(phone.says(json!({ "action": "ping" })).await.event(), "pong", "clocks may differ by 5 s");
    world.advance(Duration::from_secs(2)).await;
    let answer = phone.says(json!({ "action": "ping" })).await;
    assert_eq!((answer.event(), answer.code()), ("error", "token_expired"));
    assert!(!phone.is_connected());
    assert_eq!(world.person("ann").known_connections(), [] as [String; 0]);
}

/// Ann, and Bob on a connection whose token ends in a minute.
async fn bob_for_a_minute(world: &World) -> (tests::Phone, tests::Phone) {
    let ann = world.person("ann").connects().await;
    let bob = world.person("bob").connects_for(Duration::from_secs(60)).await;
    bob.syncs().await.data();
    let sent = ann.sends_to("bob", "in time").await;
    assert_eq!(bob.heard_messages().len(), 1);
    bob.marks_read(&sent["message"]["conversationId"], 1).await.data();
    (ann, bob)
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_hears_nothing_once_the_token_has_expired() {
    let world = World::new().await;
    let (ann, bob) = bob_for_a_minute(&world).await;
    let asks = json!({ "action": "getPresence", "userIds": ["bob"] });
    assert_eq!(ann.says(asks.clone()).await["users"][0]["online"], true);
    world.advance(Duration::from_secs(61)).await;
    assert_eq!(ann.says(asks).await["users"][0]["online"], false);
    ann.sends_to("bob", "just too late").await.data();
    world.sweeps().await;
    assert_eq!(bob.heard_messages(), [] as [Value; 0]);
    assert!(bob.is_connected(), "clocks may differ by 5 s: a frame would be answered");
    world.advance(TOKEN_LEEWAY).await;
    let stats = world.admin("GET", "/api/messages/buffer-stats", None).await;
    assert_eq!(stats.body["connections"], 1, "only Ann's: {}", stats.body);
    assert!(bob.is_connected());
    ann.sends_to("bob", "too late").await.data();
    assert_eq!(bob.heard_messages(), [] as [Value; 0]);
    assert!(!bob.is_connected(), "the push that met it has closed it");
    // It is in the log, for who comes with a new token.
    let again = world.person("bob").connects().await;
    assert_eq!(
        again.syncs().await.messages().last().map(|message| message["content"].clone()),
        Some(json!("too late"))
    );
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn the_sweep_closes_whose_token_has_expired() {
    let world = World::new().await;
    // The connection that ends first comes between two that end later.
    let long = world.person("bob").connects().await;
    let (_ann, bob) = bob_for_a_minute(&world).await;
    let longer = world.person("bob").connects().await;
    world.advance(Duration::from_secs(30)).await;
    world.sweeps().await;
    assert!(bob.is_connected());
    world.advance(Duration::from_secs(31) + TOKEN_LEEWAY).await;
    world.breaks_once(Fault::Refuse(500), |call| matches!(call.operation, Operation::Close(_)));
    world.sweeps().await;
    world.heals();
    assert!(bob.is_connected(), "it couldn't be closed, so it stays due");
    world.sweeps().await;
    assert!(!bob.is_connected() && long.is_connected() && longer.is_connected());
    assert_eq!(world.person("bob").known_connections().len(), 2);
    let writes = || world.calls().iter().filter(|call| call.operation.is_write()).count();
    writes();
    world.sweeps().await;
    assert_eq!(writes(), 0, "the next is due in hours");
    world.advance(CONNECTION_LIFE + TOKEN_LEEWAY).await;
    world.sweeps().await;
    assert!(!long.is_connected() && !longer.is_connected());
    assert_eq!(world.person("bob").known_connections(), [] as [String; 0]);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_an_earlier_version_has_listed_is_looked_at() {
    for user in ["bob", "0bob", "1795000000001bob", "5551234567", "\u{10ffff}"] {
        let world = World::new().await;
        let phone = world.person(user).connects_for(Duration::from_secs(60)).await;
        world.edits(&format!("USER#{user}"), "PRESENCE", |item| {
            item.insert("work_sk".to_owned(), json!({ "S": user }));
        });
        world.sweeps().await;
        assert!(phone.is_connected(), "{user}");
        world.advance(Duration::from_secs(61) + TOKEN_LEEWAY).await;
        world.sweeps().await;
        assert!(!phone.is_connected(), "{user}");
        world.comes_to_rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pushed_before_the_connection_stands() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob"));
    let mut too_early = 0;
    for n in 0..40 {
        ann.sends_to("bob", "waits for Bob").await.data();
        world.calls();
        if n % 2 == 0 {
            // Bob is registered long before he is let in.
            let late = Fault::Late(Duration::from_millis(200));
            world.breaks_once(late, |call| call.function == "connect" && call.operation.is_write());
        }
        let connects = async {
            world.advance(Duration::from_millis(3 * n)).await;
            let phone = bob.connects().await;
            let before = world.calls();
            (phone.heard(), phone, before)
        };
        let (sent, (heard, phone, before)) =
            futures::future::join(ann.sends_to("bob", "on its way meanwhile"), connects).await;
        assert_eq!(heard, [] as [Value; 0], "{n}");
        let pushes: Vec<&Call> =
            before.iter().filter(|call| call.operation == Operation::Push(phone.connection.clone())).collect();
        // Who accepts a connection can't push to it; who sends to it learns that it isn't there, and not that it has ended.
        assert!(pushes.iter().all(|call| call.function == "send" && call.status == Some(410)), "{n}: {pushes:#?}");
        too_early += pushes.len();
        let mut known = phone.heard_messages();
        known.extend(phone.syncs().await.messages());
        for content in ["waits for Bob", "on its way meanwhile"] {
            assert!(known.iter().any(|message| message["content"] == content), "{n}: no {content} in {known:#?}");
        }
        phone.marks_delivered(&sent["message"]["conversationId"], 2 * n + 2).await.data();
        assert!(bob.known_connections().contains(&phone.connection), "{n}: it is known");
        phone.goes_away().await;
    }
    assert!(too_early > 0, "no message has met a connection that was about to stand");
}

#[tokio::test(start_paused = true)]
async fn somebody_has_at_most_fifty_connections_and_the_dead_make_room() {
    let world = World::new().await;
    let ann = world.person("ann");
    let token = world.token("ann", Value::Null);
    let handshake = Handshake::with_header(&token);
    let all = join_all((0..60).map(|_| world.handshake(&handshake))).await;
    assert_eq!(all.iter().filter(|answer| answer.is_ok()).count(), 50);
    assert!(all.iter().all(|answer| answer.is_ok() || *answer == Err(429)), "{all:?}");
    world.advance(CONNECT_GRACE - Duration::from_secs(1)).await;
    assert_eq!(
        world.handshake(&handshake).await.err(),
        Some(429),
        "the oldest may not have heard yet that it is connected"
    );
    world.advance(Duration::from_secs(1)).await;
    let before = ann.known_connections();
    let phone = ann.connects().await;
    let mut after = ann.known_connections();
    assert_eq!(after.len(), 50);
    assert!(after.contains(&phone.connection));
    after.retain(|id| !before.contains(id));
    assert_eq!(after, std::slice::from_ref(&phone.connection), "one has made room");
    world.advance(Duration::from_secs(2 * 3_600 + 601)).await;
    assert!(world.handshake(&handshake).await.is_ok());
    assert_eq!(ann.known_connections().len(), 1);
}

/// Each whose end was never told stays for two hours. Who is there now is let in all the same, and hears everything.
#[tokio::test(start_paused = true)]
async fn the_oldest_connection_makes_room_for_the_next_one() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann"), world.person("bob").connects().await);
    let mut phones = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        phones.push(ann.connects().await);
        world.advance(Duration::from_secs(1)).await;
    }
    world.advance(CONNECT_GRACE).await;
    // The first two are gone, and nobody was told; the third is there.
    phones[0].vanishes();
    phones[1].vanishes();
    for (n, oldest) in phones.iter().take(3).enumerate() {
        let next = ann.connects().await;
        let known = ann.known_connections();
        assert_eq!((known.len(), known.contains(&oldest.connection)), (CONNECTIONS_MAX, false), "{n}");
        assert!(!oldest.is_connected() && next.is_connected() && phones[3].is_connected(), "{n}");
        bob.sends_to("ann", &format!("text {n}")).await.data();
        assert_eq!(next.heard_messages().len(), 1, "{n}");
    }
    // What can't be closed isn't taken out: it would be told nothing.
    world.breaks_once(Fault::Refuse(503), |call| matches!(call.operation, Operation::Close(_)));
    assert!(world.handshake(&Handshake::with_header(&world.token("ann", Value::Null))).await.is_err());
    assert!(ann.known_connections().contains(&phones[3].connection) && phones[3].is_connected());
    // Who dies between closing it and taking it out has done no harm.
    world.breaks_once(Fault::KillBefore, |call| call.operation.is_on(&IS_CONNECTED));
    assert!(world.handshake(&Handshake::with_header(&world.token("ann", Value::Null))).await.is_err());
    world.heals();
    assert!(!phones[3].is_connected());
    assert!(ann.connects().await.is_connected());
    assert_eq!(ann.known_connections().len(), CONNECTIONS_MAX);
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_registered_also_when_the_stores_answer_is_lost() {
    let world = World::new().await;
    for _ in 0..2 {
        world.breaks_once(Fault::LoseReply, |call| call.operation.writes("PRESENCE"));
        world.person("ann").connects().await;
    }
    assert_eq!(world.person("ann").known_connections().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_place_is_taken_once_also_when_the_answer_is_lost() {
    let world = World::new().await;
    let ann = world.person("ann");
    let handshake = Handshake::with_header(&world.token("ann", Value::Null));
    for _ in 1..CONNECTIONS_MAX {
        assert!(world.handshake(&handshake).await.is_ok());
    }
    world.breaks_once(Fault::LoseReply, |call| call.operation.writes("PRESENCE"));
    let last = world.handshake(&handshake).await;
    assert!(last.is_ok(), "{last:?}");
    assert_eq!(world.handshake(&handshake).await.err(), Some(429), "now it is full");
    assert_eq!(ann.known_connections().len(), CONNECTIONS_MAX);
}
