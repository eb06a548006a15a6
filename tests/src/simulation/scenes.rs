//! Plans in which something special happens: what a drawn plan hardly ever meets.

use std::collections::BTreeMap;

use shared::limits::{CONNECTIONS_MAX, MEMBER_PATIENCE, OPEN_MAX, TOMBSTONE_LIFE, VOID_AFTER};

use super::fault::Fault;
use super::plan::{Act, BEGINNING_MS, DAYS, DEVICES, FOCUS_CHANCES_MAX, Plan, Step};
use crate::network::Chance;

/// Who connects is connected after this, also when calls are slow.
const CONNECTED_MS: u64 = 5_000;
/// The first number of a step that is there because messages grow old.
const AGING_STEPS: u32 = 1_000_000;
/// So many messages are sent about when a cleanup runs.
const AGING_SENDS: u64 = 6;
/// So many messages are sent while a sweep looks at what was marked a day ago.
const MARKED_SENDS: u64 = 24;
/// So many messages are sent and sent again at once, so far from each other.
const CROWDED_SENDS: usize = 6;
const CROWDED_GAP_MS: u64 = 2;
/// So often a clock is set to the wrong hour or back; between two things that happen meanwhile is so much time.
const WRONG_CLOCK_TURNS: usize = 9;
const WRONG_CLOCK_GAP_MS: u64 = 300;
/// By so much a clock is wrong, in seconds.
pub(super) const WRONG_CLOCK_S: i64 = 3_600;
/// So often some messages are sent whose ids sort by time, so far from each other.
const SORTED_TURNS: u64 = 5;
const SORTED_GAP_MS: u64 = 3_000;
/// So many of 1,000 calls take long.
const SORTED_SLOW: u64 = 250;
/// When each is sent, and sent again: one after another has ended, and another when it has;
const SORTED_APART: [(u64, Act); 8] = [
    (0, Act::Says("sendMessage")),
    (100, Act::Says("sendMessage")),
    (104, Act::Repeats),
    (106, Act::Repeats),
    (108, Act::Repeats),
    (110, Act::Repeats),
    (112, Act::Repeats),
    (700, Act::Says("sendMessage")),
];
/// or all at once.
const SORTED_CROWD: [(u64, Act); 9] = [
    (0, Act::Says("sendMessage")),
    (10, Act::Says("sendMessage")),
    (14, Act::Repeats),
    (16, Act::Repeats),
    (18, Act::Repeats),
    (20, Act::Repeats),
    (22, Act::Repeats),
    (30, Act::Says("sendMessage")),
    (40, Act::Says("sendMessage")),
];
/// So many messages are decided and get no further.
const DEAD_SENDS: u64 = 8;
/// Who gives them up comes so often, so far apart.
const DEAD_SWEEPS: u64 = 6;
const DEAD_SWEEPS_GAP_MS: u64 = 30;
/// So often somebody spends what was just earned, and so much time is between two.
const SPENT_TURNS: u64 = 8;
const SPENT_GAP_MS: u64 = 400;
/// So often somebody may come or go.
const COMINGS: usize = 6;
/// Who reads late has time for each message.
const READ_LATE_MS: u64 = 1_000;
/// After so long messages are moved: those that everybody has, and all.
pub(super) const MONTHS_MS: [u64; 2] = [40 * 86_400_000, 100 * 86_400_000];
/// After so long what has moved is deleted.
pub(super) const DAY_MS: u64 = 21 * 3_600_000;

