use serde_json::json;
use tests::World;
use wire::limits::MESSAGE_BYTES_MAX;

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_no_request_is_answered_and_the_connection_stays() {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    for (text, code, field) in [
        ("", "bad_request", None),
        ("hello", "bad_request", None),
        ("7", "bad_request", None),
        ("[]", "bad_request", None),
        ("{\"action\":\"ping\"", "bad_request", None),
        ("{}", "bad_request", Some("action")),
        ("{\"action\":7}", "bad_request", Some("action")),
        ("{\"action\":\"dance\"}", "unknown_action", None),
        ("{\"action\":\"$connect\"}", "unknown_action", None),
        ("{\"action\":\"ping\",\"requestId\":7}", "bad_request", Some("requestId")),
        ("{\"action\":\"getConversation\"}", "bad_request", Some("conversationId")),
        ("{\"action\":\"markRead\",\"conversationId\":\"d_x\",\"seq\":\"1\"}", "bad_request", Some("seq")),
        ("{\"action\":\"markRead\",\"conversationId\":\"d_x\",\"seq\":-1}", "bad_request", Some("seq")),
        ("{\"action\":\"markRead\",\"conversationId\":\"d_x\",\"seq\":1.5}", "bad_request", Some("seq")),
        ("{\"action\":\"markRead\",\"conversationId\":\"d_x\",\"seq\":9007199254740992}", "bad_request", Some("seq")),
    ] {
        let frames = phone.writes(text).await;
        assert_eq!(frames.len(), 1, "{text}: {frames:#?}");
        assert_eq!((&frames[0]["event"], &frames[0]["success"]), (&json!("error"), &json!(false)), "{text}");
        assert_eq!(frames[0]["error"]["code"], code, "{text}: {:#}", frames[0]);
        assert_eq!(frames[0]["error"]["details"]["field"].as_str(), field, "{text}: {:#}", frames[0]);
        assert!(frames[0]["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{text}");
        assert!(phone.is_connected(), "{text}");
    }
    assert_eq!(phone.says(json!({ "action": "ping" })).await.event(), "pong");
}

/// The answer quotes what was wrong, and must fit a frame itself.
#[tokio::test(start_paused = true)]
async fn a_frame_as_long_as_one_may_be_is_answered_whatever_is_wrong_with_it() {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    let long = "\u{7f}".repeat(MESSAGE_BYTES_MAX - 100);
    for frame in [
        json!({ "action": long }),
        json!({ "action": "getTransactions", "limit": long }),
        json!({ "action": "sync", "since": { (long.clone()): 1 } }),
        json!({ "action": "sendMessage", "to": "bob", "content": "hi", "clientMessageId": long }),
    ] {
        let frames = phone.writes(&frame.to_string()).await;
        assert_eq!(frames.len(), 1, "{}", frame["action"]);
        assert_eq!(frames[0]["success"], false, "{:#}", frames[0]);
        assert!(frames[0].to_string().len() < 4_096, "a text for a person is short: {:#}", frames[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_echoes_its_request() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let conversation = ann.opens("bob").await;
    ann.sends(&conversation, "hi").await.data();
    for (n, frame) in [
        json!({ "action": "ping" }),
        json!({ "action": "sync", "since": {} }),
        json!({ "action": "getOrCreateDirect", "otherUserId": "bob" }),
        json!({ "action": "getConversations" }),
        json!({ "action": "getConversation", "conversationId": conversation }),
        json!({ "action": "sendMessage", "conversationId": conversation, "content": "x", "clientMessageId": "m" }),
        json!({ "action": "getMessages", "conversationId": conversation }),
        json!({ "action": "markDelivered", "conversationId": conversation, "seq": 1 }),
        json!({ "action": "markRead", "conversationId": conversation, "seq": 1 }),
        json!({ "action": "getReceipts", "conversationId": conversation, "seq": 1 }),
        json!({ "action": "typing", "conversationId": conversation, "typing": true }),
        json!({ "action": "getPresence", "userIds": ["bob"] }),
        json!({ "action": "getBalance" }),
        json!({ "action": "getTransactions" }),
    ]
    .into_iter()
    .enumerate()
    {
        let mut named = frame.clone();
        named["requestId"] = format!("request {n}").into();
        named["somethingNew"] = json!({ "is": "ignored" });
        let answer = ann.says(named).await;
        assert_eq!(
            (&answer.frame["success"], answer.frame["requestId"].as_str()),
            (&json!(true), Some(&*format!("request {n}")))
        );
        let silent = ann.writes(&frame.to_string()).await;
        assert!(silent.iter().all(|frame| frame.get("requestId").is_none()), "{silent:#?}");
        let mut wrong = frame;
        wrong["requestId"] = "x".repeat(64).into();
        wrong["action"] = format!("{}!", wrong["action"].as_str().expect("a name")).into();
        assert_eq!(ann.says(wrong).await.code(), "unknown_action");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_message_names_the_message() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let mut frame = ann.message_to("ann", "hi");
    frame["requestId"] = "r".into();
    let answer = ann.says(frame.clone()).await;
    assert_eq!(answer.event(), "message:error");
    assert_eq!(
        (&answer.frame["clientMessageId"], &answer.frame["requestId"]),
        (&frame["clientMessageId"], &json!("r"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_internal_cause_stays_inside() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    world.breaks(|call| {
        (call.function == "wallet" && call.operation.sk().is_some()).then_some(tests::Fault::Refuse(400))
    });
    let answer = ann.says(json!({ "action": "getBalance" })).await;
    assert_eq!((answer.code(), &answer.frame["error"]["retryable"]), ("internal", &json!(true)));
    assert!(answer.details()["requestId"].as_str().is_some_and(|id| id.starts_with("trace-")));
    world.breaks(|call| {
        (call.function == "wallet" && call.operation.sk().is_some()).then_some(tests::Fault::Refuse(503))
    });
    let answer = ann.says(json!({ "action": "getBalance" })).await;
    assert_eq!((answer.code(), &answer.frame["error"]["retryable"]), ("unavailable", &json!(true)));
    let told = answer.frame.to_string();
    assert!(!told.contains("GetItem") && !told.contains("parley"), "{told}");
}
