//! The deployment as `template.yaml` describes it: functions, routes, schedules, variables and the table.
//!
//! The local machine reads the file that is deployed, so a route, a time limit or a variable can't differ between
//! the two. Only what this machine needs is understood, with the intrinsic functions `Ref`, `Fn::Sub`, `Fn::GetAtt` and
//! `Fn::If`, and with conditions and rules; anything else where a value is needed is an error, not a guess.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The template that is deployed.
pub const DEPLOYED: &str = include_str!("../../template.yaml");

/// What the pseudo parameter `AWS::Region` is on one machine.
pub const REGION: &str = "us-east-1";
/// What the pseudo parameter `AWS::AccountId` is on one machine.
pub const ACCOUNT_ID: &str = "000000000000";
/// The id of every API on one machine.
pub const API_ID: &str = "local";
/// The name of the table on one machine.
pub const TABLE_NAME: &str = "parley";

/// The name of the bucket on one machine.
pub const BUCKET_NAME: &str = "parley-archive";

/// The ARN of the secret on one machine.
pub const SECRET_ARN: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:parley";

/// Lambda's own default when the template gives no `Timeout`.
const TIMEOUT_DEFAULT_S: u64 = 3;
/// Lambda's own default when the template gives no `MemorySize`.
const MEMORY_DEFAULT_MB: u32 = 128;
/// SQS's own default when the template gives no `VisibilityTimeout`.
const VISIBILITY_DEFAULT_S: u64 = 30;
/// SQS's own default when the template gives no `MessageRetentionPeriod`.
const RETENTION_DEFAULT_S: u64 = 4 * 86_400;
/// The only part of a route selection expression that varies between APIs is the field's name.
const ROUTE_SELECTION_PREFIX: &str = "$request.body.";

/// Why a template, or a value given to it, can't be used.
#[derive(Debug)]
pub enum TemplateError {
    /// The file is no YAML.
    Yaml(String),
    /// A part is missing or is something that one machine doesn't understand: where, and what is wrong.
    Part {
        /// The path from the template's root.
        path: String,
        /// What is wrong there.
        problem: String,
    },
    /// `--parameter` names a parameter that the template doesn't have.
    UnknownParameter {
        /// The name that was given.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// Parameters whose values don't go together: a rule of the template's says what they must be.
    BrokenRule(String),
    /// A parameter's value breaks the template's constraint.
    InvalidParameter {
        /// The parameter.
        name: String,
        /// Which constraint, and what it asks for. Never the value: it may be a secret.
        problem: String,
    },
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yaml(problem) => write!(f, "template.yaml is not valid YAML: {problem}"),
            Self::Part { path, problem } => write!(f, "template.yaml, {path}: {problem}"),
            Self::UnknownParameter { name, known } => {
                write!(f, "--parameter {name}: the template has no such parameter; it has {}", known.join(", "))
            }
            Self::BrokenRule(problem) => write!(f, "--parameter: {problem}"),
            Self::InvalidParameter { name, problem } => write!(f, "--parameter {name}: {problem}"),
        }
    }
}

impl std::error::Error for TemplateError {}

fn part(path: impl Into<String>, problem: impl Into<String>) -> TemplateError {
    TemplateError::Part { path: path.into(), problem: problem.into() }
}

/// A parsed template, before its parameters have values.
#[derive(Debug)]
pub struct Template {
    parameters: BTreeMap<String, Parameter>,
    rules: Value,
    conditions: Value,
    globals: Value,
    resources: Map<String, Value>,
}

/// A template with a value for each parameter: all that one machine runs.
#[derive(Debug)]
pub struct Deployment {
    /// Every function, by its name: the last part of its `CodeUri`.
    pub functions: BTreeMap<String, Function>,
    /// The WebSocket API.
    pub websocket: WebSocketRoutes,
    /// The routes of the HTTP API.
    pub http_routes: Vec<HttpRoute>,
    /// What runs by the clock.
    pub schedules: Vec<Schedule>,
    /// The queues.
    pub queues: Vec<Queue>,
    /// Which functions work which queues off.
    pub event_sources: Vec<EventSource>,
    /// The table.
    pub table: Table,
}

/// What the Lambda service has to know about a function.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// How long one invocation may take.
    pub timeout: Duration,
    /// `MemorySize`.
    pub memory_mb: u32,
    /// `Environment.Variables`, with every intrinsic function evaluated.
    pub environment: BTreeMap<String, String>,
    /// The statements of `Policies`, likewise. Nobody asks for permission on one machine; the tests do.
    pub policy: Vec<Value>,
}

/// Which function answers which frame.
#[derive(Debug)]
pub struct WebSocketRoutes {
    /// The stage's name.
    pub stage: String,
    /// The field of a frame's JSON body that selects the route.
    pub selection_field: String,
    /// The function that says who may connect, if there is one.
    pub authorizer: Option<String>,
    /// Function by route key. `$connect`, `$disconnect` and `$default` are always there.
    pub routes: BTreeMap<String, String>,
}

