//! Which event goes to which environment, and when one is started or ended.
//!
//! All of it is decided here, under one lock that is never held across an await. An event goes to the environment that
//! became idle last, so that those too many are idle long enough to end. If none is idle, it waits in its function's
//! queue, and an environment is started for it if the limits allow.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::{
    sync::{
        oneshot::{self, error::TryRecvError},
        watch,
    },
    time::{Instant, timeout},
};
use tracing::Level;

use super::{
    answer::{Answer, InvokeError},
    process::Spawner,
    settings::{Settings, Spec},
};
use crate::logs;

/// After a failed start none is tried for this long; it doubles with each failure in a row.
const START_BACKOFF_MIN: Duration = Duration::from_millis(200);
/// It doubles up to this.
const START_BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Lives the life of one environment of the function with this index: until its process is gone, or the last argument says
/// that the service ends.
pub(super) type Live = fn(Arc<Pool>, usize, watch::Receiver<bool>) -> BoxFuture<'static, ()>;

/// One event on its way through a function.
#[derive(Debug)]
pub(super) struct Invocation {
    /// Names the event in answers and logs.
    pub(super) request_id: String,
    /// The event itself, JSON.
    pub(super) event: String,
    since: Instant,
    answer: oneshot::Sender<Answer>,
}

/// What an environment that asks for the next event gets.
pub(super) enum Turn {
    /// The event that has waited longest.
    Work(Invocation),
    /// None yet. If the sender is dropped, the environment is to end, and is no longer counted.
    Idle(oneshot::Receiver<Invocation>),
}

/// The environments of all functions.
#[derive(Debug)]
pub(super) struct Pool {
    /// The functions. An index into this names a function below.
    pub(super) specs: Vec<Spec>,
    /// The limits.
    pub(super) settings: Settings,
    /// What starts processes.
    pub(super) spawner: Spawner,
    /// What an environment is.
    live: Live,
    /// True once the service ends. Each environment holds a receiver until its process is gone.
    closing: watch::Sender<bool>,
    random: RandomState,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    fleets: Vec<Fleet>,
    environments: usize,
    invocations: u64,
    closing: bool,
}

/// The environments of one function. While events wait, none of them is idle.
#[derive(Debug, Default)]
struct Fleet {
    queue: VecDeque<Invocation>,
    idle: Vec<Idle>,
    environments: usize,
    /// Those that will ask for an event very soon: they are starting, or have answered the last one.
    ready_soon: usize,
    failure: Option<StartFailure>,
}

#[derive(Debug)]
struct Idle {
    since: Instant,
    event: oneshot::Sender<Invocation>,
}

#[derive(Debug)]
struct StartFailure {
    message: String,
    backoff: Duration,
    retry_at: Instant,
}

impl Pool {
    /// See [`super::Runtime::new`].
    pub(super) fn new(specs: Vec<Spec>, settings: Settings, live: Live) -> io::Result<Arc<Self>> {
        check(&specs, &settings).map_err(|message| io::Error::new(io::ErrorKind::InvalidInput, message))?;
        let fleets = specs.iter().map(|_| Fleet::default()).collect();
        Ok(Arc::new(Self {
            specs,
            settings,
            spawner: Spawner::new()?,
            live,
            closing: watch::Sender::new(false),
            random: RandomState::new(),
            state: Mutex::new(State { fleets, environments: 0, invocations: 0, closing: false }),
        }))
    }

    /// See [`super::Runtime::invoke`].
    pub(super) async fn invoke(self: &Arc<Self>, name: &str, event: Value) -> Answer {
        let Some(function) = self.specs.iter().position(|spec| spec.name == name) else {
            return Err(InvokeError::UnknownFunction(name.to_owned()));
        };
        let (request_id, mut answer) = self.submit(function, event.to_string())?;
        let after = self.specs[function].timeout;
        let answer = match timeout(after, &mut answer).await {
            Ok(answer) => answer,
            Err(_) if self.withdraw(function, &request_id) => {
                logs::line(name, Some(&request_id), Level::ERROR, "No environment was free within the time limit");
                Ok(Err(InvokeError::TimedOut { after }))
            }
            // An environment has it: that one keeps the time.
            Err(_) => answer.await,
        };
        answer.unwrap_or_else(|_| Err(InvokeError::Crashed { message: "its environment was lost".to_owned() }))
    }

