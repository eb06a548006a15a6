//! What is due gets its turn, whatever sorts before it, and however far behind the index is.

use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::limits::{FOLD_AFTER, LIVELY, SETTLE_NEWEST, VOID_AFTER, WORK_PAGE, WORK_SHARDS};
use shared::store::work::Listing;
use tests::{Fault, Phone, World};
use wire::{Time, UserId};

use crate::get_balance::{are_sent, one_coin_each};
use crate::observed::{Operator, figure};

/// A deployment where Bob's messages cost coins, and Ann has some.
async fn world() -> (World, Phone) {
    let world = World::new().await;
    world.prices("bob", 5).await;
    world.tops_up("ann", 12).await;
    let ann = world.person("ann").connects().await;
    (world, ann)
}

/// So many people of Ann's shard who sort before her.
fn before_ann(count: usize) -> Vec<UserId> {
    let open = |user: &UserId| Listing::open(Time { ms: 0 }, user).pk;
    let user = |name: &str| name.parse::<UserId>().expect("a user id");
    let shard = open(&user("ann"));
    (0..).map(|n| user(&format!("an-{n}"))).filter(|user| open(user) == shard).take(count).collect()
}

/// Has them listed, with what Ann's account says, changed so.
fn lists(world: &World, people: &[UserId], change: impl Fn(&UserId, &mut Map<String, Value>)) {
    let mut account = Map::new();
    world.edits("USER#ann", "ACCOUNT", |item| account = item.clone());
    for user in people {
        world.edits(&format!("USER#{user}"), "ACCOUNT", |item| {
            item.extend(account.clone());
            change(user, item);
        });
    }
}

/// Somebody's account; null where there is none.
fn account(world: &World, user: &str) -> Value {
    let of = |item: &Value| item["pk"] == format!("USER#{user}") && item["sk"] == "ACCOUNT";
    world.items().into_iter().find(of).unwrap_or_default()
}

/// Where somebody's account stands.
fn place(world: &World, user: &str) -> String {
    account(world, user)["work_sk"].as_str().unwrap_or_default().to_owned()
}

fn text(value: &str) -> Value {
    json!({ "S": value })
}

