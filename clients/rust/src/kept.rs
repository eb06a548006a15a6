//! What a device holds of its conversations: docs/protocol.md, "What a client keeps". No network and no clock in here.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use wire::{Conversation, ConversationId, Event, Kind, Message, Seq, Status, UserId};

/// What a device holds of one conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// The number up to which it holds everything since its pages began, if it can name one.
    pub number: Option<Seq>,
    /// Where its pages began, as soon as it can name a number: what is below is history.
    pub began: Option<Seq>,
    /// What it holds; also what came out of order, above its number.
    pub messages: BTreeMap<Seq, Message>,
    /// What it was told of it, if it is a group.
    pub told: Option<Told>,
}

/// What a device was told of a group that its user is in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// The first number that the user may see.
    first: Seq,
    /// Up to here it is to read the history.
    last: Seq,
}

/// What a device holds of its conversations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    conversations: HashMap<ConversationId, Held>,
    /// How often it was told that its user came into a group or has gone. Such a push may be late, and another one have been earlier:
    /// it is a hint to sync again.
    hints: u64,
}

impl Kept {
    /// Each conversation of which it holds something.
    pub fn conversations(&self) -> impl Iterator<Item = (&ConversationId, &Held)> {
        self.conversations.iter().filter(|(_, held)| !held.messages.is_empty())
    }

    /// What it holds of one.
    pub fn held(&self, conversation: &ConversationId) -> Option<&Held> {
        self.conversations.get(conversation)
    }

    /// Its numbers, for a `sync`: at most MAX, those of the conversations where something was said last. What it holds of any other
    /// it forgets: such a conversation comes from its delivered horizon on, and that may be above what is held.
    pub fn since(&mut self, max: usize) -> HashMap<ConversationId, Seq> {
        let last_at = |held: &Held| held.messages.values().map(|message| message.created_at.ms).max();
        let numbered =
            self.conversations.iter().filter_map(|(id, held)| Some((last_at(held), id.clone(), held.number?)));
        let mut numbered: Vec<_> = numbered.collect();
        numbered.sort_by(|one, other| other.cmp(one));
        numbered.truncate(max);
        let since: HashMap<ConversationId, Seq> = numbered.into_iter().map(|(_, id, number)| (id, number)).collect();
        self.conversations.retain(|id, _| since.contains_key(id));
        since
    }

    /// Takes in what was pushed, a page of a `sync`, or one's own message that was answered. Anything else changes nothing.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::MessageNew { message } | Event::MessageSent { message, .. } => {
                let held = self.conversations.entry(message.conversation_id.clone()).or_default();
                // Who writes has read.
                held.reached(&message.sender_id, message.seq, Status::Read);
                held.keep(message);
            }
            Event::SyncPage { conversation_id, messages, error: None, .. } => self.page(conversation_id, messages),
            Event::ConversationCreated { conversation, .. } if conversation.kind == Kind::Group.into() => {
                self.hints += 1;
                let Conversation { conversation_id, first_seq, last_seq, .. } = *conversation;
                self.conversations.entry(conversation_id).or_default().is_told(first_seq, last_seq);
            }
            Event::ConversationLeft { .. } => self.hints += 1,
            Event::MessageStatus { conversation_id, user_id, status, seq, .. } => {
                if let Entry::Occupied(mut held) = self.conversations.entry(conversation_id) {
                    held.get_mut().reached(&user_id, seq, status);
                }
            }
            _ => {}
        }
    }

    /// How often it was told that its user came into a group or has gone: after each it is to sync again.
    pub const fn hints(&self) -> u64 {
        self.hints
    }

    /// A `sync`, in which it was told nothing of the kind, says that its user is out of these groups.
    pub fn left(&mut self, groups: &[ConversationId]) {
        groups.iter().for_each(|id| drop(self.conversations.remove(id)));
    }

    /// Takes in a page that follows on this conversation's number, or begins its pages.
    pub fn page(&mut self, conversation: ConversationId, messages: Vec<Message>) {
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else { return };
        let (first, last) = (first.seq, last.seq);
        let held = self.conversations.entry(conversation).or_default();
        // Behind a number nothing is ever left out, but what its user may not see, who was out of a group meanwhile, or what is kept no
        // more: its pages begin anew.
        if held.number.is_none_or(|number| number.next() < first) {
            held.began = Some(first);
            // What was pushed before may stand below, with something missing in between.
            held.messages.retain(|seq, _| *seq >= first);
        }
        held.number = held.number.max(Some(last));
        for message in messages {
            held.keep(message);
        }
    }

    /// The conversations of which something came out of order, with the number behind which something is missing; without one where
    /// a push came before any page.
    pub fn gaps(&self) -> Vec<(ConversationId, Option<Seq>)> {
        let gap = |(id, held): (&ConversationId, &Held)| held.has_gap().then(|| (id.clone(), held.number));
        self.conversations.iter().filter_map(gap).collect()
    }
}

