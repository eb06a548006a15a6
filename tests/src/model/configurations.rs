//! Who takes part: each configuration is explored to its end.

mod by_id;

use super::state::{PROCESSES, State};
use super::step::Step;
use super::store::{
    A, B, Bits, Content, Db, ENTRIES, Entry, History, NO_EPOCH, OpenSend, PLACE_OF_CREATION, Receipt, SENDS, SLOTS,
    Said, SendId, Slot, USERS, each, earn, set_of, time_of_last, topup,
};
use super::write::{AccountClaim, By, Raise, Write};

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// An attempt of a send: `send` in `functions/send`. The receiver may change the price between two attempts.
    Attempt { sid: u8, content: Content, price: u8, old: bool },
    /// `finish_open` in `functions/sweep`, for one user, its open sends in one of two orders.
    Sweep { user: u8, last_first: bool, old: bool },
    /// `settle` for one user.
    Settle { user: u8 },
    /// `topup` of A: always the same key, each attempt at a time of its own (0 or 1).
    TopUp { at: u8 },
    /// The daily archive.
    Archive,
    /// A cleanup's looks at a conversation where nothing is left to do. Each look is at a time of its own, so each such
    /// cleanup has a number.
    Rest { cleanup: u8 },
}

/// A world to explore.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Its name, for `--configuration`.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Whether it is small enough for every test run.
    pub small: bool,
    pub(super) roles: Vec<Role>,
    /// Balances of A, B and the house.
    pub(super) balances: [u8; 3],
    /// Entries that are there from the start, unsettled: id and amount. Powers of two, so that no error hides another.
    pub(super) unsettled: Vec<(u8, u8)>,
    /// How many requests are repeated by the SDK.
    pub(super) repeats: u8,
    /// `OPEN_MAX`.
    pub(super) open_max: u8,
    /// `WALK_SLOTS_MAX`.
    pub(super) walk_slots_max: u8,
    /// `LOOKS_MAX`.
    pub(super) looks_max: u8,
    /// `SETTLE_ROUNDS_MAX`.
    pub(super) settle_rounds_max: u8,
    /// What a top-up brings.
    pub(super) topup_coins: u8,
    /// Whether the house has a share of one coin in every price above one.
    pub(super) house_shares: bool,
    /// Whether the index of unsettled entries may be behind.
    pub(super) stale_index: bool,
    /// Whether META may change: then reading it is a step.
    pub(super) archives: bool,
    /// Whether the conversation may leave the index of what is due.
    pub(super) rests: bool,
    /// Whether it is the first message to a person: there is no conversation yet.
    pub(super) first_message: bool,
    /// Whether send 0 was claimed before send 1 took number 1, and nobody has gone on with it.
    pub(super) begun: bool,
    /// A send of A's that has its RECEIPT and is still open.
    pub(super) finished: Option<SendId>,
    /// A send of A's that the version before has finished and dropped.
    pub(super) dropped: Option<SendId>,
    /// Whether A's account was written by the version before: nothing says how far was dropped.
    pub(super) updated: bool,
    /// Whether A's account is in the index, though nothing is open: it was dropped just now.
    pub(super) listed: bool,
    /// A send that an attempt, dead by now, has claimed by its id, for nothing: the request is still on its way.
    pub(super) late: Option<SendId>,
    /// The sends whose id sorts by time.
    pub(super) by_time: Bits,
    /// Whether claims may drop.
    pub(super) claims_drop: bool,
}

impl Configuration {
    fn new(name: &'static str, about: &'static str, roles: Vec<Role>) -> Self {
        Self {
            name,
            about,
            small: false,
            archives: roles.contains(&Role::Archive) || roles.contains(&REST),
            rests: roles.contains(&REST),
            first_message: false,
            begun: false,
            finished: None,
            dropped: None,
            updated: false,
            listed: false,
            late: None,
            by_time: 0,
            claims_drop: false,
            roles,
            balances: [1, 1, 0],
            unsettled: Vec::new(),
            repeats: 0,
            open_max: SENDS as u8,
            walk_slots_max: SLOTS as u8,
            looks_max: 2,
            settle_rounds_max: 2,
            topup_coins: 4,
            house_shares: false,
            stale_index: false,
        }
    }

