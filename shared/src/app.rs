//! What a handler may touch: the store, the pushes, the queue, the archive, the clock, and the deployment's settings. Nothing else.

use aws_types::sdk_config::SdkConfig;
use futures::future::join;
use wire::Event;

use crate::archive::Archive;
use crate::auth::Caller;
use crate::clock::Clock;
use crate::config::Config;
use crate::memory::Memory;
use crate::push::Push;
use crate::queue::PushQueue;
use crate::store::Store;
use crate::store::work::LeftOff;
use crate::telemetry::{self, Metric};

/// What a handler may touch.
#[derive(Clone)]
pub struct App {
    /// Everything that is kept.
    pub store: Store,
    /// What is said to connections.
    pub push: Push,
    /// What is to be said again.
    pub queue: PushQueue,
    /// Where old messages are, for the functions that read or move them, where there is such a place.
    pub archive: Option<Archive>,
    /// Where scheduled work goes on that has no time to stand by.
    pub left_off: LeftOff,
    /// What this process has seen and what never changes.
    pub memory: Memory,
    /// What time it is.
    pub clock: Clock,
    /// How this deployment wants it.
    pub config: Config,
}

/// How an [`Archive`] is opened. Only functions that name one have S3's client in their binary.
pub type OpenArchive = fn(&SdkConfig, String) -> Archive;

impl App {
    /// Puts it together, on an HTTP client that carries the calls to `DynamoDB`, SQS and S3 and the pushes.
    pub fn new(config: Config, sdk: &SdkConfig, clock: Clock, archive: Option<OpenArchive>) -> Self {
        let store = Store::new(Store::settings(sdk), config.table.clone());
        let push = Push::new(Push::settings(sdk, &config.websocket_endpoint));
        let (url, dead_letter_url) = (config.queue_url.clone(), config.dead_letter_queue_url.clone());
        let queue = PushQueue::new(PushQueue::settings(sdk), url, dead_letter_url);
        let archive = archive.zip(config.archive_bucket.clone()).map(|(open, bucket)| open(sdk, bucket));
        Self { store, push, queue, archive, left_off: LeftOff::default(), memory: Memory::default(), clock, config }
    }

    /// Opens the connections to the table and to the clients' connections.
    pub(crate) async fn warm(&self) {
        join(self.store.warm(), self.push.warm()).await;
    }

    /// Sends the one final answer to a request. When the connection has gone, nobody waits for it.
    pub async fn answer(&self, caller: &Caller, event: &Event) -> Answered {
        telemetry::answering();
        if let Event::MessageSent { duplicate: true, .. } = event {
            telemetry::count(Metric::Duplicates, 1.0);
        }
        self.push.to(&caller.connection, event.frame(caller.request_id.as_ref())).await;
        Answered(())
    }
}

/// Proof that a request got its one final answer: only [`App::answer`] gives it.
#[derive(Debug)]
pub struct Answered(());
