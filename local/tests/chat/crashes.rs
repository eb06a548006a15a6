//! Processes die, at the worst of moments.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};

use futures::future::{join, join_all};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::client::{Client, send};
use crate::world::{World, comes_to, eventually, functions_of};

/// Who sends: in pairs to one another for free, and all of them to the star for coins.
const SENDERS: [&str; 6] = ["s0", "s1", "s2", "s3", "s4", "s5"];
const STAR: &str = "star";
const STAR_PRICE: u64 = 3;
const COINS: u64 = 1_000_000;
/// Nobody is to be slowed down here.
const FAST: [&str; 4] = ["--parameter", "SendsPerSecond=1000", "--parameter", "SendBurst=10000"];
/// The machine is killed after so many acknowledgements, or a few more: a moment that is never the same.
const ACKNOWLEDGED_MIN: usize = 60;
const ACKNOWLEDGED_MAX: usize = 460;
/// How many requests one sender makes at a time.
const AT_ONCE: usize = 4;

/// What a sender asked for, and the message it was told it had become.
struct Sent {
    request: Value,
    acknowledged: Option<Value>,
}

/// Sends until the connection is lost, and tells of each acknowledgement.
async fn send_until_lost(mut client: Client, sender: usize, acknowledged: mpsc::UnboundedSender<()>) -> Vec<Sent> {
    let mut all = Vec::new();
    loop {
        let request = |n: usize| {
            let to = if n.is_multiple_of(2) { SENDERS[sender ^ 1] } else { STAR };
            send(to, &format!("{n} from {} to {to}", SENDERS[sender]), &n.to_string())
        };
        let requests: Vec<Value> = (all.len()..all.len() + AT_ONCE).map(request).collect();
        let answers = client.asks_at_once(&requests).await;
        let lost = answers.iter().any(Option::is_none);
        for (request, answer) in requests.into_iter().zip(answers) {
            let message = answer.map(|mut answer| {
                assert_eq!(answer["success"], true, "{answer}");
                // The one who counts may have heard enough.
                let _ = acknowledged.send(());
                answer["data"]["message"].take()
            });
            all.push(Sent { request, acknowledged: message });
        }
        if lost {
            return all;
        }
    }
}

/// Has every sender send until the machine is killed, which is when so many sends have been acknowledged.
async fn load_and_kill(world: World, acknowledged_min: usize) -> Vec<Vec<Sent>> {
    let clients = join_all(SENDERS.iter().map(|user| Client::connects(&world, user))).await;
    let engine = world.engine();
    let (sender, mut acknowledged) = mpsc::unbounded_channel();
    let load = clients.into_iter().enumerate().map(|(n, client)| send_until_lost(client, n, sender.clone()));
    let kill = async {
        for _ in 0..acknowledged_min {
            acknowledged.recv().await.expect("sends go on");
        }
        assert!(!functions_of(&engine).is_empty(), "the functions are at work");
        world.machine.stop(Signal::KILL).await;
    };
    let (sent, ()) = join(join_all(load), kill).await;
    eventually(async || functions_of(&engine).is_empty()).await;
    sent
}

/// Each sender asks for everything again: what was acknowledged is answered as it was, and the rest is sent now.
async fn repeat_everything(world: &World, sent: &mut [Vec<Sent>]) {
    let repeat = SENDERS.iter().zip(sent).map(|(user, sent)| async {
        let mut client = Client::connects(world, user).await;
        for some in sent.chunks_mut(AT_ONCE) {
            let requests: Vec<Value> = some.iter().map(|sent| sent.request.clone()).collect();
            for (sent, mut answer) in some.iter_mut().zip(client.persists(&requests).await) {
                assert_eq!(answer["success"], true, "{answer}");
                let message = answer["data"]["message"].take();
                if let Some(before) = sent.acknowledged.replace(message.clone()) {
                    assert_eq!((&before, &answer["data"]["duplicate"]), (&message, &json!(true)));
                }
            }
        }
    });
    join_all(repeat).await;
}