    fn small(mut self) -> Self {
        self.small = true;
        self
    }

    /// So many requests may be repeated by the SDK: lost replies, late arrivals.
    fn repeats(mut self, repeats: u8) -> Self {
        self.repeats = repeats;
        self
    }

    fn open_max(mut self, open_max: u8) -> Self {
        self.open_max = open_max;
        self
    }

    fn walk_slots_max(mut self, walk_slots_max: u8) -> Self {
        self.walk_slots_max = walk_slots_max;
        self
    }

    fn topup_coins(mut self, topup_coins: u8) -> Self {
        self.topup_coins = topup_coins;
        self
    }

    fn house_shares(mut self) -> Self {
        self.house_shares = true;
        self
    }

    fn first_message(mut self) -> Self {
        self.first_message = true;
        self
    }

    fn begun(mut self) -> Self {
        self.begun = true;
        self
    }

    /// The ids of these sends sort by time; and claims may drop.
    fn by_time(mut self, sends: &[SendId]) -> Self {
        self.by_time = set_of(sends.iter().copied());
        self.claims_drop = true;
        self
    }

    fn finished(mut self, sid: SendId) -> Self {
        self.finished = Some(sid);
        self
    }

    fn updated(mut self) -> Self {
        self.updated = true;
        self
    }

    fn listed(mut self) -> Self {
        self.listed = true;
        self
    }

    fn late(mut self, sid: SendId) -> Self {
        self.late = Some(sid);
        self
    }

    fn dropped_before(mut self, sid: SendId) -> Self {
        self.dropped = Some(sid);
        self.updated()
    }

    fn stale_index(mut self) -> Self {
        self.stale_index = true;
        self
    }

    fn balances(mut self, a: u8, b: u8) -> Self {
        self.balances = [a, b, 0];
        self
    }

    fn unsettled(mut self, entries: &[(u8, u8)]) -> Self {
        self.unsettled = entries.to_vec();
        self
    }

    /// Where it starts.
    pub(super) fn initial(&self) -> State {
        let (mut db, mut history) = (Db::default(), History::default());
        for (account, balance) in db.accounts.iter_mut().zip(self.balances) {
            account.balance = balance.cast_signed();
        }
        for (id, amount) in &self.unsettled {
            db.entries[usize::from(*id)] = Some(Entry { amount: *amount, unsettled: true });
            if let Some(paid) = history.paid.get_mut(usize::from(*id)) {
                *paid = amount.cast_signed();
            }
        }
        if self.begun {
            begin(&mut db, &mut history);
            db.accounts[usize::from(A)].dropped_upto = time_of_last(each(self.by_time & 0b10));
        }
        for sid in self.finished.into_iter().chain(self.dropped) {
            finish(&mut db, &mut history, sid);
        }
        if let Some(sid) = self.dropped {
            db.open[usize::from(sid)] = None;
            db.accounts[usize::from(A)].epoch = 1;
        }
        if self.updated {
            db.accounts[usize::from(A)].upto_epoch = NO_EPOCH;
        }
        db.accounts[usize::from(A)].listed |= self.listed;
        if self.rests {
            (db.place, db.due) = (Some(PLACE_OF_CREATION), true);
            db.told = db.log_tail();
        }
        State { db, history, processes: self.start(), late: self.late.map(late_claim), repeats: self.repeats }
    }

    /// Everybody at the beginning.
    pub(super) fn start(&self) -> [Step; PROCESSES] {
        std::array::from_fn(|index| self.roles.get(index).map_or(Step::Ended, |role| role.start()))
    }

