//! What each kind of conversation answers. Nothing else on this floor asks of which kind a conversation is, but what makes or
//! changes one: who adds a kind answers here, and the compiler names each question that was forgotten.
//!
//! | question | a direct one | a group |
//! |---|---|---|
//! | who is in it, and so may read and write | the two that META names, for good; its id is derived from them | whose MEMBER says so |
//! | what they may see | all of it | from the number on with which their membership begins |
//! | who is told of a message | both, by the function that sends, as the look saw them and again after the inboxes | those who are members once TAIL has moved, by the function that sends |
//! | who is told of a status, or that somebody writes | both | its members |
//! | who keeps somebody from writing by a block | either | nobody |
//! | who sets a message's price, and is paid | the other | nobody: messages are free |
//! | where the last number is kept | in the INBOX of each, which a message moves | in TAIL; of the inboxes a message moves only its sender's |
//! | by whose horizons a message's status goes | those of everybody but its sender | those of the others who may see it |

use std::collections::HashMap;

use wire::limits::GROUP_MEMBERS_MAX;
use wire::{Avatar, ConversationId, Kind, Message, Name, Seq, Status, UserId, direct_id, kind_of};

use super::participants::Participant;
use crate::store::conversations::Who;
use crate::store::inbox::{Inbox, Side};
use crate::store::log::LogItem;
use crate::store::members::Member;
use crate::store::table::Key;

/// Whether MEMBERs say who is in the conversation of this id, and TAIL which number is the last: for who has neither META nor an
/// inbox to ask.
pub fn has_members(id: &ConversationId) -> bool {
    match kind_of(id) {
        Some(Kind::Group) => true,
        Some(Kind::Direct) | None => false,
    }
}

/// What META answers.
impl Who {
    /// Of which kind it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Direct { .. } => Kind::Direct,
            Self::Group(_) => Kind::Group,
        }
    }

    /// Who is in it, where META names them; those of a group are items of their own.
    pub fn named(&self) -> Option<&[UserId]> {
        match self {
            Self::Direct { members } => Some(members),
            Self::Group(_) => None,
        }
    }

    /// What it is called, and where its picture is.
    pub const fn called(&self) -> (Option<&Name>, Option<&Avatar>) {
        match self {
            Self::Direct { .. } => (None, None),
            Self::Group(group) => (Some(&group.name), group.avatar.as_ref()),
        }
    }

    /// Whether who is in it never changes: then a process may remember it.
    pub const fn is_for_good(&self) -> bool {
        match self {
            Self::Direct { .. } => true,
            Self::Group(_) => false,
        }
    }

    /// Whether these are the same people, in any order, for good.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Direct { members: [a, b] }, Self::Direct { members: [c, d] }) => {
                (a, b) == (c, d) || (a, b) == (d, c)
            }
            (Self::Direct { .. } | Self::Group(_), _) => false,
        }
    }

    /// Whether somebody can be in it, as far as META says: of a group MEMBER decides.
    pub fn can_have(&self, user: &UserId) -> bool {
        match self {
            Self::Direct { members } => members.contains(user),
            Self::Group(_) => true,
        }
    }

    /// What the inbox of a user keeps of the others, MEMBER being their membership if there is one; nothing for who isn't in it,
    /// and so may neither read nor write.
    pub fn side_of(&self, user: &UserId, member: Option<&Member>) -> Option<Side> {
        match self {
            Self::Direct { members: [one, peer] } if user == one => Some(Side::Direct { peer: peer.clone() }),
            Self::Direct { members: [peer, other] } if user == other => Some(Side::Direct { peer: peer.clone() }),
            Self::Direct { .. } => None,
            Self::Group(group) => {
                member.filter(|member| group.whole && member.is_in()).map(|member| Side::Group(member.joined()))
            }
        }
    }

    /// Whose inboxes a message moves, and who is their peer: a group's TAIL moves instead.
    pub fn inboxes_moved(&self) -> Vec<(&UserId, &UserId)> {
        match self {
            Self::Direct { members: [one, other] } => vec![(one, other), (other, one)],
            Self::Group(_) => Vec::new(),
        }
    }

    /// Who is told of a message as the look saw them, before anything else is done.
    pub fn told_at_look(&self) -> &[UserId] {
        match self {
            Self::Direct { members } => members,
            // Who is a member is read when TAIL has moved.
            Self::Group(_) => &[],
        }
    }

    /// Who sets the price of what SENDER says, and is paid; nobody where messages cost nothing.
    pub fn paid_by(&self, sender: &UserId) -> Option<UserId> {
        match self {
            Self::Direct { .. } => self.side_of(sender, None)?.paid_by().cloned(),
            Self::Group(_) => None,
        }
    }

    /// Whether that can be the id of a conversation of these people: of two there is no other.
    pub fn has_id(&self, id: &ConversationId) -> bool {
        match self {
            Self::Direct { members: [one, other] } => one != other && direct_id(one, other) == *id,
            Self::Group(_) => kind_of(id) == Some(Kind::Group),
        }
    }
}

