//! The embedded DynamoDB engine, and the table in it.
//!
//! The engine is served over loopback HTTP, so the functions reach it through the same SDK calls as on AWS, and so can
//! any other AWS client. It has a thread and a tokio runtime of its own, because it works synchronously and would make
//! the gateway's tasks late. It listens on loopback only and asks for no valid signature. Like other local engines
//! it allows any origin (CORS): unlike the gateway, it doesn't keep out web sites that a browser here has open.
//!
//! In reading order: `server` starts and stops it; `database` opens its file; `table` makes the table; `mark` keeps a second
//! machine from it; `error` says why any of
//! that can't be.

mod database;
mod error;
mod mark;
mod server;
mod table;

pub(crate) use database::soundness;
pub use database::{DatabaseError, make_database};
pub use error::EngineError;
pub use mark::Mark;
pub use server::{Engine, PORT_DEFAULT, Port};
pub use table::{ACCESS_KEY, ensure_table};
