//! The world: the functions as `template.yaml` deploys them, on one network, with time that is made.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use jsonwebtoken::{EncodingKey, Header};
use lambda_runtime::{Context, LambdaEvent};
use local::functions::FUNCTIONS;
use local::invoker::Invoker;
use local::queue::{Queues, event_source};
use local::runtime::InvokeError;
use local::s3::Objects;
use local::schedule;
use local::template::{DEPLOYED, Deployment, REGION, Template};
use serde_json::{Value, json};
use shared::app::{App, OpenArchive};
use shared::auth::Verifier;
use shared::aws;
use shared::clock::Clock;
use shared::config::{AwsConfig, Config, ConfigError, TokenConfig};
use shared::limits::LIVELY;
use shared::memory::Memory;
use shared::push::Push;
use shared::queue::PushQueue;
use shared::run::{AnyFunction, AnyInstance, Supply};
use shared::secret::Secrets;
use shared::store::Store;
use shared::store::work::LeftOff;
use tokio::time::Instant;
use wire::Time;

use crate::bucket::Bucket;
use crate::engine::{Engine, Snapshot};
use crate::gateway::{Connections, HttpAnswer};
use crate::network::{Call, Chance, Edge, Fault, INVOCATION, Invocation, Network, lock};
use crate::person::{Person, uuid_v7};
use crate::planted::Planted;
use crate::policy::Policies;
use crate::unsigned::Unsigned;

/// Where `@connections` is. Nobody listens there: the network takes the calls.
const WEBSOCKET_ENDPOINT: &str = "https://local.execute-api.us-east-1.amazonaws.com/chat";
/// When each world begins: 2026-01-01T00:00:00Z.
const BEGINNING: Time = Time { ms: 1_767_225_600_000 };
/// The queue of failed pushes, and where they go in the end, by their names in the template.
const QUEUE: &str = "Queue";
const DEAD_LETTER_QUEUE: &str = "DeadLetterQueue";
/// How long the world's own tokens are good.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// How many instances a function has at the most.
pub(crate) const INSTANCES: usize = 2;
/// The secret of the world's tokens.
pub const SECRET: &str = "a secret for tests, of 32 bytes or more";

/// The template, read once for all worlds, and deployed once for all with the same parameters.
static TEMPLATE: LazyLock<Template> = LazyLock::new(|| Template::parse(DEPLOYED).expect("the template parses"));
static DEPLOYMENTS: Mutex<BTreeMap<BTreeMap<String, String>, Arc<Deployment>>> = Mutex::new(BTreeMap::new());

tokio::task_local! {
    /// The step of a simulation that is running, and how many ids it has given.
    pub(crate) static STEP: (u32, AtomicU64);
}

/// How a world begins.
#[derive(Default)]
pub struct Setup<'a> {
    /// Where delays and ids come from.
    pub seed: u64,
    /// Values of the template's parameters, where its defaults aren't wanted.
    pub parameters: &'a [(&'a str, &'a str)],
    /// How tokens are checked, where not by [`SECRET`].
    pub tokens: Option<TokenConfig>,
}

/// The world. Its clones are the same world.
#[derive(Clone)]
pub struct World {
    inner: Arc<Inner>,
}

struct Inner {
    deployment: Arc<Deployment>,
    network: Network,
    sdk: SdkConfig,
    verifier: Verifier,
    functions: BTreeMap<&'static str, Deployed>,
    clock: Clock,
    began: Arc<Mutex<Instant>>,
    /// How far the clock was set forward or back, in milliseconds.
    set_by_ms: Arc<AtomicI64>,
    seed: u64,
    ids: AtomicU64,
    /// What the functions can't read.
    planted: Mutex<Vec<Planted>>,
}

/// A function of the deployment.
struct Deployed {
    function: &'static dyn AnyFunction,
    /// Each with a memory of its own, and made when it is first run.
    instances: [OnceLock<Box<dyn AnyInstance>>; INSTANCES],
}

/// A world at rest at some moment: time, table, how many ids it had given.
pub(crate) struct Moment {
    age: Duration,
    table: Snapshot,
    objects: Objects,
    ids: u64,
}

/// Why an invocation has no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Failed {
    /// A fault killed the function.
    Killed,
    /// It took longer than its function may.
    TimedOut,
    /// It said so.
    Error(String),
}

impl Failed {
    /// As the gateway is told.
    pub(crate) fn told(self) -> InvokeError {
        match self {
            Self::Error(message) => InvokeError::Function { error_type: "Error".to_owned(), message },
            died => InvokeError::Crashed { message: format!("{died:?}") },
        }
    }
}

