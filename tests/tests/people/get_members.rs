//! Who is in a group.

use serde_json::{Value, json};
use tests::World;

#[tokio::test(start_paused = true)]
async fn members_come_in_pages_with_what_they_may_do_and_since_when() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let group = ann.makes_group("g1", &["dan", "bob"]).await;
    ann.sends(&group, "one").await.data();
    ann.updates(&group, json!({ "add": ["cat"] })).await.data();
    world.person("bob").connects().await.leaves(&group).await.data();
    let mut frame = json!({ "action": "getMembers", "conversationId": group, "limit": 2 });
    let page = ann.says(frame.clone()).await;
    let first =
        json!([{ "userId": "ann", "role": "admin", "since": 1 }, { "userId": "cat", "role": "member", "since": 2 }]);
    assert_eq!(page["members"], first);
    frame["cursor"] = page["nextCursor"].clone();
    let page = ann.says(frame.clone()).await;
    assert_eq!(page["members"], json!([{ "userId": "dan", "role": "member", "since": 1 }]));
    assert!(page.data().get("nextCursor").is_none());
    for cursor in ["%%%", ""] {
        frame["cursor"] = cursor.into();
        let answer = ann.says(frame.clone()).await;
        assert_eq!((answer.code(), &answer.details()["field"]), ("bad_request", &json!("cursor")), "{cursor}");
    }
    let direct: Value = ann.opens("bob").await;
    assert_eq!(ann.says(json!({ "action": "getMembers", "conversationId": direct })).await.code(), "forbidden");
}
