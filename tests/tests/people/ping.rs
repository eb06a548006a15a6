use serde_json::json;
use tests::World;

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_with_the_servers_time() {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    let pong = phone.says(json!({ "action": "ping", "requestId": "7" })).await;
    assert_eq!(pong.event(), "pong");
    assert_eq!(pong.frame["requestId"], "7");
    let time = pong["serverTime"].as_str().expect("a time");
    assert!(time.starts_with("2026-01-01T00:00:0") && time.ends_with('Z') && time.len() == 24, "{time}");
    world.is_sound();
}
