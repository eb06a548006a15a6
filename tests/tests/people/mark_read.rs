use futures::future::join_all;
use serde_json::{Value, json};
use shared::limits::TOLD_MAX;
use tests::{Fault, Phone, World};
use wire::limits::MARKS_MAX;

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

/// Bob, to whom so many people have written one message each: his phone, theirs, and the conversations.
async fn written_to_by(world: &World, count: usize) -> (Phone, Vec<Phone>, Vec<Value>) {
    let bob = world.person("bob").connects().await;
    let (mut others, mut conversations) = (Vec::new(), Vec::new());
    for n in 0..count {
        let phone = world.person(&format!("user {n}")).connects().await;
        let sent = phone.sends_to("bob", "hi").await;
        conversations.push(sent["message"]["conversationId"].clone());
        others.push(phone);
    }
    (bob, others, conversations)
}

/// A frame that marks these.
async fn marks(phone: &Phone, action: &str, marks: &[(&Value, u64)]) -> tests::Answer {
    let marks: Vec<Value> = marks.iter().map(|(id, seq)| json!({ "conversationId": id, "seq": seq })).collect();
    phone.says(json!({ "action": action, "marks": marks })).await
}

#[tokio::test(start_paused = true)]
async fn several_conversations_are_marked_in_one_frame_and_each_is_answered() {
    let world = World::new().await;
    let (bob, others, ids) = written_to_by(&world, 2).await;
    let tablet = world.person("bob").connects().await;
    others.iter().for_each(|phone| drop(phone.heard()));
    let (no, one) = (json!("d_none"), json!("d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU"));
    world.calls();
    let marked = marks(&bob, "markRead", &[(&ids[0], 1), (&no, 1), (&ids[1], 0), (&one, 7), (&ids[1], 9)]).await;
    let refused = |id: &Value| {
        let message = "there is no such conversation, or you are not in it";
        json!({ "conversationId": id, "error": { "code": "not_a_participant", "message": message, "retryable": false } })
    };
    let read = |id: &Value| json!({ "conversationId": id, "deliveredSeq": 1, "readSeq": 1 });
    let expected = json!({ "marks": [read(&ids[0]), refused(&no), read(&ids[1]), refused(&one)] });
    assert_eq!(*marked.data(), expected, "in the order in which they were named first, and of two numbers the higher");
    for (phone, id) in others.iter().zip(&ids) {
        let told = told(phone);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((&told[0]["data"]["conversationId"], &told[0]["data"]["seq"]), (id, &json!(1)));
    }
    assert_eq!((told(&tablet).len(), told(&bob).len()), (2, 0));
    let marked = marks(&bob, "markDelivered", &[(&ids[0], 1)]).await;
    assert_eq!(*marked.data(), json!({ "marks": [read(&ids[0])] }), "nothing goes back");
    assert!(world.queued().is_empty());
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_fails_keeps_no_other_from_being_made() {
    let world = World::new().await;
    let (bob, others, ids) = written_to_by(&world, 3).await;
    let sk = format!("INBOX#{}", ids[1].as_str().expect("an id"));
    world.breaks(move |call| call.operation.writes(&sk).then_some(Fault::Refuse(500)));
    let all: Vec<(&Value, u64)> = ids.iter().map(|id| (id, 1)).collect();
    let answer = marks(&bob, "markRead", &all).await;
    let marked = answer["marks"].as_array().expect("a list");
    assert_eq!((&marked[0]["readSeq"], &marked[2]["readSeq"]), (&json!(1), &json!(1)));
    let error = json!({ "code": "unavailable", "message": "the service is busy; try again", "retryable": true });
    assert_eq!(marked[1], json!({ "conversationId": ids[1], "error": error }), "and no cause");
    assert_eq!(others.iter().map(|phone| told(phone).len()).collect::<Vec<_>>(), [1, 0, 1]);
    world.heals();
    assert_eq!(marks(&bob, "markRead", &all).await["marks"][1]["readSeq"], 1);
    world.is_sound();
}

#[tokio::test(start_paused = true)]
async fn what_is_marked_is_said_in_one_way_and_within_a_limit() {
    let world = World::new().await;
    let (bob, _, ids) = written_to_by(&world, 1).await;
    let mark = json!({ "conversationId": ids[0], "seq": 1 });
    world.calls();
    for (fields, wrong) in [
        (json!({}), "conversationId"),
        (json!({ "conversationId": ids[0] }), "seq"),
        (json!({ "seq": 1 }), "conversationId"),
        (json!({ "conversationId": ids[0], "seq": 1, "marks": [mark] }), "marks"),
        (json!({ "seq": 1, "marks": [mark] }), "marks"),
        (json!({ "marks": [] }), "marks"),
        (json!({ "marks": [mark, { "conversationId": ids[0] }] }), "marks[1].seq"),
        (json!({ "marks": [{ "conversationId": "a b", "seq": 1 }] }), "marks[0].conversationId"),
    ] {
        for action in ["markRead", "markDelivered"] {
            let mut frame = fields.clone();
            frame["action"] = action.into();
            let refused = bob.says(frame).await;
            assert_eq!((refused.code(), &refused.details()["field"]), ("bad_request", &json!(wrong)), "{fields}");
        }
    }
    let many = vec![mark.clone(); MARKS_MAX + 1];
    let refused = bob.says(json!({ "action": "markRead", "marks": many })).await;
    assert_eq!((refused.code(), refused.details()), ("too_many", &json!({ "what": "marks", "max": MARKS_MAX })));
    assert!(!world.calls().iter().any(|call| call.operation.writes("INBOX#")), "what is wrong changes nothing");
    let as_many = vec![mark; MARKS_MAX];
    let marked = bob.says(json!({ "action": "markRead", "marks": as_many })).await;
    assert_eq!(marked["marks"].as_array().map(Vec::len), Some(1));
}

/// Of as many marks as there may be the first so many people hear at once. The others hear through the queue, and then of the newest.
#[tokio::test(start_paused = true)]
async fn of_many_marks_the_first_are_told_at_once_and_the_others_by_way_of_the_queue() {
    let world = World::new().await;
    let (bob, others, ids) = written_to_by(&world, MARKS_MAX).await;
    let tablet = world.person("bob").connects().await;
    let last = others.last().expect("one");
    last.sends_to("bob", "hi again").await.data();
    let all: Vec<(&Value, u64)> = ids.iter().map(|id| (id, 1)).collect();
    assert_eq!(marks(&bob, "markRead", &all).await["marks"].as_array().map(Vec::len), Some(MARKS_MAX));
    let counts: Vec<usize> = others.iter().map(|phone| told(phone).len()).collect();
    assert_eq!((counts[..TOLD_MAX].iter().sum(), counts[TOLD_MAX..].iter().sum()), (TOLD_MAX, 0), "{counts:?}");
    assert_eq!(told(&tablet).len(), TOLD_MAX);
    assert_eq!(world.queued().len(), 2 * (MARKS_MAX - TOLD_MAX), "each of the two sides once");
    bob.marks_read(ids.last().expect("one"), 2).await.data();
    assert_eq!((told(last).len(), told(&tablet).len()), (1, 1));
    world.queue_empties().await;
    for (phone, n) in others[TOLD_MAX..].iter().zip(TOLD_MAX..) {
        let told = told(phone);
        assert_eq!(told.len(), 1, "{n}: {told:?}");
        let seq = if n + 1 == MARKS_MAX { 2 } else { 1 };
        let data = &told[0]["data"];
        assert_eq!((&data["status"], &data["seq"], &data["userId"]), (&json!("read"), &json!(seq), &json!("bob")));
    }
    assert_eq!((told(&tablet).len(), told(&bob).len()), (MARKS_MAX - TOLD_MAX, 0));
    assert!(world.dead_letters().is_empty());
    world.is_sound();
}

/// A function of before marks were queued reads of each message of the queue only these fields.
#[tokio::test(start_paused = true)]
async fn a_queued_mark_tells_a_function_of_before_nothing_wrong() {
    let world = World::new().await;
    let (bob, others, ids) = written_to_by(&world, MARKS_MAX).await;
    let all: Vec<(&Value, u64)> = ids.iter().map(|id| (id, 1)).collect();
    marks(&bob, "markDelivered", &all).await.data();
    let queued = world.queued();
    world.queue_empties().await;
    others.iter().chain([&bob]).for_each(|phone| drop(phone.heard()));
    for mut message in queued {
        message.as_object_mut().expect("an object").remove("mark").expect("it is one of a mark");
        world.puts_into_queue(&message.to_string());
    }
    world.queue_empties().await;
    assert!(world.dead_letters().is_empty());
    assert!(others.iter().chain([&bob]).all(|phone| phone.heard().is_empty()), "and pushes nothing");
}

/// A push that fails is tried again, and the other devices that hear it twice learn nothing new.
#[tokio::test(start_paused = true)]
async fn a_queued_mark_is_told_until_it_is_heard() {
    let world = World::new().await;
    let (bob, others, ids) = written_to_by(&world, MARKS_MAX).await;
    world.advance(shared::limits::CONNECT_GRACE).await;
    let all: Vec<(&Value, u64)> = ids.iter().map(|id| (id, 1)).collect();
    marks(&bob, "markRead", &all).await.data();
    let last = others.last().expect("one");
    let (connection, mut left) = (last.connection.clone(), 2);
    world.breaks(move |call| {
        let refused = left > 0 && call.operation == tests::Operation::Push(connection.clone());
        left -= usize::from(refused);
        refused.then_some(Fault::Refuse(503))
    });
    world.queue_empties().await;
    assert_eq!(told(last).len(), 1);
    assert!(world.dead_letters().is_empty());
}
