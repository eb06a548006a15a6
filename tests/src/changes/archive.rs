//! The cleanup of the log: a message goes to the archive, and what changes later is an overlay.

use super::mutants::Mutant;
use super::state::{Process, State};
use super::step::{Place, Step};
use super::store::Item;
use super::write::Write;

impl Process<'_> {
    /// The number is announced first.
    pub(super) fn archive(&mut self) {
        let unannounced = self.is(Mutant::Unannounced);
        match unannounced {
            true => self.read(Step::ArchiveLog, || "announces nothing".to_owned()),
            false => self.write(Write::Announce, |_, _| Step::ArchiveLog),
        }
    }

    /// A day later: when nobody is left who read META before. A message that is listed as changed stays for now.
    pub(super) fn archive_log(&mut self) {
        if may_change(self.state) && !self.is(Mutant::ObjectSoon) && !self.is(Mutant::Unannounced) {
            return;
        }
        let item = *self.db().item(1);
        let waits = item.gone || item.listed && !self.is(Mutant::ListedMoved);
        let next = if waits { Step::Ended } else { Step::ArchiveObject(item) };
        self.read(next, || format!("reads message 1: {}, listed {}", item.version, item.listed));
    }

    pub(super) fn archive_object(&mut self, item: Item) {
        self.write(Write::Object(item), |_, _| Step::ArchiveMove);
    }

    pub(super) fn archive_move(&mut self) {
        self.write(Write::Moved, |_, _| Step::ArchiveDelete);
    }

    pub(super) fn archive_delete(&mut self) {
        self.write(Write::LogDelete, |_, _| Step::Ended);
    }
}

/// Whether somebody may still change LOG who read META before the announcement.
fn may_change(state: &State) -> bool {
    let may = |step: &Step| {
        matches!(step, Step::Read { place: Place::Log, .. } | Step::Write { over: false, .. } | Step::List(_))
    };
    state.processes.iter().any(may) || matches!(state.late, Some(Write::Change(change)) if !change.over)
}
