//! Sends whose ids sort by time, and claims that drop; functions of the version before beside.

use super::{Configuration, Role, SWEEP, SWEEP_B, SWEEP_BACKWARDS, attempt, priced};
use crate::model::store::{A, Content};

const OLD_SWEEP: Role = Role::Sweep { user: A, last_first: false, old: true };
const TOPUP: Role = Role::TopUp { at: 0 };

/// An attempt of a send that costs nothing: a step less.
fn free(sid: u8) -> Role {
    priced(sid, Content::First, 0)
}

fn old(sid: u8) -> Role {
    match attempt(sid) {
        Role::Attempt { sid, content, price, .. } => Role::Attempt { sid, content, price, old: true },
        role => role,
    }
}

pub(super) fn small() -> Vec<Configuration> {
    [alone(), siblings(), updates()].concat()
}

/// One send of each sender.
fn alone() -> Vec<Configuration> {
    let new = Configuration::new;
    vec![
        new("pair-by-id", "two attempts of a send by id", vec![attempt(0), attempt(0)])
            .by_time(&[0])
            .repeats(2)
            .small(),
        new("retry-by-id", "two attempts by id and the sweep", vec![attempt(0), attempt(0), SWEEP])
            .by_time(&[0])
            .balances(2, 1)
            .repeats(1)
            .small(),
        new("company-by-id", "another sender, all by id", vec![attempt(0), attempt(2), SWEEP])
            .by_time(&[0, 2])
            .repeats(1)
            .small(),
        new("archive-by-id", "slots that move to the archive", vec![attempt(0), attempt(2), SWEEP, Role::Archive])
            .by_time(&[0, 2])
            .small(),
        new("poor-by-id", "a claim by id that has to settle first", vec![attempt(0), attempt(0), TOPUP])
            .by_time(&[0])
            .balances(0, 0)
            .repeats(1)
            .small(),
        new("first-by-id", "a first message by id, paid by a top-up", vec![attempt(0), attempt(0), TOPUP])
            .by_time(&[0])
            .balances(0, 0)
            .topup_coins(1)
            .repeats(1)
            .first_message()
            .small(),
    ]
}

/// Several sends of a sender: their claims drop one another.
fn siblings() -> Vec<Configuration> {
    let new = Configuration::new;
    let retried = || vec![attempt(0), attempt(0), attempt(1)];
    let retried_later = || vec![attempt(0), attempt(1), attempt(1)];
    let swept = || vec![attempt(0), attempt(1), SWEEP];
    vec![
        new("dropped", "claims that drop, no id sorts by time", retried()).by_time(&[]).balances(3, 1).small(),
        new("dropped-by-id", "two attempts, a later send drops", retried()).by_time(&[0, 1]).balances(3, 1).small(),
        new("dropped-late", "two attempts, an earlier send drops", retried_later())
            .by_time(&[0, 1])
            .balances(3, 1)
            .small(),
        new("sibling-by-id", "two sends of one sender by id", swept()).by_time(&[0, 1]).balances(2, 1).small(),
        new("mixed", "an id that sorts by time, then one that doesn't", retried()).by_time(&[0]).balances(3, 1).small(),
        new("mixed-late", "an id that doesn't sort by time, then one that does", retried())
            .by_time(&[1])
            .balances(3, 1)
            .small(),
        new("mixed-sweep", "an id that sorts by time, one that doesn't, the sweep", swept())
            .by_time(&[0])
            .balances(2, 1)
            .small(),
        new("room-by-id", "no room for two open sends by id", retried())
            .by_time(&[0, 1])
            .balances(3, 1)
            .open_max(1)
            .small(),
        new("walk-by-id", "slots that fill up while a walk looks", vec![attempt(0), attempt(0), attempt(2)])
            .by_time(&[0, 1, 2])
            .balances(2, 1)
            .begun()
            .small(),
        new("poor-sibling", "a claim by id that settles while it may drop", vec![attempt(0), attempt(1), TOPUP])
            .by_time(&[0, 1])
            .balances(0, 0)
            .topup_coins(2)
            .small(),
        new("three", "an earlier send is dropped after a later one", vec![free(1), free(3)])
            .by_time(&[0, 1, 3])
            .finished(0)
            .repeats(1)
            .small(),
        new("three-mixed", "the same, by a claim whose id doesn't sort by time", vec![free(0), free(1), free(3)])
            .by_time(&[0, 1])
            .balances(2, 1)
            .begun()
            .small(),
    ]
}

