//! What a handler may touch: the store, the pushes, the queue, the archive, the clock, and the deployment's settings. Nothing else.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::region::Region;
use aws_types::sdk_config::{Builder, SdkConfig};

use crate::archive::Archive;
use crate::config::{AwsConfig, Config, ServiceVariables};
use crate::limits::CONNECT_TIMEOUT;
use crate::protocol::{Event, Time};
use crate::push::Push;
use crate::queue::Queue;
use crate::run::{Answered, Caller};
use crate::store::Store;
use crate::telemetry::{self, Metric};

/// What a handler may touch.
#[derive(Clone)]
pub struct App {
    /// Everything that is kept.
    pub store: Store,
    /// What is said to connections.
    pub push: Push,
    /// What is to be said again.
    pub queue: Queue,
    /// Where old messages are, for the functions that read or move them, where there is such a place.
    pub archive: Option<Archive>,
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
        let queue = Queue::new(Queue::settings(sdk), url, dead_letter_url);
        let archive = archive.zip(config.archive_bucket.clone()).map(|(open, bucket)| open(sdk, bucket));
        Self { store, push, queue, archive, clock, config }
    }

    /// Sends the one final answer to a request. When the connection has gone, nobody waits for it.
    pub async fn answer(&self, caller: &Caller, event: &Event) -> Answered {
        telemetry::answering();
        if let Event::MessageSent { duplicate: true, .. } = event {
            telemetry::count(Metric::Duplicates, 1.0);
        }
        self.push.to(&caller.connection, event.frame(caller.request_id.as_ref())).await;
        Answered::new()
    }
}

/// The SDK's settings, with services where the environment says. TLS is rustls with ring: with aws-lc the first call costs 15
/// times the CPU, for its jitter entropy.
pub fn sdk_config(aws: AwsConfig) -> SdkConfig {
    use aws_smithy_http_client::{Builder, tls};
    let http = Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https();
    sdk_config_on(http, aws).service_config(ServiceVariables).build()
}

/// The SDK's settings on an HTTP client of the caller's: the network edge, where a test stands.
pub fn sdk_config_on(http: SharedHttpClient, aws: AwsConfig) -> Builder {
    let AwsConfig { region, access_key_id, secret_access_key, session_token } = aws;
    let credentials = Credentials::new(access_key_id, secret_access_key, session_token, None, "environment");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // What never changes needs no cache that asks what time it is.
        .identity_cache(IdentityCache::no_cache())
        // Every attempt has a time limit, and no body is long: nothing is gained by watching how it flows.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(http)
}

/// How long a client's calls may take: each attempt, and all of them. Passed, as the SDK's default has only a timeout for
/// connecting; that one is the same for all, so that they share a connector.
pub(crate) fn timeouts(attempt: Duration, call: Duration) -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(attempt);
    timeouts.operation_timeout(call).build()
}

/// Makes of a request one that opens a connection and does nothing else: `GET /ping`, which is no operation of either
/// service. So it needs no permission and costs no units, and any answer is good, a refusal too. A real operation is
/// changed into it, rather than a socket opened beside the SDK: so the connection is in the pool, to the very host, and
/// credentials and TLS are set up as the next call finds them.
pub(crate) fn ping(request: &mut HttpRequest) {
    let address = request.uri().to_owned();
    let host_end = address.find("://").and_then(|at| address[at + 3..].find('/').map(|end| at + 3 + end));
    let host = &address[..host_end.unwrap_or(address.len())];
    // What can't be an address stays what it was: nobody needs the answer.
    let _ = request.set_uri(format!("{host}/ping"));
    let _ = request.set_method("GET");
    *request.body_mut() = SdkBody::empty();
    request.headers_mut().remove("content-length");
}

/// What time it is. Times are shown and compared with generous margins; order never comes from a clock.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Time + Send + Sync>);

impl Clock {
    /// The machine's.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn system() -> Self {
        Self::new(|| Time { ms: jiff::Timestamp::now().as_millisecond() })
    }

    /// Another one, for a world whose time is made.
    pub fn new(now: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Now.
    pub fn now(&self) -> Time {
        (self.0)()
    }
}
