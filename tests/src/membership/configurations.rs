//! Who takes part: each configuration is explored to its end.

use super::state::{PROCESSES, State};
use super::step::{Change, Step};
use super::store::{A, B, Bits, C, Db, Device, History, Inbox, Member, Meta, SENDS, Slot, USERS, has, name};

/// What a change does to a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Add,
    /// Of oneself it is `leaveGroup`.
    Remove,
    Appoint,
    Dismiss,
    /// The caller appoints somebody and steps down, in one request.
    HandOver,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// An attempt of A's `createGroup`.
    Create { others: Bits },
    /// An attempt of `updateGroup` or `leaveGroup`, of one person.
    Change { request: u8, caller: u8, what: What, user: u8 },
    /// An attempt of an `updateGroup` that changes the name.
    Rename { request: u8 },
    /// The sweep of one person's shard of the index.
    Sweep { user: u8 },
    /// An attempt of a send.
    Send { sid: u8, sender: u8 },
    /// The sweep of sends.
    SweepSends,
    /// A device; one that is ready was there before and has synced.
    Device { user: u8, ready: bool },
    /// A person asks for a page.
    Read { user: u8 },
    /// A person marks all as read.
    Mark { user: u8 },
    /// The cleanup of what never became whole. That it comes a day later is patience, not safety.
    Cleanup,
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
    /// Who is in from the start.
    pub(super) members: Bits,
    /// Who of them is an admin.
    pub(super) admins: Bits,
    /// Who sends each send.
    pub(super) senders: [u8; SENDS],
    /// How many requests are repeated by the SDK.
    pub(super) repeats: u8,
    /// Whether the members are counted.
    pub(super) counts: bool,
    /// Whether the caller's MEMBER is read.
    pub(super) asks: bool,
    /// Whether what a device is told is only a hint, without a version: it syncs again.
    pub(super) hints: bool,
    /// Whether A has said something before: send 1 is finished.
    pub(super) said: bool,
}

impl Configuration {
    /// A group of A, its admin, and B; C is to join.
    fn new(name: &'static str, about: &'static str, roles: Vec<Role>) -> Self {
        let mut senders = [A; SENDS];
        for role in &roles {
            if let Role::Send { sid, sender } = role {
                senders[usize::from(*sid)] = *sender;
            }
        }
        let members = 1 << A | 1 << B;
        Self {
            name,
            about,
            small: false,
            roles,
            members,
            admins: 1 << A,
            senders,
            repeats: 0,
            counts: false,
            asks: false,
            said: false,
            hints: false,
        }
    }

    fn small(mut self) -> Self {
        self.small = true;
        self
    }

    /// Those who are in, and the admins among them.
    fn group(mut self, members: &[u8], admins: &[u8]) -> Self {
        let set = |users: &[u8]| users.iter().fold(0, |set, user| set | 1 << user);
        (self.members, self.admins) = (set(members), set(admins));
        self
    }

    /// So many requests may be repeated by the SDK: lost replies, late arrivals.
    fn repeats(mut self, repeats: u8) -> Self {
        self.repeats = repeats;
        self
    }

    fn counts(mut self) -> Self {
        self.counts = true;
        self
    }

    fn asks(mut self) -> Self {
        self.asks = true;
        self
    }

    fn hints(mut self) -> Self {
        self.hints = true;
        self
    }

    /// A has said something before.
    fn said(mut self) -> Self {
        self.said = true;
        self
    }

    /// Whether the group is yet to be made.
    pub(super) fn creates(&self) -> bool {
        self.members == 0
    }

    /// Who has a device.
    pub(super) fn devices(&self) -> Bits {
        self.roles.iter().fold(0, |set, role| if let Role::Device { user, .. } = role { set | 1 << user } else { set })
    }

