//! The SDK: its settings, its time limits, and what is made of its parts: S3's two calls (`s3`), a connection that is opened
//! before it is needed (`warm`).

pub(crate) mod s3;
pub(crate) mod warm;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::region::Region;
use aws_types::sdk_config::{Builder, SdkConfig};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::config::{self, AwsConfig, service_variable};
use crate::limits::CONNECT_TIMEOUT;

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

/// Where services are that aren't on AWS: `AWS_ENDPOINT_URL_DYNAMODB` and its like for one, `AWS_ENDPOINT_URL` for all others,
/// as the SDK's reference has them (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>).
#[derive(Debug)]
struct ServiceVariables;

impl LoadServiceConfig for ServiceVariables {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        service_variable(&config::environment, key.env(), key.service_id())
    }
}
