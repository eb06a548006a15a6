//! Who takes part: each configuration is explored to its end.

use super::state::{PROCESSES, State};
use super::step::{Place, Step};
use super::store::{Bits, Cursor, Db, Device, Held, History, MESSAGES, Member};

/// What a change does to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// An edit, or a reaction: the last one wins.
    Edit,
    /// An edit of this `rev`: its caller names it, and nothing is read before the write.
    EditFrom(u8),
    /// For everyone.
    Delete,
}

impl What {
    /// The `rev` that the caller names.
    pub(super) const fn named(self) -> Option<u8> {
        if let Self::EditFrom(rev) = self { Some(rev) } else { None }
    }
}

/// Where the device is at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// It has nothing yet.
    New,
    /// It has synced and is connected.
    Ready,
    /// It has synced, and its connection was lost.
    Away,
    /// The same, and it connects only when everybody has died.
    Last,
    /// It has the messages, by a client that knew nothing of changes, and isn't connected.
    Old,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// An attempt of a change.
    Change { request: u8, n: u8, what: What },
    /// The sweep of one message's shard of the index.
    Sweep { n: u8 },
    /// B is removed from the group.
    Remove,
    /// B is added again.
    Rejoin,
    /// The cleanup of the log: the first message goes to the archive.
    Archive,
    /// The cleanup of the feed.
    Trim,
    /// B's device.
    Device(Begins),
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
    /// How many messages there are.
    pub(super) messages: u8,
    /// Whether it is a group: one `last_change` for all.
    pub(super) group: bool,
    /// The requests that change each message.
    changed: [Bits; MESSAGES],
    /// Whether there is an archive.
    archive: bool,
    /// Whether B's MEMBER is asked, too.
    pub(super) members: bool,
    /// How many requests are repeated by the SDK.
    pub(super) repeats: u8,
    /// How often the device's connection is lost.
    pub(super) losses: u8,
}

impl Configuration {
    /// A direct conversation.
    fn new(name: &'static str, about: &'static str, roles: Vec<Role>) -> Self {
        let number = |role: &Role| if let Role::Change { n, .. } = role { *n } else { 1 };
        let messages = roles.iter().map(number).max().unwrap_or(1);
        let archive = roles.contains(&Role::Archive);
        let mut changed = [0; MESSAGES];
        for role in &roles {
            if let Role::Change { request, n, .. } = role {
                changed[usize::from(*n) - 1] |= 1 << request;
            }
        }
        Self {
            name,
            about,
            small: false,
            roles,
            messages,
            group: false,
            changed,
            archive,
            members: false,
            repeats: 0,
            losses: 0,
        }
    }

    fn small(mut self) -> Self {
        self.small = true;
        self
    }

    fn group(mut self) -> Self {
        self.group = true;
        self
    }

    /// A group that B leaves, and joins again when the second message is sent.
    fn members(mut self) -> Self {
        (self.group, self.members, self.messages) = (true, true, 2);
        self
    }

    /// So many requests may be repeated by the SDK: lost replies, late arrivals.
    fn repeats(mut self, repeats: u8) -> Self {
        self.repeats = repeats;
        self
    }

    fn losses(mut self, losses: u8) -> Self {
        self.losses = losses;
        self
    }

    /// Where the device is at first, if there is one.
    fn begins(&self) -> Option<Begins> {
        self.roles.iter().find_map(|role| if let Role::Device(begins) = role { Some(*begins) } else { None })
    }

    /// Whether somebody has a device.
    pub(super) fn has_device(&self) -> bool {
        self.begins().is_some()
    }

    /// Where it starts.
    pub(super) fn initial(&self) -> State {
        let mut db = Db { member: Member { joined: true, first_seq: 1 }, ..Db::default() };
        let mut device = Device { losses: self.losses, knows: 1, ..Device::default() };
        if self.begins().is_some_and(|begins| begins != Begins::New) {
            device.cursor = Some(Cursor { place: 0, first_seq: 1 });
            device.holds = [Held { shown: true, ..Held::default() }; MESSAGES];
        }
        if self.begins() == Some(Begins::Old) {
            device.cursor = None;
        }
        if self.begins() == Some(Begins::Ready) {
            (device.synced, device.connections, db.connection) = (true, 1, 1);
        }
        let processes = self.start(&device);
        State { db, device, history: History::default(), processes, late: None, repeats: self.repeats }
    }