impl Held {
    /// It is told of a group that its user is in: its pages begin with what the user may see. Of two such the one with the higher number
    /// is the later membership.
    fn is_told(&mut self, first: Seq, last: Seq) {
        let before = self.told.unwrap_or(Told { first: Seq(0), last: Seq(0) });
        if first < before.first {
            return;
        }
        if first > before.first || self.number.is_none() {
            self.messages.retain(|seq, _| *seq >= first);
            (self.number, self.began) = (Some(first.before()), Some(first));
            self.goes_on();
        }
        self.told = Some(Told { first, last: last.max(before.last) });
    }

    /// Keeps a message once, however often it comes. A late push of what stands
    /// before its pages is history: kept, it would stand beside what doesn't follow on it.
    fn keep(&mut self, message: Message) {
        let seq = message.seq;
        if self.began.is_some_and(|began| seq < began) {
            return;
        }
        match self.messages.get_mut(&seq) {
            Some(there) => there.status = there.status.max(message.status),
            None => drop(self.messages.insert(seq, message)),
        }
        self.goes_on();
    }

    /// Its number goes on over what is held without a gap.
    fn goes_on(&mut self) {
        while let Some(next) = self.number.map(Seq::next).filter(|next| self.messages.contains_key(next)) {
            self.number = Some(next);
        }
    }

    /// Whether something is held above the number, or is to be read.
    fn has_gap(&self) -> bool {
        let lacks = self.told.is_some_and(|told| self.number.is_some_and(|number| number < told.last));
        lacks || self.messages.last_key_value().is_some_and(|(last, _)| Some(*last) > self.number)
    }