impl Inner {
    /// An instance of a function, with clients of its own.
    fn instance(&self, function: &'static dyn AnyFunction) -> Box<dyn AnyInstance> {
        let instance = function.instance(&Supplies { world: self, function: function.name() });
        instance.expect("the template gives each function its variables")
    }
}

/// What the world has for a function.
struct Supplies<'a> {
    world: &'a Inner,
    function: &'static str,
}

impl Supply for Supplies<'_> {
    fn app(&self, archive: Option<OpenArchive>) -> Result<App, ConfigError> {
        let environment = &self.world.deployment.functions[self.function].environment;
        let config = Config::read(&|name| environment.get(name).cloned())?;
        let sdk = &self.world.sdk;
        let store = Store::new(Store::settings(sdk).push_auth_scheme(Unsigned), config.table.clone());
        let push = Push::new(Push::settings(sdk, &config.websocket_endpoint).push_auth_scheme(Unsigned));
        let (url, dead_letter_url) = (config.queue_url.clone(), config.dead_letter_queue_url.clone());
        let queue = PushQueue::new(PushQueue::settings(sdk).push_auth_scheme(Unsigned), url, dead_letter_url);
        let archive = archive.zip(config.archive_bucket.clone()).map(|(open, bucket)| open(sdk, bucket));
        let (left_off, memory) = (LeftOff::default(), Memory::default());
        Ok(App { store, push, queue, archive, left_off, memory, clock: self.clock(), config })
    }

    fn verifier(&self) -> Result<Verifier, ConfigError> {
        Ok(self.world.verifier.clone())
    }

    fn clock(&self) -> Clock {
        self.world.clock.clone()
    }
}

impl World {
    /// With the template's defaults.
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    /// With these values of the template's parameters.
    pub async fn deployed_with(parameters: &[(&str, &str)]) -> Self {
        Self::with(Setup { parameters, ..Setup::default() }).await
    }

    /// As it is set up.
    pub async fn with(setup: Setup<'_>) -> Self {
        let parameters = setup.parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let deployment = deployed(parameters.collect());
        let (engine, policies) = (Engine::new(&deployment.table), Policies::new(&deployment));
        let queues = Queues::new(deployment.queues.clone());
        let network = Network::new(engine, Connections::default(), queues, policies, setup.seed);
        let began = Arc::new(Mutex::new(Instant::now()));
        let since = began.clone();
        let set_by_ms = Arc::new(AtomicI64::default());
        let set = set_by_ms.clone();
        let clock = Clock::new(move || {
            // Each function's clock is off by its own.
            let skew_ms = INVOCATION.try_with(|invocation| invocation.skew_ms).unwrap_or_default();
            let now = BEGINNING.after(lock(&since).elapsed());
            Time { ms: now.ms + skew_ms + set.load(Ordering::Relaxed) }
        });
        let aws = AwsConfig {
            region: REGION.to_owned(),
            access_key_id: "tests".to_owned(),
            secret_access_key: "tests".to_owned(),
            session_token: None,
        };
        let sdk = aws::sdk_config_on(SharedHttpClient::new(network.clone()), aws).build();
        let variable = |name: &str| deployment.functions["authorize"].environment.get(name).cloned();
        let tokens = setup.tokens.unwrap_or_else(|| TokenConfig::read(&variable).expect("tokens"));
        network.set_secrets(BTreeMap::from([("AWSCURRENT", SECRET.to_owned())]));
        let verifier = Verifier::new(tokens, Secrets::new(&sdk));
        let deployed = |function| Deployed { function, instances: [const { OnceLock::new() }; INSTANCES] };
        let functions = FUNCTIONS.into_iter().map(|function| (function.name(), deployed(function))).collect();
        let (seed, ids) = (setup.seed, AtomicU64::default());
        Self {
            inner: Arc::new(Inner {
                deployment,
                network,
                sdk,
                verifier,
                functions,
                clock,
                began,
                set_by_ms,
                seed,
                ids,
                planted: Mutex::default(),
            }),
        }
    }

    /// Somebody, by the id that their token says.
    pub fn person(&self, id: &str) -> Person {
        Person::new(self, id)
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        self.inner.clock.now()
    }

