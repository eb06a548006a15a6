//! A machine, and what its operator does.

use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::binary::Machine;

/// How long to wait before something is looked at again that can't be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits, but not for long, until LOOK finds it true.
pub(crate) async fn eventually(look: impl AsyncFnMut() -> bool) {
    comes_to(true, look).await;
}

/// A send whose function died is taken up by the sweep, which comes once a minute, when it is a minute old.
const AT_REST_MAX: Duration = Duration::from_secs(180);

/// Waits, mostly not for long, until LOOK finds this. A message is acknowledged before all of its effects are done, and on a
/// busy machine a function may run out of time before they are.
pub(crate) async fn comes_to<T: PartialEq + Debug>(expected: T, mut look: impl AsyncFnMut() -> T) {
    let deadline = Instant::now() + AT_REST_MAX;
    let mut found = look().await;
    while found != expected && Instant::now() < deadline {
        tokio::time::sleep(LOOK_AGAIN).await;
        found = look().await;
    }
    assert_eq!(found, expected);
}

/// What a page of the ledger comes to.
pub(crate) fn sum(transactions: &Value) -> i64 {
    let lines = transactions["transactions"].as_array().expect("a page").iter();
    lines.map(|line| line["amount"].as_i64().expect("an amount")).sum()
}

/// A machine with an operator.
pub(crate) struct World {
    pub(crate) machine: Machine,
    operator: String,
}

impl World {
    /// One that keeps nothing, with these flags.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        Self::start_in(Path::new(":memory:"), flags).await
    }

    /// One on this directory, with these flags.
    pub(crate) async fn start_in(data_dir: &Path, flags: &[&str]) -> Self {
        let quiet = ["--parameter", "LogLevel=warn"];
        let machine = Machine::start(data_dir, &[&quiet, flags].concat()).await;
        let mut world = Self { machine, operator: String::new() };
        world.operator = world.token(json!({ "sub": "operator", "roles": ["admin"] })).await;
        world
    }

    /// A token that says so.
    pub(crate) async fn token(&self, claims: Value) -> String {
        let (status, answer) = self.machine.http("POST /dev/token", None, &claims.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["token"].as_str().expect("a token").to_owned()
    }

    async fn operate(&self, request: &str, body: &str) -> Value {
        let (status, answer) = self.machine.http(request, Some(&self.operator), body).await;
        assert_eq!(status, 200, "{request}: {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Adds coins.
    pub(crate) async fn credit(&self, user: &str, amount: u64) {
        let body = json!({ "amount": amount, "idempotencyKey": format!("{user} {amount}") });
        self.operate(&format!("POST /api/wallets/{user}/credits"), &body.to_string()).await;
    }

    /// Sets what a message to this user costs.
    pub(crate) async fn set_price(&self, user: &str, price: u64) {
        self.operate(&format!("PUT /api/users/{user}/price"), &json!({ "price": price }).to_string()).await;
    }

    /// What this user can spend, and what the ledger comes to.
    pub(crate) async fn coins(&self, user: &str) -> (i64, i64) {
        (self.balance(user).await, self.ledger(user).await)
    }

    async fn balance(&self, user: &str) -> i64 {
        self.operate(&format!("GET /api/wallets/{user}"), "").await["balance"].as_i64().expect("a number")
    }

    async fn ledger(&self, user: &str) -> i64 {
        let (mut total, mut cursor) = (0, String::new());
        loop {
            let page = self.operate(&format!("GET /api/wallets/{user}/transactions?limit=100{cursor}"), "").await;
            total += sum(&page);
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return total,
            }
        }
    }

    /// What waits, in all.
    pub(crate) async fn stats(&self) -> Value {
        self.operate("GET /api/messages/buffer-stats", "").await
    }

    /// What only this machine's function processes have in their environment: the address of its engine.
    pub(crate) fn engine(&self) -> String {
        format!("AWS_ENDPOINT_URL_DYNAMODB={}", self.machine.dynamodb_endpoint())
    }

    /// Sends a signal to each process of a function that is at work, which is to say not frozen; says how many there were.
    pub(crate) fn strike(&self, function: &str, signal: Signal) -> usize {
        let at_work = |pid: Pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('T'))
        };
        let struck = functions_of(&self.engine()).into_iter().filter(|(pid, name)| name == function && at_work(*pid));
        struck.filter(|(pid, _)| kill_process(*pid, signal).is_ok()).count()
    }
}

/// The function processes that have this variable, with their functions' names. They are found by it also when their
/// machine is dead; a dead process has no variables.
pub(crate) fn functions_of(engine: &str) -> Vec<(Pid, String)> {
    let entries = fs::read_dir("/proc").expect("a system with /proc").flatten();
    let function = |entry: fs::DirEntry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let variables: Vec<&str> =
            environment.split(|byte| *byte == 0).filter_map(|text| str::from_utf8(text).ok()).collect();
        let name = variables.iter().find_map(|text| text.strip_prefix("AWS_LAMBDA_FUNCTION_NAME="))?;
        variables.contains(&engine).then(|| (pid, (*name).to_owned()))
    };
    entries.filter_map(function).collect()
}