/// One route of the HTTP API.
#[derive(Debug, PartialEq)]
pub struct HttpRoute {
    /// The method, in upper case.
    pub method: String,
    /// The path, where `{name}` stands for one segment.
    pub path: String,
    /// The function that answers.
    pub function: String,
}

/// A function that runs by the clock.
#[derive(Debug, PartialEq)]
pub struct Schedule {
    /// The event's name in the template.
    pub name: String,
    /// The function that runs.
    pub function: String,
    /// The time from one start to the next.
    pub period: Duration,
}

/// A queue. Its name on one machine is its name in the template.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// The resource's name.
    pub name: String,
    /// How long a message that was received is hidden.
    pub visibility: Duration,
    /// How long a message is kept.
    pub retention: Duration,
    /// What becomes of messages that are received too often.
    pub redrive: Option<Redrive>,
}

/// Where messages go that are received too often.
#[derive(Clone, Debug, PartialEq)]
pub struct Redrive {
    /// The dead-letter queue.
    pub dead_letters: String,
    /// How often a message is received before.
    pub receives_max: u32,
}

/// A function that works a queue off.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSource {
    /// The queue.
    pub queue: String,
    /// The function.
    pub function: String,
    /// How many messages it gets at once, at most.
    pub batch_size: usize,
    /// How long messages are gathered for a batch.
    pub window: Duration,
    /// How many batches are worked on at the same time.
    pub concurrency_max: usize,
}

/// The table, in the shape of `AWS::DynamoDB::Table`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Table {
    /// The key attributes of the table and its indexes.
    pub attribute_definitions: Vec<AttributeDefinition>,
    /// The table's key.
    pub key_schema: Vec<KeyElement>,
    /// The table's indexes.
    #[serde(default)]
    pub global_secondary_indexes: Vec<Index>,
    /// Which attribute says when an item expires.
    pub time_to_live_specification: Option<TimeToLive>,
}

/// A key attribute and its type.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributeDefinition {
    /// The attribute.
    pub attribute_name: String,
    /// `S`, `N` or `B`.
    pub attribute_type: String,
}

/// One part of a key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyElement {
    /// The attribute.
    pub attribute_name: String,
    /// `HASH` or `RANGE`.
    pub key_type: String,
}

/// A global secondary index.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Index {
    /// The index's name.
    pub index_name: String,
    /// The index's key.
    pub key_schema: Vec<KeyElement>,
    /// What the index holds beside its keys.
    pub projection: Projection,
}

/// What an index holds beside its keys.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Projection {
    /// `KEYS_ONLY`, `INCLUDE` or `ALL`.
    pub projection_type: String,
    /// The attributes of `INCLUDE`.
    #[serde(default)]
    pub non_key_attributes: Vec<String>,
}

/// The attribute by which items expire.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TimeToLive {
    /// The attribute.
    pub attribute_name: String,
}

