use std::time::Duration;

use serde_json::{Value, json};
use tests::World;
use wire::limits::MESSAGE_BYTES_MAX;
use wire::{ACTIONS, Action, AskedBy};

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
    ann.has_what_samples_say().await;
    for (n, (action, frame)) in
        ACTIONS.iter().flat_map(|action| action.frames().map(move |it| (action, it))).enumerate()
    {
        let mut named = frame.clone();
        named["requestId"] = format!("request {n}").into();
        named["somethingNew"] = json!({ "is": "ignored" });
        let answer = ann.says(named).await;
        assert_eq!(
            (answer.event(), &answer.frame["success"], answer.frame["requestId"].as_str()),
            (action.answer, &json!(true), Some(&*format!("request {n}")))
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
async fn who_is_in_no_conversation_hears_what_they_would_of_one_that_is_not_there() {
    let world = World::new().await;
    world.person("ann").connects().await.has_what_samples_say().await;
    let carol = world.person("carol").connects().await;
    let participants = ACTIONS.iter().filter(|action| action.asked_by == AskedBy::Participants);
    for frame in participants.flat_map(Action::frames).filter(|frame| frame["conversationId"].is_string()) {
        let mut nowhere = frame.clone();
        nowhere["conversationId"] = "d_nowhere".into();
        let (theirs, none) = (carol.says(frame.clone()).await, carol.says(nowhere).await);
        assert_eq!((theirs.code(), theirs.details()), (none.code(), none.details()), "{frame}");
        assert_eq!(theirs.frame["error"]["message"], none.frame["error"]["message"], "{frame}");
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

/// What a refusal of a text names: its event, requestId, clientMessageId and wrong field, or `-`; then the text.
const REFUSED: &str = r#"
message:error r m content {"action":"sendMessage","to":"bob","content":"\ud83d","clientMessageId":"m","requestId":"r"}
message:error - m content {"action":"sendMessage","to":"bob","content":"\ude00\ud83d","clientMessageId":"m"}
message:error r m content {"requestId":"r","action":"sendMessage","to":"bob","content":1e400,"clientMessageId":"m"}
error r - seq {"requestId":"r","action":"markRead","conversationId":"d_x","seq":1e400}
error r m action {"requestId":"r","clientMessageId":"m"}
error r - action {"action":null,"requestId":"r"}
error r m action {"action":["sendMessage"],"requestId":"r","clientMessageId":"m"}
message:error - m requestId {"action":"sendMessage","requestId":7,"clientMessageId":"m"}
message:error - m requestId {"action":"sendMessage","requestId":"a\tb","clientMessageId":"m"}
message:error r - clientMessageId {"action":"sendMessage","to":"bob","content":"x","requestId":"r","clientMessageId":7}

message:error r m - {"action":"sendMessage","requestId":"r","clientMessageId":"m","content":"hel
error - - - {"action":"ping","requestId":"r
error r - - {"action":"ping","requestId":"r"

message:error r m - {"action":"sendMessage","requestId":"r","clientMessageId":"m","content":'hi'}
message:error r m - {"action":"sendMessage","content":"a "quoted" word","requestId":"r","clientMessageId":"m"}
error r - - {"action":"ping","requestId":"r",}
error r - - {"action":"ping" "requestId":"r"}
error r - - {"n":NaN,"action":"ping","requestId":"r"}
error r - - {action:"ping","requestId":"r"}
message:error r - - {"content":"\x","action":"sendMessage","requestId":"r"}
error r - - {"action":"ping","requestId":"r"} {"requestId":"s"}

error - - - {"x":{"requestId":"s","action":"sendMessage"},"y":[{"requestId":"s"}],"action":"ping",
error - - - {"x":"requestId","y":"\"requestId\":\"s\"","z":"\\","action":"ping",
error r - - {"x":"requestId":"s","requestId":"r",
error - - - [{"action":"sendMessage","requestId":"s"}

message:error r - - {"request\u0049d":"\u0072","\u0061ction":"send\u004dessage",
error r - - {"requestId":"s","requestId":"r","action":"sendMessage","action":"dance",
error - - - {"requestId":"s","requestId":null,"action":
error - - - {"requestId":"s","requestId":"\ud83d"
"#;

/// Whoever asked waits for an answer, and knows it by what it echoes: also when half an emoji was cut off, or the text is no
/// JSON at all. Not by what is within an object or a string.
#[tokio::test(start_paused = true)]
async fn a_refusal_names_what_it_answers_whatever_is_wrong_with_the_text() {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    let long = "x".repeat(65);
    let more = [
        "message:error r - - {\"content\":\"two\nlines\",\"action\":\"sendMessage\",\"requestId\":\"r\"}".to_owned(),
        "error r - - \u{feff}{\"action\":\"ping\",\"requestId\":\"r\"}".to_owned(),
        format!(r#"message:error - m requestId {{"action":"sendMessage","requestId":"{long}","clientMessageId":"m"}}"#),
        format!(r#"message:error r - - {{"action":"sendMessage","requestId":"r","clientMessageId":"{long}"}}"#),
    ];
    for line in REFUSED.lines().filter(|line| !line.is_empty()).chain(more.iter().map(String::as_str)) {
        let [event, request_id, client_message_id, field, text] =
            line.splitn(5, ' ').collect::<Vec<_>>().try_into().expect("five words");
        let some = |word| Some(word).filter(|word| *word != "-");
        let frames = phone.writes(text).await;
        assert_eq!(frames.len(), 1, "{line}: {frames:#?}");
        let answer = &frames[0];
        assert_eq!((&answer["event"], &answer["error"]["code"]), (&json!(event), &json!("bad_request")), "{line}");
        let named = (answer["requestId"].as_str(), answer["clientMessageId"].as_str());
        assert_eq!(named, (some(request_id), some(client_message_id)), "{line}: {answer:#}");
        if let Some(field) = some(field) {
            assert_eq!(answer["error"]["details"]["field"], field, "{line}: {answer:#}");
        }
        assert!(phone.is_connected(), "{line}");
    }
}

/// Also one that can't be read: nothing else is said on the connection.
#[tokio::test(start_paused = true)]
async fn an_expired_token_comes_before_what_is_wrong_with_a_frame() {
    let world = World::new().await;
    for text in [r#"{"action":"ping","requestId":"r"}"#, r#"{"action":"ping","requestId":"r""#, "hello"] {
        let phone = world.person("ann").connects_for(Duration::from_secs(60)).await;
        world.advance(Duration::from_secs(66)).await;
        let frames = phone.writes(text).await;
        assert_eq!((frames.len(), &frames[0]["error"]["code"]), (1, &json!("token_expired")), "{text}: {frames:#?}");
        assert_eq!(frames[0].get("requestId"), text.starts_with('{').then_some(&json!("r")), "{text}: {frames:#?}");
        assert!(!phone.is_connected(), "{text}");
    }
}

/// What nobody looks at need not be anything that we could read.
#[tokio::test(start_paused = true)]
async fn what_is_ignored_may_hold_anything() {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    for ignored in
        ["1e400", "-1e400", r#""\ud83d""#, r#"[{"x":1e999},"\udc00"]"#, r#"{"requestId":7,"action":7}"#, &deep]
    {
        let text = format!(
            r#"{{"new":{ignored},"action":"sendMessage","to":"bob","content":"hi","clientMessageId":"m","requestId":"r"}}"#
        );
        let frames = phone.writes(&text).await;
        assert_eq!((frames.len(), &frames[0]["event"]), (1, &json!("message:sent")), "{ignored}: {frames:#?}");
        assert_eq!(frames[0]["requestId"], "r", "{ignored}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_null_counts_as_not_given() {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    let conversation = phone.opens("bob").await;
    phone.sends(&conversation, "hi").await.data();
    for mut frame in [
        json!({ "action": "sync", "since": null, "limit": null }),
        json!({ "action": "getConversations", "cursor": null, "limit": null }),
        json!({ "action": "sendMessage", "to": "bob", "conversationId": null, "content": "x", "clientMessageId": "n", "attachment": null, "replyTo": null, "maxPrice": null }),
        json!({ "action": "getMessages", "conversationId": conversation, "before": null, "after": null, "limit": null }),
        json!({ "action": "getTransactions", "cursor": null, "limit": null }),
    ] {
        let with_null = phone.says(frame.clone()).await.data().clone();
        frame.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        let mut without = phone.says(frame.clone()).await.data().clone();
        if frame["action"] == "sendMessage" {
            without["duplicate"] = false.into();
        }
        assert_eq!(with_null, without, "{frame}");
    }
}

/// JSON has one kind of number.
#[tokio::test(start_paused = true)]
async fn a_whole_number_is_one_however_it_is_written() {
    let world = World::new().await;
    let phone = world.person("ann").connects().await;
    let conversation = phone.opens("bob").await;
    for n in 1..=12 {
        phone.sends(&conversation, &format!("text {n}")).await.data();
    }
    let asks = async |fields: &str| {
        let text = format!(r#"{{"action":"getMessages","conversationId":{conversation},{fields}}}"#);
        let frames = phone.writes(&text).await;
        let messages = frames[0]["data"]["messages"].as_array().cloned();
        (messages.map(|all| all.iter().map(|one| one["seq"].as_u64()).collect::<Vec<_>>()), frames[0]["error"].clone())
    };
    let ten: Vec<Option<u64>> = (1..=10).map(Some).collect();
    for limit in ["10", "10.0", "1e1", "1E+1", "1.0e1", "100e-1", "0.1e2", "10.000000000000000000000000"] {
        for after in ["0", "0.0", "-0", "0e5", "0e-5", "0e99999999999999999999"] {
            let (page, error) = asks(&format!(r#""limit":{limit},"after":{after}"#)).await;
            assert_eq!(page.as_ref(), Some(&ten), "{limit} {after}: {error:#}");
        }
    }
    for before in ["9007199254740991", "9007199254740991.0", "9.007199254740991e15", "90071992547409910e-1"] {
        let (page, error) = asks(&format!(r#""before":{before}"#)).await;
        assert_eq!(page.map(|page| page.len()), Some(12), "{before}: {error:#}");
    }
    for wrong in [
        "1.5",
        "-1",
        "-1.0",
        "1e-1",
        "1e-400",
        "9007199254740992",
        "9007199254740992.0",
        "1e16",
        "1e99999999999999999999",
        "9007199254740990.5",
        "9007199254740991.4",
        "1.00000000000000000001",
    ] {
        let (_, error) = asks(&format!(r#""before":{wrong}"#)).await;
        let expected = "before: expected a whole number from 0 to 9007199254740991";
        assert_eq!((&error["code"], &error["message"]), (&json!("bad_request"), &json!(expected)), "{wrong}");
    }
    let (_, error) = asks(r#""limit":0"#).await;
    assert_eq!(error["message"], "limit: expected a whole number from 1 to 100");
    let since = format!(r#"{{"action":"sync","since":{{{conversation}:1.1e1}}}}"#);
    assert_eq!(phone.writes(&since).await[0]["data"]["messages"].as_array().map(Vec::len), Some(1), "since");
    let mark = format!(r#"{{"action":"markRead","conversationId":{conversation},"seq":3.0}}"#);
    assert_eq!(phone.writes(&mark).await[0]["data"]["readSeq"], Value::from(12), "{conversation}");
}
