//! What follows from a change, and anybody may repeat: the feed, `last_change`, the push, the index; and the sweep.

use super::configurations::Role;
use super::mutants::Mutant;
use super::state::Process;
use super::step::{Step, Work};
use super::store::{A, B};
use super::write::Write;

/// One of the effects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Feed,
    Last,
    Member,
    Push,
    Unlist,
}

impl Process<'_> {
    /// One after the other.
    const fn order(&self) -> [Effect; 5] {
        use Effect::{Feed, Last, Member, Push, Unlist};
        match self.mutant {
            Some(Mutant::ChangeUnlistedFirst) => [Unlist, Feed, Last, Member, Push],
            Some(Mutant::ChangeUnlistedBeforePush) => [Feed, Last, Unlist, Member, Push],
            Some(Mutant::PushBeforeLast) => [Feed, Member, Push, Last, Unlist],
            Some(Mutant::MemberFirst) => [Member, Feed, Last, Push, Unlist],
            _ => [Feed, Last, Member, Push, Unlist],
        }
    }

    const fn begin(&self, effect: Effect, work: Work) -> Step {
        match effect {
            Effect::Feed => Step::FeedTail(work),
            Effect::Last => Step::Last(work, B),
            Effect::Member => Step::Member(work),
            Effect::Push => Step::Presence(work),
            Effect::Unlist => Step::Unlist(work),
        }
    }

    /// Where the effects begin.
    pub(super) const fn effects(&self, work: Work) -> Step {
        self.begin(self.order()[0], work)
    }

    /// What comes next: MEMBER is asked only in a group, and who may not see the message isn't pushed it.
    fn after(&self, effect: Effect, work: Work) -> Step {
        let asks = self.configuration.members && !self.is(Mutant::MemberUnasked);
        let due = |effect: &Effect| match effect {
            Effect::Member => asks,
            Effect::Push => !work.unseen,
            _ => true,
        };
        let mut order = self.order().into_iter().skip_while(|other| *other != effect).skip(1).filter(due);
        order.next().map_or(Step::Ended, |effect| self.begin(effect, work))
    }

    /// One strong query, descending: the entry above the highest was missing after the change was made.
    pub(super) fn feed_tail(&mut self, work: Work) {
        let db = self.db();
        let tail = db.feed_tail();
        if self.is(Mutant::FeedFromLastChange) {
            let last = db.last_change[if self.configuration.group { B } else { A }];
            return self.read(Step::FeedPut(work, last + 1), || format!("reads last_change: {last}"));
        }
        if self.is(Mutant::FeedFirstMissing) {
            let first = db.feed.iter().position(|n| *n == 0).map_or(1, |at| at as u8 + 1);
            return self.read(Step::FeedPut(work, first), || format!("reads the first entry that is missing: {first}"));
        }
        let same = tail > 0 && db.entry(tail) == work.n;
        let mut next = Step::FeedPut(work, tail + 1);
        if self.is(Mutant::HighestWillDo) && same {
            next = self.after(Effect::Feed, Work { entry: tail, ..work });
        }
        if self.is(Mutant::LastBeforeFeed) {
            next = Step::LastEarly(work, tail + 1);
        }
        self.read(next, || format!("reads the highest entry of the feed: {tail}"));
        if self.is(Mutant::FeedTailWeak) && tail > 0 {
            self.read(Step::FeedPut(work, tail), || {
                format!("reads the highest entry of the feed, weakly: {}", tail - 1)
            });
        }
    }

    /// A slot that is taken by the same number will do: it was missing when the change was made.
    pub(super) fn feed_put(&mut self, work: Work, at: u8) {
        let next = self.after(Effect::Feed, Work { entry: at, ..work });
        let on =
            if self.is(Mutant::LastBeforeFeed) { Step::LastEarly(work, at + 1) } else { Step::FeedPut(work, at + 1) };
        let any = self.is(Mutant::TakenByAny);
        self.write(Write::FeedPut { at, n: work.n }, |state, made| {
            let done = made || any || state.db.entry(at) == work.n;
            if done { next } else { on }
        });
    }

    pub(super) fn last(&mut self, work: Work, whose: usize) {
        let other = whose == B && !self.configuration.group;
        let next = if other { Step::Last(work, A) } else { self.after(Effect::Last, work) };
        self.write(Write::Last { whose, at: work.entry }, |_, _| next);
    }

    /// Only of a mutant.
    pub(super) fn last_early(&mut self, work: Work, at: u8) {
        self.write(Write::Last { whose: B, at }, |_, _| Step::FeedPut(work, at));
    }

    /// B's own: who is told goes by what is read after the message.
    pub(super) fn member(&mut self, work: Work) {
        let member = self.db().member;
        let below = self.is(Mutant::ChangePushedBelow);
        let unseen = !member.joined || member.first_seq > work.n && !below;
        let again = if self.is(Mutant::PushReadAgain) { Step::Again(work) } else { self.after(Effect::Member, work) };
        let next = if unseen { self.after(Effect::Member, Work { unseen, ..work }) } else { again };
        self.read(next, || format!("reads MEMBER: {member}"));
    }

    /// Only of a mutant: the message once more, for the push.
    pub(super) fn again(&mut self, work: Work) {
        let version = self.db().item(work.n).version;
        let next = self.after(Effect::Member, Work { version, ..work });
        self.read(next, || format!("reads message {} again: {version}", work.n));
    }

    pub(super) fn presence(&mut self, work: Work) {
        let connection = self.db().connection;
        let none = self.after(Effect::Push, work);
        let next = if connection == 0 { none } else { Step::Push(work, connection) };
        self.read(next, || format!("reads PRESENCE: connection {connection}"));
        if self.is(Mutant::PresenceWeak) && connection > 0 {
            self.read(none, || "reads PRESENCE, weakly: nobody".to_owned());
        }
    }

    /// A push to a connection that is lost comes to nobody.
    pub(super) fn push(&mut self, work: Work, connection: u8) {
        let next = self.after(Effect::Push, work);
        let (any, drops) = (self.is(Mutant::LastToArrive), self.is(Mutant::UnheldDropped));
        let moves = self.is(Mutant::CursorOfPush);
        let words = || format!("pushes message {}: {}", work.n, work.version);
        self.step(words, |state| {
            if state.db.connection != connection {
                return next;
            }
            let held = &mut state.device.holds[usize::from(work.n) - 1];
            if any {
                held.version = work.version;
            }
            if !drops || held.shown {
                state.take(work.n, work.version);
            }
            if let Some(cursor) = state.device.cursor.as_mut().filter(|_| moves) {
                cursor.place = cursor.place.max(work.entry);
            }
            next
        });
    }

    pub(super) fn unlist(&mut self, work: Work) {
        let next = self.after(Effect::Unlist, work);
        self.write(Write::Unlist { n: work.n, rev: work.version.rev, over: work.over }, |_, _| next);
    }

    /// The index proposes what it likes: it may be behind.
    pub(super) fn sweep(&mut self) {
        let Role::Sweep { n } = self.role() else { return };
        let log = *self.db().item(n);
        let over = self.db().overlay.filter(|item| n == 1 && item.listed);
        let item = over.unwrap_or(log);
        let listed = item.listed && !item.gone;
        let work = Work { over: over.is_some(), ..Work::of(n, item.version) };
        let next = if listed { self.effects(work) } else { Step::Ended };
        self.read(next, || format!("reads message {n}: {}, listed {listed}", item.version));
    }
}