    /// Where it starts.
    pub(super) fn initial(&self) -> State {
        let mut db = Db::default();
        let mut devices = [Device::default(); USERS];
        for user in (0..USERS as u8).filter(|user| has(self.members, *user)) {
            let at = usize::from(user);
            let admin = has(self.admins, user);
            db.members[at] = Some(Member { version: 1, joined: true, admin, first_seq: 1, listed: false, requests: 0 });
            db.inboxes[at] = Some(Inbox { version: 1, joined: true, first_seq: 1, read: 0 });
        }
        if !self.creates() {
            let count = self.members.count_ones() as u8;
            db.meta = Some(Meta { whole: true, gone: false, count, roster: 0, requests: 0 });
        }
        let mut history = History::default();
        if self.said {
            db.log[0] = Some(Slot { sid: SAID, void: false });
            (db.tail, db.receipts) = (1, 1 << SAID);
            for user in (0..USERS).filter(|user| db.members[*user].is_none()) {
                history.barred[user] = 1 << SAID;
            }
        }
        for role in &self.roles {
            if let Role::Device { user, ready: true } = role {
                let knows = has(self.members, *user);
                let holds = if knows { db.receipts } else { 0 };
                db.connected |= 1 << user;
                devices[usize::from(*user)] =
                    Device { synced: true, version: u8::from(knows), knows, holds, ..Device::default() };
            }
        }
        State { db, devices, history, processes: self.start(), late: None, repeats: self.repeats }
    }

    /// Everybody at the beginning.
    pub(super) fn start(&self) -> [Step; PROCESSES] {
        std::array::from_fn(|index| self.roles.get(index).map_or(Step::Ended, |role| self.first(*role)))
    }

    fn first(&self, role: Role) -> Step {
        match role {
            Role::Create { .. } => Step::CreateMeta,
            Role::Change { .. } if self.creates() => Step::ChangeMeta,
            Role::Change { .. } if self.asks => Step::ChangeCaller,
            Role::Change { .. } => Step::ChangeMember(Change::default()),
            Role::Rename { .. } => Step::RenameMeta,
            Role::Sweep { .. } => Step::SweepMember,
            Role::Send { .. } => Step::SendAccount,
            Role::SweepSends => Step::SweepSends,
            Role::Device { ready: false, .. } => Step::Connect,
            Role::Device { ready: true, .. } => Step::Waiting,
            Role::Read { .. } => Step::PageLog(None),
            Role::Mark { .. } => Step::MarkMember,
            Role::Cleanup => Step::CleanupMeta,
        }
    }

    /// Who is left when everybody has died: the sweeps, and the devices, which ask for nothing but what they were told to.
    pub(super) fn survivors(&self) -> Self {
        let users = 0..USERS as u8;
        let devices =
            users.clone().filter(|user| has(self.devices(), *user)).map(|user| Role::Device { user, ready: true });
        let sweeps = users.map(|user| Role::Sweep { user });
        let roles = std::iter::once(Role::SweepSends).chain(sweeps).chain(devices).collect();
        Self { roles, repeats: 0, ..self.clone() }
    }

    /// A process in words.
    pub(super) fn who(&self, index: usize) -> String {
        let role = self.roles[index];
        let n = self.roles[..=index].iter().filter(|other| **other == role).count();
        match role {
            Role::Create { .. } => format!("attempt {n} of createGroup"),
            Role::Change { request, caller, what: What::Remove, user } if caller == user => {
                format!("attempt {n} of request {request}, {} leaves", name(caller))
            }
            Role::Change { request, caller, what, user } => {
                format!("attempt {n} of request {request}, {}'s {what:?} of {}", name(caller), name(user))
            }
            Role::Rename { request } => format!("attempt {n} of request {request}, a name"),
            Role::Sweep { user } => format!("sweep {n} of {}", name(user)),
            Role::Send { sid, sender } => format!("attempt {n} of {}'s send {sid}", name(sender)),
            Role::SweepSends => format!("sweep {n} of sends"),
            Role::Device { user, .. } => format!("{}'s device", name(user)),
            Role::Read { user } => format!("{} reads", name(user)),
            Role::Mark { user } => format!("{} marks", name(user)),
            Role::Cleanup => "the cleanup".to_owned(),
        }
    }
}

const fn change(request: u8, caller: u8, what: What, user: u8) -> Role {
    Role::Change { request, caller, what, user }
}

