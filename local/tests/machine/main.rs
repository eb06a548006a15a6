//! What somebody sees who starts `parley` in a terminal.

mod backup;
#[path = "../binary/mod.rs"]
mod binary;

use std::fs;
use std::path::Path;

use binary::{Machine, parley, soon};
use local::engine::{Engine, Port};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

async fn start(data_dir: &Path) -> Machine {
    Machine::start(data_dir, &["--no-schedules"]).await
}

/// What `parley` says instead of starting.
async fn refusal(arguments: &[&str]) -> String {
    let output = soon(parley(arguments).output()).await.expect("runs");
    assert!(!output.status.success());
    String::from_utf8(output.stderr).expect("text")
}

#[tokio::test]
async fn it_serves_the_web_client_and_stops_cleanly() {
    let dir = tempfile::tempdir().expect("a directory");
    for signal in [Signal::INT, Signal::TERM] {
        let machine = start(dir.path()).await;
        assert_eq!(machine.http("GET /", None, "").await.0, 200);
        assert!(machine.stop(signal).await.success());
    }
}

#[tokio::test]
async fn one_data_directory_has_one_machine() {
    let dir = tempfile::tempdir().expect("a directory");
    let machine = start(dir.path()).await;
    let error = refusal(&["--port", "0", "--data-dir", dir.path().to_str().expect("a path")]).await;
    assert!(error.contains("in use by another parley") && error.contains("--data-dir"), "{error}");
    machine.stop(Signal::INT).await;
}

#[tokio::test]
async fn a_token_s_secret_outlives_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let machine = start(dir.path()).await;
        let (status, answer) = machine.http("POST /dev/token", None, r#"{"sub":"ann"}"#).await;
        assert_eq!(status, 200, "{answer}");
        secrets.push(std::fs::read(dir.path().join("jwt-secret")).expect("is kept"));
        assert!(machine.stop(Signal::INT).await.success());
    }
    assert_eq!(secrets[0], secrets[1]);
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let error = refusal(&["--port", &port, "--data-dir", ":memory:"]).await;
    assert!(error.contains(&format!("--port {port}")), "{error}");
    let error = refusal(&["--port", "0", "--dynamodb-port", &port, "--data-dir", ":memory:"]).await;
    assert!(error.contains(&format!("--dynamodb-port {port}")), "{error}");
}

