//! A world to test in: the functions as they are deployed, the real AWS SDK, and in place of the network an in-process
//! engine and gateway. No sockets, and with tokio's paused clock no waiting.
//!
//! 1. [`world`] has the [`World`]: deployment, time, invocations, the operators' verbs.
//! 2. [`person`] has the people in it, as values with verbs: `ann.connects()`, `phone.sends_to("bob", "hi")`.
//! 3. [`gateway`] is API Gateway, by the local machine's rules: from a handshake, a frame or an HTTP request to a function's
//!    event and back.
//! 4. [`network`] is the HTTP client under the SDK: carries calls, counts them, and breaks them when asked to.
//! 5. [`operation`] is what such a call asks.
//! 6. [`policy`] is IAM: says whether a function may make a call.
//! 7. [`engine`] is DynamoDB.
//! 8. [`bucket`] is S3.
//! 9. [`planted`] is what these functions can't read.
//! 10. [`soundness`] says what must hold, read from the engine directly.
//! 11. [`simulation`] runs such worlds from a seed, with faults everywhere.
//! 12. [`fuzz`] says what must hold for any bytes.
//!
//! And beside that world, with nothing of it: [`model`], where a send's way is explored state by state, [`membership`],
//! where a group's is, and [`changes`], where that of a message that changes is: all by [`search`], and all in the list of
//! [`models`].

pub mod bucket;
pub mod changes;
pub mod engine;
pub mod fuzz;
pub mod gateway;
mod images;
mod lock;
pub mod membership;
pub mod model;
pub mod models;
pub mod network;
pub mod operation;
pub mod person;
pub mod planted;
pub mod policy;
pub mod search;
pub mod simulation;
pub mod soundness;
mod unsigned;
pub mod world;
pub mod years;

pub use gateway::{Handshake, HttpAnswer};
pub use network::{Call, Fault};
pub use operation::Operation;
pub use person::{Answer, Ids, Person, Phone};
pub use world::{Setup, World};
