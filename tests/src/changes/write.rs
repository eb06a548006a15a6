//! The conditional writes. Stands for what `shared::store` will have; each is one step.

use std::fmt;

use super::mutants::Mutant;
use super::store::{Db, Fault, History, Item, has};

/// A change of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) n: u8,
    /// The `rev` that was read, or that the caller named.
    pub(super) seen: u8,
    pub(super) request: u8,
    pub(super) deletes: bool,
    /// The `rev` that the caller named. Of no condition: a check goes by it.
    pub(super) named: Option<u8>,
    /// Whether it is the overlay that is changed.
    pub(super) over: bool,
}

/// A conditional write, on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Write {
    /// If `rev` is this one, and the message is neither deleted nor frozen; it is listed in the same write.
    Change(Change),
    /// Only of a mutant: the message is listed.
    List { n: u8 },
    /// An entry of the feed, if it isn't there.
    FeedPut { at: u8, n: u8 },
    /// An entry of the feed is deleted.
    Trim { at: u8 },
    /// `last_change` forward.
    Last { whose: usize, at: u8 },
    /// The message leaves the index, if its `rev` is the one whose effects were done.
    Unlist { n: u8, rev: u8, over: bool },
    /// LOG isn't changed any more, if `rev` is this one.
    Freeze { rev: u8 },
    /// The first overlay, with the change, if there is none.
    OverlayPut { change: Change, base: Item },
    /// META says that the first number is moving.
    Announce,
    /// The archive's object.
    Object(Item),
    /// META says that the archive has it.
    Moved,
    /// LOG goes, if it is as the object has it.
    LogDelete,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(Change { n, seen, request, .. }) => {
                write!(f, "request {request}'s change of message {n} from rev {seen}")
            }
            Self::List { n } => write!(f, "that message {n} is listed"),
            Self::FeedPut { at, n } => write!(f, "the put of CHANGE {at}, message {n},"),
            Self::Trim { at } => write!(f, "the deletion of CHANGE {at}"),
            Self::Last { whose, at } => write!(f, "{}'s last_change to {at}", ["B", "A"][*whose]),
            Self::Freeze { rev } => write!(f, "that message 1 is frozen at rev {rev}"),
            Self::OverlayPut { change, base } => {
                write!(f, "the overlay with request {}, from {},", change.request, base.version)
            }
            Self::Announce => f.write_str("META's `moving`"),
            Self::Object(item) => write!(f, "the object, {},", item.version),
            Self::Moved => f.write_str("META's `first_seq`"),
            Self::LogDelete => f.write_str("the deletion of message 1"),
            Self::Unlist { n, rev, .. } => write!(f, "that message {n} leaves the index at rev {rev}"),
        }
    }
}

impl Db {
    /// Applies a write if its condition holds; says whether it did.
    pub(super) fn apply(&mut self, write: Write, history: &mut History, mutant: Option<Mutant>) -> bool {
        let is = |other: Mutant| mutant == Some(other);
        match write {
            Write::Change(change) => self.change(change, history, mutant),
            Write::List { n } => {
                self.item_mut(n).listed = true;
                true
            }
            Write::FeedPut { at, n } => {
                let slot = &mut self.feed[usize::from(at) - 1];
                let made = *slot == 0 || is(Mutant::FeedPutOverwrites);
                if made {
                    *slot = n;
                }
                made
            }
            Write::Trim { at } => {
                self.feed[usize::from(at) - 1] = 0;
                true
            }
            Write::Last { whose, at } => {
                let last = &mut self.last_change[whose];
                let made = *last < at || is(Mutant::LastChangeBackwards);
                if made {
                    *last = at;
                }
                made
            }
            Write::Unlist { n, rev, over } => {
                let overlay = self.overlay.as_mut().filter(|_| over);
                let item = match overlay {
                    Some(item) => item,
                    None => self.item_mut(n),
                };
                let made = item.version.rev == rev || is(Mutant::UnlistAnyRev);
                item.listed &= !made;
                made
            }
            of_archive => self.apply_archive(of_archive, history, mutant),
        }
    }

    /// The same of the archive.
    fn apply_archive(&mut self, write: Write, history: &mut History, mutant: Option<Mutant>) -> bool {
        let is = |other: Mutant| mutant == Some(other);
        match write {
            Write::Freeze { rev } => {
                let item = self.item_mut(1);
                let made = !item.gone && (item.version.rev == rev || is(Mutant::FreezeAnyRev));
                item.frozen |= made;
                made
            }
            Write::OverlayPut { change, base } => {
                if self.overlay.is_some() && !is(Mutant::OverlayOverwrites) {
                    return false;
                }
                let taken = self.shown(1).rev.max(self.item(1).version.rev);
                let mut item = Item { frozen: false, gone: false, ..base };
                item.changed(change, history, mutant);
                if taken >= item.version.rev {
                    history.fault = Some(Fault::OneRev);
                }
                self.overlay = Some(item);
                true
            }
            Write::Announce => {
                let made = !self.moving;
                self.moving = true;
                made
            }
            Write::Object(item) => {
                let requests = if is(Mutant::ObjectForgets) { 0 } else { item.requests };
                self.object = Some(Item { requests, listed: false, ..item });
                true
            }
            Write::Moved => {
                let made = !self.moved;
                self.moved = true;
                made
            }
            _ => {
                let object = self.object;
                let item = self.item_mut(1);
                let same = object.is_some_and(|object| object.version == item.version);
                let made = !item.gone && (same && !item.listed || is(Mutant::ListedMoved) || is(Mutant::DeletedAnyRev));
                item.gone |= made;
                made
            }
        }
    }

    fn change(&mut self, change: Change, history: &mut History, mutant: Option<Mutant>) -> bool {
        let is = |other: Mutant| mutant == Some(other);
        let Change { n, seen, over, .. } = change;
        let visible = self.member.sees(n);
        let highest = self.overlay.filter(|_| n == 1).map_or(0, |item| item.version.rev);
        let overlay = self.overlay.as_mut().filter(|_| over);
        let item = match overlay {
            Some(item) => item,
            None => self.item_mut(n),
        };
        let same = item.version.rev == seen || is(Mutant::ChangeAnyRev);
        let deleted = item.version.deleted && !is(Mutant::ChangeOfDeleted);
        let frozen = item.gone || item.frozen && !is(Mutant::FrozenUnasked);
        if !same || deleted || frozen {
            return false;
        }
        item.changed(change, history, mutant);
        if !over && highest > seen {
            history.fault = Some(Fault::OneRev);
        }
        if !visible {
            history.barred |= 1 << change.request;
        }
        true
    }
}

impl Item {
    /// The item with a change, whose condition holds.
    fn changed(&mut self, change: Change, history: &mut History, mutant: Option<Mutant>) {
        let is = |other: Mutant| mutant == Some(other);
        let Change { seen, request, named, .. } = change;
        let before = self.version;
        history.fault = match () {
            () if has(history.applied, request) => Some(Fault::AppliedTwice),
            () if seen != before.rev => Some(Fault::OneRev),
            () if before.deleted => Some(Fault::Undeleted),
            () if named.is_some_and(|named| named != before.rev) => Some(Fault::Compared),
            () => history.fault,
        };
        history.applied |= 1 << request;
        self.version = change.becomes(before);
        self.listed |= !is(Mutant::ListedAfter);
        if !is(Mutant::ChangeForgotten) {
            self.requests |= 1 << request;
        }
    }
}
