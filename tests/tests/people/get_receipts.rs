use serde_json::json;
use tests::World;

#[tokio::test(start_paused = true)]
async fn receipts_name_who_has_a_message_without_its_sender() {
    let world = World::new().await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    ann.sends(&conversation, "one").await.data();
    ann.sends(&conversation, "two").await.data();
    bob.marks_delivered(&conversation, 2).await.data();
    bob.marks_read(&conversation, 1).await.data();
    for (seq, delivered, read) in [(1, json!(["bob"]), json!(["bob"])), (2, json!(["bob"]), json!([]))] {
        for phone in [&ann, &bob] {
            let asks = json!({ "action": "getReceipts", "conversationId": conversation, "seq": seq });
            assert_eq!(phone.says(asks).await.data(), &json!({ "delivered": delivered, "read": read }), "of {seq}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_there_has_none() {
    let world = World::new().await;
    let (ann, eve) = (world.person("ann").connects().await, world.person("eve").connects().await);
    let conversation = ann.opens("bob").await;
    let asks = |seq: u64| json!({ "action": "getReceipts", "conversationId": conversation, "seq": seq });
    assert_eq!(ann.says(asks(0)).await.code(), "not_found");
    assert_eq!(ann.says(asks(1)).await.code(), "not_found");
    assert_eq!(eve.says(asks(1)).await.code(), "not_a_participant");
}
