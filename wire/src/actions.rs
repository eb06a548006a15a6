//! The one table of actions. Whatever goes over all of them reads it: tests, the simulation, the search for bad input.

use crate::error::Invalid;
use crate::ids::RequestId;
use crate::requests::{
    BlockUser, CreateGroup, GetBalance, GetBlocked, GetConversation, GetConversations, GetMembers, GetMessages,
    GetOrCreateDirect, GetPresence, GetReceipts, GetTransactions, GetUsers, LeaveGroup, MarkDelivered, MarkRead, Mute,
    Ping, Request, SendMessage, Sync, Typing, UnblockUser, UpdateGroup, UpdateProfile,
};
use crate::written::parse;

/// What whoever goes over all actions knows of one.
#[derive(Debug)]
pub struct Action {
    /// What names it in a frame.
    pub name: &'static str,
    /// The folder of the function that answers it.
    pub function: &'static str,
    /// Who may ask.
    pub asked_by: AskedBy,
    /// The event of its final answer, when all goes well.
    pub answer: &'static str,
    /// What may be asked, as JSON objects without `action`: with as few fields as may be, and with all of them. Ann asks, and has
    /// coins, a conversation with bob, and a group with bob that was made by her request `g1`; in both something was said. Then all
    /// goes well, one after the other: the last leaves the group.
    pub samples: &'static [&'static str],
    /// The fields of its [`Request`].
    pub fields: &'static [&'static str],
    /// Reads a frame's fields as its [`Request`]; the frame that asks the same again.
    pub read: fn(&str) -> Result<String, Invalid>,
}

/// Who may ask something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedBy {
    /// Everybody who is connected.
    Everybody,
    /// Who is in the conversation that it names; for others there is none.
    Participants,
}

use AskedBy::{Everybody, Participants};

