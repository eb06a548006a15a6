//! Ids that follow from others, so that every attempt at the same thing has the same.

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ids::{ClientMessageId, ClientRequestId, ConversationId, UserId};
use crate::objects::Kind;
use crate::values::Seq;

/// The id of the one conversation of two people, whoever asks. Each name is hashed behind its length, so that `a_b` with
/// `c` is not `a` with `a_b`; 160 bits of SHA-256.
pub fn direct_id(one: &UserId, other: &UserId) -> ConversationId {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    conversation_id(DIRECT, &hash(&["direct", first.as_str(), second.as_str()]))
}

/// The id of the group that somebody makes by a request: a repeat of it makes no other.
pub fn group_id(creator: &UserId, request: &ClientRequestId) -> ConversationId {
    conversation_id(GROUP, &hash(&["group", creator.as_str(), request.as_str()]))
}

/// Of which kind a conversation with this id is, if there is one; nothing, where none can have it.
pub fn kind_of(id: &ConversationId) -> Option<Kind> {
    match id.as_str() {
        id if id.starts_with(DIRECT) => Some(Kind::Direct),
        id if id.starts_with(GROUP) => Some(Kind::Group),
        _ => None,
    }
}

/// With this begins the id of a conversation of two people.
const DIRECT: &str = "d_";
/// With this begins a group's.
pub const GROUP: &str = "g_";

fn conversation_id(kind: &str, digest: &[u8; 32]) -> ConversationId {
    let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&digest[..20]);
    // Letters, digits, `-` and `_`, 29 of them: a valid id.
    ConversationId::derived(format!("{kind}{id}"))
}

/// SHA-256 of texts, each behind its length: no two lists have the same bytes.
pub fn hash(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// A send's id: derived from the sender and the sender's id of it, so that every attempt has the same. 128 bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SendId(String);

impl SendId {
    /// Of this sender's send.
    pub fn new(sender: &UserId, id: &ClientMessageId) -> Self {
        Self(short(&hash(&["send", sender.as_str(), id.as_str()])))
    }

    /// The text itself: letters, digits, `-` and `_`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What makes two sends the same: conversation, content, replyTo. 128 bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of what a send says, and where.
    pub fn new(conversation: &ConversationId, content: &str, reply_to: Option<Seq>) -> Self {
        let reply_to = reply_to.map(|seq| seq.to_string()).unwrap_or_default();
        Self(short(&hash(&["message", conversation.as_str(), content, &reply_to])))
    }
}

/// The first 128 bits of a hash, as text.
fn short(hash: &[u8; 32]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&hash[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> UserId {
        text.parse().expect("a user id")
    }

    #[test]
    fn a_pair_has_one_id_whoever_asks_and_no_other_pair_has_it() {
        assert_eq!(direct_id(&user("ann"), &user("bob")), direct_id(&user("bob"), &user("ann")));
        assert_ne!(direct_id(&user("a_b"), &user("c")), direct_id(&user("a"), &user("b_c")));
        assert_ne!(direct_id(&user("a"), &user("bc")), direct_id(&user("ab"), &user("c")));
        assert_ne!(direct_id(&user("é"), &user("b")), direct_id(&user("e\u{301}"), &user("b")));
        assert_eq!(direct_id(&user("ann"), &user("bob")).as_str().len(), 29);
    }

    #[test]
    fn a_groups_id_is_its_creators_and_the_requests_and_says_its_kind() {
        let request = |text: &str| text.parse::<ClientRequestId>().expect("an id");
        let id = group_id(&user("ann"), &request("r1"));
        assert_ne!(id, group_id(&user("bob"), &request("r1")));
        assert_ne!(id, group_id(&user("ann"), &request("r2")));
        assert_eq!(kind_of(&id), Some(Kind::Group));
        assert_eq!(kind_of(&direct_id(&user("ann"), &user("bob"))), Some(Kind::Direct));
        assert_eq!(kind_of(&"conversation".parse().expect("an id")), None);
    }
}
