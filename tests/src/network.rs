//! The network edge: the HTTP client under the SDK. It takes calls to DynamoDB to the engine, calls to SQS to the queues,
//! calls to S3 to the bucket and calls to `@connections` to the gateway, with a delay from the seed each way; it writes down what each call cost; and it
//! breaks calls when a test asks for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use local::queue::Queues;
use serde_json::{Value, json};
use shared::limits::CONNECT_TIMEOUT;
use tokio::sync::Notify;

use crate::bucket::Bucket;
use crate::engine::Engine;
use crate::gateway::Connections;
pub(crate) use crate::lock::lock;
pub use crate::operation::Operation;
pub(crate) use crate::operation::kind_of;
use crate::policy::Policies;
use crate::world::Failed;

/// The longest delay of a call, one way.
const DELAY_MS_MAX: u64 = 8;

tokio::task_local! {
    /// The invocation that is running: calls are written down as its.
    pub(crate) static INVOCATION: Arc<Invocation>;
}

/// One call that a function made.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function.
    pub function: &'static str,
    /// The invocation.
    pub trace_id: String,
    /// What it asked.
    pub operation: Operation,
    /// How many calls of its invocation had to be answered one after the other before it could be made, and itself.
    pub round_trip: usize,
    /// The HTTP status of its answer; none when there was none.
    pub status: Option<u16>,
    /// What the engine says that it cost: read units of a read, write units of a write.
    pub units: f64,
}

/// How a call breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status and does nothing.
    Refuse(u16),
    /// It does what it should; its answer is lost.
    LoseReply,
    /// It does what it should; its answer comes so much later.
    Late(Duration),
    /// The function dies before it.
    KillBefore,
    /// It does what it should; then the function dies.
    KillAfter,
    /// Its answer lacks this one of the items that it reads: that was written meanwhile, and no query is a snapshot.
    Misses(usize),
    /// It is answered as the first that asked the same: a read of an index that is behind.
    Repeats,
    /// A query's answer has only so many items, and says where the next one begins: no answer has more than 1 MB.
    Part(usize),
    /// A batch does nothing, and says so.
    Unprocessed,
}

/// What the edge has drawn for one run of a function.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Life {
    /// How far its clock is off.
    pub(crate) skew_ms: i64,
    /// When it dies, if before its time.
    pub(crate) dies_after: Option<Duration>,
    /// Which of the function's instances it runs on.
    pub(crate) instance: usize,
}

/// How a call travels.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    /// From the function to the service.
    pub(crate) there: Duration,
    /// And back.
    pub(crate) back: Duration,
    /// For so long the function stands still, all of it, once it has made the call.
    pub(crate) pause: Option<Duration>,
    /// What breaks.
    pub(crate) fate: Fate,
    /// It reads each of its items at a moment of its own, from then on: how many writes there were.
    pub(crate) torn_since: Option<u64>,
}

/// What becomes of a call at a simulation's edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered.
    Answered,
    /// It is answered with this status and body, and does nothing.
    Refused(u16, String),
    /// It does what it should and is answered with this status.
    Failed(u16),
    /// It never arrives.
    Unreached,
    /// It does what it should; its answer is lost.
    Unanswered,
    /// It arrives this much later, when the caller has given up.
    Late(Duration),
    /// It is answered, and so much later it does what it should once more.
    Twice(Duration),
    /// The function dies before it.
    KilledBefore,
    /// It does what it should; then the function dies.
    KilledAfter,
}

/// What answers calls.
pub(crate) struct Services<'a> {
    /// DynamoDB.
    pub(crate) engine: &'a Engine,
    /// S3.
    pub(crate) bucket: &'a Bucket,
    /// API Gateway.
    pub(crate) connections: &'a Connections,
}