impl Plan {
    /// Once or twice months pass, the cleanup runs and runs again, and people go on as it does.
    pub(super) fn that_ages(mut self) -> Self {
        let mut chance = Chance(!self.seed);
        for _ in 0..1 + chance.below(2) {
            // Rather late: what grows old must have been said.
            let any = [0; 2].map(|_| self.steps[chance.below(self.steps.len() as u64) as usize].at_ms);
            let from_ms = any[0].max(any[1]);
            let mut at_ms = from_ms;
            let mut acts = Vec::new();
            for n in 0..1 + chance.below(4) {
                at_ms += if n == 0 { MONTHS_MS[chance.below(2) as usize] } else { DAY_MS };
                acts.push((at_ms + chance.below(200), Act::Cleans));
            }
            acts.extend((0..AGING_SENDS).map(|n| (at_ms + 40 * n, Act::Says("sendMessage"))));
            for step in self.steps.iter_mut().filter(|step| step.at_ms >= from_ms) {
                step.at_ms += at_ms - from_ms;
            }
            self.adds(&mut chance, acts);
        }
        self
    }

    /// A day later the sweep looks at what was marked as waiting, while people write on.
    pub(super) fn whose_marks_grow_old(mut self) -> Self {
        let mut chance = Chance(!self.seed);
        let last_ms = self.steps.iter().map(|step| step.at_ms).max().unwrap_or_default();
        let at_ms = last_ms + DAYS.as_millis() as u64;
        let sends = (0..MARKED_SENDS).map(|n| (at_ms + 40 * n, Act::Says("sendMessage")));
        self.adds(&mut chance, [(at_ms, Act::Sweeps)].into_iter().chain(sends));
        self
    }

    /// The first person makes a group, writes in it, and has the second go and come back, who marks what they hear meanwhile.
    pub(super) fn that_comes_and_goes(mut self) -> Self {
        let acts = [
            (0, "updateGroup"),
            (0, "updateGroup"),
            (0, "sendMessage"),
            (0, "sendMessage"),
            (1, "markDelivered"),
            (1, "markRead"),
            (1, "markRead"),
            (1, "markRead"),
        ];
        let rounds = (0..COMINGS).flat_map(|_| acts);
        let gap_ms = [10, 40, 120][self.seed as usize / 8 % 3];
        self.is_just((0..).zip(rounds).map(|(n, (person, action))| (person, 1 + n * gap_ms, Act::Says(action))));
        self
    }

    /// Somebody goes, and a month later, as what is left of them goes, they may come back.
    pub(super) fn whose_tombstones_go(mut self) -> Self {
        let mut chance = Chance(self.seed);
        let month_ms = (TOMBSTONE_LIFE + MEMBER_PATIENCE * 2).as_millis() as u64;
        let changes = |from_ms: u64| (0..4).map(move |n| (0, from_ms + 50 * n, Act::Says("updateGroup")));
        let said = [(0, 400, Act::Says("sendMessage"))];
        let swept = [(0, month_ms, Act::Sweeps), (0, month_ms + 40, Act::Sweeps)];
        let back = changes(month_ms + chance.below(100));
        self.is_just(changes(1).chain(said).chain(swept).chain(back));
        self
    }

    /// Two write at once, and send each message again and again: many look for a free slot of one log, and few of their
    /// reads are a snapshot.
    pub(super) fn that_crowds_a_log(mut self) -> Self {
        self.people = 2;
        self.default_price = 0;
        self.rate = (20, 200);
        self.faults = BTreeMap::from([(Fault::StaleRead, 900), (Fault::Torn, 900)]);
        self.focus = None;
        let send = [Act::Says("sendMessage"), Act::Repeats, Act::Repeats, Act::Repeats];
        let crowd = (0..).zip(send.repeat(CROWDED_SENDS)).map(|(n, act)| (CONNECTED_MS + CROWDED_GAP_MS * n, act));
        let acts = [(BEGINNING_MS, Act::Connects)].into_iter().chain(crowd);
        let acts = acts.flat_map(|(at_ms, act)| [0, 1].map(|person| (person, at_ms, act)));
        self.is_just(acts);
        self
    }

