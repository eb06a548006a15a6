//! What every request may touch, and what outlives a request.

use std::future::Future;
use std::net::SocketAddr;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::api::Api;
use super::connections::Connections;
use super::events::Stamp;
use crate::{clock, ids};

/// What every request may touch.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) api: Api,
    pub(super) address: SocketAddr,
    pub(super) connections: Connections,
    pub(super) stopping: watch::Sender<bool>,
}

/// What comes now.
pub(super) fn stamp() -> Stamp {
    Stamp { id: ids::id(), time: clock::now() }
}

/// Starts work that outlives the request it came with: the server, and each connection. [`super::Gateway::stop`] waits for it.
#[expect(clippy::disallowed_methods, reason = "nothing freezes this process, and stop() waits for what is started")]
pub(super) fn background<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(work)
}