    /// Who is left when everybody has died: the sweep, and settlers.
    pub(super) fn survivors(&self) -> Self {
        let sweeps = [A, B].map(|user| Role::Sweep { user, last_first: false, old: false });
        let settlers = USERS.map(|user| Role::Settle { user });
        let roles = sweeps.into_iter().chain(settlers).collect();
        Self {
            roles,
            repeats: 0,
            settle_rounds_max: ENTRIES as u8,
            walk_slots_max: SLOTS as u8,
            stale_index: false,
            ..self.clone()
        }
    }

    /// Σ top-ups.
    pub(super) fn coins(&self, db: &Db) -> i32 {
        let there: u8 = self.balances.iter().sum::<u8>() + self.unsettled.iter().map(|(_, amount)| amount).sum::<u8>();
        i32::from(there) + db.topup.map_or(0, |_| i32::from(self.topup_coins))
    }

    /// What receiver and house get of a price.
    pub(super) fn amounts(&self, price: u8) -> (u8, u8) {
        if self.house_shares && price > 1 { (price - 1, 1) } else { (price, 0) }
    }

    /// How many numbers a walk has to look at: one more than there are sends.
    pub(super) fn slots(&self) -> u8 {
        let sent = |sid: &u8| {
            let earlier = self.finished == Some(*sid) || self.dropped == Some(*sid);
            earlier
                || self.begun && *sid == 1
                || self.roles.iter().any(|role| matches!(role, Role::Attempt { sid: other, .. } if other == sid))
        };
        (0..SENDS as u8).filter(sent).count() as u8 + 1
    }

    /// A process in words.
    pub(super) fn who(&self, index: usize) -> String {
        let user = |user: u8| ["A", "B", "the house"][usize::from(user)];
        let n = self.roles[..=index].iter().filter(|role| role.kind() == self.roles[index].kind()).count();
        match self.roles[index] {
            Role::Attempt { sid, old: true, .. } => format!("attempt {n} of send {sid}, of the version before"),
            Role::Sweep { user: of, old: true, .. } => format!("sweep {n} of {}, of the version before", user(of)),
            Role::Attempt { sid, content: Content::First, .. } => format!("attempt {n} of send {sid}"),
            Role::Attempt { sid, content: Content::Other, .. } => {
                format!("attempt {n} of send {sid}, with another content")
            }
            Role::Sweep { user: of, .. } => format!("sweep {n} of {}", user(of)),
            Role::Settle { user: of } => format!("settler {n} of {}", user(of)),
            Role::TopUp { .. } => format!("top-up {n}"),
            Role::Archive => "the archive".to_owned(),
            Role::Rest { .. } => format!("cleanup {n}"),
        }
    }
}

impl Role {
    fn kind(self) -> (u8, u8) {
        match self {
            Self::Attempt { sid, .. } => (0, sid),
            Self::Sweep { user, .. } => (1, user),
            Self::Settle { user } => (2, user),
            Self::TopUp { .. } => (3, 0),
            Self::Archive => (4, 0),
            Self::Rest { .. } => (5, 0),
        }
    }
}

/// Send 1 is finished and dropped; send 0 was claimed just before, with the same base.
fn begin(db: &mut Db, history: &mut History) {
    claimed(db, history, 0);
    finish(db, history, 1);
    db.open[1] = None;
}

/// A claim by id, for nothing, made when the log was empty.
fn late_claim(sid: SendId) -> Write {
    let send = OpenSend { base: 0, price: 0, fingerprint: Content::First };
    Write::AccountClaim(AccountClaim { sid, send, by: By::Id, drops: 0, raise: Raise::Leave })
}

/// A send of A's is claimed, before there was any.
fn claimed(db: &mut Db, history: &mut History, sid: SendId) {
    let at = usize::from(sid);
    db.open[at] = Some(OpenSend { base: 0, price: 1, fingerprint: Content::First });
    db.accounts[usize::from(A)].balance -= 1;
    db.accounts[usize::from(A)].listed = true;
    (history.charges[at], history.paid[at]) = (1, 1);
}

