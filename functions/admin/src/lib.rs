//! The operators' HTTP API: wallets, prices, what waits for whom. Every route but `/healthz` asks for an [`Admin`].

use std::cmp::Reverse;

use futures::future::{try_join, try_join4};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::app::App;
use shared::auth::{Admin, HttpRequest, Verifier};
use shared::chat::marks::{Moved, mark};
use shared::chat::profiles::{tell_profile, update};
use shared::chat::settle::{room, settle};
use shared::chat::statuses::{Made, tell_statuses};
use shared::chat::{inboxes, waiting};
use shared::error::Error;
use shared::limits::{STATS_ROWS_MAX, TOLD_MAX};
use shared::run::{Function, Handling, OnRequest};
use shared::store::inbox::{Horizon, Inbox};
use shared::store::ledger::ToppedUp;
use shared::store::table::Key;
use shared::store::work::Work;
use shared::store::{Read, Several};
use wire::limits::COINS_MAX;
use wire::{Coins, ConversationId, Cursor, IdempotencyKey, Limit, Reason, Status, UpdateProfile, UserId};

/// The function.
pub static FUNCTION: Function<OnRequest> = Function { name: "admin", trigger: OnRequest(handle) };

fn handle<'a>(app: &'a App, verifier: &'a Verifier, request: HttpRequest) -> Handling<'a, Value> {
    Box::pin(async move {
        if request.route == "GET /healthz" {
            return Ok(json!({ "status": "ok" }));
        }
        let admin = verifier.admin(&request, app.clock.now()).await?;
        // Also where nobody reads it: who sends what is no text has a fault.
        request.body()?;
        match request.route.as_str() {
            "GET /api/messages/buffered/{userId}" => buffered(app, &admin, &request.path("userId")?).await,
            "DELETE /api/messages/buffered/{userId}" => clear_buffered(app, &admin, &request.path("userId")?).await,
            "GET /api/messages/buffer-stats" => buffer_stats(app, &admin).await,
            "POST /api/wallets/{userId}/credits" => {
                credit(app, &admin, &request.path("userId")?, request.parse()?).await
            }
            "GET /api/wallets/{userId}" => wallet(app, &admin, &request.path("userId")?).await,
            "GET /api/wallets/{userId}/transactions" => transactions(app, &admin, &request).await,
            "PUT /api/users/{userId}/profile" => profile(app, &admin, &request.path("userId")?, request.parse()?).await,
            "PUT /api/users/{userId}/price" => price(app, &admin, &request.path("userId")?, request.parse()?).await,
            _ => Err(Error::NotFound),
        }
    })
}

/// What waits for a user.
async fn buffered(app: &App, _: &Admin, user: &UserId) -> Result<Value, Error> {
    let Several { read: waiting, skipped } = waiting(app, user).await?;
    let undelivered: u64 = waiting.iter().map(|(_, inbox)| inbox.undelivered()).sum();
    let range = |(id, inbox): &(ConversationId, Inbox)| json!({ "conversationId": id, "fromSeq": inbox.delivered_seq.next(), "toSeq": inbox.last_seq });
    let conversations: Vec<Value> = waiting.iter().map(range).collect();
    let answer = json!({ "userId": user, "undelivered": undelivered, "conversations": conversations });
    Ok(counting(answer, skipped.len()))
}

/// An answer, with how many entries it lacks because they can't be read now.
fn counting(mut answer: Value, skipped: usize) -> Value {
    if skipped > 0 {
        answer["skipped"] = skipped.into();
    }
    answer
}

/// Marks all of it delivered, and tells so: in the conversations that were active last, as one request tells no more people.
async fn clear_buffered(app: &App, _: &Admin, user: &UserId) -> Result<Value, Error> {
    let Several { read: mut waiting, skipped } = waiting(app, user).await?;
    waiting.sort_by_key(|(_, inbox)| Reverse(inbox.last_at));
    let (mut made, mut told) = (Vec::new(), 0);
    for (id, inbox) in &waiting {
        let (status, seq) = (Status::Delivered, inbox.last_seq);
        let membership = inbox.side.marked_for();
        let moved = mark(&app.store, user, id, Horizon::Delivered, seq, membership).await?;
        told += inbox.side.others_max();
        if matches!(moved, Moved::Forward(_)) && told <= TOLD_MAX {
            made.push(Made { conversation: id.clone(), inbox: inbox.clone(), status, seq });
        }
    }
    tell_statuses(app, user, made, None).await;
    let cleared: u64 = waiting.iter().map(|(_, inbox)| inbox.undelivered()).sum();
    Ok(counting(json!({ "cleared": cleared }), skipped.len()))
}

