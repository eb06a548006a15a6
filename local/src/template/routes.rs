//! The routes of both APIs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::{TemplateError, part};
use super::intrinsic::Scope;
use super::resources::{function_of, only};

/// The only part of a route selection expression that varies between APIs is the field's name.
const ROUTE_SELECTION_PREFIX: &str = "$request.body.";

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

/// Reads the routes of the WebSocket API.
pub(super) fn websocket(scope: &Scope<'_>) -> Result<WebSocketRoutes, TemplateError> {
    let (id, properties) = only(scope.resources, "AWS::Serverless::WebSocketApi")?;
    let path = |name: &str| format!("Resources.{id}.Properties.{name}");
    let selection = scope.text(&properties["RouteSelectionExpression"], &path("RouteSelectionExpression"))?;
    let selection_field = selection.strip_prefix(ROUTE_SELECTION_PREFIX).ok_or_else(|| {
        part(path("RouteSelectionExpression"), format!("must be {ROUTE_SELECTION_PREFIX}FIELD on one machine"))
    })?;
    let authorizer = &properties["Auth"]["AuthArn"];
    let authorizer = match authorizer {
        Value::Null => None,
        arn => Some(function_of(scope.resources, arn, &path("Auth.AuthArn"))?),
    };
    let mut routes = BTreeMap::new();
    for (key, route) in properties["Routes"].as_object().into_iter().flatten() {
        let function =
            function_of(scope.resources, &route["FunctionArn"], &path(&format!("Routes.{key}.FunctionArn")))?;
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