/// Every conversation is numbered 1..n and holds what was acknowledged, under the numbers that were told. Says how many
/// messages there are.
async fn check_logs(world: &World, sent: &[Vec<Sent>]) -> usize {
    let mut conversations: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for message in sent.iter().flatten().filter_map(|sent| sent.acknowledged.as_ref()) {
        conversations.entry(message["conversationId"].as_str().expect("an id")).or_default().push(message);
    }
    let mut count = 0;
    for (id, acknowledged) in conversations {
        let reader = acknowledged[0]["senderId"].as_str().expect("a user");
        let log = Client::connects(world, reader).await.reads_all(id).await;
        assert!(log.iter().zip(1..).all(|(message, n)| message["seq"] == n), "{id} has no hole");
        for message in acknowledged {
            let at = usize::try_from(message["seq"].as_u64().expect("a number")).expect("fits") - 1;
            // How far the others have read is another matter.
            let mut there = log.get(at).cloned().unwrap_or_default();
            there["status"].clone_from(&message["status"]);
            assert_eq!(there, *message);
        }
        count += log.len();
    }
    count
}

/// No coin was made or lost, and every ledger adds up to its balance.
async fn check_coins(world: &World, sent: &[Vec<Sent>]) {
    let paid = sent.iter().flatten().filter(|sent| sent.request["to"] == STAR).count();
    assert_eq!(world.coins(STAR).await.0, i64::try_from(paid as u64 * STAR_PRICE).expect("fits"));
    let mut total = 0;
    for user in SENDERS.iter().chain([&STAR]) {
        let (balance, ledger) = world.coins(user).await;
        assert_eq!(ledger, balance, "the ledger of {user}");
        total += balance;
    }
    assert_eq!(total, i64::try_from(COINS * SENDERS.len() as u64).expect("fits"));
}

#[tokio::test]
async fn a_crash_under_load_loses_nothing_and_charges_nothing_twice() {
    let moment = usize::try_from(RandomState::new().hash_one("the moment")).expect("64 bits");
    let moment = ACKNOWLEDGED_MIN + moment % (ACKNOWLEDGED_MAX - ACKNOWLEDGED_MIN);
    eprintln!("killed after {moment} acknowledgements");
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::start_in(dir.path(), &FAST).await;
    world.set_price(STAR, STAR_PRICE).await;
    for user in SENDERS {
        world.credit(user, COINS).await;
    }
    let mut sent = load_and_kill(world, moment).await;

    let world = World::start_in(dir.path(), &FAST).await;
    check_logs(&world, &sent).await;
    repeat_everything(&world, &mut sent).await;
    assert!(world.machine.stop(Signal::INT).await.success());

    // Who asks for a balance has every earning folded into it.
    let world = World::start_in(dir.path(), &FAST).await;
    assert_eq!(check_logs(&world, &sent).await, sent.iter().map(Vec::len).sum::<usize>(), "each send is one message");
    check_coins(&world, &sent).await;
}

/// Sends at once, again and again, until a signal has hit the function in the middle of its work; then repeats everything.
async fn a_struck_send_is_made_up_for(signal: Signal) {
    let world = World::start(&FAST).await;
    world.credit("ann", COINS).await;
    world.set_price("bob", 1).await;
    let mut ann = Client::connects(&world, "ann").await;
    let mut requests = Vec::new();
    let mut unanswered = 0;
    while unanswered == 0 {
        let more: Vec<Value> = (0..20).map(|n| send("bob", "hello", &format!("{} {n}", requests.len()))).collect();
        let strike = eventually(async || world.strike("send", signal) > 0);
        let (answers, ()) = join(ann.asks_at_once(&more), strike).await;
        unanswered = answers.iter().filter(|answer| answer.is_none()).count();
        requests.extend(more);
    }
    let answers = ann.persists(&requests).await;
    let numbers: BTreeSet<u64> =
        answers.iter().filter_map(|answer| answer["data"]["message"]["seq"].as_u64()).collect();
    let sends = requests.len() as u64;
    assert_eq!(numbers, (1..=sends).collect());
    let id = answers[0]["data"]["message"]["conversationId"].as_str().expect("an id");
    assert_eq!(ann.reads_all(id).await.len(), requests.len());
    let sends = i64::try_from(sends).expect("fits");
    comes_to((sends, sends), async || world.coins("bob").await).await;
    let rest = i64::try_from(COINS).expect("fits") - sends;
    comes_to((rest, rest), async || world.coins("ann").await).await;
}

#[tokio::test]
async fn a_function_that_is_killed_at_work_is_made_up_for_by_the_retry() {
    a_struck_send_is_made_up_for(Signal::KILL).await;
}

#[tokio::test]
async fn a_function_that_exceeds_its_time_limit_is_made_up_for_by_the_retry() {
    a_struck_send_is_made_up_for(Signal::STOP).await;
}
