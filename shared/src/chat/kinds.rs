//! What each kind of conversation answers. Nothing else on this floor asks of which kind a conversation is: who adds one answers
//! here, and the compiler names each question that was forgotten.
//!
//! | question | a direct one |
//! |---|---|
//! | who is in it, and so may read and write | the two that META names, for good; its id is derived from them |
//! | who is told of a message | both, by the function that sends |
//! | who is told of a status, or that somebody writes | both |
//! | who keeps somebody from writing by a block | either |
//! | who sets a message's price, and is paid | the other |
//! | where the last number is kept | in the INBOX of each, which a message moves |
//! | by whose horizons a message's status goes | those of everybody but its sender |

use std::collections::HashMap;
use std::slice;

use wire::{ConversationId, Kind, Message, Seq, Status, UserId, direct_id};

use crate::store::conversations::Who;
use crate::store::inbox::{Inbox, Side};
use crate::store::log::LogItem;
use crate::store::table::Key;

/// What META answers.
impl Who {
    /// Of which kind it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Direct { .. } => Kind::Direct,
        }
    }

    /// Everybody in it: they are told of a message.
    pub fn members(&self) -> &[UserId] {
        match self {
            Self::Direct { members } => members,
        }
    }

    /// Whether who is in it never changes: then a process may remember it.
    pub const fn is_for_good(&self) -> bool {
        match self {
            Self::Direct { .. } => true,
        }
    }

    /// Whether these are the same people, in any order.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Direct { members: [a, b] }, Self::Direct { members: [c, d] }) => {
                (a, b) == (c, d) || (a, b) == (d, c)
            }
        }
    }

    /// What the inbox of a user keeps of the others; nothing for who isn't in it, and so may neither read nor write.
    pub fn side_of(&self, user: &UserId) -> Option<Side> {
        match self {
            Self::Direct { members: [one, peer] } if user == one => Some(Side::Direct { peer: peer.clone() }),
            Self::Direct { members: [peer, other] } if user == other => Some(Side::Direct { peer: peer.clone() }),
            Self::Direct { .. } => None,
        }
    }

    /// Whose inboxes a message moves, and what each keeps of the others.
    pub fn inboxes(&self) -> impl Iterator<Item = (&UserId, Side)> {
        self.members().iter().filter_map(|user| Some((user, self.side_of(user)?)))
    }

    /// Who sets the price of what SENDER says, and is paid: as [`Side::paid_by`].
    pub fn paid_by(&self, sender: &UserId) -> Option<UserId> {
        self.side_of(sender)?.paid_by().cloned()
    }

    /// Whether that is the id of a conversation of these people, so that there is no other.
    pub fn has_id(&self, id: &ConversationId) -> bool {
        match self {
            Self::Direct { members: [one, other] } => one != other && direct_id(one, other) == *id,
        }
    }
}

/// What an inbox answers by itself.
impl Side {
    /// Everybody else: they are told that its user writes.
    pub fn others(&self) -> &[UserId] {
        match self {
            Self::Direct { peer } => slice::from_ref(peer),
        }
    }

    /// Who is told how far USER is: everybody else, and the user's own devices.
    pub fn told_of_status(&self, user: &UserId) -> Vec<UserId> {
        self.others().iter().chain([user]).cloned().collect()
    }

    /// Who sets the price of what its user says, and is paid; nobody where messages cost nothing.
    pub fn paid_by(&self) -> Option<&UserId> {
        match self {
            Self::Direct { peer } => Some(peer),
        }
    }

    /// The blocks that keep its user from writing there.
    pub fn blocks_between(&self, user: &UserId) -> Vec<Key> {
        match self {
            Self::Direct { peer } => vec![Key::block(peer, user), Key::block(user, peer)],
        }
    }

    /// Who is told how far USER is but where they block them: the block that keeps each from being told.
    pub fn blocks_by_others(&self, user: &UserId) -> Vec<Key> {
        match self {
            Self::Direct { peer } => vec![Key::block(peer, user)],
        }
    }

    /// The inboxes that a message's status goes by, besides the user's own.
    pub fn inboxes_of_others(&self, id: &ConversationId) -> impl Iterator<Item = Key> {
        self.others().iter().map(|user| Key::inbox(user, id))
    }
}

/// How far those are in a conversation by whom a message's status goes.
#[derive(Debug)]
pub struct Progress<'a>(Vec<(&'a UserId, &'a Inbox)>);

impl<'a> Progress<'a> {
    /// From the inbox of a user and, of THEIRS, those of the others.
    pub fn new(user: &'a UserId, own: &'a Inbox, id: &ConversationId, theirs: &'a HashMap<Key, Inbox>) -> Self {
        let of = |user: &'a UserId| Some((user, theirs.get(&Key::inbox(user, id))?));
        Self(own.side.others().iter().filter_map(of).chain([(user, own)]).collect())
    }

    /// How far a message has come: as far as with the last of those who didn't write it.
    fn status(&self, sender: &UserId, seq: Seq) -> Status {
        let others = self.0.iter().filter(|(user, _)| *user != sender);
        others.map(|(_, inbox)| inbox.status_of(seq)).min().unwrap_or(Status::Sent)
    }

    /// A slot of the log as it is shown.
    pub fn message(&self, id: &ConversationId, (seq, item): (Seq, LogItem)) -> Message {
        let status = self.status(&item.sender, seq);
        item.message(id, seq, status)
    }
}
