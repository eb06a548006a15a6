//! S3, as far as the archive needs it: an object is written or read, as a whole. The only place that knows that service.
//!
//! The SDK's client of it would be a third of a function's binary, most of it tables of checksums that nobody here asks for.
//! So a call is made of the SDK's parts: its signature, its retries and timeouts, its connections. What is sent is covered by
//! the signature, byte for byte.

use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::auth::{SigV4OperationSigningConfig, SigningOptions};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::retry::RetryConfig;
use aws_types::region::{Region, SigningRegion};
use aws_types::service_config::ServiceConfigKey;
use aws_types::{SdkConfig, SigningName};

use crate::aws::timeouts;
use crate::error::Error;
use crate::limits::{ARCHIVE_ATTEMPT_TIMEOUT, ARCHIVE_ATTEMPTS_MAX, ARCHIVE_CALL_TIMEOUT, OBJECT_BYTES_MAX};
use crate::telemetry::chain;

/// One bucket.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    call: Operation<Call, Vec<u8>, Refused>,
}

/// A call for one object.
#[derive(Debug)]
struct Call {
    method: &'static str,
    object: String,
    /// A header, and what it says.
    header: (&'static str, String),
    body: Vec<u8>,
}

/// S3's answer, when it is an error.
#[derive(Debug)]
struct Refused {
    status: u16,
    code: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}]", self.status, self.code)
    }
}

impl std::error::Error for Refused {}

impl Bucket {
    /// The bucket of this name. Timeouts and retries are ours, and hold for what is read, too.
    pub(crate) fn new(sdk: &SdkConfig, name: &str) -> Self {
        let call = Operation::builder()
            .service_name("S3")
            .operation_name("Object")
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&address(sdk, name))
            .timeout_config(timeouts(ARCHIVE_ATTEMPT_TIMEOUT, ARCHIVE_CALL_TIMEOUT))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .standard_retry(&RetryConfig::standard().with_max_attempts(ARCHIVE_ATTEMPTS_MAX))
            .retry_classifier(TransientErrorClassifier::<Refused>::new())
            .retry_classifier(HttpStatusCodeClassifier::default())
            .with_connection_poisoning()
            .runtime_plugin(edge(sdk))
            .serializer(request)
            .deserializer(answer)
            .build();
        Self { call }
    }

    /// Writes an object.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when S3 doesn't take it; [`Error::Internal`] when it refuses it.
    pub(crate) async fn put(&self, object: &str, body: Vec<u8>, content_type: &str) -> Result<(), Error> {
        let header = ("content-type", content_type.to_owned());
        let call = Call { method: "PUT", object: object.to_owned(), header, body };
        self.call.invoke(call).await.map_err(|error| failed("PutObject", object, &error, Error::Internal))?;
        Ok(())
    }

    /// Reads an object.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when S3 doesn't answer; [`Error::Unreadable`] when it refuses, or the object is larger than
    /// [`OBJECT_BYTES_MAX`].
    pub(crate) async fn get(&self, object: &str) -> Result<Vec<u8>, Error> {
        // A byte more than there may be, so that one that is too large is seen, and isn't read.
        let header = ("range", format!("bytes=0-{OBJECT_BYTES_MAX}"));
        let call = Call { method: "GET", object: object.to_owned(), header, body: Vec::new() };
        let bytes =
            self.call.invoke(call).await.map_err(|error| failed("GetObject", object, &error, Error::Unreadable))?;
        if bytes.len() > OBJECT_BYTES_MAX {
            return Err(Error::Unreadable(format!("{object} has more than {OBJECT_BYTES_MAX} bytes")));
        }
        Ok(bytes)
    }
}

/// Where the bucket is. A name with a dot is no host that Amazon's certificates cover.
fn address(sdk: &SdkConfig, bucket: &str) -> String {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok();
    if let Some(elsewhere) = key.and_then(|key| sdk.service_config()?.load_config(key)) {
        return format!("{}/{bucket}", elsewhere.trim_end_matches('/'));
    }
    let region = region(sdk);
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    if bucket.contains('.') {
        format!("https://s3.{region}.{domain}/{bucket}")
    } else {
        format!("https://{bucket}.s3.{region}.{domain}")
    }
}

/// The region, which every configuration of ours has.
fn region(sdk: &SdkConfig) -> &str {
    sdk.region().map(Region::as_ref).unwrap_or_default()
}

/// The HTTP client, and Signature Version 4 as S3 wants it
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>): a name is encoded once and isn't
/// normalized like a path, and the hash of what is sent is told.
fn edge(sdk: &SdkConfig) -> StaticRuntimePlugin {
    let mut signing_options = SigningOptions::default();
    signing_options.double_uri_encode = false;
    signing_options.normalize_uri_path = false;
    signing_options.content_sha256_header = true;
    let mut layer = Layer::new("S3");
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig {
        region: Some(SigningRegion::from(Region::new(region(sdk).to_owned()))),
        region_set: None,
        name: Some(SigningName::from_static("s3")),
        signing_options,
    });
    let mut components = RuntimeComponentsBuilder::new("S3")
        .with_http_client(sdk.http_client())
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID])));
    if let Some(credentials) = sdk.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, credentials);
    }
    StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components)
}

