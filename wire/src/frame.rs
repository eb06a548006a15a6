//! A frame from a client: its envelope, then its action's fields. A wrong field is named by the error.

use serde::de::DeserializeOwned;

use crate::error::Invalid;
use crate::ids::RequestId;
use crate::limits::CLIENT_ID_CHARS_MAX;
use crate::requests::Request;

/// One JSON object from a client, with an `action`.
#[derive(Debug)]
pub struct Frame {
    /// What it asks.
    pub action: String,
    /// The client's name for it.
    pub request_id: Option<RequestId>,
    /// The sender's id of a message, when there is one: errors echo it.
    pub client_message_id: Option<String>,
    body: serde_json::Value,
}

impl Frame {
    /// Reads a frame's envelope.
    ///
    /// # Errors
    /// [`Invalid::Field`] that says what is wrong.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let body: serde_json::Value = serde_json::from_str(text)
            .map_err(|cause| Invalid::field("", &format!("the frame isn't JSON: {cause}")))?;
        if !body.is_object() {
            return Err(Invalid::field("", "the frame isn't a JSON object"));
        }
        let request_id = match body.get("requestId") {
            None | Some(serde_json::Value::Null) => None,
            Some(value) => {
                let id = serde_json::from_value(value.clone());
                Some(id.map_err(|cause| Invalid::field("requestId", &cause.to_string()))?)
            }
        };
        let client_message_id = body.get("clientMessageId").and_then(|id| id.as_str());
        let client_message_id = client_message_id.filter(|id| id.chars().count() <= CLIENT_ID_CHARS_MAX);
        let Some(action) = body.get("action").and_then(|action| action.as_str()) else {
            return Err(Invalid::field("action", "give the action's name, a string"));
        };
        let action = action.to_owned();
        Ok(Self { action, request_id, client_message_id: client_message_id.map(str::to_owned), body })
    }

    /// Reads the action's fields. Unknown ones are ignored.
    ///
    /// # Errors
    /// [`Invalid::Field`] that names the field.
    pub fn parse<R: Request>(self) -> Result<R, Invalid> {
        parse(self.body)
    }
}

/// Reads an object, and says which field is wrong.
///
/// # Errors
/// [`Invalid::Field`] that names the field.
pub fn parse<T: DeserializeOwned>(body: serde_json::Value) -> Result<T, Invalid> {
    serde_path_to_error::deserialize(body).map_err(|cause| {
        let path = cause.path().to_string();
        let problem = cause.inner().to_string();
        // A missing field has no path of its own; serde names it in backquotes.
        let named = problem.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let field = match (path.as_str(), named) {
            (".", Some(name)) => name.to_owned(),
            (".", None) => String::new(),
            (path, Some(name)) => format!("{path}.{name}"),
            (path, None) => path.to_owned(),
        };
        Invalid::field(&field, &problem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PAGE_ITEMS_DEFAULT;
    use crate::requests::{GetMessages, GetPresence, MarkRead, Sync};
    use crate::values::Limit;

    fn refusal<R: Request>(frame: &str) -> String {
        let error = Frame::new(frame).and_then(Frame::parse::<R>).err().expect("it is refused");
        assert!(matches!(error, Invalid::Field { .. }), "{error}");
        error.to_string()
    }

    #[test]
    fn a_wrong_field_is_named() {
        let long = "x".repeat(65);
        for (frame, field) in [
            (r#"{"action":"markRead","conversationId":"c"}"#, "seq: "),
            (r#"{"action":"markRead","conversationId":7,"seq":1}"#, "conversationId: "),
            (r#"{"action":"markRead","conversationId":"a b","seq":1}"#, "conversationId: "),
            (r#"{"action":"markRead","conversationId":"c","seq":-1}"#, "seq: "),
            (r#"{"action":"markRead","conversationId":"c","seq":9007199254740992}"#, "seq: "),
            (&format!(r#"{{"action":"markRead","requestId":"{long}"}}"#), "requestId: "),
            (r#"{"action":7}"#, "action: "),
            (r#"{}"#, "action: "),
            (r#"[]"#, "the frame isn't a JSON object"),
            ("hello", "the frame isn't JSON"),
        ] {
            let error = refusal::<MarkRead>(frame);
            assert!(error.starts_with(field), "{frame}: {error}");
        }
        let error = refusal::<GetPresence>(r#"{"action":"getPresence","userIds":["ann",""]}"#);
        assert!(error.starts_with("userIds[1]: "), "{error}");
        let error = refusal::<Sync>(r#"{"action":"sync","since":{"c":"1"}}"#);
        assert!(error.starts_with("since.c: "), "{error}");
        let error = refusal::<GetMessages>(r#"{"action":"getMessages","conversationId":"c","limit":101}"#);
        assert!(error.starts_with("limit: "), "{error}");
    }

    #[test]
    fn unknown_fields_are_ignored_and_defaults_hold() {
        let frame = Frame::new(r#"{"action":"sync","requestId":"r","colour":"red"}"#).expect("a frame");
        assert_eq!(frame.request_id.as_ref().map(RequestId::as_str), Some("r"));
        let sync: Sync = frame.parse().expect("a sync");
        assert_eq!((sync.limit, sync.since.len()), (Limit(PAGE_ITEMS_DEFAULT), 0));
    }
}
