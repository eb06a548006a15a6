use futures::future::join_all;
use tests::World;

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