/// A template parameter: its default and its constraints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    #[serde(rename = "Type")]
    kind: String,
    default: Option<String>,
    allowed_pattern: Option<String>,
    #[serde(default)]
    allowed_values: Vec<String>,
    min_value: Option<String>,
    max_value: Option<String>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The text is no YAML, or a parameter's definition isn't understood.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let Node(document) = serde_saphyr::from_str(text).map_err(|error| TemplateError::Yaml(error.to_string()))?;
        let parameters = match document.get("Parameters") {
            Some(parameters) => from_value(parameters.clone(), "Parameters")?,
            None => BTreeMap::new(),
        };
        let resources = document
            .get("Resources")
            .and_then(Value::as_object)
            .cloned()
            .ok_or_else(|| part("Resources", "is missing"))?;
        let [rules, conditions] = ["Rules", "Conditions"].map(|part| document[part].clone());
        Ok(Self { parameters, rules, conditions, globals: document["Globals"]["Function"].clone(), resources })
    }

    /// The deployment that these parameter values make. `websocket_endpoint` is where `@connections` is served: it
    /// takes the place of the address that the WebSocket API would have on AWS.
    ///
    /// # Errors
    /// A parameter is unknown, breaks a constraint or has neither value nor default; a part of the template is missing
    /// or isn't understood.
    pub fn deploy(
        &self,
        given: &BTreeMap<String, String>,
        websocket_endpoint: &str,
    ) -> Result<Deployment, TemplateError> {
        let parameters = self.parameter_values(given)?;
        let (conditions, resources) = (&self.conditions, &self.resources);
        let scope = Scope { parameters, conditions, resources, websocket_endpoint };
        self.keep_rules(&scope)?;
        let mut deployment = Deployment {
            functions: BTreeMap::new(),
            websocket: self.websocket(&scope)?,
            http_routes: Vec::new(),
            schedules: Vec::new(),
            queues: self.queues(&scope)?,
            event_sources: Vec::new(),
            table: self.table()?,
        };
        for (id, resource) in &self.resources {
            if resource["Type"] == "AWS::Serverless::Function" {
                let name = function_name(&self.resources, id)?;
                deployment.functions.insert(name.clone(), self.function(id, &resource["Properties"], &scope)?);
                events(id, &name, &resource["Properties"], &mut deployment)?;
            }
        }
        Ok(deployment)
    }

    /// The value of every parameter: the given one or its default, checked against its constraints.
    ///
    /// # Errors
    /// A parameter is unknown, breaks a constraint, or has neither value nor default.
    pub fn parameter_values(
        &self,
        given: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, TemplateError> {
        if let Some(name) = given.keys().find(|name| !self.parameters.contains_key(*name)) {
            let known = self.parameters.keys().cloned().collect();
            return Err(TemplateError::UnknownParameter { name: name.clone(), known });
        }
        let value = |(name, parameter): (&String, &Parameter)| {
            let invalid = |problem| TemplateError::InvalidParameter { name: name.clone(), problem };
            let value = given.get(name).or(parameter.default.as_ref());
            let value = value.ok_or_else(|| invalid("has no default: give it a value".to_owned()))?;
            parameter.check(value).map_err(invalid)?;
            Ok((name.clone(), value.clone()))
        };
        self.parameters.iter().map(value).collect()
    }

    /// Holds the parameters against the template's rules, as CloudFormation does before it makes anything.
    fn keep_rules(&self, scope: &Scope<'_>) -> Result<(), TemplateError> {
        for (name, rule) in self.rules.as_object().into_iter().flatten() {
            let path = format!("Rules.{name}");
            let applies = &rule["RuleCondition"];
            if !applies.is_null() && !scope.holds(applies, &path)? {
                continue;
            }
            for assertion in rule["Assertions"].as_array().into_iter().flatten() {
                if !scope.holds(&assertion["Assert"], &path)? {
                    let problem = assertion["AssertDescription"].as_str().unwrap_or(name);
                    return Err(TemplateError::BrokenRule(problem.to_owned()));
                }
            }
        }
        Ok(())
    }

    fn function(&self, id: &str, properties: &Value, scope: &Scope<'_>) -> Result<Function, TemplateError> {
        let path = |name: &str| format!("Resources.{id}.Properties.{name}");
        let property = |name: &str| match &properties[name] {
            Value::Null => &self.globals[name],
            own => own,
        };
        let number = |name: &str| scope.number(property(name), &path(name));
        let mut environment = BTreeMap::new();
        for source in [&self.globals, properties] {
            let variables = source["Environment"]["Variables"].as_object();
            for (name, value) in variables.into_iter().flatten() {
                environment.insert(name.clone(), scope.text(value, &path(&format!("Environment.Variables.{name}")))?);
            }
        }
        let policies = scope.value(&properties["Policies"], &path("Policies"))?.unwrap_or_default();
        let statements = |document: &Value| document["Statement"].as_array().cloned().unwrap_or_default();
        let policy = policies.as_array().into_iter().flatten().flat_map(statements).collect();
        Ok(Function {
            policy,
            timeout: Duration::from_secs(number("Timeout")?.unwrap_or(TIMEOUT_DEFAULT_S)),
            memory_mb: number("MemorySize")?
                .map_or(Ok(MEMORY_DEFAULT_MB), u32::try_from)
                .map_err(|_| part(path("MemorySize"), "is more than Lambda gives"))?,
            environment,
        })
    }

    fn websocket(&self, scope: &Scope<'_>) -> Result<WebSocketRoutes, TemplateError> {
        let (id, properties) = self.only("AWS::Serverless::WebSocketApi")?;
        let path = |name: &str| format!("Resources.{id}.Properties.{name}");
        let selection = scope.text(&properties["RouteSelectionExpression"], &path("RouteSelectionExpression"))?;
        let selection_field = selection.strip_prefix(ROUTE_SELECTION_PREFIX).ok_or_else(|| {
            part(path("RouteSelectionExpression"), format!("must be {ROUTE_SELECTION_PREFIX}FIELD on one machine"))
        })?;
        let authorizer = &properties["Auth"]["AuthArn"];
        let authorizer = match authorizer {
            Value::Null => None,
            arn => Some(self.function_of(arn, &path("Auth.AuthArn"))?),
        };
        let mut routes = BTreeMap::new();
        for (key, route) in properties["Routes"].as_object().into_iter().flatten() {
            let function = self.function_of(&route["FunctionArn"], &path(&format!("Routes.{key}.FunctionArn")))?;
            routes.insert(key.clone(), function);
        }
        for required in ["$connect", "$disconnect", "$default"] {
            if !routes.contains_key(required) {
                return Err(part(path("Routes"), format!("has no {required}")));
            }
        }
        Ok(WebSocketRoutes {
            stage: scope.text(&properties["StageName"], &path("StageName"))?,
            selection_field: selection_field.to_owned(),
            authorizer,
            routes,
        })
    }

    fn table(&self) -> Result<Table, TemplateError> {
        let (id, properties) = self.only("AWS::DynamoDB::Table")?;
        from_value(properties.clone(), &format!("Resources.{id}.Properties"))
    }

    fn queues(&self, scope: &Scope<'_>) -> Result<Vec<Queue>, TemplateError> {
        let queues = self.resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::SQS::Queue");
        let queue = |(id, resource): (&String, &Value)| {
            let properties = &resource["Properties"];
            let path = |name: &str| format!("Resources.{id}.Properties.{name}");
            let seconds = |name: &str, default| {
                Ok(Duration::from_secs(scope.number(&properties[name], &path(name))?.unwrap_or(default)))
            };
            let redrive = match &properties["RedrivePolicy"] {
                Value::Null => None,
                policy => Some(Redrive {
                    dead_letters: queue_of(&policy["deadLetterTargetArn"], &path("RedrivePolicy"))?,
                    receives_max: small_number(&policy["maxReceiveCount"], &path("RedrivePolicy.maxReceiveCount"))?,
                }),
            };
            let visibility = seconds("VisibilityTimeout", VISIBILITY_DEFAULT_S)?;
            let retention = seconds("MessageRetentionPeriod", RETENTION_DEFAULT_S)?;
            Ok(Queue { name: id.clone(), visibility, retention, redrive })
        };
        queues.map(queue).collect()
    }

    /// The one resource of this type.
    fn only(&self, kind: &str) -> Result<(&str, &Value), TemplateError> {
        let mut of_kind = self.resources.iter().filter(|(_, resource)| resource["Type"] == kind);
        match (of_kind.next(), of_kind.next()) {
            (Some((id, resource)), None) => Ok((id, &resource["Properties"])),
            _ => Err(part("Resources", format!("must have exactly one {kind}"))),
        }
    }

    /// The function whose ARN this is: `!GetAtt NAME.Arn`.
    fn function_of(&self, arn: &Value, path: &str) -> Result<String, TemplateError> {
        match arn["Fn::GetAtt"].as_array().map(Vec::as_slice) {
            Some([Value::String(id), Value::String(attribute)]) if attribute == "Arn" => {
                function_name(&self.resources, id)
            }
            _ => Err(part(path, "must be !GetAtt FUNCTION.Arn")),
        }
    }
}

