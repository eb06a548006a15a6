//! A frame from a server, as a client reads it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Invalid;
use crate::events::{ERROR_EVENTS, Event};
use crate::ids::RequestId;
use crate::objects::ErrorObject;
use crate::written::{no_json, read, read_tagged};

/// A frame from a server. Unknown fields are ignored.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerFrame {
    /// Something has happened.
    Event {
        /// What.
        event: Event,
        /// The request that it answers; nothing in a push.
        request_id: Option<RequestId>,
    },
    /// A request was refused.
    Refused {
        /// Why.
        error: ErrorObject,
        /// The request, if it had an id that could be read.
        request_id: Option<RequestId>,
        /// The message that wasn't sent, if the request had an id of one.
        client_message_id: Option<String>,
    },
    /// An event that only a later version knows: to be ignored.
    Unknown {
        /// Its name.
        event: String,
        /// The request that it answers.
        request_id: Option<RequestId>,
    },
    /// The platform says so itself, where a function died or ran out of time. Nobody knows which request that was: what has no
    /// answer in time is repeated.
    Platform {
        /// What it says: `Internal server error`.
        message: String,
        /// Its id of the connection.
        connection_id: Option<String>,
        /// Its own id of the request, which finds it in the log.
        request_id: Option<String>,
    },
}

impl ServerFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// [`Invalid::Field`] that says what is wrong: it is no frame of a server's, or an event that is known is damaged. Which request
    /// it answered, [`crate::Echo`] finds.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let frame: &RawValue = serde_json::from_str(text).map_err(|cause| no_json("frame", &cause))?;
        let Named { event: Some(event) } = read(frame)? else { return Ok(read::<Platform>(frame)?.into()) };
        if ERROR_EVENTS.contains(&event.as_str()) {
            return Ok(read::<Refused>(frame)?.into());
        }
        let Answering { request_id } = read(frame)?;
        Ok(match read_tagged(frame, "event")? {
            Some(event) => Self::Event { event, request_id },
            None => Self::Unknown { event, request_id },
        })
    }
}

/// What every frame has, but the platform's own.
#[derive(Deserialize)]
struct Named {
    event: Option<String>,
}

/// What an answer has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answering {
    request_id: Option<RequestId>,
}

/// See [`ServerFrame::Refused`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refused {
    error: ErrorObject,
    request_id: Option<RequestId>,
    client_message_id: Option<String>,
}

impl From<Refused> for ServerFrame {
    fn from(Refused { error, request_id, client_message_id }: Refused) -> Self {
        Self::Refused { error, request_id, client_message_id }
    }
}

/// See [`ServerFrame::Platform`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Platform {
    message: String,
    connection_id: Option<String>,
    request_id: Option<String>,
}

impl From<Platform> for ServerFrame {
    fn from(Platform { message, connection_id, request_id }: Platform) -> Self {
        Self::Platform { message, connection_id, request_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{Kind, Open};
    use crate::values::Time;

    #[test]
    fn what_a_later_version_says_is_told_from_what_is_damaged() {
        let read = |text: &str| ServerFrame::parse(text).map_err(|invalid| invalid.to_string());
        let request_id: Option<RequestId> = "r1".parse().ok();
        let event = Event::Pong { server_time: Time { ms: 7 } };
        let pong = r#"{"data":{"serverTime":"1970-01-01T00:00:00.007Z","colour":1},"event":"pong","requestId":"r1","extra":[]}"#;
        assert_eq!(read(pong), Ok(ServerFrame::Event { event, request_id: request_id.clone() }));
        for later in [r#"{"event":"reaction","requestId":"r1","data":7}"#, r#"{"requestId":"r1","event":"reaction"}"#] {
            let unknown = ServerFrame::Unknown { event: "reaction".to_owned(), request_id: request_id.clone() };
            assert_eq!(read(later), Ok(unknown), "{later}");
        }
        for (damaged, problem) in [
            (r#"{"event":"pong","data":{"serverTime":7}}"#, "data.serverTime: expected a string"),
            (r#"{"event":"pong","data":{"serverTime":"now"}}"#, "data.serverTime: expected a time of RFC 3339"),
            (r#"{"event":"pong","data":{}}"#, "data.serverTime: this field is missing"),
            (r#"{"event":"pong"}"#, "data: this field is missing"),
            (r#"{"event":"pong","data":[]}"#, "data: expected an object"),
            (
                r#"{"event":"presence","data":{"users":[{"online":true}]}}"#,
                "data.users[0].userId: this field is missing",
            ),
            (r#"{"event":"error","error":{"code":"internal"}}"#, "error.message: this field is missing"),
            (r#"{"event":7}"#, "event: expected a string"),
            (r#"{"success":true}"#, "message: this field is missing"),
            ("[]", "expected an object"),
        ] {
            assert_eq!(read(damaged), Err(problem.to_owned()), "{damaged}");
        }
        assert!(read("hello").expect_err("no frame").starts_with("the frame isn't JSON"));
    }

    #[test]
    fn null_counts_as_not_given() {
        let list = r#"{"event":"transactions:list","requestId":null,"data":{"transactions":[],"nextCursor":null,"skipped":null}}"#;
        let short = r#"{"event":"transactions:list","data":{"transactions":[]}}"#;
        assert_eq!(ServerFrame::parse(list), ServerFrame::parse(short));
        assert!(ServerFrame::parse(short).is_ok());
    }

    #[test]
    fn words_of_a_later_version_harm_nothing_beside_them() {
        let refused = r#"{"event":"error","success":false,"error":{"code":"asleep","message":"zzz","retryable":true}}"#;
        let Ok(ServerFrame::Refused { error, .. }) = ServerFrame::parse(refused) else { panic!("{refused}") };
        assert_eq!(error.code, Open::Unknown("asleep".to_owned()));
        let kind = |text: &str| serde_json::from_str::<Open<Kind>>(text).ok();
        assert_eq!(kind(r#""direct""#), Some(Kind::Direct.into()));
        assert_eq!(kind(r#""party""#), Some(Open::Unknown("party".to_owned())));
        assert_eq!(kind("7"), None);
    }
}
