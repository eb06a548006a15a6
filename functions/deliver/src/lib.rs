//! The queue of pushes that failed, or were too many for one function: makes each, at a pace that leaves API Gateway's rate to what
//! is new, until it is sent, its connection has gone, or its turns are used up.

use std::time::Duration;

use futures::future::{join, join_all};
use shared::app::App;
use shared::chat::kinds::has_members;
use shared::chat::statuses::newest;
use shared::error::Error;
use shared::limits::{DELIVER_AT_ONCE, DELIVER_RECEIVES_MAX};
use shared::push::Pushed;
use shared::queue::{Delivery, MarkToTell, Received};
use shared::run::{Function, Handling, OnBatch};
use shared::store::Read;
use shared::store::presence::Connected;
use shared::telemetry::{Metric, correlated, count};
use wire::{Event, Status};

/// The function.
pub static FUNCTION: Function<OnBatch> = Function { name: "deliver", trigger: OnBatch(handle) };

fn handle(app: &App, batch: Vec<Received>) -> Handling<'_, Vec<String>> {
    Box::pin(async move { Ok(deliver(app, &batch).await) })
}

/// Works off a batch; gives the ids of those messages that stay in the queue.
///
/// Each starts a pace after the one before, and the batch ends a pace after its last: [`DELIVER_AT_ONCE`] instances that
/// keep to it push as often as the deployment wants, all together.
pub async fn deliver(app: &App, batch: &[Received]) -> Vec<String> {
    let pace = Duration::from_secs(1) * DELIVER_AT_ONCE / app.config.pushes_per_second;
    let turns = batch.iter().zip(0..).map(|(received, n)| async move {
        tokio::time::sleep(pace * n).await;
        stays(app, received).await.then(|| received.id.clone())
    });
    let paces = u32::try_from(batch.len()).unwrap_or(u32::MAX);
    let turns: Vec<_> = turns.collect();
    let (stay, ()) = join(join_all(turns), tokio::time::sleep(pace.saturating_mul(paces))).await;
    stay.into_iter().flatten().collect()
}

/// Gives a message its turn; says whether it stays in the queue. Its lines are found by the id of the request that it is of.
async fn stays(app: &App, received: &Received) -> bool {
    let delivery = received.delivery();
    let id = delivery.as_ref().ok().and_then(|delivery| delivery.correlation_id.clone());
    let turn = async {
        let (letter, receives) = (&received.id, received.receives);
        let pushed = match &delivery {
            Ok(delivery) => push(app, delivery).await,
            Err(problem) => {
                count(Metric::Unreadable, 1.0);
                Err(Unsent::Never(problem.clone()))
            }
        };
        match pushed {
            Ok(()) => {
                tracing::info!(letter, receives, "a push is done");
                false
            }
            Err(Unsent::Yet(reason)) if receives < DELIVER_RECEIVES_MAX => {
                tracing::warn!(letter, receives, reason, "a push is left in the queue");
                app.queue.postpone(received).await;
                true
            }
            Err(Unsent::Yet(reason) | Unsent::Never(reason)) => {
                tracing::error!(letter, receives, reason, "a push is dead-lettered");
                !app.queue.bury(received, &reason).await
            }
        }
    };
    correlated(id, turn).await
}

/// Why a push was not sent.
enum Unsent {
    /// It may work another time.
    Yet(String),
    /// It can't work.
    Never(String),
}

impl From<Error> for Unsent {
    fn from(error: Error) -> Self {
        if let Error::Unreadable(_) = error {
            count(Metric::Unreadable, 1.0);
        }
        Self::Yet(error.cause().map_or_else(|| error.to_string(), str::to_owned))
    }
}

/// Pushes what a message of the queue names, to whoever of its user's connections is still there.
async fn push(app: &App, delivery: &Delivery) -> Result<(), Unsent> {
    let there = app.store.connected(std::slice::from_ref(&delivery.user), app.clock.now(), Read::Strong).await;
    let there = there.map_err(Error::from)?;
    match &delivery.mark {
        None => push_message(app, delivery, &there).await,
        Some(mark) => push_mark(app, delivery, mark, &there).await,
    }
}

/// Pushes a message as it is in the log, if the connection is still there: one that has gone gets it by its next `sync`.
async fn push_message(app: &App, delivery: &Delivery, there: &[Connected]) -> Result<(), Unsent> {
    let Delivery { connection, conversation, seq, .. } = delivery;
    let Some(to) = there.iter().find(|to| to.connection == *connection) else { return Ok(()) };
    if !hears(app, delivery).await? {
        return Ok(());
    }
    let item = app.store.log_item(conversation, *seq).await.map_err(Error::from)?;
    let item = item.ok_or_else(|| Unsent::Never(format!("{conversation} has no message {seq}")))?;
    let event = Event::MessageNew { message: item.message(conversation, *seq, Status::Sent) };
    outcome(app.push.again(&app.store, app.clock.now(), to, &event).await)
}

/// Whether the one who is told may see it: who has left a group since hears no more of it.
async fn hears(app: &App, Delivery { user, conversation, seq, .. }: &Delivery) -> Result<bool, Error> {
    if !has_members(conversation) {
        return Ok(true);
    }
    let member = app.store.member(conversation, user).await?;
    Ok(member.is_some_and(|member| member.is_in() && member.first_seq <= *seq))
}

/// Tells of a mark as far as it has come by now. Who hears it twice, as another device of theirs didn't, learns nothing new.
async fn push_mark(app: &App, delivery: &Delivery, mark: &MarkToTell, there: &[Connected]) -> Result<(), Unsent> {
    let told: Vec<&Connected> = there.iter().filter(|to| mark.answered.as_ref() != Some(&to.connection)).collect();
    if told.is_empty() || !hears(app, delivery).await? {
        return Ok(());
    }
    let Some(event) = newest(app, &delivery.user, mark, &delivery.conversation).await? else { return Ok(()) };
    let now = app.clock.now();
    let pushes: Vec<_> = told.into_iter().map(|to| app.push.again(&app.store, now, to, &event)).collect();
    join_all(pushes).await.into_iter().try_for_each(outcome)
}

fn outcome(pushed: Pushed) -> Result<(), Unsent> {
    match pushed {
        Pushed::Sent | Pushed::Gone => Ok(()),
        Pushed::Failed => Err(Unsent::Yet("the gateway refused the push, or didn't answer".to_owned())),
    }
}