/// The last part of a function's `CodeUri`, which is the name of its folder.
fn function_name(resources: &Map<String, Value>, id: &str) -> Result<String, TemplateError> {
    let path = format!("Resources.{id}");
    let resource = resources.get(id).ok_or_else(|| part(&path, "doesn't exist"))?;
    let code = resource["Properties"]["CodeUri"].as_str();
    let folder = code.and_then(|uri| uri.trim_end_matches('/').rsplit('/').next());
    folder.map(str::to_owned).ok_or_else(|| part(path, "has no CodeUri"))
}

/// Adds what a function's `Events` ask for.
fn events(id: &str, function: &str, properties: &Value, deployment: &mut Deployment) -> Result<(), TemplateError> {
    for (name, event) in properties["Events"].as_object().into_iter().flatten() {
        let path = format!("Resources.{id}.Properties.Events.{name}");
        let property = |name: &str| {
            let value = event["Properties"][name].as_str();
            value.map(str::to_owned).ok_or_else(|| part(&path, format!("has no {name}")))
        };
        match event["Type"].as_str() {
            Some("HttpApi") => deployment.http_routes.push(HttpRoute {
                method: property("Method")?.to_uppercase(),
                path: property("Path")?,
                function: function.to_owned(),
            }),
            Some("ScheduleV2" | "Schedule") => {
                let expression = property(if event["Type"] == "Schedule" { "Schedule" } else { "ScheduleExpression" })?;
                let period = period(&expression).ok_or_else(|| {
                    part(&path, format!("{expression:?}: one machine runs rate(N minutes|hours|days) only"))
                })?;
                let schedule = Schedule { name: name.clone(), function: function.to_owned(), period };
                deployment.schedules.push(schedule);
            }
            Some("SQS") => deployment.event_sources.push(event_source(function, &event["Properties"], &path)?),
            kind => return Err(part(path, format!("events of type {kind:?} don't exist on one machine"))),
        }
    }
    Ok(())
}

/// What an event of type SQS asks for.
fn event_source(function: &str, properties: &Value, path: &str) -> Result<EventSource, TemplateError> {
    let number = |value: &Value, name: &str| small_number(value, &format!("{path}.{name}"));
    let responses = properties["FunctionResponseTypes"].as_array();
    if !responses.is_some_and(|types| types.iter().any(|kind| kind == "ReportBatchItemFailures")) {
        return Err(part(path, "must have the FunctionResponseTypes [ReportBatchItemFailures] on one machine"));
    }
    let window = number(&properties["MaximumBatchingWindowInSeconds"], "MaximumBatchingWindowInSeconds")?;
    let concurrency = &properties["ScalingConfig"]["MaximumConcurrency"];
    Ok(EventSource {
        queue: queue_of(&properties["Queue"], path)?,
        function: function.to_owned(),
        batch_size: number(&properties["BatchSize"], "BatchSize")? as usize,
        window: Duration::from_secs(window.into()),
        concurrency_max: number(concurrency, "ScalingConfig.MaximumConcurrency")? as usize,
    })
}

