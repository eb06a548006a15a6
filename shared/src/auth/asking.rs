//! Who asks, and what came with it: a frame's [`Caller`], a connection's [`Handshake`], an [`HttpRequest`].

use std::collections::HashMap;

use wire::{ConnectionId, RequestId, Time, UserId};

use crate::error::Error;

/// The subprotocol that the server answers.
pub const SUBPROTOCOL: &str = "chat.v1";
/// The subprotocol that carries a token, for browsers.
const BEARER_SUBPROTOCOL: &str = "bearer.";

/// Who asks: taken from the authorizer's context, never from the client. Only [`crate::run`] makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The connection that the frame came on.
    pub connection: ConnectionId,
    /// The client's name for the request.
    pub request_id: Option<RequestId>,
    /// Lambda's name for the invocation: unique, and in the log.
    pub trace_id: String,
    /// When the token expires.
    pub(crate) expires_at: Time,
}

/// What a client says when it connects.
#[derive(Debug, Default)]
pub struct Handshake {
    /// The token: the first of the three carriers.
    pub token: Option<String>,
    /// The client's name for its device, as given.
    pub device: Option<String>,
    /// Whether it offered [`SUBPROTOCOL`].
    pub(crate) offers_subprotocol: bool,
}

impl Handshake {
    /// From a request's headers and query. The first carrier counts: header, subprotocol, query.
    pub(crate) fn new<'a>(header: impl Fn(&str) -> Option<&'a str>, query: impl Fn(&str) -> Option<String>) -> Self {
        let bearer = header("authorization").and_then(bearer);
        let protocols: Vec<&str> =
            header("sec-websocket-protocol").unwrap_or_default().split(',').map(str::trim).collect();
        let protocol = protocols.iter().find_map(|protocol| protocol.strip_prefix(BEARER_SUBPROTOCOL));
        Self {
            token: bearer.or(protocol).map(str::to_owned).or_else(|| query("token")),
            device: query("device"),
            offers_subprotocol: protocols.contains(&SUBPROTOCOL),
        }
    }
}

/// The token of an `Authorization` header.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// One HTTP request.
#[derive(Debug)]
pub struct HttpRequest {
    /// The route as `template.yaml` has it: `GET /api/wallets/{userId}`.
    pub route: String,
    /// The parts of the path that the route names.
    pub path: HashMap<String, String>,
    /// The query.
    pub query: HashMap<String, String>,
    /// The token of the `Authorization` header.
    pub token: Option<String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl HttpRequest {
    /// Reads the JSON body's fields.
    ///
    /// # Errors
    /// [`Error::BadRequest`] that names the field.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        let body = std::str::from_utf8(&self.body).map_err(|_| Error::bad_request("", "the body isn't text in UTF-8"))?;
        Ok(wire::parse(body)?)
    }
}