/// A user's conversations that hold something undelivered.
async fn waiting(app: &App, user: &UserId) -> Result<Several<(ConversationId, Inbox)>, Error> {
    let mut inboxes = inboxes::all(app, user, Read::Strong).await?;
    inboxes.read.retain(|(_, inbox)| inbox.undelivered() > 0 && !inbox.is_left());
    Ok(inboxes)
}

/// What waits in all. `complete` is false when there was more than [`STATS_ROWS_MAX`] of a kind.
async fn buffer_stats(app: &App, _: &Admin) -> Result<Value, Error> {
    let due = |work| async move { Ok(app.store.work_listed(work, STATS_ROWS_MAX).await?) };
    let (waiting, online, open, unsettled) =
        try_join4(waiting::count(app), due(Work::Online), due(Work::Open), due(Work::Unsettled)).await?;
    let complete = waiting.complete && [&online, &open, &unsettled].iter().all(|rows| rows.len() < STATS_ROWS_MAX);
    let users: Vec<UserId> = online.iter().map(Key::owner).collect::<Result<_, _>>()?;
    let (presences, accounts) =
        try_join(app.store.presences(&users, Read::Eventual), app.store.accounts(&open)).await?;
    let now = app.clock.now();
    let mut stats = json!({
        "undelivered": waiting.undelivered,
        "usersWaiting": waiting.users,
        "connections": presences.values().map(|presence| presence.live(now).count()).sum::<usize>(),
        "openSends": accounts.iter().map(|account| account.open.len()).sum::<usize>(),
        "unsettledEarnings": unsettled.len(),
        "complete": complete,
    });
    if let Some(at) = waiting.oldest_at {
        stats["oldestAt"] = json!(at);
    }
    Ok(stats)
}

/// A top-up.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credit {
    amount: Coins,
    idempotency_key: IdempotencyKey,
    /// For the log; the ledger's entry has its key.
    reason: Option<Reason>,
}

/// Adds coins, once per idempotency key. What doesn't fit beside the balance is refused before anything is written: it would
/// wait until some was spent.
async fn credit(app: &App, admin: &Admin, user: &UserId, credit: Credit) -> Result<Value, Error> {
    if credit.amount == Coins(0) {
        return Err(Error::bad_request("amount", "give at least 1"));
    }
    let account = app.store.account_if_any(user).await?.unwrap_or_default();
    if !account.has_room_for(credit.amount) {
        // Whose first attempt was made in this very moment may be told that it doesn't fit: the next repeat knows.
        let is_repeat = app.store.topup_is_there(user, &credit.idempotency_key).await?;
        let room = room(app, user).await?;
        if credit.amount > room && !is_repeat {
            let problem = format!("a balance holds {COINS_MAX} at most: {} more fits beside it", room.0);
            return Err(Error::bad_request("amount", &problem));
        }
    }
    match app.store.topup(user, &credit.idempotency_key, credit.amount, app.clock.now()).await? {
        ToppedUp::Reused => Err(Error::IdempotencyKeyReused),
        ToppedUp::Here => {
            let reason = credit.reason.as_ref().map(Reason::as_str);
            tracing::info!(user = user.as_str(), amount = credit.amount.0, reason, "topped up");
            wallet(app, admin, user).await
        }
    }
}

/// What a user can spend, with everything folded in.
async fn wallet(app: &App, _: &Admin, user: &UserId) -> Result<Value, Error> {
    let balance = settle(app, user).await?;
    Ok(json!({ "userId": user, "balance": balance }))
}

/// A page of a user's ledger, newest first.
async fn transactions(app: &App, _: &Admin, request: &HttpRequest) -> Result<Value, Error> {
    let user: UserId = request.path("userId")?;
    let cursor: Option<Cursor> = request.query("cursor")?;
    let limit: Option<Limit> = request.query("limit")?;
    let page = app.store.entries(&user, cursor.as_ref(), limit.unwrap_or_default()).await?;
    serde_json::to_value(page).map_err(|error| Error::Internal(error.to_string()))
}

/// What a direct message to a user costs.
#[derive(Deserialize)]
struct Price {
    price: Coins,
}

/// Sets what a direct message to a user costs.
async fn price(app: &App, _: &Admin, user: &UserId, Price { price }: Price) -> Result<Value, Error> {
    app.store.profile_price_set(user, price).await?;
    Ok(json!({ "userId": user, "price": price }))
}

/// Sets what a user is called, and tells the user's devices.
async fn profile(app: &App, _: &Admin, user: &UserId, request: UpdateProfile) -> Result<Value, Error> {
    let user = update(app, user, &request).await?;
    tell_profile(app, user.clone(), None).await;
    Ok(json!({ "user": user }))
}
