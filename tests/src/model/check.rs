//! What must hold: at every step ([`broken`]), and once the world is quiet ([`broken_once_quiet`]).

use shared::chat::invariants::{self, AllCoins};
use wire::Seq;

use super::configurations::Configuration;
use super::mutants::Mutant;
use super::state::{State, successors};
use super::step::Step;
use super::store::{
    Answer, Content, Db, ENTRIES, SENDERS, SENDS, SLOTS, Said, Slot, earn, owner, share, time_of, topup,
};
use crate::search::Out;

/// The most steps that the world may take until it is quiet, when the sweep and the settlers are alone.
const STEPS_TO_QUIET_MAX: usize = 400;
/// How often the sweep comes until everything must be quiet.
const SWEEPS_TO_QUIET: usize = 2;

/// The slots of the log with their numbers, the archived ones too.
fn slots(db: &Db) -> impl Iterator<Item = (u8, Slot)> {
    let at = |n: usize, slot: Option<Slot>| slot.map(|slot| (n as u8 + 1, slot));
    let archived = db.archived.into_iter().enumerate().filter_map(move |(n, slot)| at(n, slot));
    archived.chain(db.log.into_iter().enumerate().filter_map(move |(n, slot)| at(n, slot)))
}

/// What is broken in a state, if anything.
pub(super) fn broken(configuration: &Configuration, mutant: Option<Mutant>, state: &State) -> Option<&'static str> {
    let db = &state.db;
    if let Some(fault) = state.history.fault {
        return Some(fault.words());
    }
    if db.accounts.iter().any(|account| account.balance < 0) {
        return Some("a balance is negative");
    }
    if state.history.charges.iter().any(|charges| *charges > 1) {
        return Some("a send was charged twice");
    }
    if let Some(broken) = log_broken(db) {
        return Some(broken);
    }
    if (0..SENDS).any(|sid| send_contradicts(state, sid)) {
        return Some("the log, `open`, RECEIPT and the answers contradict each other");
    }
    // A mutant is to be caught by the harm that it does, not by how it comes to that.
    if mutant.is_none() && (0..SENDS).any(|sid| upto_is_behind(configuration, db, sid)) {
        return Some("a send was dropped that is above `dropped_upto`");
    }
    coins(configuration, db).are_conserved().err().map(|broken| broken.rule)
}

/// At most one slot per send, numbers without holes, no slot twice.
fn log_broken(db: &Db) -> Option<&'static str> {
    let mut count = [0; SENDS];
    for (_, slot) in slots(db) {
        if let Some(count) = count.get_mut(usize::from(slot.sid)) {
            *count += 1;
        }
    }
    if count.iter().any(|count| *count > 1) {
        return Some("a send holds two numbers");
    }
    let taken = |n: usize| u8::from(db.log[n].is_some()) + u8::from(db.archived[n].is_some());
    if (0..SLOTS).any(|n| taken(n) > 1) {
        return Some("an archived number was given again");
    }
    let mut numbers = (0..SLOTS).filter(|n| taken(*n) > 0).map(|n| Seq(n as u64 + 1));
    let holes = numbers.try_fold(Seq(1), |next, seq| invariants::log_has_no_hole(next, seq).map(|()| seq.next()));
    holes.err().map(|broken| broken.rule)
}

/// Whether a send's slot, its open record, its RECEIPT, its entries and what clients were told differ.
fn send_contradicts(state: &State, sid: usize) -> bool {
    let db = &state.db;
    let place = slots(db).find(|(_, slot)| usize::from(slot.sid) == sid);
    let said = place.map(|(_, slot)| slot.said);
    let (open, receipt) = (db.open[sid], db.receipts[sid]);
    let other_content = |fingerprint: Content| matches!(said, Some(Said::Message(content)) if content != fingerprint);
    let contents = open.is_some_and(|open| other_content(open.fingerprint))
        || receipt.is_some_and(|receipt| other_content(receipt.fingerprint));
    let unclaimed = place.is_some() && open.is_none() && receipt.is_none();
    let ended = |seq: u8, void: bool| place.is_some_and(|(at, slot)| at == seq && void == (slot.said == Said::Void));
    let receipt_differs = receipt.is_some_and(|receipt| !ended(receipt.seq, receipt.void));
    let answer_differs = match state.history.answers[sid] {
        Some(Answer::Sent(seq)) => !ended(seq, false),
        Some(Answer::Expired) => said != Some(Said::Void),
        None => false,
    };
    let void_earned = said == Some(Said::Void) && entries_of(db, sid) > 0;
    contents || unclaimed || receipt_differs || answer_differs || void_earned
}

/// Whether a send whose id sorts by time was dropped, and ACCOUNT shows none above the one before.
fn upto_is_behind(configuration: &Configuration, db: &Db, sid: usize) -> bool {
    let upto = db.accounts[usize::from(SENDERS[sid])].upto();
    let dropped = db.receipts[sid].is_some() && db.open[sid].is_none();
    configuration.by_time & (1 << sid) != 0 && dropped && upto.agrees && upto.dropped < time_of(sid as u8)
}

