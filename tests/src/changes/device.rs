//! A device of B's: it connects, syncs, and waits; its connection may be lost.

use super::mutants::Mutant;
use super::state::{Process, State};
use super::step::{Place, Step, Sync};
use super::store::{B, Cursor, MESSAGES, Version};

/// Only of a mutant: so many entries are looked for beyond `last_change`.
const READ_ON: u8 = 3;

impl Process<'_> {
    pub(super) fn connect(&mut self) {
        let first = match self.mutant {
            Some(Mutant::MessagesFirst) => Step::SyncEarly,
            Some(Mutant::ChangeSyncMemberFirst) => Step::SyncMemberEarly,
            Some(Mutant::FeedBeforeLast) if self.state.device.cursor.is_some() => Step::SyncFeedFirst,
            Some(Mutant::SyncMetaFirst) => Step::SyncMeta(Sync::default()),
            _ => Step::SyncLast(Sync::default()),
        };
        self.step(
            || "connects".to_owned(),
            |state| {
                state.device.connections += 1;
                state.db.connection = state.device.connections;
                first
            },
        );
    }

    /// The connection is lost, and with it what was on its way.
    fn lose(&mut self) {
        if self.state.device.losses > 0 {
            self.step(
                || "loses its connection".to_owned(),
                |state| {
                    state.device.losses -= 1;
                    state.device.synced = false;
                    state.db.connection = 0;
                    Step::Connect
                },
            );
        }
    }

    pub(super) fn waiting(&mut self) {
        self.lose();
    }

    /// Only of a mutant.
    pub(super) fn sync_early(&mut self) {
        let read = std::array::from_fn(|at| Some(self.db().log[at].version));
        self.read(Step::SyncLast(Sync { read, ..Sync::default() }), || "sync: reads the messages".to_owned());
    }

    /// Only of a mutant.
    pub(super) fn sync_member_early(&mut self) {
        let member = self.db().member;
        let next = Step::SyncLast(Sync { member: Some(member), ..Sync::default() });
        self.read(next, || format!("sync: reads MEMBER: {member}"));
    }

    /// Only of a mutant.
    pub(super) fn sync_feed_first(&mut self) {
        let to = self.db().feed_tail();
        let from = self.state.device.cursor.map_or(0, |cursor| cursor.place);
        let mut sync = Sync::default();
        for at in from + 1..=to {
            sync.brings(self.db().entry(at), at);
        }
        self.read(Step::SyncLastAfter(sync), || format!("sync: reads the feed from {from} to {to}"));
    }

    /// Only of a mutant.
    pub(super) fn sync_last_after(&mut self, sync: Sync) {
        let to = self.db().last_change[B];
        self.fed(Sync { to, ..sync }, || format!("sync: reads last_change: {to}"));
    }

    pub(super) fn sync_last(&mut self, sync: Sync) {
        let last = self.db().last_change[B];
        self.sync_to(last, sync);
        if self.is(Mutant::SyncLastWeak) && last > 0 {
            self.sync_to(last - 1, sync);
        }
    }

    /// A device that holds nothing reads all messages, any other the feed: who names no cursor is at place 0.
    fn sync_to(&mut self, to: u8, sync: Sync) {
        let sync = Sync { to, ..sync };
        let words = || format!("sync: reads last_change: {to}");
        let nowhere = if self.is(Mutant::NoCursorIsNow) { to } else { 0 };
        match self.state.device.cursor.map_or(nowhere, |cursor| cursor.place) {
            _ if !self.state.device.holds_any() => self.read(self.reading(Sync { paged: true, ..sync }), words),
            from if from < to || self.is(Mutant::FeedToItsEnd) => self.read(Step::SyncFeed(sync, from + 1), words),
            _ => self.fed(sync, words),
        }
    }

    /// From the cursor to `last_change`, and no further. Each entry at a moment of its own: a query is no snapshot. Where one
    /// is missing all is read again.
    pub(super) fn sync_feed(&mut self, mut sync: Sync, at: u8) {
        let n = self.db().entry(at);
        let words = || match n {
            0 => format!("sync: reads CHANGE {at}: nothing"),
            n => format!("sync: reads CHANGE {at}: message {n}"),
        };
        if n == 0 && at <= sync.to && !self.is(Mutant::MissingIgnored) {
            return self.reset(sync, || format!("sync: CHANGE {at} is missing"));
        }
        sync.brings(n, at);
        let (mut end, last) = (sync.to, sync.to);
        if self.is(Mutant::FeedToItsEnd) {
            end = last.max(READ_ON);
            sync.to = if n == 0 { last } else { last.max(at) };
        }
        if at < end {
            return self.read(Step::SyncFeed(sync, at + 1), words);
        }
        if self.is(Mutant::CursorAhead) {
            sync.frames = sync.frames.map(|frame| Some((frame?.0, sync.to)));
        }
        self.fed(sync, words);
    }

    /// The feed is read.
    fn fed(&mut self, sync: Sync, words: impl FnOnce() -> String) {
        let members = self.configuration.members;
        let reading = self.reading(sync);
        self.step(words, |state| match sync.frames[0] {
            Some(_) => reading,
            None if members => Step::SyncMember(sync),
            None => synced(state, sync),
        });
    }

    /// The device forgets what it shows, and its cursor, but no `rev`; and reads the messages again.
    fn reset(&mut self, sync: Sync, words: impl FnOnce() -> String) {
        let forgets = self.is(Mutant::ResetForgetsRev);
        let next = self.reading(Sync { to: sync.to, paged: true, member: sync.member, ..Sync::default() });
        self.step(words, |state| {
            forget(state, forgets);
            next
        });
    }

    /// Where the reading of messages begins: META says where they are.
    fn reading(&self, sync: Sync) -> Step {
        match sync.place {
            None if self.configuration.archives() => Step::SyncMeta(sync),
            Some(Place::Moving) if self.is(Mutant::OverlayOfArchived) => items(sync),
            Some(Place::Moving | Place::Archive) if !self.is(Mutant::OverlayUnread) => Step::SyncOver(sync),
            _ => items(sync),
        }
    }

    pub(super) fn sync_meta(&mut self, sync: Sync) {
        let place = self.db().place();
        let sync = Sync { place: Some(place), ..sync };
        let early = self.is(Mutant::SyncMetaFirst);
        let next = if early { Step::SyncLast(sync) } else { self.reading(sync) };
        self.read(next, || format!("sync: reads META: {place:?}"));
    }

    pub(super) fn sync_over(&mut self, sync: Sync) {
        let over = self.db().overlay.map(|item| item.version);
        self.read(items(Sync { over, ..sync }), || format!("sync: reads the overlay: {over:?}"));
    }

    /// A message from LOG, or the archive; with its overlay.
    fn sync_item(&self, sync: Sync, n: u8) -> Version {
        let (log, object) = (self.db().item(n), self.db().object);
        let archived = n == 1 && (sync.place == Some(Place::Archive) || log.gone);
        let base = object.filter(|_| archived).map_or(log.version, |item| item.version);
        sync.over.filter(|_| n == 1).unwrap_or(base)
    }

    /// Each message that has changed, each at a moment of its own.
    pub(super) fn sync_messages(&mut self, sync: Sync, at: usize) {
        let Some((n, _)) = sync.frames[at] else { return };
        let version = self.sync_item(sync, n);
        self.sync_message(sync, at, sync.read[usize::from(n) - 1].unwrap_or(version));
        if self.is(Mutant::MessagesWeak) {
            self.sync_message(sync, at, Version::default());
        }
    }

    fn sync_message(&mut self, mut sync: Sync, at: usize, version: Version) {
        let Some((n, _)) = sync.frames[at] else { return };
        sync.read[usize::from(n) - 1] = Some(version);
        let more = sync.frames.get(at + 1).is_some_and(Option::is_some);
        let next = match more {
            true => Step::SyncMessages(sync, at + 1),
            false if self.configuration.members => Step::SyncMember(sync),
            false => Step::SyncFrames(sync),
        };
        self.read(next, || format!("sync: reads message {n}: {version}"));
    }

    pub(super) fn sync_page(&mut self, mut sync: Sync, n: u8) {
        let version = self.sync_item(sync, n);
        sync.read[usize::from(n) - 1] = sync.read[usize::from(n) - 1].or(Some(version));
        let next = match n < self.configuration.messages {
            true => Step::SyncPage(sync, n + 1),
            false if self.configuration.members => Step::SyncMember(sync),
            false => Step::SyncTake(sync),
        };
        self.read(next, || format!("sync: reads message {n}: {version}"));
    }

    /// Who is out is brought nothing; who is in again begins anew.
    pub(super) fn sync_member(&mut self, sync: Sync) {
        let member = sync.member.unwrap_or(self.db().member);
        let words = || format!("sync: reads MEMBER: {member}");
        let first_seq = member.first_seq;
        let of = self.state.device.cursor.map_or(1, |cursor| cursor.first_seq);
        if member.joined && !sync.paged && of != first_seq && !self.is(Mutant::CursorOfAnyMembership) {
            return self.reset(sync, words);
        }
        let sync = Sync { first_seq: if self.is(Mutant::ChangeSyncedBelow) { 1 } else { first_seq }, ..sync };
        self.step(words, |state| {
            state.device.knows = if member.joined { first_seq } else { 0 };
            match sync.frames[0] {
                _ if !member.joined => {
                    forget(state, false);
                    state.device.synced = true;
                    Step::Waiting
                }
                _ if sync.paged => Step::SyncTake(sync),
                Some(_) => Step::SyncFrames(sync),
                None => synced(state, sync),
            }
        });
    }

    /// One after the other comes, each with its cursor.
    pub(super) fn sync_frames(&mut self, mut sync: Sync) {
        let Some((n, place)) = sync.frames[0] else { return };
        let version = sync.read[usize::from(n) - 1].filter(|_| n >= sync.first_seq);
        sync.frames = [sync.frames[1], None];
        let words = || format!("sync: brings message {n}, and the cursor {place}");
        self.step(words, |state| {
            if let Some(version) = version {
                state.take(n, version);
            }
            state.device.cursor = Some(Cursor { place, first_seq: sync.first_seq });
            if sync.frames[0].is_none() { synced(state, sync) } else { Step::SyncFrames(sync) }
        });
        self.lose();
    }

    /// The page may be older than a change that was pushed since.
    pub(super) fn sync_take(&mut self, sync: Sync) {
        let words = || format!("sync: brings the page, and the cursor {}", sync.to);
        self.step(words, |state| {
            for n in sync.first_seq..=MESSAGES as u8 {
                let Some(version) = sync.read[usize::from(n) - 1] else { continue };
                state.take(n, version);
                state.device.holds[usize::from(n) - 1].shown = true;
            }
            synced(state, sync)
        });
        self.lose();
    }
}

/// The messages, all or those that have changed.
const fn items(sync: Sync) -> Step {
    if sync.paged { Step::SyncPage(sync, 1) } else { Step::SyncMessages(sync, 0) }
}

/// A `sync` is answered.
fn synced(state: &mut State, sync: Sync) -> Step {
    state.device.synced = true;
    state.device.cursor = Some(Cursor { place: sync.to, first_seq: sync.first_seq });
    Step::Waiting
}

/// A device forgets what it shows.
fn forget(state: &mut State, revs: bool) {
    state.device.cursor = None;
    for held in &mut state.device.holds {
        held.shown = false;
        if revs {
            held.version = Version::default();
        }
    }
}
