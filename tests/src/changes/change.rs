//! What changes a message: `editMessage`, `react`, `deleteMessage` for everyone.

use super::configurations::{Role, What};
use super::mutants::Mutant;
use super::state::{Process, State};
use super::step::{Place, Step, Work};
use super::store::{Fault, Item, Member, has};
use super::write::{Change, Write};

impl Process<'_> {
    fn asked(&self) -> (u8, u8, What) {
        match self.role() {
            Role::Change { request, n, what } => (request, n, what),
            _ => (0, 1, What::Edit),
        }
    }

    /// Where it begins, and begins again.
    pub(super) fn change_again(&self, refused: bool) -> Step {
        match self.configuration.archives() {
            true => Step::Meta { refused },
            false => Step::Read { refused, place: Place::Log },
        }
    }

    /// Where the message is. Whose write was refused asks again: it may be moving by now.
    pub(super) fn change_meta(&mut self, refused: bool) {
        let place = if self.is(Mutant::MovingChanged) { Place::Log } else { self.db().place() };
        self.read(Step::Read { refused, place }, || format!("reads META: {place:?}"));
    }

    /// Who reads the item looks first whether it remembers the request: then it was applied.
    pub(super) fn change_read(&mut self, refused: bool, place: Place) {
        let (_, n, _) = self.asked();
        let item = *self.db().item(n);
        match (place, self.db().overlay) {
            (Place::Log, _) if item.gone => {
                self.read(Step::Meta { refused }, || "finds that the message is gone".to_owned());
            }
            (Place::Log, _) => self.change_seen(item, refused, Step::Write { seen: item.version.rev, over: false }),
            (_, Some(item)) => self.change_seen(item, refused, Step::Write { seen: item.version.rev, over: true }),
            _ => self.read(Step::Base { refused, place }, || "reads the overlay: there is none".to_owned()),
        }
        if self.is(Mutant::ChangeReadWeak) {
            self.change_seen(Item::default(), refused, Step::Write { seen: 0, over: false });
        }
    }

    /// What the first overlay is made from. LOG is frozen before.
    pub(super) fn change_base(&mut self, refused: bool, place: Place) {
        let (log, object) = (*self.db().item(1), self.db().object);
        match (place, object) {
            (Place::Archive, Some(item)) => self.change_seen(item, refused, Step::OverlayPut(item)),
            _ if log.gone => self.read(Step::Meta { refused }, || "finds that the message is gone".to_owned()),
            _ if self.is(Mutant::Unfrozen) => self.change_seen(log, refused, Step::OverlayPut(log)),
            _ => self.change_seen(log, refused, Step::Freeze(log)),
        }
    }

    pub(super) fn freeze(&mut self, item: Item) {
        let rev = item.version.rev;
        self.write(
            Write::Freeze { rev },
            |_, made| {
                if made { Step::OverlayPut(item) } else { Step::Meta { refused: true } }
            },
        );
    }

    pub(super) fn overlay_put(&mut self, base: Item) {
        let (request, n, what) = self.asked();
        let seen = base.version.rev;
        let change = Change { n, seen, request, deletes: what == What::Delete, named: what.named(), over: true };
        let work = Work { over: true, ..Work::of(n, change.becomes(base.version)) };
        let next = self.effects(work);
        self.write(
            Write::OverlayPut { change, base },
            |_, made| if made { next } else { Step::Meta { refused: true } },
        );
    }

    fn change_seen(&mut self, item: Item, refused: bool, write: Step) {
        let (request, n, what) = self.asked();
        let unasked = refused && self.is(Mutant::RefusedUnasked);
        let late = self.is(Mutant::ComparedFirst);
        let remembered = has(item.requests, request) && !unasked;
        let deleted = item.version.deleted && !self.is(Mutant::ChangeOfDeleted);
        let changed = what.named().is_some_and(|named| named != item.version.rev);
        let over = matches!(write, Step::Write { over: true, .. });
        let again = match item.listed {
            true => self.effects(Work { over, ..Work::of(n, item.version) }),
            false => Step::Ended,
        };
        let ignores = self.is(Mutant::NamedIgnored);
        let words = || format!("reads message {n}: {}, remembered {remembered}", item.version);
        self.step(words, |state| match () {
            () if remembered && !late => again,
            // Deleting it again is answered as the first time.
            () if deleted && what == What::Delete => Step::Ended,
            () if deleted || changed && !ignores => refuse(state, request, n, what),
            () if remembered => again,
            () => write,
        });
    }

    pub(super) fn change_write(&mut self, seen: u8, over: bool) {
        let (request, n, what) = self.asked();
        let change = Change { n, seen, request, deletes: what == What::Delete, named: what.named(), over };
        let before = self.db().overlay.filter(|_| over).unwrap_or(*self.db().item(n)).version;
        if what.named().is_some_and(|named| named > before.rev) {
            // Nobody names a `rev` before it is there.
            return;
        }
        let work = Work { over, ..Work::of(n, change.becomes(before)) };
        let next = if self.is(Mutant::ListedAfter) { Step::List(work) } else { self.effects(work) };
        let again = self.change_again(true);
        self.write(Write::Change(change), |_, made| if made { next } else { again });
    }
}

impl Process<'_> {
    /// B is removed; or is in again, and sees the second message and what follows. What becomes of MEMBER then, and what B is
    /// told, `membership` shows.
    pub(super) fn membership(&mut self) {
        let member = match self.role() {
            Role::Remove => Member { joined: false, ..self.db().member },
            _ => Member { joined: true, first_seq: 2 },
        };
        let may = member.joined != self.db().member.joined;
        if may {
            self.step(
                || format!("MEMBER: {member}"),
                |state| {
                    state.db.member = member;
                    Step::Ended
                },
            );
        }
    }
}

/// A change is refused for good: `message_changed`, or `not_found`.
fn refuse(state: &mut State, request: u8, n: u8, what: What) -> Step {
    let version = state.db.shown(n);
    if has(state.history.applied, request) {
        state.history.fault = Some(Fault::RefusedThoughApplied);
    } else if what.named() == Some(version.rev) && !version.deleted {
        state.history.fault = Some(Fault::RefusedThoughSame);
    }
    Step::Ended
}