    /// Everybody at the beginning.
    pub(super) fn start(&self, device: &Device) -> [Step; PROCESSES] {
        std::array::from_fn(|index| self.roles.get(index).map_or(Step::Ended, |role| self.first(*role, device)))
    }

    fn first(&self, role: Role, device: &Device) -> Step {
        match role {
            Role::Change { what: What::EditFrom(seen), .. } => Step::Write { seen, over: false },
            Role::Change { .. } if self.archive => Step::Meta { refused: false },
            Role::Change { .. } => Step::Read { refused: false, place: Place::Log },
            Role::Remove | Role::Rejoin => Step::Membership,
            Role::Archive => Step::Archive,
            Role::Trim => Step::Trim,
            Role::Sweep { .. } => Step::Sweep,
            Role::Device(Begins::Last) => Step::Ended,
            Role::Device(_) if device.synced => Step::Waiting,
            Role::Device(_) => Step::Connect,
        }
    }

    /// Whether there is an archive.
    pub(super) const fn archives(&self) -> bool {
        self.archive
    }

    /// The requests that change a message.
    pub(super) fn requests(&self, n: u8) -> Bits {
        self.changed[usize::from(n) - 1]
    }

    /// Who is left when everybody has died: the sweep, and the device.
    pub(super) fn survivors(&self) -> Self {
        let sweeps = (1..=self.messages).map(|n| Role::Sweep { n });
        let device = self.begins().map(|_| AWAY);
        let roles = sweeps.chain(device).collect();
        Self { roles, repeats: 0, ..self.clone() }
    }

    /// A process in words.
    pub(super) fn who(&self, index: usize) -> String {
        let role = self.roles[index];
        let n = self.roles[..=index].iter().filter(|other| **other == role).count();
        match role {
            Role::Change { request, what: What::EditFrom(rev), .. } => {
                format!("attempt {n} of request {request}, from rev {rev}")
            }
            Role::Change { request, what: What::Delete, .. } => format!("attempt {n} of request {request}, a deletion"),
            Role::Change { request, .. } => format!("attempt {n} of request {request}"),
            Role::Sweep { n } => format!("the sweep of message {n}"),
            Role::Remove => "the removal of B".to_owned(),
            Role::Rejoin => "the adding of B".to_owned(),
            Role::Archive => format!("cleanup {n}"),
            Role::Trim => "the cleanup".to_owned(),
            Role::Device(_) => "the device".to_owned(),
        }
    }
}

const fn edit(request: u8, n: u8) -> Role {
    Role::Change { request, n, what: What::Edit }
}

const fn edit_from(request: u8, rev: u8) -> Role {
    Role::Change { request, n: 1, what: What::EditFrom(rev) }
}

const fn delete(request: u8) -> Role {
    Role::Change { request, n: 1, what: What::Delete }
}

const SWEEP: Role = Role::Sweep { n: 1 };
const NEW: Role = Role::Device(Begins::New);
const READY: Role = Role::Device(Begins::Ready);
const AWAY: Role = Role::Device(Begins::Away);

/// All configurations, the small ones first.
pub fn configurations() -> Vec<Configuration> {
    [changes_small(), devices_small(), feed_small(), members_small(), archive_small(), large()].concat()
}

fn changes_small() -> Vec<Configuration> {
    let new = Configuration::new;
    vec![
        new("edited", "an edit, its retry, another edit", vec![edit(0, 1), edit(0, 1), edit(1, 1)])
            .group()
            .repeats(1)
            .small(),
        new("compared", "an edit, and one of its rev with a retry", vec![edit(0, 1), edit_from(1, 1), edit_from(1, 1)])
            .group()
            .repeats(1)
            .small(),
        new("compared-late", "two edits, and one of the first's rev", vec![edit(0, 1), edit(1, 1), edit_from(2, 1)])
            .group()
            .small(),
        new("deleted", "a deletion, its retry, edits", vec![delete(0), delete(0), edit(1, 1), edit_from(2, 1)])
            .group()
            .small(),
    ]
}