#[tokio::test]
async fn a_front_end_served_elsewhere_connects_when_it_is_allowed() {
    let machine =
        Machine::start(Path::new(":memory:"), &["--no-schedules", "--allow-origin", "http://localhost:5173"]).await;
    let (status, answer) = machine.http("POST /dev/token", None, r#"{"sub":"ann"}"#).await;
    assert_eq!(status, 200, "{answer}");
    let token: Value = serde_json::from_str(&answer).expect("JSON");
    let connect = async |origin: &str| {
        let url = format!("ws://{}/ws?token={}", machine.address, token["token"].as_str().expect("a token"));
        let mut request = url.into_client_request().expect("a request");
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
        soon(connect_async(request)).await.map(drop)
    };
    connect("http://localhost:5173").await.expect("connects");
    let refused = connect("http://localhost:4000").await;
    assert!(matches!(refused, Err(Error::Http(response)) if response.status() == 403));
    assert!(machine.log().contains("start with --allow-origin http://localhost:4000"), "{}", machine.log());
    machine.stop(Signal::INT).await;
}

#[tokio::test]
async fn an_origin_that_is_none_is_refused_with_the_one_that_is_meant() {
    for (given, said) in [("http://localhost:5173/app", "give http://localhost:5173"), ("*", "such as http://")] {
        let error = refusal(&["--data-dir", ":memory:", "--allow-origin", given]).await;
        assert!(error.contains("--allow-origin") && error.contains(said), "{given}: {error}");
    }
}

#[tokio::test]
async fn another_engine_can_hold_the_table_of_one_machine() {
    let engine = Engine::start(None, Port::Exactly(0)).expect("starts");
    let endpoint = &engine.endpoint();
    let arguments = ["--no-schedules", "--port", "0", "--data-dir", ":memory:", "--dynamodb-endpoint", endpoint];
    let machine = Machine::start_with(&arguments).await;
    assert_eq!(machine.dynamodb_endpoint(), endpoint);
    let error = refusal(&arguments).await;
    assert!(error.contains("in use by another parley") && error.contains(&machine.address), "{error}");
    assert!(machine.stop(Signal::INT).await.success());
    // At once after one that was stopped, and after a while where one was killed.
    Machine::start_with(&arguments).await.stop(Signal::KILL).await;
    assert!(Machine::start_with(&arguments).await.stop(Signal::INT).await.success());
    engine.stop().await;
}

#[tokio::test]
async fn the_embedded_engine_s_table_is_its_own_machine_s() {
    let dir = tempfile::tempdir().expect("a directory");
    start(dir.path()).await.stop(Signal::KILL).await;
    let machine = start(dir.path()).await;
    assert!(!machine.log().contains("watching"), "who has the directory waits for nobody: {}", machine.log());
    let endpoint = machine.dynamodb_endpoint();
    let error = refusal(&["--port", "0", "--data-dir", ":memory:", "--dynamodb-endpoint", endpoint]).await;
    assert!(error.contains(&format!("the table at {endpoint} is in use by another parley")), "{error}");
    assert!(machine.stop(Signal::INT).await.success());
}

#[tokio::test]
async fn a_parameter_that_the_template_refuses_is_named() {
    let error = refusal(&["--port", "0", "--data-dir", ":memory:", "--parameter", "SendBurst=0"]).await;
    assert_eq!(error, "error: --parameter SendBurst: must be a whole number from 1 to 10000\n");
}

/// A data directory that a machine has made, with something in it.
async fn used_data_dir() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let machine = start(dir.path()).await;
    let (status, answer) = machine.http("POST /dev/token", None, r#"{"sub":"root","roles":["admin"]}"#).await;
    assert_eq!(status, 200, "{answer}");
    let token: Value = serde_json::from_str(&answer).expect("JSON");
    let credit = r#"{"amount":5,"idempotencyKey":"one"}"#;
    let (status, answer) = machine.http("POST /api/wallets/ann/credits", token["token"].as_str(), credit).await;
    assert_eq!(status, 200, "{answer}");
    assert!(machine.stop(Signal::INT).await.success());
    dir
}

/// What a machine says instead of starting on this directory.
async fn refusal_of(data_dir: &Path) -> String {
    refusal(&["--port", "0", "--dynamodb-port", "0", "--data-dir", data_dir.to_str().expect("a path")]).await
}

/// The database of a later version of the engine: a number of two digits stands behind the name.
fn of_a_later_version(mut database: Vec<u8>) -> Vec<u8> {
    let name = b"schema_version";
    let at = database.windows(name.len()).position(|bytes| bytes == name).expect("a version") + name.len();
    assert!(database[at..at + 2].iter().all(u8::is_ascii_digit));
    database[at..at + 2].copy_from_slice(b"99");
    database
}

#[tokio::test]
async fn a_damaged_database_is_named_and_what_to_do() {
    let dir = used_data_dir().await;
    let file = dir.path().join("parley.db");
    let whole = fs::read(&file).expect("is there");
    let damaged = format!("error: {} is damaged (", file.display());
    let anew = format!("restore {} from a copy, all of it, or move it away to begin anew\n", dir.path().display());
    for (database, why) in [
        (b"no database, and longer than nothing".to_vec(), "it is no SQLite database"),
        (whole[..whole.len() / 2].to_vec(), "malformed"),
        ([&whole[..4_096], &vec![0; whole.len() - 4_096]].concat(), "malformed"),
        // Torn, as by a copy that was made file by file while a machine wrote. What a start reads is whole.
        ([&whole[..whole.len() - 4_096], &[0; 4_096]].concat(), "page"),
        (Vec::new(), "it is empty"),
    ] {
        fs::write(&file, &database).expect("is written");
        let error = refusal_of(dir.path()).await;
        assert!(error.starts_with(&damaged) && error.contains(why) && error.ends_with(&anew), "{error}");
        assert_eq!(fs::read(&file).expect("is there"), database, "nothing is made of it");
    }
    let verify = refusal(&["verify", "--data-dir", dir.path().to_str().expect("a path")]).await;
    assert!(verify.starts_with(&damaged), "{verify}");

    fs::write(&file, of_a_later_version(whole.clone())).expect("is written");
    let error = refusal_of(dir.path()).await;
    assert!(error.contains(&format!("{} was written by a later version of Parley", file.display())), "{error}");

    // Whoever takes away only one of SQLite's two files would lose what is in the other.
    fs::remove_file(&file).expect("is there");
    fs::write(dir.path().join("parley.db-wal"), "what was written last").expect("is written");
    let error = refusal_of(dir.path()).await;
    assert!(error.starts_with(&damaged) && error.contains("parley.db-wal"), "{error}");

    fs::remove_file(dir.path().join("parley.db-wal")).expect("is there");
    fs::write(&file, whole).expect("is written");
    assert!(start(dir.path()).await.stop(Signal::INT).await.success(), "restored, it is well");
}

#[tokio::test]
async fn what_stands_where_something_else_should_is_named() {
    let dir = used_data_dir().await;
    for file in ["jwt-secret", "parley.lock", "lambda-endpoint"] {
        let path = dir.path().join(file);
        let before = fs::read(&path).ok();
        assert_eq!(before.is_none(), file == "lambda-endpoint", "{file}: no machine runs");
        if before.is_some() {
            fs::remove_file(&path).expect("is there");
        }
        fs::create_dir(&path).expect("is made");
        let error = refusal_of(dir.path()).await;
        let said = format!("error: {} is a directory, and should be a file: move it away\n", path.display());
        assert_eq!(error, said);
        fs::remove_dir(&path).expect("is there");
        if let Some(before) = before {
            fs::write(&path, before).expect("is written");
        }
    }
    let file = dir.path().join("file");
    fs::write(&file, "").expect("is written");
    let of_file = |path: &Path| {
        let path = path.display();
        format!("error: {path} is a file, and should be a directory: move it away, or choose another --data-dir\n")
    };
    assert_eq!(refusal_of(&file).await, of_file(&file));
    assert_eq!(refusal_of(&file.join("below/it")).await, of_file(&file));
    for directory in ["archive/objects", "archive/unfinished", "archive"] {
        let path = dir.path().join(directory);
        fs::remove_dir_all(&path).expect("is there");
        fs::write(&path, "").expect("is written");
        assert_eq!(refusal_of(dir.path()).await, of_file(&path));
        fs::remove_file(&path).expect("is there");
        fs::create_dir(&path).expect("is made");
    }
    let database = dir.path().join("parley.db");
    fs::remove_file(&database).expect("is there");
    fs::create_dir(&database).expect("is made");
    let error = refusal_of(dir.path()).await;
    assert!(
        error.contains(&format!("{}: unable to open database file; it must be a file", database.display())),
        "{error}"
    );
}

#[tokio::test]
async fn a_damaged_secret_is_never_replaced() {
    let dir = used_data_dir().await;
    let file = dir.path().join("jwt-secret");
    for secret in [&b""[..], b"too short to sign with", &[0xff; 64]] {
        fs::write(&file, secret).expect("is written");
        let error = refusal_of(dir.path()).await;
        assert!(error.starts_with(&format!("error: {} is damaged (", file.display())), "{error}");
        assert!(error.contains("or remove it to get another one"), "{error}");
        assert_eq!(fs::read(&file).expect("is there"), secret);
    }
    fs::remove_file(&file).expect("is there");
    assert!(start(dir.path()).await.stop(Signal::INT).await.success(), "without one it makes one");
}

#[tokio::test]
async fn a_start_that_is_refused_leaves_nothing_half_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let data_dir = dir.path().join("data");
    let path = data_dir.to_str().expect("a path");
    refusal(&["--port", "0", "--data-dir", path, "--parameter", "SendBurst=0"]).await;
    assert!(!data_dir.exists(), "nothing is made for a parameter that is refused");

    // No file may grow beyond 32 blocks of 512 bytes, as on a disk that is nearly full.
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap "" XFSZ; ulimit -f 32; exec "$@""#, "sh", env!("CARGO_BIN_EXE_parley")]);
    command.args(["--port", "0", "--dynamodb-port", "0", "--data-dir", path]).kill_on_drop(true);
    let output = soon(command.output()).await.expect("runs");
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success() && error.contains("parley.db: ") && error.contains("make room"), "{error}");
    let left: Vec<_> = fs::read_dir(&data_dir).expect("is there").map(|file| file.expect("it").file_name()).collect();
    assert_eq!(left, ["parley.lock"]);
    assert!(start(&data_dir).await.stop(Signal::INT).await.success(), "with room it begins");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_said() {
    let dir = used_data_dir().await;
    let file = dir.path().join("lambda-endpoint");
    std::os::unix::fs::symlink("/dev/full", &file).expect("is made");
    let error = refusal_of(dir.path()).await;
    assert!(
        error.starts_with(&format!("error: {}: ", file.display())) && error.contains("make room on its disk"),
        "{error}"
    );
}