    /// Lets time pass.
    pub async fn advance(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Somebody sets the clock of all functions, forward or back, by so many seconds.
    pub fn sets_clock(&self, by_seconds: i64) {
        self.inner.set_by_ms.fetch_add(by_seconds * 1_000, Ordering::Relaxed);
    }

    /// Calls break from now on as this says, asked once for each call before it is made.
    pub fn breaks(&self, faults: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        self.inner.network.set_faults(Some(Box::new(faults)));
    }

    /// The first call that this describes breaks, and no other.
    pub fn breaks_once(&self, fault: Fault, matches: impl Fn(&Call) -> bool + Send + 'static) {
        let mut left = true;
        self.breaks(move |call| {
            let breaks = left && matches(call);
            left &= !breaks;
            breaks.then_some(fault)
        });
    }

    /// Nothing breaks any more.
    pub fn heals(&self) {
        self.inner.network.set_faults(None);
    }

    /// Takes the calls that were made since this was last asked, in the order in which they were carried out.
    pub fn calls(&self) -> Vec<Call> {
        self.inner.network.take_calls()
    }

    /// The schedule runs the sweep.
    ///
    /// # Panics
    /// When it fails.
    pub async fn sweeps(&self) {
        self.tries_to_sweep().await.expect("the sweep ends");
    }

    /// The schedule runs the sweep, which may fail when calls break.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn tries_to_sweep(&self) -> Result<(), Failed> {
        self.runs_by_schedule("sweep").await
    }

    /// The schedule runs the cleanup.
    ///
    /// # Panics
    /// When it fails.
    pub async fn cleans_up(&self) {
        self.tries_to_clean_up().await.expect("the cleanup ends");
    }