/// A send of A's has the next number and its RECEIPT, and is still open; B has settled.
fn finish(db: &mut Db, history: &mut History, sid: SendId) {
    claimed(db, history, sid);
    let seq = db.log_tail() + 1;
    db.accounts[usize::from(B)].balance += 1;
    db.log[usize::from(seq) - 1] = Some(Slot { sid, said: Said::Message(Content::First) });
    db.receipts[usize::from(sid)] = Some(Receipt { fingerprint: Content::First, seq, void: false });
    db.entries[usize::from(earn(sid))] = Some(Entry { amount: 1, unsettled: false });
}

fn attempt(sid: u8) -> Role {
    priced(sid, Content::First, 1)
}

fn priced(sid: u8, content: Content, price: u8) -> Role {
    Role::Attempt { sid, content, price, old: false }
}

const SWEEP: Role = Role::Sweep { user: A, last_first: false, old: false };
const SETTLE: Role = Role::Settle { user: A };

const SWEEP_BACKWARDS: Role = Role::Sweep { user: A, last_first: true, old: false };
const SETTLE_B: Role = Role::Settle { user: B };
const SWEEP_B: Role = Role::Sweep { user: B, last_first: false, old: false };

const REST: Role = Role::Rest { cleanup: 0 };
const OTHER_REST: Role = Role::Rest { cleanup: 1 };

/// All configurations, the small ones first.
pub fn configurations() -> Vec<Configuration> {
    [sends_small(), settling_small(), by_id::small(), sends_large(), settling_large(), by_id::large()].concat()
}

fn sends_small() -> Vec<Configuration> {
    let new = Configuration::new;
    let contents = vec![priced(0, Content::First, 1), priced(0, Content::Other, 2), SWEEP];
    let prices = vec![priced(0, Content::First, 1), priced(0, Content::First, 2)];
    let archive = vec![attempt(0), attempt(2), SWEEP, Role::Archive];
    let rest = vec![attempt(0), REST, OTHER_REST];
    vec![
        new("pair", "two attempts of one send", vec![attempt(0), attempt(0)]).repeats(2).small(),
        new("void", "an attempt and the sweep", vec![attempt(0), SWEEP]).repeats(2).small(),
        new("retry", "two attempts and the sweep", vec![attempt(0), attempt(0), SWEEP]).repeats(1).small(),
        new("sweeps", "an attempt and two sweeps", vec![attempt(0), SWEEP, SWEEP]).repeats(1).small(),
        new("contents", "one clientMessageId for two contents", contents).balances(2, 1).small(),
        new("prices", "a price that changes between two attempts", prices)
            .balances(2, 1)
            .house_shares()
            .repeats(1)
            .small(),
        new("sibling", "two sends of one sender", vec![attempt(0), attempt(1), SWEEP]).balances(2, 1).small(),
        new("room", "no room for two open sends", vec![attempt(0), attempt(0), attempt(1)])
            .balances(3, 1)
            .open_max(1)
            .small(),
        new("company", "another sender", vec![attempt(0), attempt(2), SWEEP]).repeats(1).small(),
        new("walk", "slots that fill up while a walk looks", vec![attempt(0), attempt(0), attempt(2)])
            .balances(2, 1)
            .begun()
            .small(),
        new("long-walk", "walks that end after one slot", vec![attempt(0), attempt(2), SWEEP])
            .walk_slots_max(1)
            .small(),
        new("archive", "slots that move to the archive", archive).small(),
        new("rest", "a conversation that leaves the index", rest).balances(2, 1).begun().repeats(1).small(),
    ]
}

fn settling_small() -> Vec<Configuration> {
    let new = Configuration::new;
    let (early, later) = (Role::TopUp { at: 0 }, Role::TopUp { at: 1 });
    let earnings = [(earn(2), 1), (topup(1), 2)];
    vec![
        new("settlers", "two settlers, an index that is behind", vec![SETTLE, SETTLE])
            .unsettled(&earnings)
            .stale_index()
            .repeats(1)
            .small(),
        new("top-up", "a repeated top-up and a settler", vec![early, later, SETTLE])
            .unsettled(&[(earn(2), 1)])
            .repeats(1)
            .small(),
        new("poor", "a claim that has to settle first", vec![attempt(0), attempt(0), early])
            .balances(0, 0)
            .repeats(1)
            .small(),
        new("strangers", "a first message: there is no conversation yet", vec![attempt(0), attempt(0), SWEEP])
            .first_message()
            .repeats(1)
            .small(),
        new("first", "the first message to a person, paid by a top-up", vec![attempt(0), attempt(0), early])
            .balances(0, 0)
            .topup_coins(1)
            .repeats(1)
            .first_message()
            .small(),
    ]
}