    /// See [`super::Runtime::shutdown`].
    pub(super) async fn shutdown(&self) {
        let waiting: Vec<Invocation> = {
            let mut state = self.lock();
            state.closing = true;
            state.fleets.iter_mut().flat_map(|fleet| fleet.queue.drain(..)).collect()
        };
        for invocation in waiting {
            let _ = invocation.answer.send(Err(InvokeError::ShuttingDown));
        }
        self.closing.send_replace(true);
        self.closing.closed().await;
    }

    /// An environment of FUNCTION ended before it asked for an event.
    pub(super) fn start_failed(self: &Arc<Self>, function: usize, message: String) {
        let mut state = self.lock();
        let fleet = &mut state.fleets[function];
        fleet.ready_soon -= 1;
        let backoff = match &fleet.failure {
            Some(failure) => (failure.backoff * 2).min(START_BACKOFF_MAX),
            None => START_BACKOFF_MIN,
        };
        fleet.failure = Some(StartFailure { message, backoff, retry_at: Instant::now() + backoff });
        self.remove_environment(&mut state, function);
    }

    /// An environment of FUNCTION, which has started or answered, asks for an event.
    pub(super) fn next(self: &Arc<Self>, function: usize) -> Turn {
        let mut state = self.lock();
        let fleet = &mut state.fleets[function];
        fleet.ready_soon -= 1;
        fleet.failure = None;
        while let Some(invocation) = fleet.queue.pop_front() {
            if !invocation.answer.is_closed() {
                return Turn::Work(invocation);
            }
        }
        let (event, turn) = oneshot::channel();
        fleet.idle.push(Idle { since: Instant::now(), event });
        // Another function may need the room that this one does not.
        self.scale(&mut state);
        Turn::Idle(turn)
    }

    /// An environment of FUNCTION has an answer for its event, or there will be none.
    pub(super) fn answer(&self, function: usize, invocation: Invocation, answer: Answer) {
        // First this, then the caller knows: if it invokes again at once, no other environment is started for that.
        self.lock().fleets[function].ready_soon += 1;
        // A caller that has stopped waiting doesn't mind.
        let _ = invocation.answer.send(answer);
    }

    /// An environment of FUNCTION stops waiting in IDLE, unless it has just been given an event. None: it is to end,
    /// and is no longer counted.
    pub(super) fn leave(
        self: &Arc<Self>,
        function: usize,
        mut idle: oneshot::Receiver<Invocation>,
    ) -> Option<Invocation> {
        let mut state = self.lock();
        match idle.try_recv() {
            Ok(invocation) => return Some(invocation),
            Err(TryRecvError::Closed) => {}
            Err(TryRecvError::Empty) => {
                idle.close();
                state.fleets[function].idle.retain(|idle| !idle.event.is_closed());
                self.remove_environment(&mut state, function);
            }
        }
        None
    }

    /// An environment of FUNCTION, which has answered, ended instead of asking for another event.
    pub(super) fn ended(self: &Arc<Self>, function: usize) {
        let mut state = self.lock();
        state.fleets[function].ready_soon -= 1;
        self.remove_environment(&mut state, function);
    }

    fn remove_environment(self: &Arc<Self>, state: &mut State, function: usize) {
        state.fleets[function].environments -= 1;
        state.environments -= 1;
        self.scale(state);
    }

    /// Hands an event to an idle environment, or puts it into the queue.
    fn submit(
        self: &Arc<Self>,
        function: usize,
        event: String,
    ) -> Result<(String, oneshot::Receiver<Answer>), InvokeError> {
        let mut state = self.lock();
        if state.closing {
            return Err(InvokeError::ShuttingDown);
        }
        state.invocations += 1;
        let request_id = self.request_id(state.invocations);
        let (sender, answer) = oneshot::channel();
        let mut invocation =
            Invocation { request_id: request_id.clone(), event, since: Instant::now(), answer: sender };
        let fleet = &mut state.fleets[function];
        while let Some(idle) = fleet.idle.pop() {
            match idle.event.send(invocation) {
                Ok(()) => return Ok((request_id, answer)),
                Err(back) => invocation = back,
            }
        }
        if fleet.queue.len() >= self.settings.queue_max {
            fleet.queue.retain(|waiting| !waiting.answer.is_closed());
        }
        if fleet.queue.len() >= self.settings.queue_max {
            return Err(InvokeError::Throttled);
        }
        fleet.queue.push_back(invocation);
        self.scale(&mut state);
        Ok((request_id, answer))
    }

