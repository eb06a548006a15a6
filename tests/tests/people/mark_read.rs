use futures::future::join_all;
use serde_json::{Value, json};
use shared::limits::TOLD_MAX;
use tests::{Fault, Phone, World};

/// Ann and Bob, and three messages of Ann's.
async fn three_messages(world: &World) -> (Phone, Phone, Value) {
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    for n in 1..=3 {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    (ann, bob, conversation)
}

#[tokio::test(start_paused = true)]
async fn a_mark_moves_the_horizon_and_the_other_is_told() {
    let world = World::new().await;
    let (ann, bob, conversation) = three_messages(&world).await;
    let marked = bob.marks_delivered(&conversation, 2).await;
    assert_eq!((&marked["deliveredSeq"], &marked["readSeq"]), (&json!(2), &json!(0)));
    let told = ann.hears("message:status").await;
    assert_eq!((&told["userId"], &told["status"], &told["seq"]), (&json!("bob"), &json!("delivered"), &json!(2)));
    let marked = bob.marks_read(&conversation, 1).await;
    assert_eq!((&marked["deliveredSeq"], &marked["readSeq"]), (&json!(2), &json!(1)));
    assert_eq!(ann.hears("message:status").await["status"], "read");
    let marked = bob.marks_read(&conversation, 3).await;
    assert_eq!((&marked["deliveredSeq"], &marked["readSeq"]), (&json!(3), &json!(3)));
    world.is_sound();
}

/// Every status that a phone has heard.
fn told(phone: &Phone) -> Vec<Value> {
    phone.heard().into_iter().filter(|frame| frame["event"] == "message:status").collect()
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_told_to_ones_own_other_devices() {
    let world = World::new().await;
    let (ann, phone, conversation) = three_messages(&world).await;
    let tablet = world.person("bob").connects().await;
    for (n, status) in [(2, "delivered"), (3, "read")] {
        match status {
            "read" => phone.marks_read(&conversation, n).await.data().clone(),
            _ => phone.marks_delivered(&conversation, n).await.data().clone(),
        };
        for told in [tablet.hears("message:status").await, ann.hears("message:status").await] {
            assert_eq!((&told["userId"], &told["status"], &told["seq"]), (&json!("bob"), &json!(status), &json!(n)));
        }
    }
    assert_eq!(told(&phone), [] as [Value; 0], "the device that marks has its answer");
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_clears_is_told_once() {
    let world = World::new().await;
    let (ann, bob, conversation) = three_messages(&world).await;
    ann.heard();
    for cleared in [3, 0] {
        let answer = world.admin("DELETE", "/api/messages/buffered/bob", None).await;
        assert_eq!(answer.body["cleared"], cleared);
    }
    for phone in [&ann, &bob] {
        let told = told(phone);
        assert_eq!(told.len(), 1, "{told:?}");
        let data = &told[0]["data"];
        assert_eq!((&data["conversationId"], &data["userId"]), (&conversation, &json!("bob")));
        assert_eq!((&data["status"], &data["seq"]), (&json!("delivered"), &json!(3)));
    }
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_horizon_never_goes_back_and_nobody_is_told_twice() {
    let world = World::new().await;
    let (ann, bob, conversation) = three_messages(&world).await;
    bob.marks_read(&conversation, 3).await.data();
    ann.heard();
    for seq in [3, 1, 0] {
        for marked in [bob.marks_read(&conversation, seq).await, bob.marks_delivered(&conversation, seq).await] {
            assert_eq!((&marked["deliveredSeq"], &marked["readSeq"]), (&json!(3), &json!(3)));
        }
    }
    assert_eq!(ann.heard().len(), 0);
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_mark_above_the_last_counts_as_the_last() {
    let world = World::new().await;
    let (ann, bob, conversation) = three_messages(&world).await;
    world.calls();
    let marked = bob.marks_read(&conversation, 9_007_199_254_740_991).await;
    assert_eq!((&marked["deliveredSeq"], &marked["readSeq"]), (&json!(3), &json!(3)));
    let writes = world.calls().iter().filter(|call| call.operation.is_write()).count();
    assert_eq!(writes, 2, "one is refused, the other says the last number");
    assert_eq!(ann.hears("message:status").await["seq"], 3);
    world.is_sound();
}

/// The sender's function dies when the message is there, and before its inbox knows of it.
#[tokio::test(start_paused = true)]
async fn a_mark_may_be_faster_than_the_senders_last_write() {
    for read in [false, true] {
        let world = World::new().await;
        let (ann, bob, conversation) = three_messages(&world).await;
        bob.marks_read(&conversation, 3).await.data();
        world.breaks_once(Fault::KillAfter, |call| call.operation.writes("MSG#"));
        assert!(ann.tries(ann.message_to("bob", "4")).await.is_none());
        world.heals();
        let marked = match read {
            true => bob.marks_read(&conversation, 4).await,
            false => bob.marks_delivered(&conversation, 4).await,
        };
        assert_eq!((&marked["deliveredSeq"], &marked["readSeq"]), (&json!(4), &json!(if read { 4 } else { 3 })));
        world.comes_to_rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_writes_has_read() {
    let world = World::new().await;
    let (_ann, bob, conversation) = three_messages(&world).await;
    bob.sends(&conversation, "yes").await.data();
    let seen = bob.says(json!({ "action": "getConversation", "conversationId": conversation })).await;
    assert_eq!((&seen["conversation"]["readSeq"], &seen["conversation"]["unread"]), (&json!(4), &json!(0)));
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn marks_at_once_end_at_the_highest() {
    let world = World::new().await;
    let (ann, bob, conversation) = three_messages(&world).await;
    let marks = (0..40).map(|n| {
        let (bob, conversation) = (&bob, &conversation);
        async move {
            match n % 2 {
                0 => bob.marks_delivered(conversation, 1 + n % 3).await,
                _ => bob.marks_read(conversation, 1 + n % 3).await,
            }
        }
    });
    join_all(marks).await;
    let marked = bob.marks_read(&conversation, 0).await;
    assert_eq!((&marked["deliveredSeq"], &marked["readSeq"]), (&json!(3), &json!(3)));
    assert!(ann.heard().iter().all(|frame| frame["event"] == "message:status"));
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn marks_are_for_those_who_are_in_it() {
    let world = World::new().await;
    let (_, _, conversation) = three_messages(&world).await;
    let eve = world.person("eve").connects().await;
    assert_eq!(eve.marks_read(&conversation, 1).await.code(), "not_a_participant");
    assert_eq!(eve.marks_delivered(&json!("d_none"), 1).await.code(), "not_a_participant");
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_one_round_trip_and_one_write() {
    let world = World::new().await;
    let (_, bob, conversation) = three_messages(&world).await;
    world.calls();
    bob.marks_read(&conversation, 3).await.data();
    let calls = world.calls();
    let answer = calls.iter().find(|call| call.operation == tests::Operation::Push(bob.connection.clone()));
    assert_eq!(answer.map(|call| call.round_trip), Some(2), "{calls:#?}");
    assert_eq!(calls.iter().filter(|call| call.operation.is_write()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_clears_is_told_to_those_who_were_active_last() {
    let world = World::new().await;
    let mut others = Vec::new();
    for n in 0..TOLD_MAX + 2 {
        let phone = world.person(&format!("user {n}")).connects().await;
        phone.sends_to("bob", "hi").await.data();
        others.push(phone);
    }
    let answer = world.admin("DELETE", "/api/messages/buffered/bob", None).await;
    assert_eq!(answer.body["cleared"], TOLD_MAX + 2);
    let told: Vec<usize> = others.iter().map(|phone| told(phone).len()).collect();
    assert_eq!((&told[..2], told.iter().sum()), (&[0, 0][..], TOLD_MAX), "{told:?}");
    world.is_sound();
}