#[tokio::test]
async fn an_operator_runs_functions_whether_a_machine_runs_or_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("a path");
    for runs in [true, false] {
        let machine = if runs { Some(start(dir.path()).await) } else { None };
        let says = async |arguments: &[&str]| {
            let output = soon(parley(&[arguments, &["--data-dir", path]].concat()).output()).await.expect("runs");
            let text = |bytes| String::from_utf8(bytes).expect("text");
            (output.status.success(), text(output.stdout), text(output.stderr))
        };
        assert_eq!(says(&["invoke", "cleanup"]).await.1, "null\n", "runs: {runs}");
        let (well, said, _) = says(&["verify"]).await;
        assert!(well && said.ends_with("0 wrong, 0 of them mended\n"), "runs: {runs}: {said}");
        let (well, _, said) = says(&["invoke", "nobody"]).await;
        assert!(!well && said.contains("There is no function `nobody`"), "runs: {runs}: {said}");
        let (well, _, said) = says(&["invoke", "verify", r#"{"repair":1}"#]).await;
        assert!(!well && said.contains("repair"), "runs: {runs}: {said}");
        if let Some(machine) = machine {
            assert!(machine.stop(Signal::INT).await.success());
        }
    }
}

/// A server that says yes to everything.
async fn says_yes() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    #[expect(clippy::disallowed_methods, reason = "a server of the test's own; it ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4_096]).await;
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnull";
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// Where the machine of a directory takes `Invoke`, as it says itself.
fn invoke_address(data_dir: &Path) -> String {
    let word = fs::read_to_string(data_dir.join("lambda-endpoint")).expect("it has left word");
    word.trim_start_matches("http://").split(' ').next().expect("an address").to_owned()
}

#[tokio::test]
async fn a_command_works_on_no_other_machine_than_the_one_that_has_its_data() {
    let (dir, others) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let path = dir.path().to_str().expect("a path");
    let machine = start(dir.path()).await;
    let (left, address) = (dir.path().join("lambda-endpoint"), invoke_address(dir.path()));
    let word = fs::read_to_string(&left).expect("it has left word");
    machine.stop(Signal::KILL).await;
    let other = start(others.path()).await;

    // A machine has the directory, and what one that was killed has left names the port of another by now.
    let lock = local::data_dir::DataLock::take(dir.path()).expect("is free");
    for now in [invoke_address(others.path()), says_yes().await] {
        fs::write(&left, word.replace(&address, &now)).expect("is written");
        let error = refusal(&["invoke", "cleanup", "--data-dir", path]).await;
        assert!(error.contains(&format!("something else answers at {now}")), "{error}");
    }
    assert!(!other.log().contains("cleanup"), "{}", other.log());
    assert!(other.stop(Signal::INT).await.success());
    drop(lock);

    fs::write(&left, word).expect("is written");
    let machine = start(dir.path()).await;
    let output = soon(parley(&["invoke", "cleanup", "--data-dir", path]).output()).await.expect("runs");
    assert!(output.status.success(), "the next machine's own word counts");
    assert!(machine.stop(Signal::INT).await.success());
    assert!(!left.exists(), "nothing is left of one that was stopped");
}
