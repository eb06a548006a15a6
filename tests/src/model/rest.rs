//! How a conversation leaves the index of what is due: `look_again` in `functions/cleanup`, look after look.

use super::configurations::Role;
use super::mutants::Mutant;
use super::state::Process;
use super::step::Step;
use super::store::{Meta, place_of_look};
use super::write::Write;

/// How many looks a cleanup has: one that finds nothing to do, one that takes the conversation out, and one more for what
/// comes in between.
pub(super) const LOOKS: u8 = 3;

impl Process<'_> {
    /// A day passes until the next look: nobody is left who read META before the last one, and no request of that time can
    /// still arrive.
    pub(super) fn rest_day(&mut self, look: u8) {
        let alive = self.state.late.is_some() || self.state.processes.iter().any(Step::goes_by_meta);
        if !alive || self.is(Mutant::UnlistSameDay) {
            self.step(
                || format!("look {look}: a day has passed"),
                |state, index| {
                    state.db.due = true;
                    state.processes[index] = Step::RestMeta(look);
                },
            );
        }
    }

    /// `look`: META.
    pub(super) fn rest_meta(&mut self, look: u8) {
        let meta = self.db().meta;
        let due = self.db().due || self.is(Mutant::LookBeforeDue);
        // What isn't in the index isn't looked at, nor what another cleanup has looked at since.
        let place = self.db().place.filter(|_| due);
        let next = place.map_or(Step::Ended, |place| Step::RestInboxes { look, place, meta });
        self.read(next, || format!("look {look}: reads META: {meta}"));
    }

    /// `Horizons::of`, and what follows from it: all but the highest number moves, some day.
    pub(super) fn rest_inboxes(&mut self, look: u8, place: u8, meta: Meta) {
        let told = self.db().told;
        let nothing_to_do = told <= meta.first_seq.max(1);
        let next = match nothing_to_do {
            true if meta.idle || self.is(Mutant::UnlistAtOnce) => Step::RestUnlist { place },
            idle => Step::RestAgain { look, idle },
        };
        self.read(next, || format!("look {look}: reads the inboxes: last_seq {told}"));
    }

    /// `look_again`.
    pub(super) fn rest_again(&mut self, look: u8, idle: bool) {
        let Role::Rest { cleanup } = self.role() else { return };
        let next = if look + 1 < LOOKS { Step::RestDay(look + 1) } else { Step::Ended };
        self.write(Write::ConversationLookAgain { place: place_of_look(cleanup, look), idle }, |_, _| next);
    }
}
