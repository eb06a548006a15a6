//! What an operator sees: JSON lines on standard output, which Lambda hands to `CloudWatch`.
//!
//! Each request ends with exactly one line of its own: what was asked, how it ended, how long it took and what it cost. That
//! line is also a document in `CloudWatch`'s embedded metric format, so its figures become metrics without a call. Other
//! lines are rare: something that nobody answers for went wrong, or an operator changed something. All have the field
//! names of Powertools for AWS Lambda, and `docs/operations.md` explains each.
//!
//! No line holds content, a token or an address with its query: an error is told by `chain`, which shows neither what
//! was sent nor what was answered.
//!
//! While a request runs, it is the task-local `REQUEST`: whoever counts something needs no handle, and requests that share
//! a process don't mix.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lambda_runtime::Context;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Layer, layer};
use wire::RequestId;

use crate::clock::Clock;
use crate::config::{self, ConfigError};
use crate::error::Error;
use crate::limits::ACTION_CHARS_LOGGED;

/// The namespace of the metrics. Deployments in one account differ by the dimension `service`.
pub const NAMESPACE: &str = "Parley";
/// The target of a request's own line. It is written whatever `LOG_LEVEL` says: the metrics are in it.
const REQUEST_LINE: &str = "parley::request";

/// A figure that becomes a metric of `CloudWatch`.
///
/// A deployment pays for each metric and combination of dimensions by the hour in which it has a value (about $0.30 for a
/// whole month), not for each value. [`Metric::Requests`] has one for each function and outcome that occur, about 25;
/// [`Metric::Errors`] one for each code that occurs; every other one. In all about $14 a month when everything occurs all
/// the time, however many users there are. The line that carries them is about 1 KB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Requests that have ended, by function and outcome: `ok`, `refused` (the client's matter) or `failed` (ours).
    Requests,
    /// Requests that were refused or failed, by the error's code.
    Errors,
    /// Requests that were the first of their process.
    ColdStarts,
    /// Sends that were answered as duplicates.
    Duplicates,
    /// Marks that moved a delivered horizon forward.
    Deliveries,
    /// Pushes that the gateway has taken, answers included.
    PushesSent,
    /// Pushes to connections that had ended.
    PushesGone,
    /// Pushes that were given up.
    PushesFailed,
    /// Connections that were taken out of presence because a push met their end.
    ConnectionsRemoved,
    /// Attempts of calls after the first.
    Retries,
    /// Foldings of earnings into a balance.
    SettleBatches,
    /// Sends that a sweep found open.
    OpenSends,
    /// How long the oldest open send has been so, in seconds: of those that a sweep found, and by the places in the index of
    /// those that it had no time for.
    OldestOpenSend,
    /// Kinds of work that a sweep had to leave before all of it had its turn.
    SweepsCut,
    /// Messages that a cleanup moved: to the archive, or away where there is none.
    MessagesMoved,
    /// Messages that a cleanup deleted from the table, some time after they had moved.
    MessagesDeleted,
    /// Objects that a cleanup wrote.
    SegmentsWritten,
    /// Bytes of those objects.
    SegmentBytes,
    /// Users whom something waits for, as a cleanup found them.
    UsersWaiting,
    /// The age of the oldest message that waits for somebody, in seconds, as a cleanup found it.
    OldestWaiting,
    /// Items, objects and messages of the queue that could not be read: damaged, or of a kind that a later version writes.
    Unreadable,
    /// Read units that `DynamoDB` said it consumed.
    ReadUnits,
    /// Write units that `DynamoDB` said it consumed. It says nothing of writes whose condition failed, though they cost.
    WriteUnits,
}

impl Metric {
    /// Its name.
    fn name(self) -> String {
        format!("{self:?}")
    }

