//! A thin client of Parley: for tests and load generators, and to be read by whoever writes another. docs/protocol.md says what a
//! client keeps; this does so, and no more: nothing is stored, and what wasn't sent before a crash is gone.
//!
//! In reading order: [`connection`], one WebSocket that asks and hears; [`kept`], what a device holds of its conversations, without
//! a network; [`device`], which stays connected, syncs, fills gaps and repeats what has no final answer; [`problem`].
//!
//! It speaks `ws://`, which is what one machine serves.

pub mod connection;
pub mod device;
pub mod kept;
pub mod problem;

pub use connection::Connection;
pub use device::Device;
pub use kept::{Held, Kept};
pub use problem::Problem;