    /// Takes an event back. False if it doesn't wait any more.
    fn withdraw(&self, function: usize, request_id: &str) -> bool {
        let queue = &mut self.lock().fleets[function].queue;
        let place = queue.iter().position(|waiting| waiting.request_id == request_id);
        place.and_then(|place| queue.remove(place)).is_some()
    }

    /// Starts environments for the events that wait, oldest first, as far as the limits allow; ends the environment that
    /// has been idle longest where another function needs its place.
    fn scale(self: &Arc<Self>, state: &mut State) {
        if state.closing {
            return;
        }
        let now = Instant::now();
        for fleet in &mut state.fleets {
            fleet.refuse_if_it_cannot_start(now);
        }
        while let Some(function) = state.most_urgent(&self.specs, now) {
            if state.environments >= self.settings.environments_max && !state.end_longest_idle() {
                return;
            }
            state.environments += 1;
            state.fleets[function].environments += 1;
            state.fleets[function].ready_soon += 1;
            let life = (self.live)(Arc::clone(self), function, self.closing.subscribe());
            #[expect(clippy::disallowed_methods, reason = "shutdown waits for it: it holds a receiver of `closing`")]
            tokio::spawn(life);
        }
    }

    /// A random UUID, as Lambda's request ids are.
    fn request_id(&self, invocation: u64) -> String {
        let high = self.random.hash_one((invocation, "high"));
        let low = self.random.hash_one((invocation, "low"));
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 48) & 0x3fff,
            low & 0xffff_ffff_ffff
        )
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The function whose event has waited longest, of those that need and may have one more environment.
    fn most_urgent(&self, specs: &[Spec], now: Instant) -> Option<usize> {
        let fleets = self.fleets.iter().zip(specs).enumerate();
        fleets
            .filter(|(_, (fleet, spec))| {
                fleet.queue.len() > fleet.ready_soon
                    && fleet.environments < spec.concurrency_max
                    && fleet.backing_off(now).is_none()
            })
            .min_by_key(|(_, (fleet, _))| fleet.queue.front().map(|invocation| invocation.since))
            .map(|(function, _)| function)
    }

    /// Ends the environment that has been idle longest. False if none is idle.
    fn end_longest_idle(&mut self) -> bool {
        let idle = self.fleets.iter_mut().filter(|fleet| !fleet.idle.is_empty());
        // A fleet's idle ones are in the order in which they became so.
        let Some(fleet) = idle.min_by_key(|fleet| fleet.idle[0].since) else { return false };
        fleet.idle.remove(0);
        fleet.environments -= 1;
        self.environments -= 1;
        true
    }
}

impl Fleet {
    fn backing_off(&self, now: Instant) -> Option<&StartFailure> {
        self.failure.as_ref().filter(|failure| now < failure.retry_at)
    }

    /// Nobody is left to serve the queue, and a start has just failed: those who wait are told why.
    fn refuse_if_it_cannot_start(&mut self, now: Instant) {
        if self.environments > 0 {
            return;
        }
        let Some(message) = self.backing_off(now).map(|failure| failure.message.clone()) else { return };
        for invocation in self.queue.drain(..) {
            let _ = invocation.answer.send(Err(InvokeError::Init { message: message.clone() }));
        }
    }
}

fn check(specs: &[Spec], settings: &Settings) -> Result<(), String> {
    if settings.environments_max == 0 {
        return Err("environments_max must be 1 or more".to_owned());
    }
    let mut names = HashSet::new();
    for Spec { name, timeout, concurrency_max, .. } in specs {
        if !names.insert(name) {
            return Err(format!("function `{name}` is given twice"));
        }
        if timeout.is_zero() || *concurrency_max == 0 {
            return Err(format!("function `{name}`: timeout and concurrency_max must be more than 0"));
        }
    }
    Ok(())
}