/// The coins in the entries of a send.
fn entries_of(db: &Db, sid: usize) -> i32 {
    let amount = |id: u8| db.entries[usize::from(id)].map_or(0, |entry| i32::from(entry.amount));
    amount(earn(sid as u8)) + amount(share(sid as u8))
}

/// All coins that the table has. What nobody was charged for is the configuration's.
fn coins(configuration: &Configuration, db: &Db) -> AllCoins {
    let balances = db.accounts.iter().map(|account| i128::from(account.balance)).sum();
    let unfolded = |id: &usize| {
        let settling = db.accounts[usize::from(owner(*id as u8))].settling & (1 << id) != 0;
        db.entries[*id].is_some_and(|entry| entry.unsettled) && !settling
    };
    let entries = (0..ENTRIES).filter(unfolded).filter_map(|id| db.entries[id]);
    // A top-up whose line is still to be written is there, too.
    let topup = db.topup.filter(|at| db.entries[usize::from(topup(*at))].is_none());
    let topup = topup.map_or(0, |_| i128::from(configuration.topup_coins));
    let open = || (0..SENDS).filter_map(|sid| Some((sid, db.open[sid]?)));
    AllCoins {
        balances,
        waiting: entries.map(|entry| i128::from(entry.amount)).sum::<i128>() + topup,
        taken: open().map(|(_, open)| i128::from(open.price)).sum(),
        paid_out: open().map(|(sid, _)| i128::from(entries_of(db, sid))).sum(),
        topped_up: i128::from(configuration.coins(db)),
    }
}

/// What is broken when every process dies here and only sweeps and settlers come, undisturbed; and again when the request
/// that is still on its way arrives after all that. The steps until then in words, if asked for.
pub(super) fn broken_once_quiet(
    configuration: &Configuration,
    mutant: Option<Mutant>,
    state: &State,
    words: &mut Option<Vec<String>>,
) -> Option<&'static str> {
    let survivors = configuration.survivors();
    let mut alone = State { processes: survivors.start(), repeats: 0, late: None, ..state.clone() };
    if let Some(broken) = calm(&survivors, mutant, &mut alone, words).or_else(|| not_quiet(&alone)) {
        return Some(broken);
    }
    let write = state.late?;
    alone = State { processes: survivors.start(), late: Some(write), ..alone };
    calm(&survivors, mutant, &mut alone, words).or_else(|| not_quiet(&alone))
}

/// Lets the survivors do their work, one after the other, [`SWEEPS_TO_QUIET`] times; a late request arrives first of all.
fn calm(
    survivors: &Configuration,
    mutant: Option<Mutant>,
    state: &mut State,
    words: &mut Option<Vec<String>>,
) -> Option<&'static str> {
    let mut out = Out::new(words.is_some());
    let mut sweeps = 0;
    for _ in 0..STEPS_TO_QUIET_MAX {
        successors(survivors, mutant, state, &mut out);
        let late = state.late.is_some();
        let next = if late { out.next.pop() } else { out.next.drain(..).next() };
        match next {
            Some(next) => {
                // Who only reads finds nothing to do: that is not worth a line.
                let told = words.as_mut().filter(|_| next.state.db != state.db);
                if let Some(words) = told {
                    words.push(next.words);
                }
                *state = next.state;
            }
            None if sweeps + 1 == SWEEPS_TO_QUIET => return None,
            None => {
                sweeps += 1;
                state.processes = survivors.start();
            }
        }
        if let Some(broken) = broken(survivors, mutant, state) {
            return Some(broken);
        }
    }
    Some("the sweep and the settlers find no end")
}

/// What must hold when there is nothing left to do.
fn not_quiet(state: &State) -> Option<&'static str> {
    let db = &state.db;
    if db.open.iter().any(Option::is_some) || db.accounts.iter().any(|account| account.listed) {
        return Some("once quiet, a send is still open");
    }
    let unsettled = db.entries.iter().flatten().any(|entry| entry.unsettled);
    if unsettled || db.accounts.iter().any(|account| account.settling != 0) {
        return Some("once quiet, an earning isn't settled");
    }
    // The highest number never moves: one alone leaves nothing to do.
    if state.db.place.is_none() && db.told > db.meta.first_seq.max(1) {
        return Some("once quiet, a conversation with something to do is out of the index");
    }
    for sid in 0..SENDS {
        let place = slots(db).find(|(_, slot)| usize::from(slot.sid) == sid);
        let charged = state.history.charges[sid] > 0;
        if charged != place.is_some() || charged != db.receipts[sid].is_some() {
            return Some("once quiet, a claimed send is neither a message nor a void");
        }
        if i32::from(state.history.paid[sid]) != entries_of(db, sid) {
            return Some("once quiet, a send has cost something else than was earned by it");
        }
    }
    None
}

/// What the end of a quiet world depends on: states that share it need one look.
pub(super) fn quiet_key(state: &State) -> State {
    State { processes: [Step::Ended; super::state::PROCESSES], repeats: 0, ..state.clone() }
}