    /// Its unit, as `CloudWatch` names it.
    fn unit(self) -> &'static str {
        match self {
            Self::OldestOpenSend | Self::OldestWaiting => "Seconds",
            Self::SegmentBytes => "Bytes",
            _ => "Count",
        }
    }

    /// What tells its values apart: fields of the line. Never a user, a connection or a conversation.
    fn dimensions(self) -> &'static [&'static str] {
        match self {
            Self::Requests => &["service", "function", "outcome"],
            Self::Errors => &["service", "code"],
            _ => &["service"],
        }
    }
}

tokio::task_local! {
    /// The request that is running.
    static REQUEST: Arc<Request>;
    /// Whose lines the running part of a request goes on with.
    static CORRELATION: String;
}

/// A request, as its lines show it.
pub(crate) struct Request {
    function: &'static str,
    context: Context,
    cold_start: bool,
    clock: Clock,
    began: Instant,
    seen: Mutex<Seen>,
}

/// What was seen of a request.
#[derive(Default)]
struct Seen {
    action: Option<String>,
    correlation_id: Option<String>,
    failure: Option<Failure>,
    /// The longest chain of calls that were answered one after the other.
    chain: u32,
    /// That chain when the answer was sent.
    round_trips: Option<u32>,
    metrics: BTreeMap<Metric, f64>,
}

/// Why a request was not done.
struct Failure {
    code: &'static str,
    cause: Option<String>,
}

impl Request {
    /// A request to a function, that begins now.
    pub(crate) fn new(function: &'static str, context: Context, cold_start: bool, clock: Clock) -> Arc<Self> {
        Arc::new(Self { function, context, cold_start, clock, began: Instant::now(), seen: Mutex::default() })
    }

