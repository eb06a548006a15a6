//! One execution environment's life: started for an event that waits, then event by event, frozen in between, until it
//! is idle for too long, fails, or the service ends.

use std::{
    io,
    net::Ipv4Addr,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::TcpListener,
    process::Child,
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::Level;

use super::{
    answer::InvokeError,
    api::{self, ANSWER_BYTES_MAX, Call, Delivery},
    pool::{Invocation, Pool, Turn},
    process,
    settings::Spec,
};
use crate::logs::ProcessLog;

/// How long a process may take until it asks for its first event: Lambda's limit for the init phase. See
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>.
const INIT_MAX: Duration = Duration::from_secs(10);
/// How long the last lines of a dead process are waited for. They are in the pipe already, unless a process that it
/// started holds the pipe open.
const LAST_LINES_MAX: Duration = Duration::from_secs(1);

/// Lives the life of one environment of the function. Returns when its process is gone.
pub(super) async fn live(pool: Arc<Pool>, function: usize, closing: watch::Receiver<bool>) {
    let spec = &pool.specs[function];
    let begun = Instant::now();
    let mut environment = match Environment::start(&pool, function, closing).await {
        Ok(environment) => environment,
        Err(error) => {
            let message = format!("{} can't be started: {error}", pool.settings.program.path.display());
            ProcessLog::new(&spec.name).platform(Level::ERROR, &message);
            return pool.start_failed(function, message);
        }
    };
    let mut ready = match environment.until_ready(&mut None, begun + INIT_MAX).await {
        Ok(ready) => ready,
        Err(end) => {
            environment.kill().await;
            return pool.start_failed(function, environment.why_not_started(end));
        }
    };
    environment.log.platform(Level::DEBUG, &format!("Cold start in {} ms", begun.elapsed().as_millis()));
    loop {
        let Some(invocation) = environment.next_event().await else {
            return environment.kill().await;
        };
        match environment.work(invocation, ready).await {
            Some(next) => ready = next,
            None => return pool.ended(function),
        }
    }
}

/// What a process that is ready for an event waits for.
type Ready = oneshot::Sender<Delivery>;

/// Why a process does not become ready.
enum End {
    Exited(io::Result<ExitStatus>),
    InitError(String),
    TimeLimit,
    Closing,
}

struct Environment<'a> {
    pool: &'a Arc<Pool>,
    function: usize,
    spec: &'a Spec,
    child: Child,
    calls: mpsc::Receiver<Call>,
    closing: watch::Receiver<bool>,
    log: Arc<ProcessLog>,
    log_readers: JoinSet<()>,
    /// Serves the Runtime API until it is dropped.
    _api: JoinSet<io::Result<()>>,
}

