//! What is said to connections: API Gateway's `@connections`.

use aws_config::SdkConfig;
use aws_sdk_apigatewaymanagement::config::timeout::TimeoutConfig;
use aws_sdk_apigatewaymanagement::config::{Builder, retry::RetryConfig};
use aws_sdk_apigatewaymanagement::operation::post_to_connection::PostToConnectionError;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use futures::StreamExt as _;

use crate::app::ping;
use crate::limits::{CONNECT_TIMEOUT, PUSH_ATTEMPTS_MAX, PUSH_BACKOFF, PUSH_TIMEOUT, PUSHES_AT_ONCE};
use crate::protocol::{ConnectionId, Event, Time};
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
    /// The gateway was busy, or didn't answer. What matters is in the log, and comes with the next `sync`.
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
        let trip = RoundTrip::begin();
        let pushed = self.repeat(connection, frame).await;
        trip.end();
        let metric = match pushed {
            Pushed::Sent => Metric::PushesSent,
            Pushed::Gone => Metric::PushesGone,
            Pushed::Failed => Metric::PushesFailed,
        };
        count(metric, 1.0);
        pushed
    }

    /// Tries to send a frame until it is clear what becomes of it, [`PUSH_ATTEMPTS_MAX`] times at most.
    async fn repeat(&self, connection: &ConnectionId, frame: Vec<u8>) -> Pushed {
        let mut wait = PUSH_BACKOFF;
        for attempt in 1..=PUSH_ATTEMPTS_MAX {
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
            if attempt == PUSH_ATTEMPTS_MAX {
                let cause = chain(&error);
                tracing::warn!(connection = connection.as_str(), cause, "a push failed; sync will bring it");
                break;
            }
            count(Metric::Retries, 1.0);
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Pushed::Failed
    }

    /// Ends a connection. One that has ended already is no error.
    pub async fn close(&self, connection: &ConnectionId) {
        let closed = self.client.delete_connection().connection_id(connection.as_str()).send().await;
        if let Err(error) = closed
            && error.raw_response().is_none_or(|response| response.status().as_u16() != 410)
        {
            tracing::warn!(connection = connection.as_str(), cause = chain(&error), "a connection could not be closed");
        }
    }

    /// Sends an event to connections, and takes those that have gone out of presence: exactly them, and none that may be
    /// only about to open.
    pub async fn to_all(&self, store: &Store, now: Time, connections: &[Connected], event: &Event) {
        let frame = event.frame(None);
        let push = |to| self.to_one(store, now, to, frame.clone());
        // Collected: the compiler can't see that a lazy iterator of borrowing futures may be sent.
        let pushes: Vec<_> = connections.iter().map(push).collect();
        futures::stream::iter(pushes).buffer_unordered(PUSHES_AT_ONCE).collect::<()>().await;
    }

    /// Sends a frame to one connection of a user.
    async fn to_one(&self, store: &Store, now: Time, to: &Connected, frame: Vec<u8>) {
        if self.to(&to.connection, frame).await != Pushed::Gone || !to.is_settled(now) {
            return;
        }
        match store.presence_remove(&to.user, &to.connection, None).await {
            Ok(()) => count(Metric::ConnectionsRemoved, 1.0),
            // It expires by itself; the next push to it meets the same 410.
            Err(error) => tracing::warn!(%error, "a gone connection could not be taken out of presence"),
        }
    }
}
