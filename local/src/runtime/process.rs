//! How an environment's process is started, with which variables.

use std::{io, net::SocketAddr, process::Stdio, sync::mpsc, thread};

use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

use super::settings::{Program, Spec};

/// The Region of a function whose variables name none.
const REGION: &str = "us-east-1";
/// The account in which all functions are.
const ACCOUNT_ID: &str = "000000000000";

/// Starts processes, on a thread of its own.
///
/// The signal that a process asks for in [`crate::functions::die_with_parent`] comes when the *thread* that started
/// it ends. A thread of tokio may end long before the machine does; this one ends with the service.
#[derive(Debug)]
pub(super) struct Spawner(mpsc::Sender<Order>);

type Order = (Command, oneshot::Sender<io::Result<Child>>);

impl Spawner {
    /// Starts the thread. It belongs to the tokio runtime around the call; without one this is an error.
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let (sender, orders) = mpsc::channel::<Order>();
        thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            let _context = runtime.enter();
            for (mut command, child) in orders {
                // Who ordered it may be gone: then the process is killed as it is dropped.
                let _ = child.send(command.spawn());
            }
        })?;
        Ok(Self(sender))
    }

    /// Starts a process for an environment of the function, whose Runtime API is at API.
    pub(super) async fn spawn(&self, program: &Program, spec: &Spec, api: SocketAddr) -> io::Result<Child> {
        let (sender, child) = oneshot::channel();
        self.0.send((command(program, spec, api), sender)).map_err(io::Error::other)?;
        child.await.map_err(io::Error::other)?
    }
}

/// The function's name, as other AWS services write it.
pub(super) fn function_arn(spec: &Spec) -> String {
    let region = spec.environment.get("AWS_REGION").map_or(REGION, String::as_str);
    format!("arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{}", spec.name)
}

fn command(program: &Program, spec: &Spec, api: SocketAddr) -> Command {
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .arg(&spec.name)
        .env_clear()
        // What the function's own variables may replace: credentials that open nothing, and a closed way to real ones.
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_SESSION_TOKEN", "local")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("TZ", ":UTC")
        .envs(&spec.environment)
        // What they may not: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
        .env("AWS_LAMBDA_RUNTIME_API", api.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", &spec.name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", spec.memory_mb.to_string())
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", spec.name))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("[$LATEST]{}", api.port()))
        .env("_HANDLER", "bootstrap")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C in the terminal is for the machine, which ends its functions itself.
        .process_group(0)
        .kill_on_drop(true);
    #[expect(clippy::disallowed_methods, reason = "it is about this run, not about the deployment")]
    if let Some(backtrace) = std::env::var_os("RUST_BACKTRACE") {
        command.env("RUST_BACKTRACE", backtrace);
    }
    command
}
