//! What the gateway serves, and its limits.

use std::time::Duration;

use crate::invoker::Invoker;
use crate::origin::Origin;
use crate::template::{HttpRoute, WebSocketRoutes};
use crate::token::TokenIssuer;

/// The largest WebSocket frame, in bytes (API Gateway's quotas).
pub const FRAME_BYTES_MAX: usize = 32 * 1024;
/// The largest WebSocket message, in bytes, in both directions (API Gateway's quotas).
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// The longest address of a handshake, in characters (API Gateway's quotas).
pub const ADDRESS_CHARS_MAX: usize = 4_096;
/// The largest body of a request to the HTTP API, in bytes (API Gateway's quotas).
pub const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// How many connections one machine serves at a time.
pub const MACHINE_CONNECTIONS_MAX: u32 = 10_000;

/// The limits that can be set, to meet in seconds what takes hours on AWS.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A connection without a data frame in either direction is closed after this.
    pub idle: Duration,
    /// No connection lives longer.
    pub life: Duration,
    /// How many pushes one connection takes in a second; the rest gets 429. None: as many as fit its buffer.
    pub pushes_per_second: Option<u32>,
    /// How many of 100 `$disconnect`s go missing, as they may on AWS.
    pub lose_disconnects_percent: u8,
}

impl Default for Limits {
    /// AWS's limits.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(10 * 60),
            life: Duration::from_secs(2 * 60 * 60),
            pushes_per_second: None,
            lose_disconnects_percent: 0,
        }
    }
}

/// What the gateway serves.
#[derive(Debug)]
pub struct Api {
    /// The routes of the WebSocket API.
    pub websocket: WebSocketRoutes,
    /// The routes of the HTTP API.
    pub http_routes: Vec<HttpRoute>,
    /// Which web sites may use it besides its own.
    pub allowed_origins: Vec<Origin>,
    /// Who signs the tokens of `/dev/token`.
    pub tokens: TokenIssuer,
    /// The limits.
    pub limits: Limits,
    /// Who runs the functions.
    pub invoker: Invoker,
}