    /// The schedule runs the cleanup, which may fail when calls break.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn tries_to_clean_up(&self) -> Result<(), Failed> {
        self.runs_by_schedule("cleanup").await
    }

    async fn runs_by_schedule(&self, function: &str) -> Result<(), Failed> {
        let schedule = self.deployment().schedules.iter().find(|schedule| schedule.function == function);
        let event = schedule::event(schedule.expect("it has one"), "00000000-0000-0000-0000-000000000000", self.now());
        self.invoke(function, event).await.map(drop)
    }

    /// How many objects the archive has, and the bytes of each.
    pub fn archived(&self) -> Vec<usize> {
        self.bucket().sizes()
    }

    /// Works the queue off for as long as this is awaited, as Lambda does.
    pub(crate) async fn works_queue_off(&self) {
        let world = self.clone();
        let invoker = Invoker::new(move |function, event| {
            let world = world.clone();
            async move {
                // Who dies has failed with the whole batch; here that is no news.
                let whole = json!({ "batchItemFailures": [{ "itemIdentifier": "" }] });
                Ok(Box::pin(world.invoke(&function, event)).await.unwrap_or(whole))
            }
        });
        let sources = self.deployment().event_sources.iter();
        let queues = self.inner.network.queues();
        futures::future::join_all(
            sources.map(|source| event_source::run(source.clone(), queues.clone(), invoker.clone())),
        )
        .await;
    }

    /// Works the queue off until nothing is in it any more, however long that takes.
    pub async fn queue_empties(&self) {
        tokio::select! {
            () = self.works_queue_off() => {}
            () = self.queue_emptied() => {}
        }
    }

    /// Waits until nothing is in the queue any more.
    pub(crate) async fn queue_emptied(&self) {
        self.inner.network.queues().emptied(QUEUE).await;
    }

    /// The bodies of what waits in the queue; null for what is no JSON.
    pub fn queued(&self) -> Vec<Value> {
        let messages = self.inner.network.queues().messages(QUEUE).into_iter();
        messages.map(|message| serde_json::from_str(&message.body).unwrap_or_default()).collect()
    }

    /// What was dead-lettered: each body, and the reason.
    pub fn dead_letters(&self) -> Vec<(String, Option<String>)> {
        let messages = self.inner.network.queues().messages(DEAD_LETTER_QUEUE).into_iter();
        let reason = |attributes: &serde_json::Map<String, Value>| {
            Some(attributes.get("reason")?["StringValue"].as_str()?.to_owned())
        };
        messages.map(|message| (message.body, reason(&message.attributes))).collect()
    }

    /// Somebody puts this into the queue.
    pub fn puts_into_queue(&self, body: &str) {
        let queues = self.inner.network.queues();
        let sent = queues.send(QUEUE, body.to_owned(), serde_json::Map::new(), Duration::ZERO);
        sent.expect("the template has this queue");
    }

    /// Waits until the sweep has ended what nobody else did, and then checks all that must hold when nothing moves.
    pub async fn comes_to_rest(&self) {
        self.heals();
        self.advance(self.silence()).await;
        self.sweeps().await;
        self.is_at_rest();
    }

    /// How long somebody says nothing whom the sweep doesn't take for lively any more: a burst counts for as long as it takes at
    /// the rate that may go on.
    pub(crate) fn silence(&self) -> Duration {
        let number =
            |name: &str| self.deployment().functions["send"].environment[name].parse::<u32>().expect("a number");
        let burst = Duration::from_secs(1) * number("SEND_BURST") / number("SENDS_PER_SECOND");
        LIVELY + burst + Duration::from_secs(1)
    }

    /// An operator adds coins.
    pub async fn tops_up(&self, user: &str, amount: u64) {
        let key = self.next_id("key");
        let answer = self.credits(user, amount, &key).await;
        assert_eq!(answer.status, 200, "topping up {user}: {answer:?}");
    }

    /// An operator adds coins, once per key.
    pub async fn credits(&self, user: &str, amount: u64, key: &str) -> HttpAnswer {
        let path = format!("/api/wallets/{}/credits", encoded(user));
        self.admin("POST", &path, Some(json!({ "amount": amount, "idempotencyKey": key }))).await
    }

    /// An operator sets what a message to a user costs.
    pub async fn prices(&self, user: &str, price: u64) {
        let path = format!("/api/users/{}/price", encoded(user));
        let answer = self.admin("PUT", &path, Some(json!({ "price": price }))).await;
        assert_eq!(answer.status, 200, "pricing {user}: {answer:?}");
    }

    /// An operator asks something of the HTTP API. A path may have a query; its parts are percent-encoded.
    pub async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> HttpAnswer {
        let token = self.token("operator", json!({ "roles": ["admin"] }));
        self.http(method, path, Some(&token), body.map(|body| body.to_string())).await
    }

    /// A good token of this user, with more claims, or others.
    pub fn token(&self, user: &str, more: Value) -> String {
        let mut claims = json!({ "sub": user, "exp": self.now().after(TOKEN_LIFE).ms / 1_000 });
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        shared::auth::crypto::install();
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token")
    }

    /// What there is now, where nothing is under way.
    pub(crate) fn moment(&self) -> Moment {
        let age = lock(&self.inner.began).elapsed();
        let (table, objects) = (self.inner.network.engine().snapshot(), self.bucket().snapshot());
        Moment { age, table, objects, ids: self.inner.ids.load(Ordering::Relaxed) }
    }

    /// Goes back to a moment, so that the same happens again: a new world would take many times as long.
    pub(crate) fn returns_to(&self, moment: &Moment) {
        self.heals();
        self.inner.network.engine().restore(&moment.table);
        self.bucket().restore(&moment.objects);
        self.inner.network.set_chance(self.inner.seed);
        self.inner.network.take_calls();
        self.connections().reset();
        self.inner.ids.store(moment.ids, Ordering::Relaxed);
        *lock(&self.inner.began) = Instant::now() - moment.age;
    }

    /// The secret of the tokens is changed: the versions that there are now, by their labels.
    pub fn has_secrets(&self, versions: impl IntoIterator<Item = (&'static str, String)>) {
        self.inner.network.set_secrets(versions.into_iter().collect());
    }

    /// From now on a simulation decides about everything that travels.
    pub(crate) fn set_edge(&self, edge: Box<dyn Edge>) {
        self.inner.network.set_edge(edge);
    }

    /// `$connect` has refused a connection: its user has too many.
    pub(crate) fn refuses_as_too_many(&self, connection: &str) {
        self.inner.network.edge(|edge| edge.refuses_as_too_many(connection));
    }

    /// How long a simulation lets a connection wait that was accepted.
    pub(crate) fn opens(&self, connection: &str) -> Option<Duration> {
        self.inner.network.edge(|edge| edge.opens(connection))
    }

    /// A new id that starts so. Within a simulation's step it doesn't depend on the other steps.
    pub fn next_id(&self, kind: &str) -> String {
        if let Ok(id) = STEP.try_with(|step| format!("{kind}-{}-{}", step.0, step.1.fetch_add(1, Ordering::Relaxed))) {
            return id;
        }
        let n = self.inner.ids.fetch_add(1, Ordering::Relaxed);
        let random = Chance(self.inner.seed.wrapping_mul(0x0100_0001).wrapping_add(n)).next();
        format!("{kind}-{n}-{random:016x}")
    }

    /// A new id of a message, as our clients make them: a UUID of version 7. Each is above those before it.
    pub fn next_message_id(&self) -> String {
        uuid_v7(self.now(), self.inner.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// The deployment.
    pub fn deployment(&self) -> &Deployment {
        &self.inner.deployment
    }

    /// What the functions may do, and what of it they have done.
    pub fn policies(&self) -> &Policies {
        self.inner.network.policies()
    }

    /// Puts items into the table, as if they had always been there.
    pub fn imports(&self, items: Vec<dynoxide::Item>) {
        self.inner.network.engine().import(items);
    }

    /// Puts what can't be read into the table, as if it had always been there.
    ///
    /// # Panics
    /// When the engine doesn't take it.
    pub fn plants(&self, planted: Planted) {
        for item in &planted.items {
            let [pk, sk] = ["pk", "sk"].map(|name| item[name]["S"].as_str().expect("a key"));
            let attributes = item.as_object().expect("an item").clone();
            self.edits(pk, sk, |item| *item = attributes);
        }
        lock(&self.inner.planted).push(planted);
    }

    /// Changes an item behind everybody's back: its attributes as `DynamoDB` writes them. One that is left without any goes.
    pub fn edits(&self, pk: &str, sk: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
        self.inner.network.engine().edit(pk, sk, change);
    }

    /// An operator has everything checked; what is wrong.
    ///
    /// # Panics
    /// When the function fails.
    pub async fn is_verified(&self, repair: bool) -> Vec<Value> {
        let mut findings = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let report = self.invoke("verify", json!({ "repair": repair, "cursor": cursor })).await;
            let mut report = report.expect("the function answers");
            findings.append(report["findings"].as_array_mut().expect("findings"));
            cursor = report["cursor"].take();
            if cursor.is_null() {
                return findings;
            }
        }
    }

    /// Everything that is in the table, without the values' types.
    pub fn items(&self) -> Vec<Value> {
        self.inner.network.engine().items()
    }

    /// What the functions can't read.
    pub(crate) fn planted(&self) -> Vec<Planted> {
        lock(&self.inner.planted).clone()
    }

    pub(crate) fn bucket(&self) -> &Bucket {
        self.inner.network.bucket()
    }

    pub(crate) fn connections(&self) -> &Connections {
        self.inner.network.connections()
    }

    /// Runs a function, as Lambda does: until it answers, dies or has had its time.
    ///
    /// # Errors
    /// Why it has no answer.
    pub async fn invoke(&self, name: &str, event: Value) -> Result<Value, Failed> {
        let Deployed { function, instances } = self.inner.functions.get(name).expect("a function");
        let name = function.name();
        let timeout = self.inner.deployment.functions[name].timeout;
        let deadline = self.now().after(timeout);
        let trace_id = self.next_id("trace");
        let life = self.inner.network.edge(|edge| edge.begins(name, &trace_id)).unwrap_or_default();
        let instance = instances[life.instance].get_or_init(|| self.inner.instance(*function));
        let invocation = Invocation::new(name, trace_id, life.skew_ms);
        let mut context = Context::default();
        context.request_id.clone_from(&invocation.trace_id);
        context.deadline = u64::try_from(deadline.ms).expect("after 1970");
        let running = invocation.clone();
        let run = async {
            tokio::select! {
                biased;
                () = running.killed() => Err(Failed::Killed),
                () = tokio::time::sleep(life.dies_after.unwrap_or(Duration::MAX)) => Err(Failed::Killed),
                () = tokio::time::sleep(timeout) => Err(Failed::TimedOut),
                result = running.with_pauses(instance.invoke(LambdaEvent::new(event, context))) => {
                    result.map_err(|error| Failed::Error(error.to_string()))
                }
            }
        };
        let result = INVOCATION.scope(invocation.clone(), Box::pin(run)).await;
        self.inner.network.edge(|edge| edge.ends(name, &invocation.trace_id, result.as_ref().err()));
        result
    }
}

/// The template with these values of its parameters.
fn deployed(parameters: BTreeMap<String, String>) -> Arc<Deployment> {
    if let Some(deployment) = lock(&DEPLOYMENTS).get(&parameters) {
        return deployment.clone();
    }
    let deployment = Arc::new(TEMPLATE.deploy(&parameters, WEBSOCKET_ENDPOINT).expect("the template deploys"));
    lock(&DEPLOYMENTS).insert(parameters, deployment.clone());
    deployment
}

/// As one part of a path.
pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