    /// The clock is set an hour forward and back again, while the first person writes; each message is sent more than once,
    /// and some of these are decided much later than they were looked up.
    pub(super) fn whose_clock_is_set(mut self, rate: (u64, u64)) -> Self {
        let mut chance = Chance(!self.seed);
        self.people = 2;
        self.default_price = 0;
        self.rate = rate;
        let send = [Act::Says("sendMessage"), Act::Repeats, Act::Repeats, Act::Sweeps];
        let hour = [WRONG_CLOCK_S, -WRONG_CLOCK_S].into_iter().cycle().take(WRONG_CLOCK_TURNS);
        let acts = hour.flat_map(|by_seconds| [Act::SetsClock(by_seconds)].into_iter().chain(send));
        let acts = (0..).zip(acts).map(|(n, act)| (CONNECTED_MS + WRONG_CLOCK_GAP_MS * n, act));
        let step = |(number, (at_ms, act))| {
            let device = chance.below(DEVICES as u64) as usize;
            Step { number, at_ms, person: 0, device, act, draw: chance.next() }
        };
        self.steps = (1..).zip([(BEGINNING_MS, Act::Connects)].into_iter().chain(acts)).map(step).collect();
        self.faults = BTreeMap::from([(Fault::Slow, 40), (Fault::Paused, 10)]);
        self.focus = Some("ACCOUNT".to_owned());
        self
    }

    /// The first person's messages have ids that sort by time, nearly in their order, and each is sent more than once:
    /// some are decided much later than they were looked up. In some plans half of the functions drop as the version before,
    /// and several are open at once: so they drop, too.
    pub(super) fn whose_ids_sort_by_time(mut self, older: bool) -> Self {
        self.people = 2;
        self.default_price = 0;
        self.rate = (20, 200);
        self.ids_sort_by_time = true;
        self.faults = BTreeMap::from([(Fault::Slow, SORTED_SLOW)]);
        if older {
            self.faults.insert(Fault::Older, 500);
        }
        self.focus = None;
        let turn: &[(u64, Act)] = if older { &SORTED_CROWD } else { &SORTED_APART };
        let at_ms = |n: u64| CONNECTED_MS + SORTED_GAP_MS * n;
        let acts =
            (0..SORTED_TURNS).flat_map(|n| turn.iter().map(move |(after_ms, act)| (0, at_ms(n) + after_ms, *act)));
        self.is_just([(0, BEGINNING_MS, Act::Connects)].into_iter().chain(acts));
        self
    }

    /// Paid messages are decided and get no further, and many find them at once when they are old enough to be given up.
    pub(super) fn whose_sends_die(mut self) -> Self {
        let mut chance = Chance(!self.seed);
        self.people = 2;
        self.default_price = 5;
        self.steps.clear();
        self.begins();
        let sends = (0..DEAD_SENDS).map(|n| (CONNECTED_MS + n, Act::Says("sendMessage")));
        let from_ms = 2 * CONNECTED_MS + VOID_AFTER.as_millis() as u64;
        let sweeps = (0..DEAD_SWEEPS).map(|n| (from_ms + DEAD_SWEEPS_GAP_MS * n, Act::Sweeps));
        self.adds(&mut chance, sends.chain(sweeps));
        self.faults = BTreeMap::from([(Fault::Killed, 20), (Fault::Slow, 40)]);
        self.focus = Some("MSG".to_owned());
        self
    }

    /// One earns, and spends at once what the index hardly knows of.
    pub(super) fn that_is_spent_at_once(mut self) -> Self {
        self.people = 2;
        self.default_price = 5;
        self.share_percent = 100;
        self.rate = (20, 200);
        self.faults = BTreeMap::from([(Fault::StaleIndex, 900)]);
        self.focus = None;
        let turns = (0..SPENT_TURNS).flat_map(|n| {
            let at_ms = CONNECTED_MS + SPENT_GAP_MS * n;
            [(0, at_ms), (1, at_ms + 20 + 10 * n)]
        });
        let sends = turns.map(|(person, at_ms)| (person, at_ms, Act::Says("sendMessage")));
        let begin = [(0, 0, Act::Begins), (0, BEGINNING_MS, Act::Connects), (1, BEGINNING_MS, Act::Connects)];
        self.is_just(begin.into_iter().chain(sends));
        self
    }