/// The queue whose ARN this is: `!GetAtt NAME.Arn`.
fn queue_of(arn: &Value, path: &str) -> Result<String, TemplateError> {
    match arn["Fn::GetAtt"].as_array().map(Vec::as_slice) {
        Some([Value::String(id), Value::String(attribute)]) if attribute == "Arn" => Ok(id.clone()),
        _ => Err(part(path, "must name its queue as !GetAtt QUEUE.Arn")),
    }
}

/// A number that is written out.
fn small_number(value: &Value, path: &str) -> Result<u32, TemplateError> {
    let number = value.as_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| part(path, "must be a whole number"))
}

/// The period of `rate(1 minute)`, `rate(5 hours)` and so on. As on AWS, the unit is singular exactly for 1.
fn period(expression: &str) -> Option<Duration> {
    let (value, unit) = expression.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let value: u32 = value.parse().ok()?;
    let unit_s = match (value, unit) {
        (1, "minute") | (2.., "minutes") => 60,
        (1, "hour") | (2.., "hours") => 3_600,
        (1, "day") | (2.., "days") => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(u64::from(value) * unit_s))
}

impl Parameter {
    /// Checks a value as CloudFormation does; the error says what is asked for.
    fn check(&self, value: &str) -> Result<(), String> {
        if self.kind == "Number" {
            let number: f64 = value.parse().map_err(|_| "must be a number".to_owned())?;
            let bound = |bound: &Option<String>| bound.as_ref().and_then(|text| text.parse::<f64>().ok());
            if bound(&self.min_value).is_some_and(|min| number < min) || number.is_nan() {
                return Err(format!("must be {} or more", self.min_value.as_deref().unwrap_or("a number")));
            }
            if let Some(max) = bound(&self.max_value).filter(|max| number > *max) {
                return Err(format!("must be {max} or less"));
            }
        }
        if !self.allowed_values.is_empty() && !self.allowed_values.iter().any(|allowed| allowed == value) {
            return Err(format!("must be one of {}", self.allowed_values.join(", ")));
        }
        if let Some(pattern) = &self.allowed_pattern {
            let regex = regex_lite::Regex::new(&format!("^(?:{pattern})$"));
            let regex = regex.map_err(|error| format!("AllowedPattern is no regular expression: {error}"))?;
            // Nobody listens between a machine and itself, so plain HTTP to loopback passes where HTTPS is asked for.
            let loopback = value.strip_prefix("http://127.0.0.1").filter(|rest| rest.starts_with([':', '/']));
            let secure = loopback.map(|rest| format!("https://127.0.0.1{rest}"));
            if !regex.is_match(secure.as_deref().unwrap_or(value)) {
                return Err(format!("must match {pattern}"));
            }
        }
        Ok(())
    }
}

/// What intrinsic functions can refer to.
struct Scope<'a> {
    parameters: BTreeMap<String, String>,
    conditions: &'a Value,
    resources: &'a Map<String, Value>,
    websocket_endpoint: &'a str,
}

