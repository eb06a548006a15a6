//! Who is connected, and what waits to be written to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::answers::Exception;
use super::api::MACHINE_CONNECTIONS_MAX;
use super::events::Peer;

/// What may wait for a client that reads slowly, in bytes; more is refused with 429.
const BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// What a waiting message costs besides its content, in bytes.
const BUFFER_BYTES_PER_MESSAGE: usize = 64;

/// One client's connection, once it is admitted.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: Peer,
    /// When the peer's `connected_at` was, for durations.
    pub(super) opened: Instant,
    active: Mutex<Instant>,
    queue: UnboundedSender<Outgoing>,
    room: Arc<Semaphore>,
    second: Mutex<Second>,
}

/// The pushes of one second.
#[derive(Debug)]
struct Second {
    began: Instant,
    pushes: u32,
}

/// What is to be written to a client, in order.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// A message; its share of the buffer is free again once it is written.
    Message(Bytes, OwnedSemaphorePermit),
    /// The end.
    Close(CloseCode, &'static str),
}

impl Connection {
    /// A new connection, and what is to be written to it.
    pub(super) fn new(peer: Peer, opened: Instant) -> (Arc<Self>, UnboundedReceiver<Outgoing>) {
        let (queue, outgoing) = mpsc::unbounded_channel();
        let now = Instant::now();
        let connection = Self {
            peer,
            opened,
            active: Mutex::new(now),
            queue,
            room: Arc::new(Semaphore::new(BUFFER_BYTES_MAX)),
            second: Mutex::new(Second { began: now, pushes: 0 }),
        };
        (Arc::new(connection), outgoing)
    }

    /// Notes that a data frame came or went.
    pub(super) fn touch(&self) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// When the last data frame came or went.
    pub(super) fn active(&self) -> Instant {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message to be written, unless that exceeds a limit.
    pub(super) fn push(&self, message: Bytes, per_second_max: Option<u32>) -> Result<(), Exception> {
        if per_second_max.is_some_and(|max| !self.count(max)) {
            return Err(Exception::LimitExceeded);
        }
        let bytes = u32::try_from(message.len() + BUFFER_BYTES_PER_MESSAGE).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| Exception::LimitExceeded)?;
        self.queue.send(Outgoing::Message(message, room)).map_err(|_| Exception::Gone)
    }

    /// Closes the connection once everything queued is written.
    pub(super) fn close(&self, code: CloseCode, reason: &'static str) {
        // Whoever would close it is gone if nobody receives this.
        let _ = self.queue.send(Outgoing::Close(code, reason));
    }

    fn count(&self, max: u32) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now.duration_since(second.began) >= Duration::from_secs(1) {
            *second = Second { began: now, pushes: 0 };
        }
        second.pushes += 1;
        second.pushes <= max
    }
}

/// Every connection that can be pushed to: those whose `$connect` has returned.
#[derive(Debug)]
pub(super) struct Connections {
    open: Mutex<HashMap<String, Arc<Connection>>>,
    places: Arc<Semaphore>,
}

impl Connections {
    pub(super) fn new() -> Self {
        Self { open: Mutex::default(), places: Arc::new(Semaphore::new(MACHINE_CONNECTIONS_MAX as usize)) }
    }

    /// A place for one more connection, to be kept until all its work is done. None if the machine is full.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Waits until every place is free.
    pub(super) async fn all_ended(&self) {
        // The semaphore is never closed.
        let _ = self.places.acquire_many(MACHINE_CONNECTIONS_MAX).await;
    }

    pub(super) fn insert(&self, connection: &Arc<Connection>) {
        self.lock().insert(connection.peer.connection.clone(), Arc::clone(connection));
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Connection>> {
        self.lock().get(id).cloned()
    }

    pub(super) fn remove(&self, id: &str) -> Option<Arc<Connection>> {
        self.lock().remove(id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
