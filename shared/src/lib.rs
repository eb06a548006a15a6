//! What every function of Parley shares, in reading order:
//!
//! 1. [`protocol`]: the wire. Ids, requests, events, limits of what a client may say.
//! 2. [`run`]: from an AWS event to a [`run::Function`]'s handler and back. The only file that knows API Gateway.
//! 3. [`app`]: what a handler may touch.
//! 4. [`send`]: one message's way, a file a step: look, decide, publish, effects, drop.
//! 5. [`store`]: the only place that knows DynamoDB, a file an item kind.
//! 6. [`archive`]: where old messages go, and [`history`]: pages of messages, wherever they are.
//! 7. [`waiting`]: what waits for whom.
//! 8. [`verify`]: whether all that is kept is as it must be.
//! 9. [`auth`], [`secret`], [`push`], [`queue`], [`config`], [`limits`], [`error`], [`telemetry`]: one concern each.

pub mod app;
pub mod archive;
pub mod auth;
pub mod config;
pub mod conversation;
pub mod crypto;
pub mod error;
pub mod history;
pub mod limits;
pub mod protocol;
pub mod push;
pub mod queue;
pub mod run;
mod s3;
pub mod secret;
pub mod send;
pub mod store;
pub mod telemetry;
pub mod verify;
pub mod waiting;