impl Scope<'_> {
    /// A value of any shape with its intrinsic functions evaluated; nothing where it is `AWS::NoValue`.
    fn value(&self, value: &Value, path: &str) -> Result<Option<Value>, TemplateError> {
        match value {
            Value::Array(list) => {
                let list: Result<Vec<_>, _> = list.iter().map(|value| self.value(value, path)).collect();
                Ok(Some(list?.into_iter().flatten().collect()))
            }
            Value::Object(map) => match map.iter().next() {
                Some((name, Value::String(id))) if name == "Ref" && id == "AWS::NoValue" => Ok(None),
                Some((name, choice)) if name == "Fn::If" => self.value(self.chosen(choice, path)?, path),
                Some((name, _)) if name == "Ref" || name.starts_with("Fn::") => {
                    self.text(value, path).map(|text| Some(Value::String(text)))
                }
                _ => {
                    let mut evaluated = Map::new();
                    for (name, value) in map {
                        if let Some(value) = self.value(value, path)? {
                            evaluated.insert(name.clone(), value);
                        }
                    }
                    Ok(Some(Value::Object(evaluated)))
                }
            },
            scalar => Ok(Some(scalar.clone())),
        }
    }

    /// What `Fn::If` chooses.
    fn chosen<'b>(&self, choice: &'b Value, path: &str) -> Result<&'b Value, TemplateError> {
        match choice.as_array().map(Vec::as_slice) {
            Some([Value::String(name), then, otherwise]) => {
                Ok(if self.holds(&self.conditions[name], &format!("Conditions.{name}"))? { then } else { otherwise })
            }
            _ => Err(part(path, "Fn::If takes a condition and two values")),
        }
    }

    /// Whether a condition holds.
    fn holds(&self, condition: &Value, path: &str) -> Result<bool, TemplateError> {
        let function = condition.as_object().and_then(|map| map.iter().next());
        match function.map(|(name, of)| (name.as_str(), of)) {
            Some(("Condition", Value::String(name))) => {
                self.holds(&self.conditions[name], &format!("Conditions.{name}"))
            }
            Some(("Fn::Equals", Value::Array(of))) if of.len() == 2 => {
                Ok(self.text(&of[0], path)? == self.text(&of[1], path)?)
            }
            Some(("Fn::Not", Value::Array(of))) if of.len() == 1 => Ok(!self.holds(&of[0], path)?),
            Some((name @ ("Fn::And" | "Fn::Or"), Value::Array(of))) => {
                let each: Result<Vec<bool>, _> = of.iter().map(|one| self.holds(one, path)).collect();
                Ok(if name == "Fn::And" { each?.into_iter().all(|it| it) } else { each?.into_iter().any(|it| it) })
            }
            _ => Err(part(path, "must be Fn::Equals, Fn::Not, Fn::And or Fn::Or of existing conditions")),
        }
    }

    /// A scalar with its intrinsic function evaluated.
    fn text(&self, value: &Value, path: &str) -> Result<String, TemplateError> {
        let text = match value {
            Value::String(text) => return Ok(text.clone()),
            Value::Object(function) if function.len() == 1 => match function.iter().next() {
                Some((name, Value::String(id))) if name == "Ref" => self.reference(id),
                Some((name, Value::String(text))) if name == "Fn::Sub" => self.substitute(text),
                Some((name, Value::Array(of))) if name == "Fn::GetAtt" => match of.as_slice() {
                    [Value::String(id), Value::String(attribute)] => self.attribute(id, attribute),
                    _ => Err("Fn::GetAtt takes a resource and an attribute".to_owned()),
                },
                Some((name, choice)) if name == "Fn::If" => return self.text(self.chosen(choice, path)?, path),
                Some((name, _)) => Err(format!("one machine doesn't evaluate this form of {name}")),
                None => Err("is empty".to_owned()),
            },
            Value::Null => Err("is missing".to_owned()),
            _ => Err("must be a scalar".to_owned()),
        };
        text.map_err(|problem| part(path, problem))
    }

    fn number(&self, value: &Value, path: &str) -> Result<Option<u64>, TemplateError> {
        if value.is_null() {
            return Ok(None);
        }
        let number = self.text(value, path)?.parse();
        number.map(Some).map_err(|_| part(path, "must be a whole number"))
    }

    fn reference(&self, id: &str) -> Result<String, String> {
        if let Some(value) = self.parameters.get(id) {
            return Ok(value.clone());
        }
        match id {
            "AWS::Region" => return Ok(REGION.to_owned()),
            "AWS::AccountId" => return Ok(ACCOUNT_ID.to_owned()),
            "AWS::Partition" => return Ok("aws".to_owned()),
            "AWS::StackName" => return Ok("parley".to_owned()),
            "AWS::URLSuffix" => return Ok("amazonaws.com".to_owned()),
            _ => {}
        }
        let resource = self.resources.get(id).ok_or_else(|| format!("refers to {id}, which doesn't exist"))?;
        match resource["Type"].as_str() {
            Some("AWS::DynamoDB::Table") => Ok(TABLE_NAME.to_owned()),
            Some("AWS::SQS::Queue") => Ok(format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{id}")),
            Some("AWS::Serverless::WebSocketApi" | "AWS::Serverless::HttpApi") => Ok(API_ID.to_owned()),
            Some("AWS::SecretsManager::Secret") => Ok(SECRET_ARN.to_owned()),
            Some("AWS::S3::Bucket") => Ok(BUCKET_NAME.to_owned()),
            kind => Err(format!("refers to {id} of type {kind:?}, which one machine doesn't have")),
        }
    }

    fn attribute(&self, id: &str, attribute: &str) -> Result<String, String> {
        let name = self.reference(id)?;
        match (self.resources[id]["Type"].as_str(), attribute) {
            (Some("AWS::DynamoDB::Table"), "Arn") => Ok(format!("arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{name}")),
            (Some("AWS::SecretsManager::Secret"), "Id") => Ok(name),
            (Some("AWS::S3::Bucket"), "Arn") => Ok(format!("arn:aws:s3:::{name}")),
            (Some("AWS::SQS::Queue"), "Arn") => Ok(format!("arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{id}")),
            _ => Err(format!("one machine doesn't know {id}.{attribute}")),
        }
    }

    /// `Fn::Sub`: `${NAME}` is what `Ref` gives, `${NAME.ATTRIBUTE}` what `Fn::GetAtt` gives, `${!TEXT}` is `${TEXT}`.
    /// The WebSocket API's address on AWS becomes the one on this machine.
    fn substitute(&self, text: &str) -> Result<String, String> {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or("has a ${ without a }")?;
            result.push_str(before);
            match (name.strip_prefix('!'), name.split_once('.')) {
                (Some(literal), _) => result.push_str(&format!("${{{literal}}}")),
                (None, Some((id, attribute))) => result.push_str(&self.attribute(id, attribute)?),
                (None, None) => result.push_str(&self.reference(name)?),
            }
            rest = after;
        }
        result.push_str(rest);
        let on_aws = format!("https://{API_ID}.execute-api.{REGION}.amazonaws.com/");
        Ok(if result.starts_with(&on_aws) { self.websocket_endpoint.to_owned() } else { result })
    }
}

