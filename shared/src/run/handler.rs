//! What functions are called with, by the kind of event.

use futures::future::BoxFuture;
use serde_json::Value;
use wire::{Frame, Time};

use crate::app::{Answered, App};
use crate::auth::{Caller, Claims, Handshake, HttpRequest, Verifier};
use crate::error::Error;

/// What a handler's future gives.
pub type Handling<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Says who connects.
pub type Authorize = for<'a> fn(&'a Verifier, Handshake, Time) -> Handling<'a, Claims>;

/// Answers an HTTP request.
pub type Serve = for<'a> fn(&'a App, &'a Verifier, HttpRequest) -> Handling<'a, Value>;

/// Answers one frame.
pub type Answer = for<'a> fn(&'a App, Caller, Frame) -> Handling<'a, Answered>;
