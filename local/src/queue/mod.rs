//! SQS on one machine: standard queues in memory, with what the functions and Lambda's event source need of it.
//!
//! In reading order: `queues` has the queues and their messages; `api` is the JSON protocol over them, `server` has it on
//! loopback; [`event_source`] is what Lambda does with a queue: receive batches, call the function, delete what went well.
//!
//! What differs from AWS: a restart forgets what waits. What is queued here can always be done without.

mod api;
pub mod event_source;
mod queues;
mod server;

pub use queues::{Message, Queues};
pub use server::serve;