/// The version before beside, or its account.
fn updates() -> Vec<Configuration> {
    let new = Configuration::new;
    vec![
        new("old-pair", "an attempt of the version before and one of this", vec![old(0), attempt(0)])
            .by_time(&[0])
            .balances(2, 1)
            .repeats(1)
            .small(),
        new("old-attempt", "the same, and the sweep", vec![old(0), attempt(0), SWEEP])
            .by_time(&[0])
            .balances(2, 1)
            .small(),
        new("old-sweep", "two attempts, the sweep of the version before", vec![attempt(0), attempt(0), OLD_SWEEP])
            .by_time(&[0])
            .balances(2, 1)
            .small(),
        new("updated", "a send that was dropped before the update is tried again", vec![attempt(0), attempt(1), SWEEP])
            .by_time(&[0, 1])
            .balances(4, 1)
            .dropped_before(0)
            .small(),
        new("updated-late", "the same, of the later send", vec![attempt(0), attempt(1), SWEEP])
            .by_time(&[0, 1])
            .balances(4, 1)
            .dropped_before(1)
            .small(),
        new(
            "updated-mixed",
            "the same, beside a send whose id doesn't sort by time",
            vec![attempt(0), attempt(1), SWEEP],
        )
        .by_time(&[1])
        .balances(4, 1)
        .dropped_before(1)
        .small(),
        new("updated-three", "the same, and another send drops an earlier one", vec![attempt(1), attempt(3), SWEEP])
            .by_time(&[0, 1])
            .balances(4, 1)
            .dropped_before(1)
            .finished(0)
            .small(),
        new("updating", "the version before drops while this one makes it whole", vec![attempt(0), attempt(1), old(1)])
            .by_time(&[0, 1])
            .balances(4, 1)
            .updated()
            .small(),
        new(
            "repair",
            "the sweep of the version before drops, another drop makes it whole",
            vec![free(0), free(1), OLD_SWEEP],
        )
        .by_time(&[0, 1])
        .listed()
        .late(1)
        .small(),
    ]
}

pub(super) fn large() -> Vec<Configuration> {
    let new = Configuration::new;
    let siblings = vec![attempt(0), attempt(0), attempt(1), SWEEP];
    let orders = vec![attempt(0), attempt(1), SWEEP, SWEEP_BACKWARDS];
    let crowd = vec![attempt(0), attempt(0), attempt(1), attempt(2)];
    let company = vec![attempt(0), attempt(0), attempt(2), SWEEP, SWEEP_B];
    let three = vec![attempt(0), attempt(1), attempt(1), attempt(3)];
    let updating = vec![attempt(0), attempt(1), old(1), SWEEP];
    let repairs = vec![free(0), free(1), free(1), OLD_SWEEP];
    let beside = vec![attempt(0), old(0), attempt(1), OLD_SWEEP];
    vec![
        new("siblings-by-id", "two attempts, another send of the sender, the sweep", siblings.clone())
            .by_time(&[0, 1])
            .balances(3, 1)
            .repeats(1),
        new("siblings-mixed", "the same, of two kinds of ids", siblings).by_time(&[1]).balances(3, 1).repeats(1),
        new("orders-by-id", "two sends of one sender, two sweeps in opposite orders", orders)
            .by_time(&[0, 1])
            .balances(2, 1)
            .repeats(1),
        new("two-senders-by-id", "two attempts, another sender, a sweep for each", company).by_time(&[0, 2]).repeats(1),
        new("crowd-by-id", "two attempts, another send of the sender, another sender", crowd)
            .by_time(&[0, 1, 2])
            .balances(3, 1)
            .repeats(1),
        new("three-by-id", "three sends of one sender, one of them twice", three).by_time(&[0, 1, 3]).balances(4, 1),
        new("updates", "both versions, a repaired account, the sweep", updating)
            .by_time(&[0, 1])
            .balances(3, 1)
            .updated(),
        new("repairs", "two attempts, another send, the sweep of the version before", repairs)
            .by_time(&[0, 1])
            .updated()
            .listed(),
        new("beside", "both versions, two sends, the sweep of the version before", beside)
            .by_time(&[0, 1])
            .balances(3, 1),
    ]
}
