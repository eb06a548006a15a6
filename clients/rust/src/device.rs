//! A device: it stays connected, syncs first, fills gaps, and repeats what has no final answer.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use wire::{Code, Event, GetMessages, Limit, Request, Sync};

use crate::connection::{Connection, PATIENCE};
use crate::kept::Kept;
use crate::problem::Problem;

/// The most conversations that a `sync` names: their numbers fit a frame of 32 KB.
pub const SINCE_MAX: usize = 500;
/// The longest wait before the second attempt; each further one may wait twice as long.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// The longest wait before any attempt.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// One device of somebody.
#[derive(Debug)]
pub struct Device {
    address: String,
    token: String,
    patience: Duration,
    connection: Option<Connection>,
    kept: Kept,
    /// After so many hints of who came and went it has synced.
    synced_at: u64,
}

impl Device {
    /// One that holds nothing yet and isn't connected.
    pub fn new(address: &str, token: &str) -> Self {
        let (address, token) = (address.to_owned(), token.to_owned());
        Self { address, token, patience: PATIENCE, connection: None, kept: Kept::default(), synced_at: 0 }
    }

    /// It waits so long for an answer.
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What it holds.
    pub const fn kept(&self) -> &Kept {
        &self.kept
    }

    /// From the next connection on it has this token, which says the same user.
    pub fn renew(&mut self, token: &str) {
        token.clone_into(&mut self.token);
    }

    /// Loses its connection, if it has one, without a farewell: as when there is no network any more.
    pub fn loses_connection(&mut self) {
        self.connection = None;
    }

    /// Connects and syncs, where it isn't connected.
    ///
    /// # Errors
    /// Every one of [`Problem`]'s; then it isn't connected.
    pub async fn connects(&mut self) -> Result<(), Problem> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(&self.address, &self.token, self.patience).await?);
            // Without its end nobody knows what is missing.
            self.syncs().await.inspect_err(|_| self.connection = None)?;
        }
        Ok(())
    }

    /// Asks once, connected.
    ///
    /// # Errors
    /// Every one of [`Problem`]'s.
    pub async fn asks(&mut self, request: &impl Request) -> Result<Event, Problem> {
        self.connects().await?;
        let Some(connection) = &mut self.connection else { return Err(Problem::Lost("not connected".to_owned())) };
        let answer = connection.ask(request).await;
        while let Some(event) = connection.heard() {
            self.kept.take(event);
        }
        match answer {
            Ok(event) => {
                self.kept.take(event.clone());
                Ok(event)
            }
            Err(problem) => {
                // Who refuses is there. What else is wrong may be the connection, and another one is soon made.
                if !matches!(problem, Problem::Refused(_)) {
                    self.connection = None;
                }
                Err(problem)
            }
        }
    }

    /// Asks, and again after a while, until there is a final answer or UNTIL has come.
    ///
    /// # Errors
    /// The last attempt's; one that isn't retryable at once.
    pub async fn persists(&mut self, request: &impl Request, until: Instant) -> Result<Event, Problem> {
        let mut longest = WAIT_FIRST;
        loop {
            match self.asks(request).await {
                Err(problem) if problem.is_retryable() && Instant::now() < until => {
                    sleep(longest.mul_f64(fastrand::f64())).await;
                    longest = WAIT_MAX.min(longest * 2);
                }
                done => return done,
            }
        }
    }

    /// Takes in what is pushed, until UNTIL, and fills the gaps that it shows.
    ///
    /// # Errors
    /// Every one of [`Problem`]'s.
    pub async fn listens(&mut self, until: Instant) -> Result<(), Problem> {
        self.connects().await?;
        while let Some(connection) = &mut self.connection {
            match timeout_at(until, connection.hear()).await {
                Err(_) => break,
                Ok(Ok(event)) => self.kept.take(event),
                Ok(Err(problem)) => {
                    self.connection = None;
                    return Err(problem);
                }
            }
            if self.kept.hints() != self.synced_at {
                self.syncs().await?;
            }
            self.fills_gaps().await?;
        }
        Ok(())
    }

    /// Reads what is missing between what it holds: a push came out of order, or was lost.
    async fn fills_gaps(&mut self) -> Result<(), Problem> {
        for (conversation_id, after) in self.kept.gaps() {
            // Without a number its pages begin with the newest one.
            let group = [conversation_id.clone()];
            let request = GetMessages { conversation_id, before: None, after, limit: Limit::default() };
            match self.asks(&request).await {
                Ok(Event::MessagesPage { conversation_id, messages, .. }) => self.kept.page(conversation_id, messages),
                Ok(_) => {}
                // Its user is out of the group by now; what tells so may still be on its way.
                Err(Problem::Refused(error)) if error.code == Code::NotAParticipant.into() => {
                    self.kept.left(&group);
                }
                Err(problem) => return Err(problem),
            }
        }
        Ok(())
    }

    /// Asks for all that has come since its numbers; again, where it is told meanwhile that its user came into a group or has gone.
    async fn syncs(&mut self) -> Result<(), Problem> {
        loop {
            let request = Sync { since: self.kept.since(SINCE_MAX), limit: Limit::default() };
            let hints = self.kept.hints();
            let done = Box::pin(self.asks(&request)).await?;
            let Event::SyncDone { left, complete, .. } = done else { return Ok(()) };
            if self.kept.hints() == hints {
                self.kept.left(&left);
                self.synced_at = hints;
                if complete {
                    return Ok(());
                }
            }
        }
    }
}
