use serde_json::{Value, json};
use tests::World;

#[tokio::test(start_paused = true)]
async fn a_ledger_is_newest_first_and_says_what_each_line_is_for() {
    let world = World::deployed_with(&[("DefaultPrice", "3")]).await;
    world.tops_up("ann", 10).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let sent = ann.sends_to("bob", "hi").await;
    bob.sends_to("ann", "hi yourself").await.data();
    let ledger = ann.says(json!({ "action": "getTransactions" })).await;
    let lines: Vec<(&str, i64)> = ledger["transactions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| (line["kind"].as_str().expect("a kind"), line["amount"].as_i64().expect("an amount")))
        .collect();
    assert_eq!(lines, [("earning", 3), ("charge", -3), ("topup", 10)]);
    let charge = &ledger["transactions"][1];
    assert_eq!(
        (&charge["counterparty"], &charge["conversationId"]),
        (&json!("bob"), &sent["message"]["conversationId"])
    );
    assert_eq!(charge["createdAt"], sent["message"]["createdAt"]);
    assert_eq!(ledger.data().get("nextCursor"), None);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn pages_bring_every_line_once() {
    let world = World::new().await;
    for n in 1..=7 {
        world.tops_up("ann", n).await;
    }
    let ann = world.person("ann").connects().await;
    for limit in [1, 2, 3, 6, 7, 100] {
        let (mut amounts, mut cursor) = (Vec::new(), Value::Null);
        for _ in 0..10 {
            let mut asks = json!({ "action": "getTransactions", "limit": limit });
            if !cursor.is_null() {
                asks["cursor"] = cursor;
            }
            let page = ann.says(asks).await;
            amounts.extend(
                page["transactions"].as_array().expect("a list").iter().filter_map(|one| one["amount"].as_i64()),
            );
            cursor = page["nextCursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        assert_eq!(amounts, [7, 6, 5, 4, 3, 2, 1], "pages of {limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_is_not_ours_is_refused() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    // The second is base64url of `ACCOUNT`: a ledger's cursor must not reach the user's other items.
    for cursor in ["", "QUNDT1VOVA", "%%%", &"A".repeat(2_049)] {
        let answer = ann.says(json!({ "action": "getTransactions", "cursor": cursor })).await;
        assert_eq!((answer.code(), &answer.details()["field"]), ("bad_request", &json!("cursor")), "{cursor:?}");
    }
}
