//! A frame from a client: its envelope, then its action's fields. A wrong field is named by the error.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Invalid;
use crate::ids::RequestId;
use crate::requests::Request;
use crate::written::{no_json, read};

/// One JSON object from a client, with an `action`. What an answer echoes of it, also of a text that is none, is
/// [`crate::Echo`]'s.
#[derive(Debug)]
pub struct Frame {
    /// What it asks.
    pub action: String,
    /// The client's name for it.
    pub request_id: Option<RequestId>,
    body: Box<RawValue>,
}

impl Frame {
    /// Reads a frame's envelope.
    ///
    /// # Errors
    /// [`Invalid::Field`] that says what is wrong.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope {
            action: String,
            request_id: Option<RequestId>,
        }
        let body: Box<RawValue> = serde_json::from_str(text).map_err(|cause| no_json("frame", &cause))?;
        let Envelope { action, request_id } = read(&body)?;
        Ok(Self { action, request_id, body })
    }

    /// Reads the action's fields. Unknown ones are ignored.
    ///
    /// # Errors
    /// [`Invalid::Field`] that names the field.
    pub fn parse<R: Request>(self) -> Result<R, Invalid> {
        read(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PAGE_ITEMS_DEFAULT;
    use crate::requests::{GetMessages, GetPresence, GetReceipts, Sync};
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
            (r#"{"action":"getReceipts","conversationId":"c"}"#, "seq: "),
            (r#"{"action":"getReceipts","conversationId":7,"seq":1}"#, "conversationId: "),
            (r#"{"action":"getReceipts","conversationId":"a b","seq":1}"#, "conversationId: "),
            (r#"{"action":"getReceipts","conversationId":"c","seq":-1}"#, "seq: "),
            (r#"{"action":"getReceipts","conversationId":"c","seq":9007199254740992}"#, "seq: "),
            (&format!(r#"{{"action":"getReceipts","requestId":"{long}"}}"#), "requestId: "),
            (r#"{"action":7}"#, "action: "),
            (r#"{}"#, "action: "),
            (r#"[]"#, "expected an object"),
            ("hello", "the frame isn't JSON"),
        ] {
            let error = refusal::<GetReceipts>(frame);
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
