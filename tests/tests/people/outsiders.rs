//! Whoever is outside changes nothing, makes nobody hear anything, and learns nothing: every action, asked by every kind of them.

use std::time::Duration;

use serde_json::{Value, json};
use shared::limits::{CONNECT_GRACE, TOKEN_LEEWAY};
use tests::{Answer, Phone, World};
use wire::{ACTIONS, AskedBy, ConversationId, UserId, direct_id, group_id};

/// Ann and bob talk in a conversation of two and in a group; there is more to learn than what dan has seen.
struct Room {
    world: World,
    ann: Phone,
    bob: Phone,
    dan: Phone,
    direct: Value,
    group: Value,
}

fn user(name: &str) -> UserId {
    name.parse().expect("a user id")
}

fn direct_with(name: &str) -> ConversationId {
    direct_id(&user("ann"), &user(name))
}

fn group_of(request: &str) -> ConversationId {
    group_id(&user("ann"), &request.parse().expect("an id"))
}

impl Room {
    async fn new() -> Self {
        let world = World::new().await;
        let connects = async |name| world.person(name).connects().await;
        let (ann, bob, dan) = (connects("ann").await, connects("bob").await, connects("dan").await);
        world.advance(CONNECT_GRACE).await;
        ann.has_what_samples_say().await;
        let (direct, group) = (json!(direct_with("bob")), json!(group_of("g1")));
        for conversation in [&direct, &group] {
            ann.marks_read(conversation, 1).await.data();
        }
        // Whoever sends has an account of their own.
        dan.sends_to("eve", "hi").await.data();
        let room = Self { world, ann, bob, dan, direct, group };
        room.is_quiet();
        room
    }

    /// Whether nobody but the one who asked has heard anything.
    fn is_quiet(&self) -> bool {
        let heard = [&self.ann, &self.bob, &self.dan].map(Phone::heard);
        heard.iter().all(Vec::is_empty)
    }

    /// Asks; nothing is written, and nobody hears anything.
    async fn asks_in_vain(&self, phone: &Phone, frame: &Value) -> Answer {
        let before = self.world.items();
        let answer = phone.says(frame.clone()).await;
        assert!(self.is_quiet(), "{frame}: somebody has heard of it");
        let written: Vec<Value> = self.world.items().into_iter().filter(|item| !before.contains(item)).collect();
        assert!(written.is_empty(), "{frame}: {written:#?}");
        answer
    }

    /// Dan comes, and goes as he is told to; what is said then isn't his to learn.
    async fn dan_goes(&self, goes: impl AsyncFnOnce()) {
        self.ann.updates(&self.group, json!({ "add": ["dan"] })).await.data();
        self.dan.marks_read(&self.group, 1).await.data();
        goes().await;
        self.ann.sends(&self.group, "now that dan has gone").await.data();
        self.world.comes_to_rest().await;
        self.is_quiet();
    }
}

/// What may be asked about a conversation, each sample of each action: about this one instead.
fn frames_about(id: &str) -> Vec<Value> {
    let (direct, group) = (direct_with("bob"), group_of("g1"));
    let mut frames = Vec::new();
    for action in &ACTIONS {
        let about =
            action.samples.iter().filter(|sample| [&direct, &group].iter().any(|id| sample.contains(id.as_str())));
        let about: Vec<String> =
            about.map(|sample| sample.replace(direct.as_str(), id).replace(group.as_str(), id)).collect();
        assert!(action.asked_by == AskedBy::Everybody || !about.is_empty(), "{}: no sample names one", action.name);
        frames.extend(about.iter().map(|sample| {
            let mut frame: Value = serde_json::from_str(sample).expect("it is right");
            frame["action"] = action.name.into();
            frame["requestId"] = "in vain".into();
            frame
        }));
    }
    frames
}