fn from_value<T: DeserializeOwned>(value: Value, path: &str) -> Result<T, TemplateError> {
    serde_json::from_value(value).map_err(|error| part(path, error.to_string()))
}

/// A YAML node as JSON: every scalar is a string, as CloudFormation takes them, and the short form of an intrinsic
/// function becomes the long one (`!Ref X` is `{"Ref": "X"}`).
struct Node(Value);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let serde_saphyr::Tagged(Untagged(value), tag) = serde_saphyr::Tagged::deserialize(deserializer)?;
        let Some(name) = tag.as_deref().and_then(|tag| tag.strip_prefix('!')).filter(|name| !name.is_empty()) else {
            return Ok(Self(value));
        };
        let (name, value) = match (name, &value) {
            ("Ref" | "Condition", _) => (name.to_owned(), value),
            ("GetAtt", Value::String(text)) => {
                let (id, attribute) = text.split_once('.').ok_or_else(|| de::Error::custom("!GetAtt needs a dot"))?;
                ("Fn::GetAtt".to_owned(), Value::from(vec![id, attribute]))
            }
            _ => (format!("Fn::{name}"), value),
        };
        Ok(Self(Value::Object(Map::from_iter([(name, value)]))))
    }
}

struct Untagged(Value);

impl<'de> Deserialize<'de> for Untagged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UntaggedVisitor).map(Self)
    }
}

struct UntaggedVisitor;