impl<'a> Environment<'a> {
    async fn start(pool: &'a Arc<Pool>, function: usize, closing: watch::Receiver<bool>) -> io::Result<Self> {
        let spec = &pool.specs[function];
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (sender, calls) = mpsc::channel(1);
        let mut api = JoinSet::new();
        api.spawn(api::serve(listener, sender));

        let mut child = pool.spawner.spawn(&pool.settings.program, spec, address).await?;
        let log = ProcessLog::new(&spec.name);
        let mut log_readers = JoinSet::new();
        if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
            log_readers.spawn(Arc::clone(&log).follow(stdout, Level::INFO));
            // The functions' own lines go to stdout: these are what nobody planned, a panic's for example.
            log_readers.spawn(Arc::clone(&log).follow(stderr, Level::WARN));
        }
        Ok(Self { pool, function, spec, child, calls, closing, log, log_readers, _api: api })
    }

    /// Waits until the process asks for an event. If it works on one, its answer is passed on as soon as it comes.
    async fn until_ready(&mut self, working_on: &mut Option<Invocation>, deadline: Instant) -> Result<Ready, End> {
        loop {
            // In this order: what a process has said counts, even if it has ended since.
            tokio::select! {
                biased;
                Some(call) = self.calls.recv() => match call {
                    Call::Next(ready) => return Ok(ready),
                    Call::Answer(request_id, answer) => {
                        if let Some(invocation) = working_on.take_if(|event| event.request_id == request_id) {
                            self.pool.answer(self.function, invocation, answer);
                        }
                    }
                    Call::InitError(message) => return Err(End::InitError(message)),
                },
                status = self.child.wait() => return Err(End::Exited(status)),
                () = sleep_until(deadline) => return Err(End::TimeLimit),
                _ = self.closing.wait_for(|closing| *closing) => return Err(End::Closing),
            }
        }
    }

    /// Waits for an event, the process frozen. None: there will be none.
    async fn next_event(&mut self) -> Option<Invocation> {
        let (pool, function) = (self.pool, self.function);
        let mut idle = match pool.next(function) {
            Turn::Work(invocation) => return Some(invocation),
            Turn::Idle(idle) => idle,
        };
        self.signal(Signal::STOP);
        let event = tokio::select! {
            event = &mut idle => event.ok(),
            () = sleep(pool.settings.idle_life) => pool.leave(function, idle),
            status = self.child.wait() => {
                self.log.platform(Level::WARN, &format!("The process ended while it was frozen: {}", describe(status)));
                pool.leave(function, idle)
            }
            _ = self.closing.wait_for(|closing| *closing) => pool.leave(function, idle),
        };
        if event.is_some() {
            self.signal(Signal::CONT);
        }
        event
    }

    /// Has the process work on an event. None: the process is gone, and the event answered.
    async fn work(&mut self, mut invocation: Invocation, ready: Ready) -> Option<Ready> {
        self.log.set_request_id(&invocation.request_id);
        let delivery = Delivery {
            request_id: invocation.request_id.clone(),
            deadline_ms: milliseconds_since_1970() + self.spec.timeout.as_millis(),
            function_arn: process::function_arn(self.spec),
            event: std::mem::take(&mut invocation.event),
        };
        // If the process is just dying, there is nobody to take it: until_ready notices.
        let _ = ready.send(delivery);
        let mut working_on = Some(invocation);
        match self.until_ready(&mut working_on, Instant::now() + self.spec.timeout).await {
            Ok(next) => {
                if let Some(unanswered) = working_on {
                    self.pool.answer(self.function, unanswered, Err(no_answer()));
                }
                Some(next)
            }
            Err(end) => {
                // First the process is gone, then its caller knows: what the caller tries next has no rival.
                self.kill().await;
                let error = self.why_not_done(end);
                if let Some(unanswered) = working_on {
                    self.pool.answer(self.function, unanswered, Err(error));
                }
                None
            }
        }
    }

    fn why_not_done(&self, end: End) -> InvokeError {
        let error = match end {
            End::Exited(status) => InvokeError::Crashed { message: describe(status) },
            End::InitError(message) => InvokeError::Crashed { message },
            End::TimeLimit => InvokeError::TimedOut { after: self.spec.timeout },
            End::Closing => return InvokeError::ShuttingDown,
        };
        self.log.platform(Level::ERROR, &error.to_string());
        error
    }

    fn why_not_started(&self, end: End) -> String {
        let message = match end {
            End::Exited(status) => match self.log.complaint() {
                Some(complaint) => format!("{complaint} ({})", describe(status)),
                None => describe(status),
            },
            End::InitError(message) => message,
            End::TimeLimit => format!("it asked for no event within {} seconds", INIT_MAX.as_secs()),
            End::Closing => return InvokeError::ShuttingDown.to_string(),
        };
        self.log.platform(Level::ERROR, &format!("The function can't start: {message}"));
        message
    }

    /// Ends the process, if it hasn't ended, and waits until it is gone and its last lines are shown.
    async fn kill(&mut self) {
        // SIGKILL: what is frozen can't handle another, and a function may end at any point anyway.
        let _ = self.child.start_kill();
        let _ = self.child.wait().await;
        let _ = timeout(LAST_LINES_MAX, async { while self.log_readers.join_next().await.is_some() {} }).await;
    }

    fn signal(&self, signal: Signal) {
        // No id: it has ended, and been waited for. So the id can't be another's.
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(Err(error)) = pid.map(|pid| kill_process(pid, signal)) {
            self.log.platform(Level::WARN, &format!("{signal:?} could not be sent: {error}"));
        }
    }
}

fn no_answer() -> InvokeError {
    let megabytes = ANSWER_BYTES_MAX / 1024 / 1024;
    InvokeError::Function {
        error_type: "Runtime.NoAnswer".to_owned(),
        message: format!(
            "it asked for the next event without answering this one, or its answer exceeds {megabytes} MB"
        ),
    }
}

fn describe(status: io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

#[expect(clippy::disallowed_methods, reason = "the process compares it with the system's clock")]
fn milliseconds_since_1970() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
