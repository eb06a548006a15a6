//! What each function may do: the policies of `template.yaml`, held against every call that a function makes in a world.
//!
//! A call that its function's policy doesn't allow ends the test, as it would fail on AWS: so each test is a proof that
//! the policies are wide enough. That nothing in them is too wide is the test `policies`: it asks which [`Grant`]s
//! were used.
//!
//! Of IAM's language only the part that our policies are written in is understood; anything else is an error. See
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html> and, for the condition key,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html>.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;

use local::template::{ACCOUNT_ID, API_ID, BUCKET_NAME, Deployment, REGION};
use serde_json::Value;

use crate::lock::lock;
use crate::operation::Operation;

/// The one condition that our policies have: the partition keys that a call names are all of these kinds.
const CONDITION: (&str, &str) = ("ForAllValues:StringLike", "dynamodb:LeadingKeys");

/// The one call that names no partition key.
const SCAN: &str = "Scan";

/// The smallest thing that a policy allows: a function may do this to that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The function.
    pub function: String,
    /// The action.
    pub action: String,
    /// The resource's ARN; it may end in `*`.
    pub resource: String,
    /// The partition keys, when they are limited; it ends in `*`.
    pub leading_key: Option<String>,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} on {}", self.function, self.action, self.resource)?;
        self.leading_key.as_ref().map_or(Ok(()), |key| write!(f, ", keys {key}"))
    }
}

/// What a call asks to be allowed.
#[derive(Debug)]
struct Request {
    action: String,
    resource: String,
    leading_keys: Vec<String>,
}

/// One `Allow` of one function.
#[derive(Debug)]
struct Statement {
    actions: Vec<String>,
    resources: Vec<String>,
    leading_keys: Option<Vec<String>>,
}

/// Every function's policy, and what of it was used.
#[derive(Debug)]
pub struct Policies {
    stage: String,
    statements: BTreeMap<String, Vec<Statement>>,
    used: Mutex<BTreeSet<Grant>>,
}

impl Policies {
    /// As they are deployed.
    ///
    /// # Panics
    /// When a policy says something that isn't understood here.
    pub fn new(deployment: &Deployment) -> Self {
        let statements = |(name, function): (&String, &local::template::Function)| {
            (name.clone(), function.policy.iter().map(|statement| Statement::new(name, statement)).collect())
        };
        let statements = deployment.functions.iter().map(statements).collect();
        Self { stage: deployment.websocket.stage.clone(), statements, used: Mutex::default() }
    }

    /// Asks whether a function may make a call, and writes down by which grants.
    ///
    /// # Errors
    /// What AWS would answer.
    pub fn ask(&self, function: &str, operation: &Operation) -> Result<(), String> {
        let request = Request::new(operation, &self.stage);
        let grants = self.statements[function].iter().find_map(|statement| statement.grants(function, &request));
        let grants = grants.ok_or_else(|| {
            let Request { action, resource, leading_keys } = request;
            let keys = leading_keys.join(", ");
            format!(
                "AccessDeniedException: template.yaml does not allow {function} {action} on {resource}, keys {keys}"
            )
        })?;
        let mut used = lock(&self.used);
        // Most calls use what was used before; then nothing is stored.
        used.extend(grants);
        Ok(())
    }

    /// Everything that is allowed.
    pub fn all(&self) -> BTreeSet<Grant> {
        let of = |(function, statements): (&String, &Vec<Statement>)| {
            statements.iter().flat_map(|statement| statement.all(function)).collect::<Vec<_>>()
        };
        self.statements.iter().flat_map(of).collect()
    }

    /// What of it was used so far.
    pub fn used(&self) -> BTreeSet<Grant> {
        lock(&self.used).clone()
    }
}

impl Request {
    fn new(operation: &Operation, stage: &str) -> Self {
        let connection = |method: &str, id: &str| Self {
            action: "execute-api:ManageConnections".to_owned(),
            resource: format!("arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{API_ID}/{stage}/{method}/@connections/{id}"),
            leading_keys: Vec::new(),
        };
        let object = |action: &str, name: &str| Self {
            action: action.to_owned(),
            resource: format!("arn:aws:s3:::{BUCKET_NAME}/{name}"),
            leading_keys: Vec::new(),
        };
        match operation {
            Operation::Dynamo(name, request) => Self::dynamo(name, request),
            Operation::Secret(arn, _) => Self {
                action: "secretsmanager:GetSecretValue".to_owned(),
                resource: arn.clone(),
                leading_keys: Vec::new(),
            },
            Operation::Queue(name, request) => Self::queue(name, request),
            Operation::Push(id) => connection("POST", id),
            Operation::Close(id) => connection("DELETE", id),
            Operation::PutObject(name) => object("s3:PutObject", name),
            Operation::GetObject(name) => object("s3:GetObject", name),
        }
    }

