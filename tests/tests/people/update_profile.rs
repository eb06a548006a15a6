//! What people are called.

use serde_json::{Value, json};
use tests::{Call, Phone, World};
use wire::limits::{AVATAR_BYTES_MAX, NAME_CHARS_MAX};

const PICTURE: &str = "https://example.com/ann.png";

async fn says_of_itself(phone: &Phone, profile: Value) -> tests::Answer {
    let mut frame = json!({ "action": "updateProfile" });
    profile.as_object().into_iter().flatten().for_each(|(field, value)| frame[field] = value.clone());
    phone.says(frame).await
}

/// What somebody sees of these people.
async fn sees(phone: &Phone, users: &[&str]) -> Value {
    phone.says(json!({ "action": "getUsers", "userIds": users })).await["users"].clone()
}

#[tokio::test(start_paused = true)]
async fn what_somebody_is_called_is_seen_by_everybody() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    assert_eq!(sees(&bob, &["ann"]).await, json!([{ "userId": "ann" }]));
    let answer = says_of_itself(&ann, json!({ "name": "Ann 🦀", "avatar": PICTURE })).await;
    let called = json!({ "userId": "ann", "name": "Ann 🦀", "avatar": PICTURE });
    assert_eq!(answer["user"], called);
    let nobody = json!({ "userId": "nobody" });
    assert_eq!(sees(&bob, &["nobody", "ann", "bob"]).await, json!([nobody, called, { "userId": "bob" }]));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_given_stays_and_null_takes_it_away() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    world.prices("ann", 7).await;
    for (profile, called) in [
        (json!({ "name": "Ann" }), json!({ "userId": "ann", "name": "Ann" })),
        (json!({ "avatar": PICTURE }), json!({ "userId": "ann", "name": "Ann", "avatar": PICTURE })),
        (json!({ "name": null, "avatar": PICTURE }), json!({ "userId": "ann", "avatar": PICTURE })),
        (json!({ "name": "A.", "avatar": null }), json!({ "userId": "ann", "name": "A." })),
        (json!({}), json!({ "userId": "ann", "name": "A." })),
        (json!({ "name": null, "avatar": null }), json!({ "userId": "ann" })),
    ] {
        world.calls();
        let is_empty = profile == json!({});
        assert_eq!(says_of_itself(&ann, profile.clone()).await["user"], called, "{profile}");
        let calls = world.calls();
        let of_profile = calls.iter().filter(|call| call.operation.item_kind() == Some("PROFILE"));
        let of_profile: Vec<&Call> = of_profile.collect();
        assert!(matches!(of_profile[..], [only] if only.operation.writes("PROFILE") != is_empty), "{profile}");
        // What was set a moment ago is answered.
        assert_eq!(of_profile[0].operation.is_strong(), is_empty, "{profile}");
        assert_eq!(sees(&ann, &["ann"]).await, json!([called]), "{profile}");
    }
    let bob = world.person("bob").connects().await;
    let made = bob.says(json!({ "action": "getOrCreateDirect", "otherUserId": "ann" })).await;
    assert_eq!(made["conversation"]["price"], 7, "a price is no part of it, and stays");
}

#[tokio::test(start_paused = true)]
async fn ones_other_devices_are_told_and_nobody_else() {
    let world = World::new().await;
    let ann = world.person("ann");
    let (phone, tablet) = (ann.connects().await, ann.connects().await);
    let bob = world.person("bob").connects().await;
    bob.sends_to("ann", "hi").await.data();
    phone.heard();
    says_of_itself(&phone, json!({ "name": "Ann" })).await.data();
    assert_eq!(tablet.hears("profile").await, json!({ "user": { "userId": "ann", "name": "Ann" } }));
    let answer = world.admin("PUT", "/api/users/ann/profile", Some(json!({ "name": "Anne" }))).await;
    assert_eq!((answer.status, answer.body), (200, json!({ "user": { "userId": "ann", "name": "Anne" } })));
    for device in [&phone, &tablet] {
        assert_eq!(device.hears("profile").await["user"]["name"], "Anne", "an operator is none of these");
    }
    assert!(phone.heard().iter().all(|frame| frame["event"] != "profile"), "its own answer told it");
    assert!(bob.heard().iter().all(|frame| frame["event"] != "profile"));
}

#[tokio::test(start_paused = true)]
async fn a_name_and_a_picture_have_limits() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let address = |bytes: usize| PICTURE.to_owned() + &"x".repeat(bytes - PICTURE.len());
    let longest = json!({ "name": "🦀".repeat(NAME_CHARS_MAX), "avatar": address(AVATAR_BYTES_MAX) });
    assert_eq!(says_of_itself(&ann, longest.clone()).await["user"]["avatar"], longest["avatar"]);
    world.calls();
    for (field, wrong) in [
        ("name", "🦀".repeat(NAME_CHARS_MAX + 1)),
        ("name", String::new()),
        ("name", "two\nlines".to_owned()),
        ("avatar", address(AVATAR_BYTES_MAX + 1)),
        ("avatar", "http://example.com/ann.png".to_owned()),
        ("avatar", "https://".to_owned()),
        ("avatar", "https:///ann.png".to_owned()),
        ("avatar", "https://example.com/an\u{e9}.png".to_owned()),
        ("avatar", "https://example.com/\"onerror=".to_owned()),
        ("avatar", "javascript:alert(1)".to_owned()),
    ] {
        let refused = says_of_itself(&ann, json!({ field: wrong.clone() })).await;
        assert_eq!(
            (refused.code(), &refused.frame["error"]["details"]["field"]),
            ("bad_request", &json!(field)),
            "{wrong}"
        );
        let answer = world.admin("PUT", "/api/users/ann/profile", Some(json!({ field: wrong.clone() }))).await;
        assert_eq!((answer.status, &answer.body["error"]["details"]["field"]), (400, &json!(field)), "{wrong}");
    }
    assert!(!world.calls().iter().any(|call| call.operation.writes("PROFILE")), "what is wrong changes nothing");
    assert_eq!(sees(&ann, &["ann"]).await[0]["name"], longest["name"]);
}

#[tokio::test(start_paused = true)]
async fn who_can_not_be_read_has_only_an_id() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    says_of_itself(&ann, json!({ "name": "Ann" })).await.data();
    says_of_itself(&world.person("bob").connects().await, json!({ "name": "Bob" })).await.data();
    world.edits("USER#bob", "PROFILE", |profile| profile["name"] = json!({ "N": "7" }));
    assert_eq!(sees(&ann, &["bob", "ann"]).await, json!([{ "userId": "bob" }, { "userId": "ann", "name": "Ann" }]));
}