fn sends_large() -> Vec<Configuration> {
    let new = Configuration::new;
    let three = vec![attempt(0), attempt(0), attempt(0), SWEEP];
    let contents =
        vec![priced(0, Content::First, 1), priced(0, Content::First, 2), priced(0, Content::Other, 2), SWEEP];
    let siblings = vec![attempt(0), attempt(0), attempt(1), SWEEP];
    let room = vec![attempt(0), attempt(0), attempt(1), SWEEP];
    let orders = vec![attempt(0), attempt(1), SWEEP, SWEEP_BACKWARDS];
    let company = vec![attempt(0), attempt(0), attempt(2), SWEEP, SWEEP_B];
    let crowd = vec![attempt(0), attempt(0), attempt(1), attempt(2)];
    let everybody = vec![attempt(0), attempt(0), attempt(1), attempt(2), SWEEP];
    let archive = vec![attempt(0), attempt(0), attempt(2), SWEEP, Role::Archive];
    let rests = vec![attempt(0), attempt(2), REST, OTHER_REST];
    vec![
        new("attempts", "three attempts of one send and the sweep", three).repeats(2),
        new("two-sweeps", "two attempts, two sweeps", vec![attempt(0), attempt(0), SWEEP, SWEEP]).repeats(2),
        new("three-contents", "two contents and two prices for one clientMessageId", contents)
            .balances(3, 1)
            .house_shares()
            .repeats(1),
        new("siblings", "two attempts, another send of the sender, the sweep", siblings).balances(2, 1).repeats(1),
        new("orders", "two sends of one sender, two sweeps in opposite orders", orders).balances(2, 1).repeats(1),
        new("full", "no room for two open sends, and the sweep", room).balances(3, 1).open_max(1).repeats(1),
        new("two-senders", "two attempts, another sender, a sweep for each", company).repeats(1),
        new("crowd", "two attempts, another send of the sender, another sender", crowd).balances(2, 1).repeats(1),
        new("long-walks", "walks that end after one slot", vec![attempt(0), attempt(0), attempt(2), SWEEP])
            .walk_slots_max(1)
            .repeats(1),
        new("archives", "two attempts, another sender, the sweep and the archive", archive),
        new("rests", "an attempt, another sender, two cleanups", rests).balances(2, 1).begun(),
        new("everybody", "two attempts, another send of the sender, another sender, the sweep", everybody)
            .balances(2, 1),
    ]
}

fn settling_large() -> Vec<Configuration> {
    let new = Configuration::new;
    let (early, later) = (Role::TopUp { at: 0 }, Role::TopUp { at: 1 });
    let earnings = [(earn(2), 1), (topup(1), 2)];
    let one = [(earn(2), 1)];
    let market = vec![attempt(0), attempt(2), attempt(2), SWEEP, SETTLE_B];
    vec![
        new(
            "three-settlers",
            "three settlers and a top-up, an index that is behind",
            vec![early, SETTLE, SETTLE, SETTLE],
        )
        .unsettled(&one)
        .stale_index()
        .repeats(1),
        new(
            "two-top-ups",
            "two settlers and a repeated top-up, an index that is behind",
            vec![early, later, SETTLE, SETTLE],
        )
        .unsettled(&one)
        .stale_index()
        .repeats(2),
        new("earnings", "three settlers, two earnings", vec![SETTLE, SETTLE, SETTLE])
            .unsettled(&earnings)
            .stale_index()
            .repeats(2),
        new("market", "who answers must first earn what it costs", market).balances(1, 0).repeats(1),
    ]
}