impl<'de> Visitor<'de> for UntaggedVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML node")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::String(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::String(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::String(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::String(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut nodes: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Node(value)) = nodes.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut nodes: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Node(value))) = nodes.next_entry::<String, Node>()? {
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: &str = "http://127.0.0.1:3000";

    fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn deploy(given: &[(&str, &str)]) -> Result<Deployment, TemplateError> {
        Template::parse(DEPLOYED).expect("the template parses").deploy(&parameters(given), ENDPOINT)
    }

    fn refused(given: &[(&str, &str)]) -> String {
        deploy(given).expect_err("must be refused").to_string()
    }

    fn broken(from: &str, to: &str) -> String {
        assert!(DEPLOYED.contains(from), "{from} is in the template");
        let template = Template::parse(&DEPLOYED.replace(from, to));
        let result = template.and_then(|template| template.deploy(&BTreeMap::new(), ENDPOINT));
        result.expect_err("must be refused").to_string()
    }

    #[test]
    fn the_deployed_template_gives_functions_with_their_limits_and_variables() {
        let deployment = deploy(&[("SendsPerSecond", "7")]).expect("deploys");
        let send = &deployment.functions["send"];
        assert_eq!(send.timeout, Duration::from_secs(10));
        assert_eq!(send.memory_mb, 256);
        assert_eq!(send.environment["TABLE_NAME"], TABLE_NAME);
        assert_eq!(send.environment["WEBSOCKET_ENDPOINT"], ENDPOINT);
        assert_eq!(send.environment["SENDS_PER_SECOND"], "7");
        assert_eq!(send.environment["LOG_LEVEL"], "info", "a variable of Globals");
    }

    #[test]
    fn the_deployed_template_gives_routes_schedules_and_the_table() {
        let deployment = deploy(&[]).expect("deploys");
        assert_eq!(deployment.websocket.stage, "chat");
        assert_eq!(deployment.websocket.selection_field, "action");
        assert_eq!(deployment.websocket.authorizer.as_deref(), Some("authorize"));
        assert_eq!(deployment.websocket.routes["sendMessage"], "send");
        assert!(deployment.http_routes.iter().any(|route| route.path == "/api/wallets/{userId}"));
        let sweep = deployment.schedules.iter().find(|schedule| schedule.function == "sweep").expect("is scheduled");
        assert_eq!(sweep.period, Duration::from_secs(60));
        let source = &deployment.event_sources[0];
        assert_eq!((source.function.as_str(), source.queue.as_str(), source.batch_size), ("deliver", "Queue", 10));
        let queue = deployment.queues.iter().find(|queue| queue.name == source.queue).expect("is deployed");
        assert_eq!(queue.redrive.as_ref().expect("redrives").dead_letters, "DeadLetterQueue");
        assert_eq!(deployment.table.key_schema[1].attribute_name, "sk");
        assert_eq!(deployment.table.global_secondary_indexes[0].index_name, "work");
        assert_eq!(deployment.table.time_to_live_specification.expect("expires").attribute_name, "expires_at");
    }

    #[test]
    fn a_parameter_that_breaks_its_constraint_is_refused_by_name() {
        assert!(refused(&[("Colour", "red")]).starts_with("--parameter Colour: the template has no such parameter"));
        assert_eq!(
            refused(&[("ReceiverSharePercent", "101")]),
            "--parameter ReceiverSharePercent: must be 100 or less"
        );
        assert_eq!(refused(&[("DefaultPrice", "-1")]), "--parameter DefaultPrice: must be 0 or more");
        assert_eq!(refused(&[("DefaultPrice", "many")]), "--parameter DefaultPrice: must be a number");
        assert_eq!(refused(&[("LogLevel", "loud")]), "--parameter LogLevel: must be one of error, warn, info");
        assert!(refused(&[("StageName", "a/b")]).starts_with("--parameter StageName: must match"));
    }

    #[test]
    fn parameters_that_exclude_each_other_are_refused_by_the_rule() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:chat-AbCdEf";
        let url = "https://id.example.com/jwks.json";
        assert!(refused(&[("JwtAlgorithms", "ES256")]).contains("give JwtJwksUrl"));
        assert!(refused(&[("JwtJwksUrl", url)]).contains("leave JwtJwksUrl empty"));
        let both = [("JwtAlgorithms", "ES256"), ("JwtJwksUrl", url), ("JwtSecretArn", arn)];
        assert!(refused(&both).contains("JwtSecretArn is for JwtAlgorithms=HS256 only"));
        assert!(refused(&[("JwtAlgorithms", "HS256,ES256")]).starts_with("--parameter JwtAlgorithms: must match"));
    }

    #[test]
    fn only_who_checks_tokens_by_a_secret_may_read_it() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:chat-AbCdEf";
        let by_keys = [("JwtAlgorithms", "RS256, EdDSA"), ("JwtJwksUrl", "https://id.example.com/jwks.json")];
        for (given, variable) in [(&[][..], SECRET_ARN), (&[("JwtSecretArn", arn)], arn), (&by_keys, "")] {
            let deployment = deploy(given).expect("deploys");
            for (name, function) in deployment.functions {
                let resources = function.policy.iter().map(|statement| &statement["Resource"]);
                let readable: Vec<&Value> = resources.filter(|resource| **resource == variable).collect();
                let checks = ["authorize", "admin"].contains(&name.as_str());
                assert_eq!(readable.len(), usize::from(checks && !variable.is_empty()), "{name}: {readable:?}");
                assert_eq!(function.environment.get("JWT_SECRET_ARN").map(String::as_str), checks.then_some(variable));
            }
        }
    }

    #[test]
    fn keys_may_come_over_plain_http_from_this_machine_only() {
        let refused = |url| refused(&[("JwtAlgorithms", "ES256"), ("JwtJwksUrl", url)]);
        deploy(&[("JwtAlgorithms", "ES256"), ("JwtJwksUrl", "http://127.0.0.1:9000/jwks.json")])
            .expect("loopback passes");
        assert!(refused("http://example.com/jwks.json").contains("must match"));
        assert!(refused("http://127.0.0.1.example.com/").contains("must match"));
    }

    #[test]
    fn what_one_machine_does_not_understand_is_an_error_that_says_where() {
        assert!(broken("[ReportBatchItemFailures]", "[]").contains("ReportBatchItemFailures"));
        assert!(broken("Queue: !GetAtt Queue.Arn", "Queue: some-queue").contains("!GetAtt QUEUE.Arn"));
        assert!(broken("BatchSize: 10", "BatchSize: many").contains("BatchSize: must be a whole number"));
        let error = broken("rate(1 minute)", "cron(0 3 * * ? *)");
        assert!(error.contains("SweepFunction.Properties.Events.EveryMinute"), "{error}");
        assert!(broken("rate(1 minute)", "rate(1 minutes)").contains("rate(N minutes|hours|days) only"));
        assert!(broken("!Ref LogLevel", "!Ref Nothing").contains("refers to Nothing, which doesn't exist"));
        assert!(
            broken("!Ref LogLevel", "!ImportValue other").contains("doesn't evaluate this form of Fn::ImportValue")
        );
        assert!(broken("!If [ChecksBySecret,", "!If [Nobody,").contains("Conditions.Nobody: must be Fn::Equals"));
        assert!(broken("$default:", "$other:").contains("has no $default"));
        assert!(broken("!GetAtt SendFunction.Arn", "!GetAtt LostFunction.Arn").contains("LostFunction"));
        assert!(broken("Resources:", "Resources: [").contains("not valid YAML"));
    }

    #[test]
    fn both_forms_of_an_intrinsic_function_mean_the_same() {
        let long = DEPLOYED
            .replace("TABLE_NAME: !Ref Table", "TABLE_NAME: { Ref: Table }")
            .replace("!GetAtt SendFunction.Arn", "{ \"Fn::GetAtt\": [SendFunction, Arn] }");
        let template = Template::parse(&long).expect("parses");
        let deployment = template.deploy(&BTreeMap::new(), ENDPOINT).expect("deploys");
        assert_eq!(deployment.functions["send"], deploy(&[]).expect("deploys").functions["send"]);
        assert_eq!(deployment.websocket.routes["sendMessage"], "send");
    }
}
