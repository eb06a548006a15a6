//! The web client's own code, run by Node.js.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tests::years::Made;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::logs::{Digest, Logs, Tokens};
use benches::problem::Problem;

/// What reads conversations through `local/web/wire.js`.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/years/web.js");
/// A browser's WebSocket is built in from version 22 on, and behind this in 20.
const NODE_OPTIONS: [&str; 2] = ["--experimental-websocket", "--no-warnings"];

/// What somebody holds of a conversation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    user: String,
    conversation_id: String,
    messages: usize,
    digest: String,
}

/// Makes sure that it can be run.
pub(crate) async fn can_be_run() -> Result<(), Problem> {
    const INSTALL: &str = "--prove needs Node.js 22 for the web client: install it, or give --web 0";
    let mut node = Command::new("node");
    node.args(NODE_OPTIONS).args(["--eval", "new WebSocket('ws://127.0.0.1:1').close()"]);
    let ended = node.stdin(Stdio::null()).output().await.map_err(|error| format!("node: {error}; {INSTALL}"))?;
    if ended.status.success() { Ok(()) } else { Err(format!("node is older than version 20.10; {INSTALL}").into()) }
}

/// Both of each of the first so many conversations open it in the web client and scroll up to its first message: they hold
/// what was read before. Says how many messages these were, for one of both.
pub(crate) async fn reads(
    address: &str,
    tokens: &Tokens,
    made: &[Made],
    logs: &Logs,
    conversations: usize,
) -> Result<usize, Problem> {
    let made = made.get(..conversations).unwrap_or(made);
    let mut others: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut unread = BTreeMap::new();
    for (made, log) in made.iter().zip(logs) {
        let [one, other] = made.members.each_ref().map(|member| member.as_str());
        for (user, other) in [(one, other), (other, one)] {
            others.entry(user).or_default().push(other);
            unread.insert((user.to_owned(), made.id.as_str().to_owned()), log);
        }
    }
    let url = format!("ws://{address}/ws");
    let people = others.into_iter().map(|(user, others)| {
        let person = json!({ "url": url, "user": user, "token": tokens[user], "others": others });
        format!("{person}\n")
    });
    let people: String = people.collect();

    let mut node = Command::new("node");
    node.args(NODE_OPTIONS).arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut node = node.spawn()?;
    // It reads all of it before it says anything.
    node.stdin.take().ok_or("no input")?.write_all(people.as_bytes()).await?;
    let mut lines = BufReader::new(node.stdout.take().ok_or("no output")?).lines();
    while let Some(line) = lines.next_line().await? {
        let held: Held = serde_json::from_str(&line)?;
        let key = (held.user, held.conversation_id);
        let log = unread.remove(&key).ok_or_else(|| format!("{key:?}: nobody asked for it"))?;
        if held.messages != log.len() || held.digest != digest(log) {
            return Err(format!("{key:?}: the web client holds something else").into());
        }
    }
    let ended = node.wait().await?;
    match unread.keys().next() {
        None if ended.success() => Ok(made.iter().zip(logs).map(|(_, log)| log.len()).sum()),
        missing => Err(format!("the web client ended with {ended}; {missing:?} is not read").into()),
    }
}

/// All of a conversation, hashed.
fn digest(log: &[Digest]) -> String {
    Sha256::digest(log.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
}
