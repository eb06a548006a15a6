//! What is said to connections: API Gateway's `@connections`.

use aws_sdk_apigatewaymanagement::config::timeout::TimeoutConfig;
use aws_sdk_apigatewaymanagement::config::{Builder, retry::RetryConfig};
use aws_sdk_apigatewaymanagement::operation::post_to_connection::PostToConnectionError;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use aws_types::SdkConfig;
use futures::StreamExt as _;
use wire::{ConnectionId, Event, Time};

use crate::aws::warm::ping;
use crate::jitter;
use crate::limits::{
    CONNECT_TIMEOUT, PUSH_ATTEMPTS_BEFORE_QUEUE, PUSH_ATTEMPTS_MAX, PUSH_BACKOFF, PUSH_TIMEOUT, PUSHES_AT_ONCE,
};
use crate::store::Store;
use crate::store::presence::Connected;
use crate::telemetry::{Metric, RoundTrip, chain, count};

/// Sends frames to connections.
#[derive(Clone)]
pub struct Push {
    client: aws_sdk_apigatewaymanagement::Client,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The gateway has it.
    Sent,
    /// The connection has ended.
    Gone,
    /// The gateway was busy, or didn't answer. What matters is in the log, for the queue or the next `sync`.
    Failed,
}

impl Push {
    /// How a client calls the API Gateway at ENDPOINT.
    pub fn settings(sdk: &SdkConfig, endpoint: &str) -> Builder {
        // With the store's timeout for connecting the two share a connector, and read the trusted certificates once.
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(PUSH_TIMEOUT).build();
        // Tried again below, where `Gone` is told from "busy".
        Builder::from(sdk).endpoint_url(endpoint).timeout_config(timeouts).retry_config(RetryConfig::disabled())
    }

    /// With a client of these settings.
    pub fn new(settings: Builder) -> Self {
        Self { client: aws_sdk_apigatewaymanagement::Client::from_conf(settings.build()) }
    }

    /// Opens a connection before it is needed. Without one, the first push does it.
    pub(crate) async fn warm(&self) {
        let call = self.client.post_to_connection().connection_id("-").data(Blob::default());
        let _ = call.customize().mutate_request(ping).send().await;
    }

    /// Sends one frame to one connection.
    pub async fn to(&self, connection: &ConnectionId, frame: Vec<u8>) -> Pushed {
        self.attempt(connection, frame, PUSH_ATTEMPTS_MAX).await
    }

    /// Tries so often to send one frame to one connection, and counts what becomes of it.
    async fn attempt(&self, connection: &ConnectionId, frame: Vec<u8>, attempts_max: u32) -> Pushed {
        let trip = RoundTrip::begin();
        let pushed = self.repeat(connection, frame, attempts_max).await;
        trip.end();
        let metric = match pushed {
            Pushed::Sent => Metric::PushesSent,
            Pushed::Gone => Metric::PushesGone,
            Pushed::Failed => Metric::PushesFailed,
        };
        count(metric, 1.0);
        pushed
    }

    /// Tries to send a frame until it is clear what becomes of it, or so often.
    async fn repeat(&self, connection: &ConnectionId, frame: Vec<u8>, attempts_max: u32) -> Pushed {
        for attempt in 1..=attempts_max {
            let call = self.client.post_to_connection().connection_id(connection.as_str());
            let error = match call.data(Blob::new(frame.clone())).send().await {
                Ok(_) => return Pushed::Sent,
                Err(error) => error,
            };
            if error.raw_response().is_some_and(|response| response.status().as_u16() == 410) {
                return Pushed::Gone;
            }
            if matches!(error.as_service_error(), Some(PostToConnectionError::PayloadTooLargeException(_))) {
                tracing::error!(bytes = frame.len(), "a frame was too large to push");
                return Pushed::Failed;
            }
            if attempt == attempts_max {
                let cause = chain(&error);
                tracing::warn!(connection = connection.as_str(), cause, "a push failed");
                break;
            }
            count(Metric::Retries, 1.0);
            tokio::time::sleep(jitter::wait(PUSH_BACKOFF, attempt)).await;
        }
        Pushed::Failed
    }