/// What an inbox answers by itself.
impl Side {
    /// Of which kind the conversation is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Direct { .. } => Kind::Direct,
            Self::Group(_) => Kind::Group,
        }
    }

    /// Everybody in it, its USER too, where the inbox names them.
    pub fn named(&self, user: &UserId) -> Option<Vec<UserId>> {
        match self {
            Self::Direct { peer } => Some(vec![peer.clone(), user.clone()]),
            Self::Group(_) => None,
        }
    }

    /// The other, where there is one and no more.
    pub const fn peer(&self) -> Option<&UserId> {
        match self {
            Self::Direct { peer } => Some(peer),
            Self::Group(_) => None,
        }
    }

    /// How many others may be in it.
    pub const fn others_max(&self) -> usize {
        match self {
            Self::Direct { .. } => 1,
            Self::Group(_) => GROUP_MEMBERS_MAX,
        }
    }

    /// The first number that its user may see.
    pub const fn first_seq(&self) -> Seq {
        match self {
            Self::Direct { .. } => Seq(1),
            Self::Group(joined) => joined.first_seq,
        }
    }

    /// The membership that a mark is made for, where it may end.
    pub const fn marked_for(&self) -> Option<Seq> {
        match self {
            Self::Direct { .. } => None,
            Self::Group(joined) => Some(joined.first_seq),
        }
    }

    /// Who sets the price of what its user says, and is paid; nobody where messages cost nothing.
    pub fn paid_by(&self) -> Option<&UserId> {
        match self {
            Self::Direct { peer } => Some(peer),
            Self::Group(_) => None,
        }
    }

    /// The blocks that keep its user from writing there.
    pub fn blocks_between(&self, user: &UserId) -> Vec<Key> {
        match self {
            Self::Direct { peer } => vec![Key::block(peer, user), Key::block(user, peer)],
            Self::Group(_) => Vec::new(),
        }
    }

    /// Who is told how far USER is but where they block them: the block that keeps each from being told.
    pub fn blocks_by_others(&self, user: &UserId) -> Vec<Key> {
        match self {
            Self::Direct { peer } => vec![Key::block(peer, user)],
            // What all see in common goes on.
            Self::Group(_) => Vec::new(),
        }
    }
}

/// How far those are in a conversation by whom a message's status goes.
#[derive(Debug)]
pub struct Progress<'a>(Vec<(&'a Participant, Option<&'a Inbox>)>);

impl<'a> Progress<'a> {
    /// From those who are in it, and their INBOXES, as far as there are any.
    pub fn new(id: &ConversationId, participants: &'a [Participant], inboxes: &'a HashMap<Key, Inbox>) -> Self {
        Self(participants.iter().map(|it| (it, inboxes.get(&Key::inbox(&it.user, id)))).collect())
    }

    /// Whose inboxes it goes by.
    pub fn keys(id: &ConversationId, participants: &[Participant]) -> Vec<Key> {
        participants.iter().map(|it| Key::inbox(&it.user, id)).collect()
    }

    /// How far a message has come: as far as with the last of those who may see it and didn't write it.
    fn status(&self, sender: &UserId, seq: Seq) -> Status {
        let others = self.0.iter().filter(|(it, _)| it.user != *sender && it.first_seq <= seq);
        let status = |inbox: Option<&Inbox>| inbox.map_or(Status::Sent, |inbox| inbox.status_of(seq));
        others.map(|(_, inbox)| status(*inbox)).min().unwrap_or(Status::Sent)
    }

    /// A slot of the log as it is shown.
    pub fn message(&self, id: &ConversationId, (seq, item): (Seq, LogItem)) -> Message {
        let status = self.status(&item.sender, seq);
        item.message(id, seq, status)
    }
}
