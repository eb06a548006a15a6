//! The cleanup of the feed: the last entries stay, and what was put before them goes.

use super::mutants::Mutant;
use super::state::{Process, State};
use super::step::Step;
use super::write::Write;

/// How many entries stay. The real cleanup leaves a thousand.
pub(super) const KEPT: u8 = 1;

impl Process<'_> {
    /// The first entry, and the highest.
    pub(super) fn trim(&mut self) {
        let db = self.db();
        let kept = if self.is(Mutant::TrimHighest) { 0 } else { KEPT };
        let to = db.feed_tail().saturating_sub(kept);
        let from = (1..=to).find(|at| db.entry(*at) != 0);
        let next = from.map_or(Step::Ended, |at| Step::TrimEntry { at, to });
        self.read(next, || format!("reads the feed: entries up to {to} may go"));
    }

    /// One after the other, and only when nobody is left who looked for the highest entry before this one was put: the real
    /// cleanup waits for so long.
    pub(super) fn trim_entry(&mut self, at: u8, to: u8) {
        if may_fill(self.state, at) && !self.is(Mutant::TrimSoon) {
            return;
        }
        let next = if at < to { Step::TrimEntry { at: at + 1, to } } else { Step::Ended };
        self.write(Write::Trim { at }, |_, _| next);
    }
}

/// Whether somebody may still put this entry, or one before it.
fn may_fill(state: &State, entry: u8) -> bool {
    let fills = |step: &Step| matches!(step, Step::FeedPut(_, at) if *at <= entry);
    state.processes.iter().any(fills) || matches!(state.late, Some(Write::FeedPut { at, .. }) if at <= entry)
}