/// An attempt of A's request 0, which adds C.
const ADD: Role = change(0, A, What::Add, C);
/// An attempt of A's request 1, which removes C.
const REMOVE: Role = change(1, A, What::Remove, C);
/// An attempt of A's request 2, which adds C.
const REJOIN: Role = change(2, A, What::Add, C);
/// The send that is finished, where A has said something before.
const SAID: u8 = 1;
const CREATE: Role = Role::Create { others: 1 << B };
const SWEEP: Role = Role::Sweep { user: C };
const SEND: Role = Role::Send { sid: 0, sender: B };
const OTHER_SEND: Role = Role::Send { sid: 1, sender: A };
const READ: Role = Role::Read { user: C };
const DEVICE: Role = Role::Device { user: C, ready: false };
const READY: Role = Role::Device { user: C, ready: true };

const fn leave(request: u8, user: u8) -> Role {
    change(request, user, What::Remove, user)
}

/// All configurations, the small ones first.
pub fn configurations() -> Vec<Configuration> {
    [members_small(), told_small(), groups_small(), counts_small(), large()].concat()
}

fn members_small() -> Vec<Configuration> {
    let new = Configuration::new;
    let all = &[A, B, C];
    vec![
        new("added", "an add, its retry, a removal", vec![ADD, ADD, REMOVE]).repeats(1).small(),
        new("added-again", "an add of who is in, its retry, a removal", vec![ADD, ADD, REMOVE])
            .group(all, &[A])
            .small(),
        new("removed", "a removal, its retry, an add", vec![REMOVE, REMOVE, REJOIN])
            .group(all, &[A])
            .repeats(1)
            .small(),
        new("removed-again", "a removal of who was never in, its retry, an add", vec![REMOVE, REMOVE, ADD]).small(),
        new("due", "an add, a removal, the sweep", vec![ADD, REMOVE, SWEEP]).repeats(1).small(),
    ]
}

fn told_small() -> Vec<Configuration> {
    let new = Configuration::new;
    let all = &[A, B, C];
    vec![
        new("told", "an add and a removal of who is connected", vec![ADD, REMOVE, READY]).small(),
        new("told-again", "a removal and an add of who is connected", vec![REMOVE, REJOIN, READY])
            .group(all, &[A])
            .small(),
        new("told-late", "an add, a removal, a send, a device", vec![ADD, REMOVE, SEND, READY]).small(),
        new("hints", "an add and a removal of who is told by hints", vec![ADD, REMOVE, READY]).hints().small(),
        new(
            "hints-late",
            "a removal, an add, a send, a device that is told by hints",
            vec![REMOVE, REJOIN, SEND, DEVICE],
        )
        .group(all, &[A])
        .hints()
        .small(),
        new("joins", "an add, while the device connects", vec![ADD, DEVICE]).repeats(1).small(),
        new("hears", "an add, a send, a device", vec![ADD, SEND, DEVICE]).small(),
        new("rejoins", "a removal, an add and a send", vec![REMOVE, REJOIN, SEND, READY]).group(all, &[A]).small(),
        new("comes-back", "a removal, an add, a send, while the device connects", vec![REMOVE, REJOIN, SEND, DEVICE])
            .group(all, &[A])
            .small(),
        new("goes", "a removal, a send, a device", vec![REMOVE, SEND, DEVICE]).group(all, &[A]).small(),
        new("reads", "a removal, a send, a page", vec![REMOVE, SEND, READ]).group(all, &[A]).small(),
        new("returns", "a removal, an add, a send, a page", vec![REMOVE, REJOIN, SEND, READ]).group(all, &[A]).small(),
        new(
            "sends",
            "a removal of who sends",
            vec![REMOVE, Role::Send { sid: 0, sender: C }, Role::Send { sid: 0, sender: C }, Role::SweepSends],
        )
        .group(all, &[A])
        .small(),
        new("marks", "a removal, an add, a send, a mark", vec![REMOVE, REJOIN, SEND, Role::Mark { user: C }])
            .group(all, &[A])
            .said()
            .small(),
        new(
            "marks-on",
            "a new admin, a send, a mark",
            vec![change(0, A, What::Appoint, C), SEND, Role::Mark { user: C }],
        )
        .group(all, &[A])
        .small(),
    ]
}

