//! A data directory is copied while people use it, and the copy is used.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use local::backup::{BackupError, backup};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::binary::{Machine, parley, soon};

/// What a command says, and whether it is well.
async fn says(arguments: &[&str]) -> (bool, String) {
    let output = soon(parley(arguments).output()).await.expect("runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("text"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a readable path")
}

async fn operators_token(machine: &Machine) -> String {
    let (_, answer) = machine.http("POST /dev/token", None, r#"{"sub":"root","roles":["admin"]}"#).await;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    answer["token"].as_str().expect("a token").to_owned()
}

/// Gives somebody a coin, until it is acknowledged.
async fn gives_a_coin(machine: &Machine, token: &str, user: &str, key: u64) {
    let body = json!({ "amount": 1, "idempotencyKey": key.to_string() }).to_string();
    let (status, answer) = machine.http(&format!("POST /api/wallets/{user}/credits"), Some(token), &body).await;
    assert_eq!(status, 200, "{answer}");
}

async fn balance(machine: &Machine, token: &str, user: &str) -> u64 {
    let (status, answer) = machine.http(&format!("GET /api/wallets/{user}"), Some(token), "").await;
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str::<Value>(&answer).expect("JSON")["balance"].as_u64().expect("a number")
}

#[tokio::test]
async fn a_copy_has_all_that_was_acknowledged_before_it_and_is_used_like_any_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    let machine = Machine::start(&data, &["--no-schedules"]).await;
    let token = operators_token(&machine).await;
    let object = Path::new("archive/objects/segments/conversation/1");
    fs::create_dir_all(data.join(object).parent().expect("a folder")).expect("is made");
    fs::write(data.join(object), "messages").expect("is written");

    let (given, ends) = (AtomicU64::new(0), AtomicBool::new(false));
    let giving = async |user: &str| {
        for key in 0.. {
            if ends.load(Ordering::Relaxed) {
                return;
            }
            gives_a_coin(&machine, &token, user, key).await;
            given.fetch_add(u64::from(user == "ann"), Ordering::Relaxed);
        }
    };
    let copying = async {
        while given.load(Ordering::Relaxed) < 20 {
            tokio::task::yield_now().await;
        }
        let before = given.load(Ordering::Relaxed);
        let (is_well, said) = says(&["backup", "--data-dir", text(&data), text(&copy)]).await;
        assert!(is_well && said.contains("1 objects of the archive with 8 bytes"), "{said}");
        ends.store(true, Ordering::Relaxed);
        before
    };
    let (before, ..) = tokio::join!(copying, giving("ann"), giving("bob"));
    let all = balance(&machine, &token, "ann").await;
    assert!(machine.stop(Signal::INT).await.success());

    assert_eq!(fs::read(copy.join(object)).expect("is copied"), b"messages");
    let (is_well, said) = says(&["verify", "--data-dir", text(&copy)]).await;
    assert!(is_well && said.contains("0 wrong, 0 of them mended\n"), "{said}");
    let machine = Machine::start(&copy, &["--no-schedules"]).await;
    let kept = balance(&machine, &token, "ann").await;
    assert!((before..=all).contains(&kept), "{before} before, {kept} in the copy, {all} after");
    // What came after it is done again, as nobody knows of it.
    for key in 0..all {
        gives_a_coin(&machine, &token, "ann", key).await;
    }
    assert_eq!(balance(&machine, &token, "ann").await, all);
    assert!(machine.stop(Signal::INT).await.success());
}

#[tokio::test]
async fn a_copy_takes_nobody_s_place_and_says_what_it_lacks() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, copy) = (dir.path().join("data"), dir.path().join("below/copy"));
    let (is_well, said) = says(&["backup", "--data-dir", text(&data), text(&copy)]).await;
    assert!(!is_well && said.contains(&format!("{} has no parley.db", data.display())), "{said}");
    assert!(!dir.path().join("below").exists());

    // One that was killed has left what it had not written yet beside the file.
    let machine = Machine::start(&data, &["--no-schedules"]).await;
    let token = operators_token(&machine).await;
    gives_a_coin(&machine, &token, "ann", 1).await;
    machine.stop(Signal::KILL).await;
    assert!(says(&["backup", "--data-dir", text(&data), text(&copy)]).await.0);
    let machine = Machine::start(&copy, &["--no-schedules"]).await;
    assert_eq!(balance(&machine, &token, "ann").await, 1);
    assert!(machine.stop(Signal::INT).await.success());

    for there in [copy.clone(), dir.path().join("below/copy.unfinished")] {
        fs::create_dir_all(&there).expect("is made");
        let into = if there == copy { &copy } else { &dir.path().join("below/copy") };
        if there != copy {
            fs::remove_dir_all(&copy).expect("is there");
        }
        let (is_well, said) = says(&["backup", "--data-dir", text(&data), text(into)]).await;
        assert!(!is_well && said.contains(&format!("{} is there already", there.display())), "{said}");
    }
    let damaged = dir.path().join("damaged");
    fs::create_dir(&damaged).expect("is made");
    fs::write(damaged.join("parley.db"), "no database, and longer than nothing").expect("is written");
    let into = dir.path().join("another");
    let (is_well, said) = says(&["backup", "--data-dir", text(&damaged), text(&into)]).await;
    assert!(!is_well && said.contains("file is not a database"), "{said}");
    assert!(!into.exists() && !dir.path().join("another.unfinished").exists(), "nothing half done");
}

#[tokio::test]
async fn a_copy_that_is_told_to_stop_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    Machine::start(&data, &["--no-schedules"]).await.stop(Signal::INT).await;
    fs::write(data.join("archive/objects/one"), "").expect("is written");
    let mut told = Vec::new();
    let stopped = backup(&data, &copy, |how_far| {
        told.push(how_far.to_owned());
        false
    });
    assert!(matches!(stopped, Err(BackupError::Stopped)), "{stopped:?}");
    assert_eq!(told, ["archive: 1 objects"]);
    let left: Vec<_> = fs::read_dir(dir.path()).expect("is there").map(|it| it.expect("it").file_name()).collect();
    assert_eq!(left, ["data"]);
}