/// The request of a call. Names of objects are made of characters that an address may have.
fn request(call: Call) -> Result<HttpRequest, BoxError> {
    let (header, value) = call.header;
    let mut request = HttpRequest::new(SdkBody::from(call.body));
    request.set_method(call.method)?;
    request.set_uri(format!("/{}", call.object))?;
    request.headers_mut().try_insert(header, value)?;
    Ok(request)
}

/// What an answer holds, or says of an error: `<Error><Code>…</Code>…`.
fn answer(response: &HttpResponse) -> Result<Vec<u8>, OrchestratorError<Refused>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        return Ok(body.to_vec());
    }
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>").and_then(|(_, rest)| Some(rest.split_once("</Code>")?.0));
    let (status, code) = (response.status().as_u16(), code.unwrap_or_default().to_owned());
    Err(OrchestratorError::operation(Refused { status, code }))
}

/// What a call that failed means, where REFUSED is what a refusal means. Whoever is slowed down may ask again.
fn failed(
    operation: &str,
    object: &str,
    error: &SdkError<Refused, HttpResponse>,
    refused: fn(String) -> Error,
) -> Error {
    let text = format!("{operation} {object}: {}", chain(error));
    let is_refused = error.as_service_error().is_some_and(|refused| {
        let slow = refused.code.contains("SlowDown") || refused.code.contains("Throttl");
        (400..500).contains(&refused.status) && !slow
    });
    if is_refused { refused(text) } else { Error::Unavailable(text) }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };

    use super::*;
    use crate::aws::sdk_config_on;
    use crate::config::AwsConfig;

    /// A network that answers every call so, and keeps what was sent.
    #[derive(Clone, Debug)]
    struct Answers(u16, String, Arc<Mutex<Vec<HttpRequest>>>);

    impl HttpConnector for Answers {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            self.2.lock().expect("no panic before").push(request);
            let status = self.0.try_into().expect("a status");
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(self.1.as_str()))))
        }
    }

    /// What the SDK is told in a Region, on a network.
    fn sdk(region: &str, network: &Answers) -> SdkConfig {
        let connector = SharedHttpConnector::new(network.clone());
        let aws = AwsConfig {
            region: region.to_owned(),
            access_key_id: "id".to_owned(),
            secret_access_key: "hush".to_owned(),
            session_token: Some("session".to_owned()),
        };
        sdk_config_on(http_client_fn(move |_, _| connector.clone()), aws).build()
    }

    #[tokio::test]
    async fn a_call_is_signed_as_s3_wants_it() {
        let network = Answers(200, String::new(), Arc::default());
        let bucket = Bucket::new(&sdk("eu-west-1", &network), "archive");
        bucket.put("segments/d_1/2-3.ndjson.zst", b"abc".to_vec(), "application/zstd").await.expect("it is taken");
        let sent = network.2.lock().expect("no panic before");
        let [request] = sent.as_slice() else { panic!("{sent:?}") };
        assert_eq!(request.uri(), "https://archive.s3.eu-west-1.amazonaws.com/segments/d_1/2-3.ndjson.zst");
        let header = |name| request.headers().get(name).unwrap_or_default();
        // SHA-256 of "abc" (FIPS 180-2, B.1).
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((request.method(), header("x-amz-content-sha256")), ("PUT", hash));
        assert_eq!((header("content-type"), header("x-amz-security-token")), ("application/zstd", "session"));
        assert!(header("authorization").contains("/eu-west-1/s3/aws4_request"), "{}", header("authorization"));
    }

    #[tokio::test]
    async fn what_is_refused_is_not_asked_for_again() {
        let missing = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>no</Message></Error>";
        let network = Answers(404, missing.to_owned(), Arc::default());
        let bucket = Bucket::new(&sdk("eu-west-1", &network), "archive");
        let error = bucket.get("segments/d_1/2-3.ndjson.zst").await.expect_err("it is missing");
        assert!(matches!(&error, Error::Unreadable(text) if text.contains("404 [NoSuchKey]")), "{error:?}");
        assert_eq!(network.2.lock().expect("no panic before").len(), 1);
    }

    #[tokio::test]
    async fn an_object_is_read_up_to_a_limit() {
        for (bytes, is_read) in [(OBJECT_BYTES_MAX, true), (OBJECT_BYTES_MAX + 1, false)] {
            let network = Answers(206, "x".repeat(bytes), Arc::default());
            let read = Bucket::new(&sdk("eu-west-1", &network), "archive").get("segments/d_1/2-3.ndjson.zst").await;
            assert_eq!(read.is_ok(), is_read, "{bytes} bytes");
            let sent = network.2.lock().expect("no panic before");
            assert_eq!(sent[0].headers().get("range"), Some(&*format!("bytes=0-{OBJECT_BYTES_MAX}")));
        }
    }

    #[test]
    fn a_bucket_has_an_address_in_every_partition() {
        let network = Answers(200, String::new(), Arc::default());
        let address = |bucket, region| address(&sdk(region, &network), bucket);
        assert_eq!(address("archive", "cn-north-1"), "https://archive.s3.cn-north-1.amazonaws.com.cn");
        assert_eq!(address("an.archive", "us-east-1"), "https://s3.us-east-1.amazonaws.com/an.archive");
    }
}
