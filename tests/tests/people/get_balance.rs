use futures::future::join_all;
use serde_json::json;
use tests::{Fault, World};

#[tokio::test(start_paused = true)]
async fn a_new_user_has_nothing_and_leaves_nothing() {
    let world = World::new().await;
    let ann = world.person("ann").connects().await;
    let before = world.items().len();
    assert_eq!(ann.balance().await, 0);
    assert_eq!(world.items().len(), before);
}

#[tokio::test(start_paused = true)]
async fn everything_earned_is_in_it_exactly_once() {
    let world = World::deployed_with(&[("DefaultPrice", "1"), ("SendBurst", "1000")]).await;
    world.tops_up("ann", 150).await;
    let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
    let conversation = ann.opens("bob").await;
    for n in 0..130 {
        ann.sends(&conversation, &n.to_string()).await.data();
    }
    // Many fold at once; each earning counts once.
    let balances = join_all((0..8).map(|_| bob.balance())).await;
    assert!(balances.iter().all(|balance| *balance <= 130), "{balances:?}");
    assert_eq!(bob.balance().await, 130);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_folding_that_breaks_anywhere_is_finished_by_the_next() {
    for fault in [Fault::LoseReply, Fault::KillBefore, Fault::KillAfter, Fault::Refuse(400)] {
        for broken in 0.. {
            let world = World::deployed_with(&[("DefaultPrice", "2")]).await;
            world.tops_up("ann", 6).await;
            let (ann, bob) = (world.person("ann").connects().await, world.person("bob").connects().await);
            for text in ["one", "two", "three"] {
                ann.sends_to("bob", text).await.data();
            }
            let mut calls = 0;
            world.breaks(move |call| {
                calls += usize::from(call.function == "wallet");
                (calls == broken + 1 && call.function == "wallet").then_some(fault)
            });
            world.calls();
            let _ = bob.tries(json!({ "action": "getBalance" })).await;
            let made = world.calls().len();
            world.heals();
            world.is_sound();
            assert_eq!(bob.balance().await, 6, "{fault:?} at call {broken}");
            world.comes_to_rest().await;
            if made < broken {
                break;
            }
        }
    }
}
