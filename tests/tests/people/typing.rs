use serde_json::json;
use tests::World;

#[tokio::test(start_paused = true)]
async fn the_other_sees_who_is_writing_and_until_when() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    for typing in [true, false] {
        let answer = ann.says(json!({ "action": "typing", "conversationId": conversation, "typing": typing })).await;
        assert_eq!(answer.event(), "typing:ok");
        let told = bob.hears("typing").await;
        assert_eq!((&told["userId"], &told["typing"]), (&json!("ann"), &json!(typing)));
        // The world is some milliseconds old.
        let shown = Some("2026-01-01T00:00:06")..Some("2026-01-01T00:00:07");
        assert!(shown.contains(&told["expiresAt"].as_str()), "{told}");
    }
    assert_eq!(ann.heard().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_it_is_kept() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let conversation = ann.opens("bob").await;
    let before = world.items().len();
    ann.says(json!({ "action": "typing", "conversationId": conversation, "typing": true })).await.data();
    assert_eq!(world.items().len(), before);
    let eve = world.person("eve").connects().await;
    let answer = eve.says(json!({ "action": "typing", "conversationId": conversation, "typing": true })).await;
    assert_eq!(answer.code(), "not_a_participant");
    let answer = ann.says(json!({ "action": "typing", "conversationId": conversation })).await;
    assert_eq!((answer.code(), &answer.details()["field"]), ("bad_request", &json!("typing")));
}
