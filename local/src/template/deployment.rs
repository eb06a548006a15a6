//! The whole: a template, and what it deploys.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{TemplateError, part};
use super::functions::{Function, function};
use super::intrinsic::Scope;
use super::parameters::{self, Parameter};
use super::queues::{EventSource, QueueDefinition, event_source, queues};
use super::resources::function_name;
use super::routes::{HttpRoute, WebSocketRoutes, websocket, without_cors};
use super::schedules::{Schedule, schedule};
use super::table::{Table, table};
use super::yaml::{Node, from_value};

/// The template that is deployed.
pub const DEPLOYED: &str = include_str!("../../../template.yaml");

/// A parsed template, before its parameters have values.
#[derive(Debug)]
pub struct Template {
    pub(super) parameters: BTreeMap<String, Parameter>,
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
    pub queues: Vec<QueueDefinition>,
    /// Which functions work which queues off.
    pub event_sources: Vec<EventSource>,
    /// The table.
    pub table: Table,
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
        Ok(Self { parameters, rules, conditions, globals: document["Globals"].clone(), resources })
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
        let parameters = parameters::values(&self.parameters, given)?;
        let (conditions, resources) = (&self.conditions, &self.resources);
        let scope = Scope { parameters, conditions, resources, websocket_endpoint };
        parameters::keep_rules(&self.rules, &scope)?;
        without_cors(&self.resources, &self.globals["HttpApi"])?;
        let mut deployment = Deployment {
            functions: BTreeMap::new(),
            websocket: websocket(&scope)?,
            http_routes: Vec::new(),
            schedules: Vec::new(),
            queues: queues(&scope)?,
            event_sources: Vec::new(),
            table: table(&self.resources)?,
        };
        for (id, resource) in &self.resources {
            if resource["Type"] == "AWS::Serverless::Function" {
                let (name, properties) = (function_name(&self.resources, id)?, &resource["Properties"]);
                events(id, &name, properties, &mut deployment)?;
                deployment.functions.insert(name, function(id, properties, &self.globals["Function"], &scope)?);
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
        parameters::values(&self.parameters, given)
    }
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
                deployment.schedules.push(schedule(name, function, &expression, &path)?);
            }
            Some("SQS") => deployment.event_sources.push(event_source(function, &event["Properties"], &path)?),
            kind => return Err(part(path, format!("events of type {kind:?} don't exist on one machine"))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::template::names::{SECRET_ARN, TABLE_NAME};

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
    }

    #[test]
    fn a_parameter_that_breaks_its_constraint_is_refused_by_name() {
        assert!(refused(&[("Colour", "red")]).starts_with("--parameter Colour: the template has no such parameter"));
        let share = refused(&[("ReceiverSharePercent", "101")]);
        assert_eq!(share, "--parameter ReceiverSharePercent: must be a whole number from 0 to 100");
        assert_eq!(refused(&[("LogLevel", "loud")]), "--parameter LogLevel: must be one of error, warn, info");
        assert!(refused(&[("StageName", "a/b")]).starts_with("--parameter StageName: must be 1 to 64 letters"));
    }

    #[test]
    fn parameters_that_exclude_each_other_are_refused_by_the_rule() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:chat-AbCdEf";
        let url = "https://id.example.com/jwks.json";
        assert!(refused(&[("JwtAlgorithms", "ES256")]).contains("give JwtJwksUrl"));
        assert!(refused(&[("JwtJwksUrl", url)]).contains("leave JwtJwksUrl empty"));
        let both = [("JwtAlgorithms", "ES256"), ("JwtJwksUrl", url), ("JwtSecretArn", arn)];
        assert!(refused(&both).contains("JwtSecretArn is for JwtAlgorithms=HS256 only"));
        assert!(
            refused(&[("JwtAlgorithms", "HS256,ES256")])
                .starts_with("--parameter JwtAlgorithms: must be HS256, or any")
        );
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
        assert!(refused("http://example.com/jwks.json").contains("must be an address that starts with https://"));
        assert!(refused("http://127.0.0.1.example.com/").contains("must be an address"));
    }

    #[test]
    fn what_one_machine_does_not_understand_is_an_error_that_says_where() {
        assert!(broken("[ReportBatchItemFailures]", "[]").contains("ReportBatchItemFailures"));
        assert!(broken("Queue: !GetAtt Queue.Arn", "Queue: some-queue").contains("!GetAtt QUEUE.Arn"));
        assert!(broken("BatchSize: 10", "BatchSize: many").contains("BatchSize: must be a whole number"));
        let error = broken("rate(1 minute)", "cron(0 3 * * ? *)");
        assert!(error.contains("SweepFunction.Properties.Events.EveryMinute"), "{error}");
        assert!(broken("rate(1 minute)", "rate(1 minutes)").contains("rate(N minutes|hours|days) only"));
        assert!(broken("AllowedPattern:", "MaxLength: 9\n    AllowedPattern:").contains("MaxLength"));
        assert!(broken("!Ref LogLevel", "!Ref Nothing").contains("refers to Nothing, which doesn't exist"));
        assert!(
            broken("!Ref LogLevel", "!ImportValue other").contains("doesn't evaluate this form of Fn::ImportValue")
        );
        assert!(broken("!If [ChecksBySecret,", "!If [Nobody,").contains("Conditions.Nobody: must be Fn::Equals"));
        let cors = broken("DefaultRouteSettings:", "CorsConfiguration: true\n      DefaultRouteSettings:");
        assert!(cors.contains("AdminApi.Properties.CorsConfiguration"), "{cors}");
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