fn devices_small() -> Vec<Configuration> {
    let new = Configuration::new;
    vec![
        new("changed", "an edit, while a device connects for the first time", vec![edit(0, 1), NEW])
            .repeats(1)
            .losses(1)
            .small(),
        new("changed-twice", "two edits, a device that is connected", vec![edit(0, 1), edit(1, 1), READY])
            .repeats(1)
            .small(),
        new("changes-due", "two edits, the sweep, a device", vec![edit(0, 1), edit(1, 1), SWEEP, READY])
            .group()
            .small(),
        new("away", "two edits, a device that comes back", vec![edit(0, 1), edit(1, 1), AWAY]).losses(1).small(),
        new("away-group", "the same in a group", vec![edit(0, 1), edit(1, 1), AWAY]).group().losses(1).small(),
        new(
            "no-cursor",
            "an edit, a device that has messages and no cursor",
            vec![edit(0, 1), Role::Device(Begins::Old)],
        )
        .losses(1)
        .small(),
        new("two-changed", "an edit each of two messages, a device", vec![edit(0, 1), edit(1, 2), AWAY])
            .losses(1)
            .small(),
    ]
}

fn feed_small() -> Vec<Configuration> {
    let new = Configuration::new;
    vec![
        new("trimmed", "edits of two messages, a trim, a device", vec![edit(0, 1), edit(1, 2), Role::Trim, AWAY])
            .group()
            .losses(1)
            .small(),
        new(
            "trimmed-slowly",
            "three edits of two messages, a trim, a device that comes back at last",
            vec![edit(0, 1), edit(2, 1), edit(1, 2), Role::Trim, Role::Device(Begins::Last)],
        )
        .group()
        .small(),
    ]
}

fn members_small() -> Vec<Configuration> {
    let new = Configuration::new;
    vec![
        new(
            "unseen",
            "an edit, another edit, a removal, a device that is connected",
            vec![edit(0, 1), edit(1, 1), Role::Remove, READY],
        )
        .members()
        .small(),
        new("unseen-again", "an edit, a removal, an add, a device", vec![edit(0, 1), Role::Remove, Role::Rejoin, AWAY])
            .members()
            .losses(1)
            .small(),
    ]
}

fn archive_small() -> Vec<Configuration> {
    let new = Configuration::new;
    vec![
        new("archived", "two edits, the cleanup", vec![edit(0, 1), edit(1, 1), Role::Archive]).group().small(),
        new("archived-again", "an edit, its retry, the cleanup", vec![edit(0, 1), edit(0, 1), Role::Archive])
            .group()
            .repeats(1)
            .small(),
        new("archived-due", "an edit, the cleanup, a device", vec![edit(0, 1), Role::Archive, AWAY])
            .group()
            .losses(1)
            .small(),
    ]
}

fn large() -> Vec<Configuration> {
    let new = Configuration::new;
    let edits = vec![edit(0, 1), edit(1, 1), AWAY];
    let retried = vec![edit(0, 1), edit(0, 1), edit(1, 1), SWEEP, AWAY];
    let archived = vec![edit(0, 1), edit(1, 1), Role::Archive, Role::Archive, AWAY];
    let member = vec![edit(0, 1), edit(1, 1), Role::Remove, Role::Rejoin, AWAY];
    let trimmed = vec![edit(0, 1), edit(2, 1), edit(1, 2), Role::Trim, AWAY];
    let two = vec![edit(0, 1), edit(1, 2), edit(2, 1), AWAY];
    vec![
        new("many-losses", "two edits, a device that comes back twice", edits).repeats(1).losses(2),
        new("many-edits", "two edits, a retry, the sweep, a device", retried).group().losses(1),
        new("many-trimmed", "three edits of two messages, a trim, a device", trimmed).group().losses(1),
        new("many-unseen", "two edits, a removal, an add, a device", member).members().repeats(1).losses(1),
        new("many-archived", "two edits, two cleanups, a device", archived).group().losses(1),
        new("many-changed", "three edits of two messages, a device", two).group().losses(1),
    ]
}
