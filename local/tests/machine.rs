//! What somebody sees who starts `parley` in a terminal.

mod binary;

use std::path::Path;

use binary::{Machine, parley, soon};
use rustix::process::Signal;
use tokio::net::TcpListener;
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
    let token: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
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
async fn another_engine_can_hold_the_table() {
    let engine = start(Path::new(":memory:")).await;
    let endpoint = engine.dynamodb_endpoint();
    let arguments = ["--no-schedules", "--port", "0", "--data-dir", ":memory:", "--dynamodb-endpoint", endpoint];
    let machine = Machine::start_with(&arguments).await;
    assert_eq!(machine.dynamodb_endpoint(), endpoint);
    assert!(machine.stop(Signal::INT).await.success());
    assert!(engine.stop(Signal::INT).await.success());
}

#[tokio::test]
async fn a_parameter_that_the_template_refuses_is_named() {
    let error = refusal(&["--port", "0", "--data-dir", ":memory:", "--parameter", "SendBurst=0"]).await;
    assert_eq!(error, "error: --parameter SendBurst: must be 1 or more\n");
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