    /// Ends a connection, which may have ended already; says whether it has.
    pub async fn close(&self, connection: &ConnectionId) -> bool {
        let closed = self.client.delete_connection().connection_id(connection.as_str()).send().await;
        let Err(error) = closed else { return true };
        if error.raw_response().is_some_and(|response| response.status().as_u16() == 410) {
            return true;
        }
        tracing::warn!(connection = connection.as_str(), cause = chain(&error), "a connection could not be closed");
        false
    }

    /// Sends an event that nobody keeps to connections; who doesn't get it doesn't learn of it.
    pub async fn to_all(&self, store: &Store, now: Time, connections: &[Connected], event: &Event) {
        self.fan_out(store, now, to_all(connections, event), PUSH_ATTEMPTS_MAX).await;
    }

    /// Sends to connections an event each that nobody keeps.
    pub async fn each(&self, store: &Store, now: Time, pushes: Vec<(Connected, Event)>) {
        let pushes = pushes.into_iter().map(|(to, event)| (to, event.frame(None)));
        self.fan_out(store, now, pushes, PUSH_ATTEMPTS_MAX).await;
    }

    /// Sends an event to connections; gives those where it must be tried again.
    pub async fn to_all_or_later(
        &self,
        store: &Store,
        now: Time,
        connections: &[Connected],
        event: &Event,
    ) -> Vec<Connected> {
        self.fan_out(store, now, to_all(connections, event), PUSH_ATTEMPTS_BEFORE_QUEUE).await
    }

    /// Tries once more to send an event to a connection.
    pub async fn again(&self, store: &Store, now: Time, to: &Connected, event: &Event) -> Pushed {
        self.to_one(store, now, to, event.frame(None), 1).await
    }

    /// Sends a frame to each of these connections, several at the same time; gives those where it failed.
    async fn fan_out(
        &self,
        store: &Store,
        now: Time,
        pushes: impl Iterator<Item = (Connected, Vec<u8>)>,
        attempts_max: u32,
    ) -> Vec<Connected> {
        let push = |(to, frame): (Connected, Vec<u8>)| async move {
            (self.to_one(store, now, &to, frame, attempts_max).await == Pushed::Failed).then_some(to)
        };
        // Collected: the compiler can't see that a lazy iterator of borrowing futures may be sent.
        let pushes: Vec<_> = pushes.map(push).collect();
        let failed = futures::stream::iter(pushes).buffer_unordered(PUSHES_AT_ONCE);
        failed.filter_map(|failed| async { failed }).collect().await
    }

    /// Sends a frame to one connection of a user, and takes it out of presence if it has gone: exactly it, and only if it
    /// can't be about to open. One that is over hears nothing, and is closed once its frames aren't answered any more;
    /// the sweep takes it out.
    async fn to_one(&self, store: &Store, now: Time, to: &Connected, frame: Vec<u8>, attempts_max: u32) -> Pushed {
        if to.is_over {
            if to.may_be_closed {
                self.close(&to.connection).await;
            }
            return Pushed::Gone;
        }
        let pushed = self.attempt(&to.connection, frame, attempts_max).await;
        if pushed != Pushed::Gone || !to.is_settled(now) {
            return pushed;
        }
        match store.presence_remove(&to.user, &to.connection, None).await {
            Ok(()) => count(Metric::ConnectionsRemoved, 1.0),
            // It expires by itself; the next push to it meets the same 410.
            Err(error) => tracing::warn!(%error, "a gone connection could not be taken out of presence"),
        }
        pushed
    }
}

/// The same frame for all of these.
fn to_all(connections: &[Connected], event: &Event) -> impl Iterator<Item = (Connected, Vec<u8>)> {
    let frame = event.frame(None);
    connections.iter().map(move |to| (to.clone(), frame.clone()))
}
