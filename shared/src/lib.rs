//! What every function of Parley shares: a house in which each floor uses those below it, and nothing above.
//!
//! | floor | what |
//! |---|---|
//! | 5 | [`run`]: from an AWS event to a handler and back. The only floor that knows Lambda's events |
//! | 4 | [`chat`]: what handlers do together: one message's way, conversations, history, what waits, `verify` |
//! | 3 | [`app`]: what a handler may touch; [`auth`]: who asks; [`memory`]: what a process remembers |
//! | 2 | the outside, each the only place that knows its service: [`store`], [`push`], [`queue`], [`archive`], [`secret`] |
//! | 1 | [`aws`]: the SDK's settings, S3's two calls, time limits, warming |
//! | 0 | [`telemetry`], [`config`], [`clock`], `jitter`, [`error`], [`limits`] |
//!
//! Below the house is the crate `wire`: what clients and servers say to each other.

pub mod app;
pub mod archive;
pub mod auth;
pub mod aws;
pub mod chat;
pub mod clock;
pub mod config;
pub mod error;
mod jitter;
pub mod limits;
pub mod memory;
pub mod push;
pub mod queue;
pub mod run;
pub mod secret;
pub mod store;
pub mod telemetry;