    /// Everything up to a number that others wrote has come so far with a user.
    fn reached(&mut self, user: &UserId, seq: Seq, status: Status) {
        for message in self.messages.range_mut(..=seq).map(|(_, message)| message) {
            if message.sender_id != *user {
                message.status = message.status.max(status);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Coins, Time};

    fn id(name: &str) -> ConversationId {
        name.parse().expect("an id")
    }

    fn said(name: &str, sender: &str, seq: u64) -> Message {
        Message {
            conversation_id: id(name),
            seq: Seq(seq),
            sender_id: sender.parse().expect("a user id"),
            client_message_id: format!("{sender} {seq}").parse().expect("an id"),
            content: "hi".to_owned(),
            reply_to: None,
            price: Coins(0),
            created_at: Time { ms: seq.cast_signed() },
            status: Status::Sent,
            deleted: false,
        }
    }

    fn push(seq: u64) -> Event {
        Event::MessageNew { message: said("c", "bob", seq) }
    }

    fn page(numbers: impl IntoIterator<Item = u64>) -> Event {
        let messages = numbers.into_iter().map(|seq| said("c", "bob", seq)).collect();
        Event::SyncPage { conversation_id: id("c"), messages, has_more: false, error: None }
    }

    fn taken(events: impl IntoIterator<Item = Event>) -> Kept {
        let mut kept = Kept::default();
        events.into_iter().for_each(|event| kept.take(event));
        kept
    }

    /// The number, and what is held.
    fn held(kept: &Kept) -> (Option<u64>, Vec<u64>) {
        let held = kept.held(&id("c")).expect("something is held");
        (held.number.map(|number| number.0), held.messages.keys().map(|seq| seq.0).collect())
    }

    #[test]
    fn a_push_moves_the_number_by_one_and_what_comes_out_of_order_is_a_gap() {
        let mut kept = taken([page(3..6), push(6), push(8), push(8)]);
        assert_eq!(held(&kept), (Some(6), vec![3, 4, 5, 6, 8]));
        assert_eq!(kept.gaps(), [(id("c"), Some(Seq(6)))]);
        kept.take(push(7));
        assert_eq!((held(&kept), kept.gaps()), ((Some(8), (3..9).collect()), Vec::new()));
    }

    #[test]
    fn what_was_pushed_before_any_page_has_no_number() {
        let mut kept = taken([push(2), push(9)]);
        assert_eq!((held(&kept), kept.gaps()), ((None, vec![2, 9]), vec![(id("c"), None)]));
        kept.page(id("c"), (5..10).map(|seq| said("c", "bob", seq)).collect());
        assert_eq!(held(&kept), (Some(9), (5..10).collect()), "between 2 and 5 something is missing");
    }

    #[test]
    fn what_stands_before_its_pages_is_not_kept() {
        let answer = Event::MessageSent { message: said("c", "ann", 3), duplicate: true, balance: None };
        assert_eq!(held(&taken([page(5..7), push(2), answer, push(7)])), (Some(7), vec![5, 6, 7]));
    }

    #[test]
    fn a_late_page_takes_nothing_back() {
        let mut kept = taken([page(2..6), push(6), page(1..4)]);
        assert_eq!(held(&kept), (Some(6), (2..7).collect()));
        kept.page(id("c"), Vec::new());
        assert_eq!(held(&kept), (Some(6), (2..7).collect()));
    }

    #[test]
    fn what_can_t_be_read_now_keeps_its_number() {
        let error = wire::ErrorObject {
            code: wire::Code::Unavailable.into(),
            message: String::new(),
            retryable: true,
            details: None,
        };
        let none =
            Event::SyncPage { conversation_id: id("c"), messages: Vec::new(), has_more: false, error: Some(error) };
        assert_eq!(held(&taken([page(1..3), none])), (Some(2), vec![1, 2]));
    }

    #[test]
    fn a_status_only_goes_on_and_who_writes_has_read() {
        let status = |status, seq| Event::MessageStatus {
            conversation_id: id("c"),
            user_id: "ann".parse().expect("a user id"),
            status,
            seq: Seq(seq),
            at: Time { ms: 0 },
        };
        let mut kept = taken([page(1..4), status(Status::Read, 1), status(Status::Delivered, 2), page(1..4)]);
        let of = |kept: &Kept| -> Vec<Status> {
            kept.held(&id("c")).into_iter().flat_map(|held| held.messages.values()).map(|it| it.status).collect()
        };
        assert_eq!(of(&kept), [Status::Read, Status::Delivered, Status::Sent]);
        kept.take(Event::MessageNew { message: said("c", "ann", 4) });
        assert_eq!(of(&kept), [Status::Read, Status::Read, Status::Read, Status::Sent]);
    }

    #[test]
    fn what_a_sync_can_t_name_is_forgotten() {
        let mut kept = taken([page(1..4)]);
        for (name, seq) in [("old", 2), ("new", 9)] {
            kept.page(id(name), vec![said(name, "bob", seq)]);
        }
        kept.take(Event::MessageNew { message: said("unnumbered", "bob", 99) });
        let since = kept.since(2);
        assert_eq!(since, HashMap::from([(id("new"), Seq(9)), (id("c"), Seq(3))]));
        assert!(kept.held(&id("old")).is_none() && kept.held(&id("unnumbered")).is_none());
    }

    /// Ann is in a group, from FIRST on, and the last number is LAST.
    fn created(first: u64, last: u64) -> Event {
        let ann: UserId = "ann".parse().expect("a user id");
        let conversation = Conversation {
            conversation_id: id("c"),
            kind: Kind::Group.into(),
            participants: vec![ann.clone()],
            participant_count: 1,
            role: None,
            name: None,
            avatar: None,
            created_by: ann,
            created_at: Time { ms: 0 },
            first_seq: Seq(first),
            last_seq: Seq(last),
            last_message: None,
            last_activity_at: Time { ms: 0 },
            read_seq: Seq(0),
            delivered_seq: Seq(0),
            unread: 0,
            price: Coins(0),
            muted: false,
            muted_until: None,
            blocked: false,
        };
        Event::ConversationCreated { conversation: Box::new(conversation), created: true }
    }

    #[test]
    fn who_comes_into_a_group_reads_from_the_first_number_to_the_last_that_was_told() {
        let mut kept = taken([push(7), created(5, 6)]);
        assert_eq!((held(&kept), kept.gaps()), ((Some(4), vec![7]), vec![(id("c"), Some(Seq(4)))]));
        kept.page(id("c"), (5..7).map(|seq| said("c", "bob", seq)).collect());
        assert_eq!((held(&kept), kept.gaps()), ((Some(7), vec![5, 6, 7]), Vec::new()));
        kept.take(created(5, 7));
        kept.take(created(2, 4));
        assert_eq!((held(&kept), kept.gaps()), ((Some(7), vec![5, 6, 7]), Vec::new()), "the same, and a late one");
        kept.take(created(9, 8));
        assert_eq!((held(&kept), kept.gaps()), ((Some(8), vec![]), Vec::new()), "another membership");
    }

    #[test]
    fn coming_and_going_are_hints_and_a_sync_says_who_is_out() {
        let by = "bob".parse().expect("a user id");
        let mut kept = taken([created(1, 0), push(1), Event::ConversationLeft { conversation_id: id("c"), by }]);
        assert_eq!((held(&kept), kept.hints()), ((Some(1), vec![1]), 2), "it may be a late one");
        kept.left(&[id("c"), id("unknown")]);
        assert_eq!((kept.held(&id("c")), kept.hints()), (None, 2));
    }

    #[test]
    fn a_page_that_leaves_something_out_begins_anew() {
        let kept = taken([page(1..4), page(7..9)]);
        assert_eq!((held(&kept), kept.gaps()), ((Some(8), vec![7, 8]), Vec::new()));
    }
}