/// A simulation's hold on the network: it is asked about everything, and sees everything.
pub(crate) trait Edge: Send {
    /// A function is about to run.
    fn begins(&mut self, function: &'static str, trace_id: &str) -> Life;
    /// It has ended; why, when it has no answer.
    fn ends(&mut self, function: &'static str, trace_id: &str, failed: Option<&Failed>);
    /// `$connect` has been answered; how long until this connection can be pushed to.
    fn opens(&mut self, connection: &str) -> Duration;
    /// `$connect` has refused a connection: its user has too many.
    fn refuses_as_too_many(&mut self, connection: &str);
    /// A call is about to be made.
    fn passes(&mut self, call: &Call) -> Passage;
    /// A call has arrived: answers it; what it reads is torn since then or not.
    fn serves(&mut self, services: &Services<'_>, call: &Call, body: &[u8], torn_since: Option<u64>) -> (u16, Vec<u8>);
}

/// Says which calls break.
pub(crate) type Faults = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

/// One run of a function.
#[derive(Debug)]
pub struct Invocation {
    /// The function.
    pub function: &'static str,
    /// Its id.
    pub trace_id: String,
    /// How far its clock is off.
    pub(crate) skew_ms: i64,
    /// The longest chain of calls that were answered.
    answered: Mutex<usize>,
    killed: Notify,
    paused: Mutex<Option<Duration>>,
}

impl Invocation {
    pub(crate) fn new(function: &'static str, trace_id: String, skew_ms: i64) -> Arc<Self> {
        let (answered, killed, paused) = (Mutex::default(), Notify::new(), Mutex::default());
        Arc::new(Self { function, trace_id, skew_ms, answered, killed, paused })
    }

    /// Runs it; where a call has asked for a pause, nothing of it moves until that is over: a frozen process.
    pub(crate) async fn with_pauses<T>(&self, run: impl Future<Output = T>) -> T {
        let mut run = std::pin::pin!(run);
        let mut standing: Option<std::pin::Pin<Box<tokio::time::Sleep>>> = None;
        std::future::poll_fn(|context| {
            loop {
                if let Some(sleep) = &mut standing {
                    std::task::ready!(sleep.as_mut().poll(context));
                    standing = None;
                }
                let polled = run.as_mut().poll(context);
                match lock(&self.paused).take() {
                    Some(pause) if polled.is_pending() => standing = Some(Box::pin(tokio::time::sleep(pause))),
                    _ => return polled,
                }
            }
        })
        .await
    }

    /// Ends when the function must die.
    pub(crate) async fn killed(&self) {
        self.killed.notified().await;
    }
}

/// The network.
#[derive(Clone)]
pub struct Network {
    wires: Arc<Wires>,
}

struct Wires {
    engine: Engine,
    connections: Connections,
    policies: Policies,
    secrets: Mutex<BTreeMap<&'static str, String>>,
    queues: Queues,
    bucket: Bucket,
    calls: Mutex<Vec<Call>>,
    faults: Mutex<Option<Faults>>,
    edge: Mutex<Option<Box<dyn Edge>>>,
    chance: Mutex<Chance>,
    /// What is answered again.
    first_answers: Mutex<BTreeMap<String, (u16, Vec<u8>)>>,
}

impl Network {
    /// Between the functions and these, for functions that may do no more than this.
    pub(crate) fn new(engine: Engine, connections: Connections, queues: Queues, policies: Policies, seed: u64) -> Self {
        let (calls, faults, edge) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (chance, secrets, bucket) = (Mutex::new(Chance(seed)), Mutex::default(), Bucket::default());
        let first_answers = Mutex::default();
        let wires = Wires {
            engine,
            connections,
            queues,
            bucket,
            policies,
            secrets,
            calls,
            faults,
            edge,
            chance,
            first_answers,
        };
        Self { wires: Arc::new(wires) }
    }

    /// From now on the secret's versions are these, by their labels.
    pub(crate) fn set_secrets(&self, versions: BTreeMap<&'static str, String>) {
        *lock(&self.wires.secrets) = versions;
    }

    /// What the functions may do.
    pub(crate) fn policies(&self) -> &Policies {
        &self.wires.policies
    }

    /// From now on a simulation decides about everything.
    pub(crate) fn set_edge(&self, edge: Box<dyn Edge>) {
        *lock(&self.wires.edge) = Some(edge);
    }

    /// Asks the simulation, if there is one.
    pub(crate) fn edge<T>(&self, ask: impl FnOnce(&mut (dyn Edge + 'static)) -> T) -> Option<T> {
        lock(&self.wires.edge).as_mut().map(|edge| ask(edge.as_mut()))
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.wires.engine
    }

    /// The connections.
    pub(crate) fn connections(&self) -> &Connections {
        &self.wires.connections
    }

    /// The bucket.
    pub(crate) fn bucket(&self) -> &Bucket {
        &self.wires.bucket
    }

    /// The queues.
    pub(crate) fn queues(&self) -> &Queues {
        &self.wires.queues
    }

    /// Which calls break from now on.
    pub(crate) fn set_faults(&self, faults: Option<Faults>) {
        *lock(&self.wires.faults) = faults;
    }

    /// From now on delays are drawn from this.
    pub(crate) fn set_chance(&self, seed: u64) {
        *lock(&self.wires.chance) = Chance(seed);
    }

    /// Takes the calls that were made since the last taking.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.wires.calls))
    }

    async fn carry(
        self,
        call: Call,
        invocation: Arc<Invocation>,
        body: Vec<u8>,
    ) -> Result<HttpResponse, ConnectorError> {
        let fault = lock(&self.wires.faults).as_mut().and_then(|faults| faults(&call));
        self.delay().await;
        let (status, body) = match fault {
            Some(Fault::KillBefore) => return die(&invocation).await,
            Some(Fault::Refuse(status)) => (status, Vec::new()),
            Some(Fault::Repeats) => {
                // Not the body: its names come in any order.
                let asked = format!("{:?}", call.operation);
                let mut answers = lock(&self.wires.first_answers);
                answers.entry(asked).or_insert_with(|| self.deliver(&call.operation, &body)).clone()
            }
            Some(Fault::Unprocessed) => (200, unprocessed(&call.operation)),
            _ => self.deliver(&call.operation, &body),
        };
        let body = match fault {
            Some(Fault::Misses(at)) => without_item(&body, at),
            Some(Fault::Part(items)) => part(&body, items, call.operation.reads_index()),
            _ => body,
        };
        let lost = matches!(fault, Some(Fault::LoseReply | Fault::KillAfter));
        let units = if status == 200 { units(&body) } else { 0.0 };
        lock(&self.wires.calls).push(Call { status: Some(status).filter(|_| !lost), units, ..call.clone() });
        if fault == Some(Fault::KillAfter) {
            return die(&invocation).await;
        }
        if let Some(Fault::Late(wait)) = fault {
            tokio::time::sleep(wait).await;
        }
        self.delay().await;
        let mut answered = lock(&invocation.answered);
        *answered = call.round_trip.max(*answered);
        if lost {
            return Err(ConnectorError::io("the connection was reset".into()));
        }
        let status = status.try_into().map_err(|_| ConnectorError::other("not a status".into(), None))?;
        Ok(HttpResponse::new(status, SdkBody::from(body)))
    }

    /// Carries a call as a simulation wants it.
    #[expect(clippy::disallowed_methods, reason = "a request that is under way doesn't end with its function")]
    async fn carry_by_edge(
        self,
        passage: Passage,
        call: Call,
        invocation: Arc<Invocation>,
        body: Vec<u8>,
    ) -> Result<HttpResponse, ConnectorError> {
        *lock(&invocation.paused) = passage.pause;
        tokio::time::sleep(passage.there).await;
        let unreached = || ConnectorError::io("the connection was reset".into());
        let torn_since = passage.torn_since;
        let (status, body) = match passage.fate {
            Fate::KilledBefore => return die(&invocation).await,
            Fate::Unreached => return Err(unreached()),
            Fate::Refused(status, body) => (status, body.into_bytes()),
            Fate::Late(wait) => {
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    self.serve(&call, &body, torn_since);
                });
                return std::future::pending().await;
            }
            Fate::Twice(wait) => {
                let answer = self.serve(&call, &body, torn_since);
                let (network, call) = (self.clone(), call.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    network.serve(&call, &body, torn_since);
                });
                answer
            }
            fate => {
                let (status, body) = self.serve(&call, &body, torn_since);
                match fate {
                    Fate::KilledAfter => return die(&invocation).await,
                    Fate::Unanswered => return Err(unreached()),
                    Fate::Failed(status) => (status, Vec::new()),
                    _ => (status, body),
                }
            }
        };
        tokio::time::sleep(passage.back).await;
        let status = status.try_into().map_err(|_| ConnectorError::other("not a status".into(), None))?;
        Ok(HttpResponse::new(status, SdkBody::from(body)))
    }

    /// A call has arrived where a simulation answers.
    fn serve(&self, call: &Call, body: &[u8], torn_since: Option<u64>) -> (u16, Vec<u8>) {
        if let Operation::Queue(..) = call.operation {
            return self.deliver(&call.operation, body);
        }
        let Wires { engine, bucket, connections, .. } = &*self.wires;
        let services = Services { engine, bucket, connections };
        self.edge(|edge| edge.serves(&services, call, body, torn_since)).expect("a simulation has an edge")
    }

    /// Takes a call where it goes.
    fn deliver(&self, operation: &Operation, body: &[u8]) -> (u16, Vec<u8>) {
        let (status, answer) = match operation {
            Operation::Dynamo(name, _) => self.wires.engine.answer(name, body),
            Operation::Secret(arn, label) => match lock(&self.wires.secrets).get(label.as_str()) {
                Some(secret) => (200, json!({ "ARN": arn, "SecretString": secret }).to_string()),
                None => (400, json!({ "__type": "ResourceNotFoundException" }).to_string()),
            },
            Operation::Push(connection) => (self.wires.connections.push(connection, body), String::new()),
            Operation::Close(connection) => (self.wires.connections.close(connection), String::new()),
            Operation::Queue(name, request) => {
                let (status, answer) = self.wires.queues.answer(name, request);
                (status, answer.to_string())
            }
            Operation::PutObject(_) | Operation::GetObject(_) => return self.wires.bucket.answer(operation, body),
        };
        (status, answer.into_bytes())
    }

    async fn delay(&self) {
        let ms = 1 + lock(&self.wires.chance).below(DELAY_MS_MAX);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// Kills the function, and never returns to it.
async fn die(invocation: &Invocation) -> Result<HttpResponse, ConnectorError> {
    invocation.killed.notify_one();
    std::future::pending().await
}

/// A query's answer without one of its items.
fn without_item(body: &[u8], at: usize) -> Vec<u8> {
    let mut answer: Value = serde_json::from_slice(body).expect("DynamoDB answers JSON");
    answer["Items"].as_array_mut().expect("a query's items").remove(at);
    answer.to_string().into_bytes()
}

/// A query's answer that ends behind so many items.
fn part(body: &[u8], items: usize, of_index: bool) -> Vec<u8> {
    let mut answer: Value = serde_json::from_slice(body).expect("DynamoDB answers JSON");
    let found = answer["Items"].as_array_mut().expect("a query's items");
    if found.len() > items {
        found.truncate(items);
        let last = found.last().expect("one at least").clone();
        let keys = if of_index { &["pk", "sk", "work_pk", "work_sk"][..] } else { &["pk", "sk"] };
        answer["LastEvaluatedKey"] = keys.iter().map(|key| ((*key).to_owned(), last[key].clone())).collect();
        answer["Count"] = items.into();
    }
    answer.to_string().into_bytes()
}

/// The answer to a batch of which nothing is done.
fn unprocessed(operation: &Operation) -> Vec<u8> {
    let Operation::Dynamo(name, request) = operation else { panic!("no batch: {operation:?}") };
    let left = if name == "BatchGetItem" { "UnprocessedKeys" } else { "UnprocessedItems" };
    json!({ left: request["RequestItems"] }).to_string().into_bytes()
}

/// The `ConsumedCapacity` of an answer; a batch has one for each table.
fn units(body: &[u8]) -> f64 {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let of = |capacity: &Value| capacity["CapacityUnits"].as_f64().unwrap_or_default();
    match &body["ConsumedCapacity"] {
        Value::Array(tables) => tables.iter().map(of).sum(),
        one => of(one),
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

impl HttpClient for Network {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        // Nothing is connected here, but whoever would connect is told for how long it may take.
        assert_eq!(settings.connect_timeout(), Some(CONNECT_TIMEOUT), "each client's connecting has the same limit");
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Network {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().expect("a request has its body in memory").to_vec();
        let invocation = INVOCATION.get();
        let call = Call {
            function: invocation.function,
            trace_id: invocation.trace_id.clone(),
            operation: Operation::of(&request, &body),
            round_trip: *lock(&invocation.answered) + 1,
            status: None,
            units: 0.0,
        };
        if let Err(denied) = self.wires.policies.ask(call.function, &call.operation) {
            panic!("{denied}");
        }
        let passage = match call.operation {
            // Nothing that a simulation is about.
            Operation::Secret(..) => None,
            _ => self.edge(|edge| edge.passes(&call)),
        };
        match passage {
            Some(passage) => HttpConnectorFuture::new(self.clone().carry_by_edge(passage, call, invocation, body)),
            None => {
                // Waits before something is tried again are drawn from here.
                fastrand::seed(lock(&self.wires.chance).clone().next());
                HttpConnectorFuture::new(self.clone().carry(call, invocation, body))
            }
        }
    }
}

/// Numbers from a seed: `SplitMix64`, <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below this.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
