//! Settling. Stands for `settle_round` and `settle_finish` in `shared::store::ledger`, step by step.

use super::mutants::Mutant;
use super::state::Process;
use super::step::Step;
use super::store::{Bits, each, found, set_of};
use super::write::Write;

/// Where a settling is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Settle {
    /// a. `account_if_any` and `work_unsettled_of`: the version, and what the index proposes.
    Account { round: u8 },
    /// b. `get_many`, strongly: each entry at a moment of its own.
    Get { round: u8, version: u8, todo: Bits, entries: Bits, sum: u8 },
    /// b. `account_fold`.
    Fold { round: u8, version: u8, entries: Bits, sum: u8 },
    /// c. The flags are removed, in any order.
    Unflag { round: u8, version: u8, todo: Bits },
    /// d. `account_folded`.
    Folded { round: u8, version: u8 },
    /// Only of a mutant: ACCOUNT is read after the entries.
    AccountLast { round: u8, entries: Bits, sum: u8 },
    /// Nothing is left, or the rounds are used up.
    Done,
}

impl Settle {
    pub(super) const START: Self = Self::Account { round: 0 };
}

impl Process<'_> {
    /// One step of settling a user; the last argument says where the process is then.
    pub(super) fn settle(&mut self, user: u8, at: Settle, go_on: impl Fn(Settle) -> Step) {
        match at {
            Settle::Account { round } => self.settle_account(user, round, go_on),
            Settle::Get { round, version, todo, entries, sum } => {
                for id in each(todo) {
                    let todo = todo & !(1 << id);
                    let entry = self.db().entries[usize::from(id)];
                    let flagged = entry.filter(|entry| entry.unsettled || self.is(Mutant::IndexTrusted));
                    let entries = if flagged.is_some() { entries | 1 << id } else { entries };
                    let sum = sum + flagged.map_or(0, |entry| entry.amount);
                    let next = match (todo, entries) {
                        (0, 0) => Settle::Done,
                        (0, _) if self.is(Mutant::EntriesBeforeAccount) => Settle::AccountLast { round, entries, sum },
                        (0, _) => Settle::Fold { round, version, entries, sum },
                        _ => Settle::Get { round, version, todo, entries, sum },
                    };
                    self.read(go_on(next), || format!("settle b: reads entry {id}: {}", found(entry)));
                }
            }
            Settle::AccountLast { round, entries, sum } => {
                let account = self.db().accounts[usize::from(user)];
                let version = account.settle_version;
                let next = if account.settling == 0 {
                    Settle::Fold { round, version, entries, sum }
                } else {
                    Settle::Unflag { round, version, todo: account.settling }
                };
                self.read(go_on(next), || format!("settle a, too late: reads ACCOUNT: {account}"));
            }
            Settle::Fold { round, version, entries, sum } => {
                // A refused folding: nothing may be assumed, back to a.
                let finish = if self.is(Mutant::FoldedBeforeUnflag) {
                    Settle::Folded { round, version: version + 1 }
                } else {
                    Settle::Unflag { round, version: version + 1, todo: entries }
                };
                let again = self.again(round);
                self.write(Write::AccountFold { user, version, entries, sum }, |_, made| {
                    go_on(if made { finish } else { again })
                });
            }
            Settle::Unflag { round, version, todo } => {
                for id in each(todo) {
                    let todo = todo & !(1 << id);
                    let next = match todo {
                        0 if self.is(Mutant::FoldedBeforeUnflag) => self.again(round),
                        0 => Settle::Folded { round, version },
                        _ => Settle::Unflag { round, version, todo },
                    };
                    self.write(Write::EntryUnflag { id }, |_, _| go_on(next));
                }
            }
            Settle::Folded { round, version } => {
                let todo = self.db().accounts[usize::from(user)].settling;
                let next = if self.is(Mutant::FoldedBeforeUnflag) && todo != 0 {
                    Settle::Unflag { round, version, todo }
                } else {
                    self.again(round)
                };
                self.write(Write::AccountFolded { user, version }, |_, _| go_on(next));
            }
            Settle::Done => {}
        }
    }

    fn settle_account(&mut self, user: u8, round: u8, go_on: impl Fn(Settle) -> Step) {
        let account = self.db().accounts[usize::from(user)];
        let version = account.settle_version;
        if account.settling != 0 && !self.is(Mutant::SettlingIgnored) {
            let next = Settle::Unflag { round, version, todo: account.settling };
            return self.read(go_on(next), || format!("settle a: reads ACCOUNT, half-way: {account}"));
        }
        let mut proposals = vec![self.unsettled_of(user)];
        if self.configuration.stale_index {
            // The index lags behind: it may propose what is settled, and not know what is new.
            let known = self.db().entries_of(user);
            proposals = (0..=known).filter(|some| some & !known == 0).collect();
        }
        for todo in proposals {
            let next = match todo {
                0 => Settle::Done,
                _ => Settle::Get { round, version, todo, entries: 0, sum: 0 },
            };
            let words = || {
                format!(
                    "settle a: reads ACCOUNT: {account}; the index proposes entries {:?}",
                    each(todo).collect::<Vec<_>>()
                )
            };
            self.read(go_on(next), words);
        }
    }

    fn unsettled_of(&self, user: u8) -> Bits {
        let db = self.db();
        let flagged = |id: &u8| db.entries[usize::from(*id)].is_some_and(|entry| entry.unsettled);
        set_of(each(db.entries_of(user)).filter(flagged))
    }

    fn again(&self, round: u8) -> Settle {
        if round + 1 < self.configuration.settle_rounds_max {
            Settle::Account { round: round + 1 }
        } else {
            Settle::Done
        }
    }
}