#[tokio::test(start_paused = true)]
async fn a_dead_send_ends_however_many_sort_before_it() {
    let (world, ann) = world().await;
    ann.dies_sending("bob", "lost").await;
    world.advance(VOID_AFTER).await;
    // Their sends are under way, and they are listed without a time, as an earlier version did.
    let (people, now) = (before_ann(WORK_PAGE as usize + 50), world.now());
    lists(&world, &people, |user, item| {
        for (_, send) in item["open"]["M"].as_object_mut().expect("open sends") {
            send["M"]["at"] = json!({ "N": now.ms.to_string() });
        }
        item.insert("work_sk".to_owned(), text(user.as_str()));
    });
    world.sweeps().await;
    assert_eq!(ann.balance().await, 12, "it was given up and paid back");
    let [first, last] = [&people[0], &people[people.len() - 1]];
    for user in [first, last] {
        assert_eq!(place(&world, user.as_str()), Listing::open(now, user).sk, "it is looked at when it is old");
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_stays_while_it_is_taken() {
    let (world, ann) = world().await;
    let began = world.now();
    ann.dies_sending("bob", "lost").await;
    let first = place(&world, "ann");
    let since: i64 = first.split('\u{1f}').next().and_then(|ms| ms.parse().ok()).expect("a time");
    assert!((began.ms..=world.now().ms).contains(&since), "{first} is when it was decided");
    world.advance(Duration::from_secs(30)).await;
    ann.sends_to("bob", "another").await.data();
    assert_eq!(place(&world, "ann"), first);
    world.advance(Duration::from_secs(31)).await;
    world.sweeps().await;
    assert_eq!(place(&world, "ann"), "", "both have ended");
    world.comes_to_rest().await;
}

/// What the sweep has written since this was last asked.
fn written_by_the_sweep(world: &World) -> usize {
    let calls = world.calls();
    calls.iter().filter(|call| call.function == "sweep" && call.operation.is_write()).count()
}

#[tokio::test(start_paused = true)]
async fn who_writes_now_and_then_is_left_alone_until_they_pause() {
    let (world, ann) = world().await;
    ann.sends_to("carl", "one").await.data();
    let first = place(&world, "ann");
    for _ in 0..2 {
        world.advance(LIVELY - Duration::from_secs(1)).await;
        world.calls();
        world.sweeps().await;
        assert_eq!((written_by_the_sweep(&world), place(&world, "ann")), (0, first.clone()));
        ann.sends_to("carl", "another").await.data();
    }
    // Nothing is told of what has ended.
    let operator = Operator::reads();
    world.sweeps().await;
    let line = operator.requests().pop().expect("a line");
    assert_eq!((figure(&line, "OpenSends"), figure(&line, "OldestOpenSend")), (0.0, 0.0), "{line:#}");
    world.advance(LIVELY + Duration::from_secs(1)).await;
    world.calls();
    world.sweeps().await;
    assert_eq!((written_by_the_sweep(&world), place(&world, "ann")), (1, String::new()), "one write drops and unlists");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_paid_back_though_its_sender_goes_on() {
    let (world, ann) = world().await;
    ann.dies_sending("bob", "lost").await;
    world.advance(VOID_AFTER + Duration::from_secs(1)).await;
    ann.sends_to("carl", "another").await.data();
    world.sweeps().await;
    assert_eq!(ann.balance().await, 12);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_is_paid_back_though_the_sweep_has_died_and_its_sender_goes_on() {
    let (world, ann) = world().await;
    ann.dies_sending("bob", "lost").await;
    world.advance(VOID_AFTER + Duration::from_secs(1)).await;
    let drops = |call: &tests::Call| call.function == "sweep" && call.operation.writes("ACCOUNT");
    world.breaks_once(Fault::KillBefore, drops);
    world.tries_to_sweep().await.expect_err("dies");
    world.heals();
    ann.sends_to("carl", "another").await.data();
    world.sweeps().await;
    assert_eq!(ann.balance().await, 12);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn who_sends_while_the_sweep_drops_stays_listed_with_that_alone() {
    let (world, ann) = world().await;
    ann.sends_to("carl", "before").await.data();
    world.advance(LIVELY + Duration::from_secs(30)).await;
    let looks = |call: &tests::Call| {
        call.function == "sweep" && call.operation.keys().iter().any(|sk| sk.starts_with("RECEIPT#"))
    };
    world.breaks_once(Fault::Late(Duration::from_millis(400)), looks);
    let meanwhile = async {
        world.advance(Duration::from_millis(100)).await;
        ann.sends_to("carl", "meanwhile").await.data();
    };
    futures::future::join(world.sweeps(), meanwhile).await;
    let account = account(&world, "ann");
    assert_eq!(account["open"].as_object().map(Map::len), Some(1), "{account:#}");
    assert_ne!(place(&world, "ann"), "", "{account:#}");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_left_alone_keeps_nobody_from_their_turn() {
    let (world, ann) = world().await;
    ann.sends_to("carl", "hello").await.data();
    world.comes_to_rest().await;
    // They have sent just now, and nothing of it is open any more.
    let people = before_ann(200);
    let listed_at = world.now();
    lists(&world, &people, |user, item| {
        item.insert("work_pk".to_owned(), text(&Listing::open(listed_at, user).pk));
        item.insert("work_sk".to_owned(), text(&Listing::open(listed_at, user).sk));
        item.insert("rate_until".to_owned(), json!({ "N": (listed_at.ms + 90_000).to_string() }));
    });
    world.advance(Duration::from_secs(90)).await;
    let listed = || people.iter().filter(|user| !place(&world, user.as_str()).is_empty()).count();
    world.sweeps().await;
    assert_eq!(listed(), 200, "there is time for all");
    // A quarter of its time is over before it has seen all of them.
    let late = async {
        world.advance(Duration::from_millis(20)).await;
        world.sets_clock(15);
    };
    futures::future::join(world.sweeps(), late).await;
    assert!((1..200).contains(&listed()), "{} are left", listed());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_ended_goes_to_the_end_and_is_told() {
    let (world, ann) = world().await;
    ann.dies_sending("bob", "lost").await;
    let operator = Operator::reads();
    world.advance(Duration::from_secs(90)).await;
    world.breaks(|call| call.operation.writes("MSG#").then_some(Fault::Refuse(400)));
    let began = world.now();
    world.sweeps().await;
    world.heals();
    assert!(place(&world, "ann") >= Listing::open(began, &"ann".parse().expect("a user id")).sk, "behind what is due");
    let line = operator.requests().pop().expect("a line");
    assert!((90.0..92.0).contains(&figure(&line, "OldestOpenSend")), "{line:#}");
    world.sweeps().await;
    assert_eq!(ann.balance().await, 7, "it has had its turn");
    world.advance(VOID_AFTER + Duration::from_secs(1)).await;
    world.sweeps().await;
    assert_eq!(ann.balance().await, 12);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_sweep_has_no_time_for_is_told_and_the_next_one_does() {
    let (world, ann) = world().await;
    ann.dies_sending("bob", "lost").await;
    let people = before_ann(200);
    lists(&world, &people, |user, item| {
        item.insert("work_sk".to_owned(), text(&Listing::open(world.now(), user).sk));
    });
    world.advance(Duration::from_secs(90)).await;
    let operator = Operator::reads();
    let late = async {
        world.advance(Duration::from_millis(20)).await;
        world.sets_clock(45);
    };
    futures::future::join(world.sweeps(), late).await;
    let line = operator.requests().pop().expect("a line");
    assert!(figure(&line, "SweepsCut") >= 1.0, "{line:#}");
    assert!(figure(&line, "OldestOpenSend") >= 89.0, "{line:#}");
    let listed = || people.iter().filter(|user| !place(&world, user.as_str()).is_empty()).count();
    assert!(listed() > 100, "{} are left", listed());
    for _ in 0..2 {
        world.advance(VOID_AFTER + Duration::from_secs(1)).await;
        world.sweeps().await;
    }
    assert_eq!(listed(), 0);
}

#[tokio::test(start_paused = true)]
async fn earnings_are_folded_from_where_the_last_sweep_ended() {
    let world = World::deployed_with(&[("DefaultPrice", "3")]).await;
    world.tops_up("ann", 300).await;
    let ann = world.person("ann").connects().await;
    let people = before_ann(100);
    for user in &people {
        ann.sends_to(user.as_str(), "for three").await.data();
    }
    world.advance(FOLD_AFTER).await;
    let settled = |world: &World| {
        let items = world.items();
        let has = |user: &UserId| {
            let of = |item: &&Value| item["pk"] == format!("USER#{user}") && item["sk"] == "ACCOUNT";
            items.iter().find(of).is_some_and(|account| account["balance"] == 3)
        };
        people.iter().map(has).collect::<Vec<bool>>()
    };
    let late = async {
        while !settled(&world).contains(&true) {
            world.advance(Duration::from_millis(1)).await;
        }
        world.sets_clock(45);
    };
    futures::future::join(world.sweeps(), late).await;
    let first = settled(&world);
    assert!(first.contains(&false), "it had no time for all of them");
    world.sets_clock(-45);
    world.calls();
    world.sweeps().await;
    assert_eq!(settled(&world), vec![true; 100]);
    let walks: Vec<String> = world.calls().into_iter().filter_map(|call| Some(call.operation.range()?.0)).collect();
    assert!(walks.iter().any(|from| people.iter().any(|user| *from == format!("{user} "))), "{walks:?}");
}

#[tokio::test(start_paused = true)]
async fn earnings_wait_for_others_to_be_folded_with_them() {
    let (world, ann) = world().await;
    world.sweeps().await;
    let balance = |world: &World| account(world, "bob")["balance"].clone();
    ann.sends_to("bob", "for five").await.data();
    world.advance(FOLD_AFTER - Duration::from_secs(5)).await;
    ann.sends_to("bob", "for five").await.data();
    world.sweeps().await;
    assert_eq!(balance(&world), Value::Null, "there is no account yet");
    world.advance(Duration::from_secs(5)).await;
    world.calls();
    world.sweeps().await;
    assert_eq!(balance(&world), 10, "the younger one, too");
    let writes = |call: &&tests::Call| call.function == "sweep" && call.operation.writes("ACCOUNT");
    assert_eq!(world.calls().iter().filter(writes).count(), 3, "it is made, and the two writes of one folding");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn who_was_never_here_costs_a_look_a_day() {
    let (world, ann) = world().await;
    ann.sends_to("nobody", "hello?").await.data();
    let waits = |world: &World| {
        let items = world.items();
        let inbox = items.iter().find(|item| item["pk"] == "USER#nobody" && !item["work_sk"].is_null());
        inbox.and_then(|item| item["work_sk"].as_str()).unwrap_or_default().to_owned()
    };
    let first = waits(&world);
    world.advance(Duration::from_secs(25 * 3_600)).await;
    world.sweeps().await;
    let moved = waits(&world);
    assert!(moved > first, "{moved:?} is behind {first:?}");
    world.calls();
    world.sweeps().await;
    let reads = |call: &tests::Call| call.operation.keys().iter().any(|sk| sk.starts_with("INBOX#"));
    assert_eq!(world.calls().iter().filter(|call| reads(call)).count(), 0, "it has been looked at");
    world.comes_to_rest().await;
}

/// What is folded is all that a ledger has, though the index shows for long what was folded, or not yet what was earned.
#[tokio::test(start_paused = true)]
async fn a_refusal_for_coins_is_true_while_the_index_lags() {
    let (world, ann, bob) = one_coin_each().await;
    are_sent(&ann, 100).await;
    world.prices("carl", 95).await;
    world.breaks(|call| call.operation.reads_index().then_some(Fault::Repeats));
    let sent = bob.sends_to("carl", "from what I earned").await;
    assert_eq!(sent["balance"], 5);
    world.heals();
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_earned_just_now_can_be_spent() {
    let (world, ann) = world().await;
    ann.sends_to("bob", "for five").await.data();
    world.prices("carl", 5).await;
    world.breaks(|call| call.operation.reads_index().then_some(Fault::Misses(0)));
    let sent = world.person("bob").connects().await.sends_to("carl", "from what I earned").await;
    assert_eq!(sent["balance"], 0);
    world.heals();
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn so_many_of_the_newest_lines_are_read_before_a_refusal() {
    let (world, ann, bob) = one_coin_each().await;
    // The index goes on saying that there is nothing.
    world.breaks(|call| call.operation.reads_index().then_some(Fault::Repeats));
    assert_eq!(bob.balance().await, 0);
    are_sent(&ann, SETTLE_NEWEST + 1).await;
    world.prices("carl", u64::from(SETTLE_NEWEST) + 1).await;
    let refused = bob.sends_to("carl", "for all that I earned").await;
    assert_eq!((refused.code(), &refused.details()["balance"]), ("insufficient_balance", &json!(SETTLE_NEWEST)));
    world.heals();
    assert_eq!(bob.sends_to("carl", "for all that I earned").await["balance"], 0);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_sweep_asks_once_where_nothing_is() {
    let (world, _ann) = world().await;
    world.comes_to_rest().await;
    world.calls();
    world.sweeps().await;
    let asks = |call: &&tests::Call| call.operation.reads_index() && call.operation.range().is_some();
    assert_eq!(world.calls().iter().filter(asks).count() as u64, WORK_SHARDS, "of what is unsettled, a part at a time");
}

#[tokio::test(start_paused = true)]
async fn how_long_a_send_has_been_open_is_told_though_its_account_can_t_be_read() {
    let (world, ann) = world().await;
    ann.dies_sending("bob", "lost").await;
    let operator = Operator::reads();
    world.advance(Duration::from_secs(90)).await;
    let account = |call: &tests::Call| call.function == "sweep" && call.operation.sk() == Some("ACCOUNT");
    world.breaks(move |call| account(call).then_some(Fault::Refuse(400)));
    world.sweeps().await;
    world.heals();
    let line = operator.requests().pop().expect("a line");
    assert!((90.0..92.0).contains(&figure(&line, "OldestOpenSend")), "{line:#}");
    world.comes_to_rest().await;
}