    /// In the end the first person writes, and the second has all of it, and reads it only then, bit by bit.
    pub(super) fn that_is_read_late(mut self) -> Self {
        let mut chance = Chance(!self.seed);
        let last_ms = self.steps.iter().map(|step| step.at_ms).max().unwrap_or_default();
        let crowds = [(0, "sendMessage", 4), (1, "markDelivered", 2), (1, "markRead", 6)];
        let acts = crowds.into_iter().flat_map(|(person, action, count)| std::iter::repeat_n((person, action), count));
        let steps = (1..).zip(acts).map(|(n, (person, action))| {
            let (number, at_ms) = (AGING_STEPS + n, last_ms + READ_LATE_MS * u64::from(n));
            Step { number, at_ms, person, device: 0, act: Act::Says(action), draw: chance.next() }
        });
        self.steps.extend(steps);
        self
    }

    /// This happens and nothing else, each by somebody's first device.
    fn is_just(&mut self, acts: impl IntoIterator<Item = (usize, u64, Act)>) {
        let mut chance = Chance(!self.seed);
        let step = |(number, (person, at_ms, act))| Step { number, at_ms, person, device: 0, act, draw: chance.next() };
        self.steps = (1..).zip(acts).map(step).collect();
    }

    /// The first two people do these, too, each at its time.
    fn adds(&mut self, chance: &mut Chance, acts: impl IntoIterator<Item = (u64, Act)>) {
        let first = AGING_STEPS + self.steps.len() as u32;
        let steps = acts.into_iter().zip(first..).map(|((at_ms, act), number)| {
            let (person, device) = (chance.below(2) as usize, chance.below(DEVICES as u64) as usize);
            Step { number, at_ms, person, device, act, draw: chance.next() }
        });
        self.steps.extend(steps);
    }

    /// One user sends more at once than may be open, and telling the inboxes is slow. In the second kind they go on then, at
    /// a pace that the rate knows nothing of.
    pub(super) fn with_many_open_sends(mut self, paced: bool, ids_sort_by_time: bool) -> Self {
        self.ids_sort_by_time = ids_sort_by_time;
        let send = Act::Says("sendMessage");
        self.default_price = 0;
        self.faults = BTreeMap::from([(Fault::Slow, FOCUS_CHANCES_MAX)]);
        self.focus = Some("INBOX".to_owned());
        let connects = (Act::Connects, 1, 0, 0);
        if paced {
            self.rate = (1_000, 1_000);
            let at_a_pace = (send, OPEN_MAX, CONNECTED_MS + 250, 4_000);
            self.crowded(&[connects, (send, 2 * OPEN_MAX, CONNECTED_MS, 250), at_a_pace])
        } else {
            self.rate = (40, 400);
            self.crowded(&[connects, (send, 3 * OPEN_MAX, CONNECTED_MS, 250)])
        }
    }

    /// One user connects more often than they may, and the server is never told that a connection has ended.
    pub(super) fn with_many_connections(mut self) -> Self {
        // Replies are lost, also where the item is full by what they answer.
        self.faults = BTreeMap::from([(Fault::FailedAfter, 20), (Fault::Unanswered, 20)]);
        self.focus = Some("PRESENCE".to_owned());
        self.calm = DAYS;
        self.crowded(&[(Act::Connects, CONNECTIONS_MAX + 8, 0, 250)])
    }

    /// The first person does the same so often, from a moment on, so many microseconds apart; and nothing else happens.
    fn crowded(mut self, crowds: &[(Act, usize, u64, u64)]) -> Self {
        self.steps.clear();
        for (act, count, from_ms, apart_us) in crowds {
            for n in 0..*count as u64 {
                let (number, at_ms) = (self.steps.len() as u32 + 1, from_ms + n * apart_us / 1_000);
                self.steps.push(Step { number, at_ms, person: 0, device: 0, act: *act, draw: n });
            }
        }
        self
    }
}
