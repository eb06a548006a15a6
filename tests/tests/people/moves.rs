//! What must hold of an item before and after a write, and of all coins: who checks that each write keeps it would pass
//! anything, if these rules let anything pass.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::chat::invariants::{
    AllCoins, Holds, account_moves, horizons_move_forward, line_is_there_once, line_misplaced, line_stays, meta_moves,
    segment_follows, send_has_one_slot,
};
use shared::store::accounts::Account;
use shared::store::conversations::Meta;
use shared::store::inbox::Inbox;
use shared::store::ledger::Entry;
use shared::store::scan::Line;
use shared::store::segments::Segment;
use shared::store::work::Listing;
use wire::{Seq, UserId};

/// An item in which this is changed; null takes an attribute away.
fn image<T: DeserializeOwned>(item: &Value, changes: Value) -> T {
    let mut item = item.clone();
    for (name, change) in changes.as_object().expect("attributes") {
        item[name] = change.clone();
    }
    serde_json::from_value(item).expect("an item")
}

#[track_caller]
fn breaks(rule: &str, holds: Holds) {
    assert_eq!(holds.expect_err(rule).rule, rule);
}

#[track_caller]
fn keeps(holds: Holds) {
    assert_eq!(holds, Ok(()));
}

fn send(base: u64) -> Value {
    json!({ "cmid": "one", "conv": "somewhere", "base": base, "price": 10, "earn": 7, "print": "said", "at": 1_000 })
}

#[test]
fn an_account_counts_forward_and_what_is_open_stays() {
    let account =
        json!({ "balance": 5, "open": { "one": send(3) }, "epoch": 4, "settle_version": 6, "dropped_upto": "b" });
    let before: Account = image(&account, json!({}));
    let moves = |changes: Value| account_moves(&before, &image(&account, changes));
    keeps(moves(json!({})));
    keeps(moves(json!({ "epoch": 5, "settle_version": 7, "balance": 0, "open": { "two": send(1) } })));
    keeps(moves(json!({ "open": { "one": send(4), "two": send(1) } })));
    keeps(moves(json!({ "dropped_upto": "c" })));
    for count in ["epoch", "settle_version"] {
        breaks("an account's counts move forward", moves(json!({ count: 3 })));
    }
    breaks("an account's counts move forward", moves(json!({ "dropped_upto": "a" })));
    let mut other = send(3);
    other["price"] = 11.into();
    for changed in [send(2), other] {
        breaks("an open send doesn't change", moves(json!({ "open": { "one": changed } })));
    }
}

#[test]
fn each_horizon_moves_forward() {
    let inbox = json!({
        "kind": "direct", "peer": "bob", "last_seq": 5, "delivered_seq": 4, "read_seq": 3, "last_at": 1_000,
    });
    let before: Inbox = image(&inbox, json!({}));
    let moves = |changes: Value| horizons_move_forward(&before, &image(&inbox, changes));
    keeps(moves(json!({ "last_at": 0 })));
    keeps(moves(json!({ "last_seq": 6, "delivered_seq": 5, "read_seq": 4 })));
    for horizon in ["last_seq", "delivered_seq", "read_seq"] {
        breaks("horizons move forward", moves(json!({ horizon: 2 })));
    }
}

#[test]
fn a_conversation_stays_what_it_is_and_its_messages_move_forward() {
    let meta = json!({
        "id": "somewhere", "kind": "direct", "members": ["ann", "bob"], "created_by": "ann", "created_at": 1_000,
        "creation": "first", "first_seq": 9, "oldest_seq": 7, "deleted_below": 8,
    });
    let before: Meta = image(&meta, json!({}));
    let moves = |changes: Value| meta_moves(&before, &image(&meta, changes));
    keeps(moves(json!({ "moved_at": 2_000, "idle": true, "work_sk": "somewhere else" })));
    keeps(moves(json!({ "first_seq": 12, "oldest_seq": 11, "deleted_below": 10 })));
    for number in ["first_seq", "oldest_seq", "deleted_below"] {
        breaks("messages move forward", moves(json!({ number: 6 })));
    }
    for (name, other) in [
        ("id", json!("elsewhere")),
        ("members", json!(["ann", "carl"])),
        ("created_by", json!("bob")),
        ("created_at", json!(1_001)),
        ("creation", json!("second")),
    ] {
        breaks("what is written once stays", moves(json!({ name: other })));
    }
}

#[test]
fn a_segment_follows_the_one_before_it() {
    let follows = |first: u64, last: u64| {
        segment_follows(&Segment { first: Seq(first), last: Seq(last), object: String::new() }, Seq(5), Seq(9))
    };
    keeps(follows(5, 5));
    keeps(follows(5, 8));
    for (first, last) in [(4, 8), (6, 8), (5, 4), (5, 9)] {
        breaks("segments follow each other", follows(first, last));
    }
}

#[test]
fn a_send_has_one_slot() {
    let mut taken = HashMap::new();
    keeps(send_has_one_slot(&mut taken, "one", 1));
    keeps(send_has_one_slot(&mut taken, "two", 2));
    keeps(send_has_one_slot(&mut taken, "one", 1));
    breaks("a send has one slot", send_has_one_slot(&mut taken, "two", 3));
}

#[test]
fn a_line_is_there_once_stays_and_waits_where_it_is_found() {
    let line = |sk: &str, amount: i64, listing: Option<Listing>| {
        let entry: Entry = image(&json!({ "kind": "earning", "created_at": 1_000 }), json!({ "amount": amount }));
        Line { sk: sk.to_owned(), entry, listing }
    };
    let ann: UserId = "ann".parse().expect("a user id");
    let there = line("ENTRY#1#earn#one", 7, None);
    keeps(line_is_there_once(&there, 1));
    breaks("an entry is there once", line_is_there_once(&there, 2));
    let right = Listing::unsettled(&ann, &there.sk);
    keeps(line_stays(&line("ENTRY#1#earn#one", 7, Some(right.clone())), &there));
    breaks("what is written once stays", line_stays(&there, &line("ENTRY#1#earn#one", 8, None)));
    breaks("what is written once stays", line_stays(&there, &line("ENTRY#2#earn#one", 7, None)));
    let wrong = Some(Listing { sk: "elsewhere".to_owned(), ..right.clone() });
    assert_eq!(line_misplaced(&ann, &there), None);
    assert_eq!(line_misplaced(&ann, &line("ENTRY#1#earn#one", 7, Some(right.clone()))), None);
    assert_eq!(line_misplaced(&ann, &line("ENTRY#1#earn#one", 7, wrong.clone())), Some(right));
    let mut charge = line("ENTRY#1#charge#one", -7, wrong);
    charge.entry.kind = wire::TransactionKind::Charge;
    assert_eq!(line_misplaced(&ann, &charge), None, "it should wait nowhere");
}

#[test]
fn no_coin_comes_or_goes() {
    let all = AllCoins { balances: 100, waiting: 20, taken: 7, paid_out: 2, topped_up: 125 };
    keeps(all.are_conserved());
    for other in [
        AllCoins { balances: 99, ..all },
        AllCoins { waiting: 21, ..all },
        AllCoins { taken: 6, ..all },
        AllCoins { paid_out: 3, ..all },
        AllCoins { topped_up: 126, ..all },
    ] {
        breaks("coins are conserved", other.are_conserved());
    }
}