fn groups_small() -> Vec<Configuration> {
    let new = Configuration::new;
    vec![
        new("creates", "two attempts of createGroup, a removal", vec![CREATE, CREATE, leave(1, B)])
            .group(&[], &[])
            .small(),
        new(
            "creates-part",
            "createGroup, and who is invited leaves before it is whole",
            vec![Role::Create { others: 1 << B | 1 << C }, leave(1, B)],
        )
        .group(&[], &[])
        .counts()
        .small(),
        new(
            "creates-due",
            "createGroup, the sweep, a device",
            vec![CREATE, Role::Sweep { user: B }, Role::Device { user: B, ready: false }],
        )
        .group(&[], &[])
        .small(),
        new(
            "given-up",
            "two attempts of createGroup, the cleanup, the sweep",
            vec![CREATE, CREATE, Role::Cleanup, Role::Sweep { user: B }],
        )
        .group(&[], &[])
        .counts()
        .small(),
    ]
}

fn counts_small() -> Vec<Configuration> {
    let new = Configuration::new;
    let all = &[A, B, C];
    vec![
        new("counts", "an add and a leave", vec![ADD, leave(1, B)]).counts().repeats(1).small(),
        new("admins", "the admins leave", vec![leave(1, A), leave(2, B)]).group(all, &[A, B]).counts().small(),
        new("admins-all", "the admin leaves, and who is to follow", vec![leave(1, A), leave(2, B)])
            .group(all, &[A])
            .counts()
            .small(),
        new("steps-down", "the admins step down", vec![change(1, A, What::Dismiss, A), change(2, B, What::Dismiss, B)])
            .group(all, &[A, B])
            .counts()
            .small(),
        new(
            "swap",
            "two admins hand over to each other",
            vec![change(0, A, What::HandOver, B), change(2, B, What::HandOver, A)],
        )
        .group(all, &[A, B])
        .counts()
        .small(),
        new(
            "hands-over",
            "the admin hands over, and makes sure of another",
            vec![change(0, C, What::HandOver, B), change(2, C, What::Dismiss, A)],
        )
        .group(all, &[C])
        .counts()
        .small(),
        new(
            "asks",
            "an admin is removed, and adds somebody",
            vec![change(1, A, What::Remove, B), change(0, B, What::Add, C)],
        )
        .group(&[A, B], &[A, B])
        .asks()
        .small(),
        new(
            "names",
            "a name, its retry, another name, an add",
            vec![Role::Rename { request: 3 }, Role::Rename { request: 3 }, Role::Rename { request: 4 }, leave(1, B)],
        )
        .counts()
        .small(),
    ]
}

fn large() -> Vec<Configuration> {
    let new = Configuration::new;
    let all = &[A, B, C];
    let messages = vec![REMOVE, REJOIN, SEND, OTHER_SEND, READ, DEVICE];
    let changes = vec![ADD, ADD, REMOVE, REMOVE, SWEEP, READY];
    let both = vec![REMOVE, REJOIN, SWEEP, SEND, SEND, Role::SweepSends, DEVICE];
    let creates = vec![CREATE, CREATE, Role::Cleanup, Role::Sweep { user: B }, Role::Device { user: B, ready: false }];
    let counts = vec![leave(1, A), leave(2, B), ADD, Role::Sweep { user: A }];
    vec![
        new("many-changes", "an add, a removal, their retries, the sweep, a device", changes).repeats(1),
        new("many-messages", "a removal, an add, two sends, a page, a device", messages).group(all, &[A]),
        new(
            "many-hints",
            "a removal, an add, two sends, a device that is told by hints",
            vec![REMOVE, REJOIN, SEND, OTHER_SEND, DEVICE],
        )
        .group(all, &[A])
        .hints(),
        new("many-sweeps", "a removal, an add, a send, its retry, the sweeps, a device", both).group(all, &[A]),
        new("many-creates", "createGroup, its retry, the cleanup, the sweep, a device", creates)
            .group(&[], &[])
            .repeats(1),
        new("many-counts", "the admins leave, somebody joins, the sweep", counts)
            .group(&[A, B], &[A, B])
            .counts()
            .repeats(1),
    ]
}
