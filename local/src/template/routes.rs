//! The routes of both APIs.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

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

impl WebSocketRoutes {
    /// The key of a frame's route, and the function there. A client can't choose the routes that API Gateway has for itself.
    #[must_use]
    pub fn of_frame(&self, body: &str) -> (&str, &str) {
        let selected = selected(body, &self.selection_field).filter(|key| !key.starts_with('$'));
        let known = selected.and_then(|key| self.routes.get_key_value(&key));
        known.map_or_else(|| ("$default", &*self.routes["$default"]), |(key, function)| (key, function))
    }
}

/// What a frame says in FIELD. What else is in it isn't looked at, as long as it is JSON: its function reads it.
fn selected(body: &str, field: &str) -> Option<String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(body).ok()?;
    serde_json::from_str(members.get(field)?.get()).ok()
}

impl HttpRoute {
    /// Its key, as events have it.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The most specific route for a path, and its decoded path parameters.
    #[must_use]
    pub fn of<'a>(routes: &'a [Self], method: &str, path: &str) -> Option<(&'a Self, BTreeMap<String, String>)> {
        let matching = routes.iter().filter(|route| route.method == method || route.method == "ANY");
        let matching = matching.filter_map(|route| Some((route, parameters(&route.path, path)?)));
        matching.min_by_key(|(route, parameters)| (parameters.len(), route.method == "ANY"))
    }
}

fn parameters(pattern: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    let mut segments = path.split('/');
    for pattern in pattern.split('/') {
        let segment = segments.next()?;
        match pattern.strip_prefix('{').and_then(|pattern| pattern.strip_suffix('}')) {
            Some(_) if segment.is_empty() => return None,
            Some(name) => {
                parameters.insert(name.to_owned(), percent_decode_str(segment).decode_utf8_lossy().into_owned());
            }
            None if pattern == segment => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(parameters)
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

/// Makes sure that no HTTP API has CORS: API Gateway would answer preflights then, and one machine doesn't. GLOBALS is what all
/// have that don't say it themselves.
pub(super) fn without_cors(resources: &Map<String, Value>, globals: &Value) -> Result<(), TemplateError> {
    let apis = resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::Serverless::HttpApi");
    let apis = apis.map(|(id, resource)| (format!("Resources.{id}.Properties"), &resource["Properties"]));
    for (path, properties) in apis.chain([("Globals.HttpApi".to_owned(), globals)]) {
        if !properties["CorsConfiguration"].is_null() {
            return Err(part(format!("{path}.CorsConfiguration"), "one machine gives the HTTP API no CORS headers"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_routed_whatever_its_other_fields_hold() {
        let route = |body: &str| selected(body, "action");
        for other in ["1e400", r#""\ud83d""#, "[[[]]]", r#"{"action":"pong"}"#] {
            assert_eq!(route(&format!(r#"{{"x":{other},"action":"ping"}}"#)).as_deref(), Some("ping"), "{other}");
        }
        for body in ["", "7", "[]", "{}", r#"{"action":7}"#, r#"{"action":"ping""#] {
            assert_eq!(route(body), None, "{body}");
        }
    }

    #[test]
    fn the_most_specific_route_answers() {
        let routes = [("GET", "/api/{kind}/stats"), ("ANY", "/api/users/stats"), ("GET", "/api/users/{userId}")];
        let routes = routes.map(|(method, path)| HttpRoute {
            method: method.to_owned(),
            path: path.to_owned(),
            function: "admin".to_owned(),
        });
        let path = |method, path| HttpRoute::of(&routes, method, path).map(|(route, _)| route.path.as_str());
        assert_eq!(path("GET", "/api/users/stats"), Some("/api/users/stats"));
        assert_eq!(path("GET", "/api/users/ann"), Some("/api/users/{userId}"));
        assert_eq!(path("GET", "/api/wallets/stats"), Some("/api/{kind}/stats"));
        assert_eq!(path("DELETE", "/api/users/ann"), None);
        assert_eq!(path("GET", "/api/users/"), None);
        assert_eq!(path("GET", "/api/users/ann/more"), None);
    }

    #[test]
    fn path_parameters_are_decoded() {
        let parameters = parameters("/api/users/{userId}", "/api/users/a%2Fb%20c").expect("matches");
        assert_eq!(parameters["userId"], "a/b c");
    }
}