#[tokio::test(start_paused = true)]
async fn strangers_are_answered_as_if_there_were_no_such_conversation() {
    let room = Room::new().await;
    for (there, nowhere) in [(direct_with("bob"), direct_with("nobody")), (group_of("g1"), group_of("never made"))] {
        for (frame, other) in frames_about(there.as_str()).iter().zip(frames_about(nowhere.as_str())) {
            let answer = room.asks_in_vain(&room.dan, frame).await.frame.to_string();
            let expected = room.asks_in_vain(&room.dan, &other).await.frame.to_string();
            assert_eq!(answer, expected.replace(nowhere.as_str(), there.as_str()), "{frame}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_no_more_in_a_group_is_out_of_all_that_is_done_in_it() {
    for removed in [true, false] {
        let room = Room::new().await;
        room.dan_goes(async || {
            if removed {
                room.ann.updates(&room.group, json!({ "remove": ["dan"] })).await.data();
            } else {
                room.dan.leaves(&room.group).await.data();
            }
        })
        .await;
        for frame in frames_about(group_of("g1").as_str()) {
            if frame["action"] == "leaveGroup" && !removed {
                // It is answered alike; that it was asked is remembered, so that a late repeat takes nobody out.
                assert_eq!(room.dan.says(frame).await["by"], "dan");
                assert!(room.is_quiet());
                continue;
            }
            let answer = room.asks_in_vain(&room.dan, &frame).await;
            match frame["action"].as_str() {
                Some("sync") => {
                    assert!(answer.pages.is_empty(), "{answer:?}");
                    assert_eq!(answer["left"], json!([room.group]));
                }
                Some("markRead" | "markDelivered") if frame.get("marks").is_some() => {
                    assert_eq!(answer["marks"][0]["error"]["code"], "not_a_participant");
                }
                _ => assert_eq!(answer.code(), "not_a_participant", "{frame}"),
            }
        }
        let listed = room.dan.says(json!({ "action": "getConversations" })).await;
        let shown = |it: &Value| it["conversationId"] == room.group;
        assert!(!listed["conversations"].as_array().expect("a list").iter().any(shown), "{listed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_no_admin_changes_no_group() {
    let room = Room::new().await;
    for frame in frames_about(group_of("g1").as_str()).iter().filter(|frame| frame["action"] == "updateGroup") {
        assert_eq!(room.asks_in_vain(&room.bob, frame).await.code(), "forbidden");
    }
}

/// A blocked person writes what is their own: what they read, who they are. Nothing of it reaches their blocker.
#[tokio::test(start_paused = true)]
async fn nothing_of_who_is_blocked_reaches_their_blocker() {
    let room = Room::new().await;
    room.bob.says(json!({ "action": "blockUser", "userId": "ann" })).await.data();
    let of_others = || {
        let items = room.world.items().into_iter();
        items.filter(|item| item["pk"] != "USER#ann").collect::<Vec<_>>()
    };
    let shown = async || {
        let asks = [
            json!({ "action": "getMessages", "conversationId": room.direct }),
            json!({ "action": "getReceipts", "conversationId": room.direct, "seq": 1 }),
            json!({ "action": "getPresence", "userIds": ["ann"] }),
        ];
        let mut shown = Vec::new();
        for asked in asks {
            shown.push(room.bob.says(asked).await.data().clone());
        }
        shown
    };
    let before = (of_others(), shown().await);
    for action in &ACTIONS {
        let frames = action.frames().filter(|frame| !frame.to_string().contains(group_of("g1").as_str()));
        for mut frame in frames {
            if action.name == "createGroup" {
                // The one of the samples is there.
                frame["clientRequestId"] = "another".into();
            }
            let answer = room.ann.says(frame.clone()).await;
            assert!(room.bob.heard().is_empty(), "{frame}: bob has heard of it");
            let refused = ["sendMessage", "typing", "createGroup", "getOrCreateDirect"].contains(&action.name);
            assert_eq!(refused, answer.frame["success"] == false, "{frame}: {answer:?}");
            assert!(!refused || answer.code() == "blocked", "{frame}: {answer:?}");
            if action.name == "getPresence" {
                assert_eq!(answer["users"], json!([{ "userId": "bob", "online": false }]));
            }
        }
    }
    assert!(before == (of_others(), shown().await), "bob is shown something");
}

#[tokio::test(start_paused = true)]
async fn with_an_expired_token_nothing_is_asked_any_more() {
    let room = Room::new().await;
    let life = Duration::from_secs(60);
    let of_all_but_connections = || {
        let items = room.world.items().into_iter();
        items.filter(|item| item["sk"] != "PRESENCE").collect::<Vec<_>>()
    };
    let before = of_all_but_connections();
    for frame in ACTIONS.iter().flat_map(wire::Action::frames) {
        let phone = room.world.person("ann").connects_for(life).await;
        room.world.advance(life + TOKEN_LEEWAY + Duration::from_secs(1)).await;
        assert_eq!(phone.says(frame.clone()).await.code(), "token_expired", "{frame}");
        assert!(!phone.is_connected());
        assert!(room.is_quiet(), "{frame}: somebody has heard of it");
    }
    assert!(of_all_but_connections() == before, "something was written");
}