/// Every action.
pub static ACTIONS: [Action; 24] = [
    action::<Ping>("presence", Everybody, "pong", &["{}"]),
    action::<Sync>(
        "sync",
        Everybody,
        "sync:done",
        &["{}", r#"{"since":{"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU":1},"limit":10}"#],
    ),
    action::<GetOrCreateDirect>("conversations", Everybody, "conversation:created", &[r#"{"otherUserId":"bob"}"#]),
    action::<GetConversations>(
        "conversations",
        Everybody,
        "conversations:list",
        &["{}", r#"{"cursor":"MTc2NzIyNTYwMDAwMCBkX0U3LUk3a3pjSEpkalFzM1VLMkRwY3lqNkttVQ","limit":10}"#],
    ),
    action::<GetConversation>(
        "conversations",
        Participants,
        "conversation",
        &[r#"{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU"}"#],
    ),
    action::<CreateGroup>(
        "groups",
        Everybody,
        "conversation:created",
        &[
            r#"{"name":"Friends","participants":["bob"],"clientRequestId":"g1"}"#,
            r#"{"name":"Team","participants":["bob","cat"],"clientRequestId":"g2","avatar":"https://example.com/team.png"}"#,
        ],
    ),
    action::<UpdateGroup>(
        "groups",
        Participants,
        "conversation:updated",
        &[
            r#"{"conversationId":"g_vHzSIe9yKAys6VSXwa80GnQmHz0"}"#,
            r#"{"conversationId":"g_vHzSIe9yKAys6VSXwa80GnQmHz0","name":"All","avatar":"https://example.com/all.png","add":["cat"],"remove":["dan"],"admins":["ann","bob"],"clientRequestId":"u1"}"#,
        ],
    ),
    action::<GetMembers>(
        "groups",
        Participants,
        "members",
        &[
            r#"{"conversationId":"g_vHzSIe9yKAys6VSXwa80GnQmHz0"}"#,
            r#"{"conversationId":"g_vHzSIe9yKAys6VSXwa80GnQmHz0","cursor":"Ym9i","limit":10}"#,
        ],
    ),
    action::<SendMessage>(
        "send",
        Participants,
        "message:sent",
        &[
            r#"{"to":"bob","content":"hello","clientMessageId":"s1"}"#,
            r#"{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU","content":"hello","clientMessageId":"s2"}"#,
            r#"{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU","content":"an answer","clientMessageId":"s3","attachment":null,"replyTo":1,"maxPrice":9}"#,
        ],
    ),
    action::<GetMessages>(
        "read",
        Participants,
        "messages:page",
        &[
            r#"{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU"}"#,
            r#"{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU","before":2,"limit":10}"#,
            r#"{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU","after":1}"#,
        ],
    ),
    action::<MarkDelivered>(
        "read",
        Participants,
        "marked",
        &[
            r#"{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU","seq":1}"#,
            r#"{"marks":[{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU","seq":1}]}"#,
        ],
    ),
    action::<MarkRead>(
        "read",
        Participants,
        "marked",
        &[
            r#"{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU","seq":1}"#,
            r#"{"marks":[{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU","seq":1}]}"#,
        ],
    ),
    action::<GetReceipts>(
        "read",
        Participants,
        "receipts",
        &[
            r#"{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU","seq":1}"#,
            r#"{"conversationId":"g_vHzSIe9yKAys6VSXwa80GnQmHz0","seq":1,"cursor":"YW5u","limit":10}"#,
        ],
    ),
    action::<Typing>(
        "presence",
        Participants,
        "typing:ok",
        &[r#"{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU","typing":true}"#],
    ),
    action::<GetPresence>(
        "presence",
        Everybody,
        "presence",
        &[r#"{"userIds":["bob"]}"#, r#"{"userIds":["bob"],"conversationId":"g_vHzSIe9yKAys6VSXwa80GnQmHz0"}"#],
    ),
    action::<GetUsers>("people", Everybody, "users", &[r#"{"userIds":["bob"]}"#]),
    action::<UpdateProfile>(
        "people",
        Everybody,
        "profile",
        &["{}", r#"{"name":"Ann","avatar":"https://example.com/ann.png"}"#, r#"{"name":null,"avatar":null}"#],
    ),
    action::<BlockUser>("people", Everybody, "blocked", &[r#"{"userId":"eve"}"#]),
    action::<UnblockUser>("people", Everybody, "unblocked", &[r#"{"userId":"eve"}"#]),
    action::<GetBlocked>("people", Everybody, "blocked:list", &["{}", r#"{"cursor":"QkxPQ0sjYm9i","limit":10}"#]),
    action::<Mute>(
        "conversations",
        Participants,
        "muted",
        &[
            r#"{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU"}"#,
            r#"{"conversationId":"d_E7-I7kzcHJdjQs3UK2Dpcyj6KmU","until":"2099-01-01T00:00:00.000Z"}"#,
        ],
    ),
    action::<GetBalance>("wallet", Everybody, "balance", &["{}"]),
    action::<GetTransactions>(
        "wallet",
        Everybody,
        "transactions:list",
        &["{}", r#"{"cursor":"RU5UUlkjMDAwMDAwMDE3NjcyMjU2MDAwMDAjdG9wdXAja2V5","limit":5}"#],
    ),
    action::<LeaveGroup>(
        "groups",
        Participants,
        "conversation:left",
        &[
            r#"{"conversationId":"g_vHzSIe9yKAys6VSXwa80GnQmHz0","clientRequestId":"l1"}"#,
            r#"{"conversationId":"g_vHzSIe9yKAys6VSXwa80GnQmHz0"}"#,
        ],
    ),
];

const fn action<R: Request>(
    function: &'static str,
    asked_by: AskedBy,
    answer: &'static str,
    samples: &'static [&'static str],
) -> Action {
    let read = |text: &str| Ok(parse::<R>(text)?.frame(&RequestId::from(1)));
    Action { name: R::ACTION, function, asked_by, answer, samples, fields: R::FIELDS, read }
}

impl Action {
    /// What may be asked, as whole frames.
    pub fn frames(&self) -> impl Iterator<Item = serde_json::Value> {
        self.samples.iter().map(|sample| {
            let mut frame: serde_json::Value = serde_json::from_str(sample).unwrap_or_default();
            frame["action"] = self.name.into();
            frame
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{direct_id, echo::Echo, group_id, ids::UserId};

    #[test]
    fn the_samples_are_right_and_have_every_field_and_nothing_else() {
        let user = |name: &str| name.parse::<UserId>().expect("a user id");
        let conversations =
            [direct_id(&user("ann"), &user("bob")), group_id(&user("ann"), &"g1".parse().expect("an id"))];
        for action in &ACTIONS {
            let mut named = BTreeSet::new();
            for (frame, sample) in action.frames().zip(action.samples) {
                let again = (action.read)(sample).expect("it is right");
                let again: serde_json::Value = serde_json::from_str(&again).expect("JSON");
                let kept = frame.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
                kept.for_each(|(name, value)| assert_eq!(again[name], *value, "{}: {name}", action.name));
                assert_eq!(again["requestId"], "1");
                assert_eq!(Echo::of(&frame.to_string()).action.as_deref(), Some(action.name));
                let there = frame.get("conversationId").and_then(|id| id.as_str());
                let is_known = |id| conversations.iter().any(|known| known.as_str() == id);
                assert!(there.is_none_or(is_known), "{sample}: the one of ann and bob, or their group");
                named.extend(frame.as_object().into_iter().flatten().map(|(name, _)| name.clone()));
            }
            let in_frames = action.fields.iter().map(|field| camel_case(field)).chain(["action".to_owned()]);
            assert_eq!(named, in_frames.collect(), "{}: the fields of its samples", action.name);
            // Who is asked for in a group is asked for elsewhere, too.
            let of_one = named.contains("conversationId") && action.name != GetPresence::ACTION;
            assert_eq!(action.asked_by == Participants, of_one, "{}: who may ask", action.name);
        }
    }

    fn camel_case(name: &str) -> String {
        let mut words = name.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |text, word| text + &word[..1].to_uppercase() + &word[1..])
    }
}