    fn queue(name: &str, request: &Value) -> Self {
        let queue = request["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next()).expect("a queue's address");
        Self {
            // Many at once is the same permission as one.
            action: format!("sqs:{}", name.trim_end_matches("Batch")),
            resource: format!("arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{queue}"),
            leading_keys: Vec::new(),
        }
    }

    fn dynamo(name: &str, request: &Value) -> Self {
        let pk = |key: &Value| key["pk"]["S"].as_str().map(str::to_owned);
        let (table, leading_keys): (&str, Vec<String>) = match name {
            "BatchGetItem" => {
                let (table, wanted) =
                    request["RequestItems"].as_object().and_then(|it| it.iter().next()).expect("keys");
                (table.as_str(), wanted["Keys"].as_array().into_iter().flatten().filter_map(pk).collect())
            }
            "BatchWriteItem" => {
                let (table, wanted) =
                    request["RequestItems"].as_object().and_then(|it| it.iter().next()).expect("requests");
                let deleted = wanted.as_array().into_iter().flatten().map(|one| &one["DeleteRequest"]["Key"]);
                (table.as_str(), deleted.filter_map(pk).collect())
            }
            _ => {
                let named = [&request["Key"], &request["Item"]].into_iter().filter_map(pk);
                let asked = request["ExpressionAttributeValues"][":pk"]["S"].as_str().filter(|_| name == "Query");
                (request["TableName"].as_str().expect("a table"), named.chain(asked.map(str::to_owned)).collect())
            }
        };
        let index = request["IndexName"].as_str().map_or_else(String::new, |index| format!("/index/{index}"));
        assert_eq!(leading_keys.is_empty(), name == SCAN, "{name} names its partition keys: {request}");
        Self {
            action: format!("dynamodb:{name}"),
            resource: format!("arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{table}{index}"),
            leading_keys,
        }
    }
}

impl Statement {
    fn new(function: &str, statement: &Value) -> Self {
        let fields = statement.as_object().unwrap_or_else(|| panic!("{function}: a statement is {statement}"));
        let known = ["Effect", "Action", "Resource", "Condition"];
        assert!(fields.keys().all(|field| known.contains(&field.as_str())), "{function}: {statement}");
        assert_eq!(statement["Effect"], "Allow", "{function}: {statement}");
        let leading_keys = statement.get("Condition").map(|condition| {
            let keys = condition[CONDITION.0][CONDITION.1].clone();
            assert_eq!(*condition, serde_json::json!({ CONDITION.0: { CONDITION.1: keys } }), "{function}");
            texts(&keys)
        });
        let (actions, resources) = (texts(&statement["Action"]), texts(&statement["Resource"]));
        // What can't be seen to be unused must not be said: `*` for an action, for the resources of a kind, for any key.
        for resource in &resources {
            let open = ["/@connections/*", "/segments/*"].into_iter().find_map(|end| resource.strip_suffix(end));
            let fixed = open.unwrap_or(resource);
            assert!(
                !fixed.contains(['*', '?']),
                "{function}: only connections and segments have no name yet: {statement}"
            );
            let items = resource.contains(":table/") && !resource.contains("/index/");
            // A scan names no keys: a condition on them would hold, and only look like a limit.
            let limited = items && statement["Action"] != format!("dynamodb:{SCAN}");
            assert_eq!(limited, leading_keys.is_some(), "{function}: {} is said for items: {statement}", CONDITION.1);
        }
        let kind =
            |key: &String| key.strip_suffix("#*").is_some_and(|kind| kind.chars().all(|c| c.is_ascii_uppercase()));
        assert!(leading_keys.iter().flatten().all(kind), "{function}: a kind of items is KIND#*: {statement}");
        assert!(
            !actions.iter().any(|action| action.contains(['*', '?'])),
            "{function}: each action by its name: {statement}"
        );
        Self { actions, resources, leading_keys }
    }

    /// The grants by which this statement allows a request; none if it doesn't.
    fn grants(&self, function: &str, request: &Request) -> Option<Vec<Grant>> {
        let action = self.actions.iter().find(|action| **action == request.action)?;
        let resource = self.resources.iter().find(|resource| is_like(&request.resource, resource))?;
        let grant = |leading_key| {
            let (function, action, resource) = (function.to_owned(), action.clone(), resource.clone());
            Grant { function, action, resource, leading_key }
        };
        let Some(patterns) = &self.leading_keys else { return Some(vec![grant(None)]) };
        let pattern = |key: &String| patterns.iter().find(|pattern| is_like(key, pattern));
        request.leading_keys.iter().map(|key| pattern(key).map(|pattern| grant(Some(pattern.clone())))).collect()
    }

    /// Everything that it allows.
    fn all(&self, function: &str) -> Vec<Grant> {
        let mut grants = Vec::new();
        let patterns = match &self.leading_keys {
            None => vec![None],
            Some(patterns) => patterns.iter().cloned().map(Some).collect(),
        };
        for action in &self.actions {
            for resource in &self.resources {
                grants.extend(patterns.iter().map(|leading_key| Grant {
                    function: function.to_owned(),
                    action: action.clone(),
                    resource: resource.clone(),
                    leading_key: leading_key.clone(),
                }));
            }
        }
        grants
    }
}

/// Whether a text is like a pattern, which may end in `*`.
fn is_like(text: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(text == pattern, |start| text.starts_with(start))
}

/// One text or a list of them.
fn texts(value: &Value) -> Vec<String> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    list.iter().map(|text| text.as_str().unwrap_or_else(|| panic!("a text: {text}")).to_owned()).collect()
}