    /// Runs it, and writes its line. UNEXPLAINED gives the cause of a result that nobody else has explained.
    pub(crate) async fn run<T>(
        self: Arc<Self>,
        run: impl Future<Output = T>,
        unexplained: fn(&T) -> Option<String>,
    ) -> T {
        REQUEST
            .scope(Arc::clone(&self), async {
                let result = run.await;
                self.end(unexplained(&result));
                result
            })
            .await
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the request's line.
    fn end(&self, unexplained: Option<String>) {
        let mut seen = self.seen();
        if let (None, Some(cause)) = (&seen.failure, unexplained) {
            seen.failure = Some(Failure { code: "internal", cause: Some(cause) });
        }
        let action = seen.action.clone();
        let (code, cause) = match &seen.failure {
            Some(failure) => (Some(failure.code), failure.cause.clone()),
            None => (None, None),
        };
        let outcome = match (code, &cause) {
            (None, _) => "ok",
            (_, None) => "refused",
            (_, Some(_)) => "failed",
        };
        let round_trips = seen.round_trips.unwrap_or(seen.chain);
        *seen.metrics.entry(Metric::Requests).or_default() += 1.0;
        if code.is_some() {
            *seen.metrics.entry(Metric::Errors).or_default() += 1.0;
        }
        if self.cold_start {
            *seen.metrics.entry(Metric::ColdStarts).or_default() += 1.0;
        }
        // The subscriber looks at it, too.
        drop(seen);
        let duration_ms = (self.began.elapsed().as_secs_f64() * 100_000.0).round() / 100.0;
        if cause.is_some() {
            tracing::error!(target: REQUEST_LINE, action, outcome, code, cause, duration_ms, round_trips, "request");
        } else {
            tracing::info!(target: REQUEST_LINE, action, outcome, code, duration_ms, round_trips, "request");
        }
    }

    /// What finds all lines about what a client asked for: its own name for that, or the invocation's.
    fn correlation_id(&self) -> String {
        let of_a_part = CORRELATION.try_with(String::clone).ok();
        of_a_part.or_else(|| self.seen().correlation_id.clone()).unwrap_or_else(|| self.context.request_id.clone())
    }

    /// The fields that every line of the request has.
    fn describe(&self, line: &mut Map<String, Value>) {
        let context = &self.context;
        let name = Some(context.env_config.function_name.as_str()).filter(|name| !name.is_empty());
        line.insert("cold_start".to_owned(), self.cold_start.into());
        line.insert("correlation_id".to_owned(), self.correlation_id().into());
        line.insert("function_name".to_owned(), name.unwrap_or(self.function).into());
        line.insert("function_memory_size".to_owned(), context.env_config.memory.into());
        line.insert("function_request_id".to_owned(), context.request_id.as_str().into());
        if context.invoked_function_arn.starts_with("arn:") {
            line.insert("function_arn".to_owned(), context.invoked_function_arn.as_str().into());
        }
        if let Some(root) = context.xray_trace_id.as_deref().and_then(trace_root) {
            line.insert("xray_trace_id".to_owned(), root.into());
        }
    }

    /// The figures, and what makes metrics of them:
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
    fn measure(&self, line: &mut Map<String, Value>) {
        let mut directives: BTreeMap<&[&str], Vec<Value>> = BTreeMap::new();
        for (metric, value) in &self.seen().metrics {
            let directive = directives.entry(metric.dimensions()).or_default();
            directive.push(json!({ "Name": metric.name(), "Unit": metric.unit() }));
            line.insert(metric.name(), json!(value));
        }
        let directives: Vec<Value> = directives
            .into_iter()
            .map(|(dimensions, metrics)| {
                json!({ "Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics })
            })
            .collect();
        line.insert("function".to_owned(), self.function.into());
        line.insert("_aws".to_owned(), json!({ "Timestamp": self.clock.now().ms, "CloudWatchMetrics": directives }));
    }
}

/// The trace's id in X-Ray's header: `Root=1-…;Parent=…;Sampled=1`.
fn trace_root(header: &str) -> Option<&str> {
    header.split(';').find_map(|part| part.strip_prefix("Root="))
}

/// Does something with the running request. There is none in init.
fn with(f: impl FnOnce(&mut Seen)) {
    let _ = REQUEST.try_with(|request| f(&mut request.seen()));
}

/// Adds to a figure of the running request. Adding nothing makes the metric say 0 instead of nothing.
pub fn count(metric: Metric, more: f64) {
    with(|seen| *seen.metrics.entry(metric).or_default() += more);
}

/// Raises a figure of the running request to VALUE, if it is lower.
pub fn highest(metric: Metric, value: f64) {
    with(|seen| {
        let highest = seen.metrics.entry(metric).or_default();
        *highest = highest.max(value);
    });
}

/// Something among others can't be read, and the request goes on without it: it is counted, and its own line says what it is.
pub fn passed_over(problem: &str) {
    count(Metric::Unreadable, 1.0);
    tracing::error!(problem, "passed over");
}

/// Names what the running request asks: an action or a route, which there are few of. A client may say anything, so not all
/// of it is kept.
pub(crate) fn asked(action: &str) {
    with(|seen| seen.action = Some(action.chars().take(ACTION_CHARS_LOGGED).collect()));
}

/// The client's name for the running request.
pub(crate) fn correlate(id: &RequestId) {
    with(|seen| seen.correlation_id = Some(id.as_str().to_owned()));
}

/// What finds the running request's lines. There is no request in init.
pub(crate) fn correlation_id() -> Option<String> {
    REQUEST.try_with(|request| request.correlation_id()).ok()
}

/// Runs a part of a request that goes on with what another began: its lines carry the other's ID, if that is known.
pub async fn correlated<T>(id: Option<String>, run: impl Future<Output = T>) -> T {
    match id {
        Some(id) => CORRELATION.scope(id, run).await,
        None => run.await,
    }
}

/// The running request ends with this error.
pub(crate) fn failed(error: &Error) {
    if matches!(error, Error::Unreadable(_)) {
        count(Metric::Unreadable, 1.0);
    }
    with(|seen| {
        if matches!(error, Error::UnknownAction(_)) {
            // The name is whatever the client has written.
            seen.action = None;
        }
        seen.failure = Some(Failure { code: error.code().as_str(), cause: error.cause().map(str::to_owned) });
    });
}

/// The running request's answer is sent now: later calls keep nobody waiting.
pub(crate) fn answering() {
    with(|seen| seen.round_trips = seen.round_trips.or(Some(seen.chain)));
}

/// A call under way: how many calls of its request were answered one after the other before it, and itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip(u32);

impl RoundTrip {
    /// A call is about to be made.
    pub(crate) fn begin() -> Self {
        let mut before = 0;
        with(|seen| before = seen.chain);
        Self(before + 1)
    }

    /// It was answered, or given up.
    pub(crate) fn end(self) {
        with(|seen| seen.chain = seen.chain.max(self.0));
    }
}

/// An error and what it came from, on one line. Only what errors say of themselves: an SDK error's debug text has the body of
/// the answer in it.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

/// Starts the log at the level that `LOG_LEVEL` names.
///
/// # Errors
/// [`ConfigError`] that names the variable.
pub fn start() -> Result<(), ConfigError> {
    let level = config::log_level(&config::environment)?;
    let service = config::service_name(&config::environment)?;
    let log = log(service, level, |line| {
        // There is nobody to tell that the log is gone.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    });
    // A second start in one process keeps the first log.
    let _ = tracing::dispatcher::set_global_default(log);
    Ok(())
}

/// A log whose lines, each with its end, go to WRITE. SERVICE names the deployment.
pub fn log(service: String, level: Level, write: impl Fn(&str) + Send + Sync + 'static) -> Dispatch {
    let mut targets = Targets::new().with_default(level).with_target(REQUEST_LINE, LevelFilter::INFO);
    // The libraries' own lines are for their developers.
    for library in ["aws", "hyper", "lambda", "rustls"] {
        targets = targets.with_target(library, LevelFilter::WARN);
    }
    for twice_told in [
        // What a handler returns is in the request's line already, and a panic writes to standard error.
        "lambda_runtime::layers::panic",
        // Calls an attempt that never reached anybody an error of its own.
        "aws_smithy_runtime::client::http::connection_poisoning",
    ] {
        targets = targets.with_target(twice_told, LevelFilter::OFF);
    }
    Dispatch::new(tracing_subscriber::registry().with(targets).with(Lines { service, write }))
}

/// Writes each event as a line.
struct Lines<W> {
    service: String,
    write: W,
}

impl<S: Subscriber, W: Fn(&str) + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let Fields(mut line) = fields;
        let about = event.metadata();
        line.insert("level".to_owned(), about.level().as_str().into());
        line.insert("service".to_owned(), self.service.as_str().into());
        if let (Level::ERROR | Level::WARN, Some(module)) = (*about.level(), about.module_path())
            && about.target() != REQUEST_LINE
        {
            line.insert("location".to_owned(), format!("{module}:{}", about.line().unwrap_or_default()).into());
        }
        let described = REQUEST.try_with(|request| {
            request.describe(&mut line);
            if about.target() == REQUEST_LINE {
                request.measure(&mut line);
            }
            request.clock.now()
        });
        let now = described.unwrap_or_else(|_| Clock::system().now());
        line.insert("timestamp".to_owned(), now.to_string().into());
        (self.write)(&format!("{}\n", Value::Object(line)));
    }
}

/// An event's own fields.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_named_by_its_root() {
        assert_eq!(
            trace_root("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"),
            Some("1-5759e988-bd862e3fe1be46a994272793")
        );
        assert_eq!(trace_root("Parent=53995c3f42cd8ad8"), None);
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_nothing_else() {
        let inner = std::io::Error::other("the connection was reset");
        let outer = std::io::Error::other(Outer(inner));
        assert_eq!(chain(&outer), "the call failed: the connection was reset");
    }

    #[derive(Debug)]
    struct Outer(std::io::Error);

    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the call failed")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
}
