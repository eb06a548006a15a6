//! What people who chat see, on the whole local machine: the real binary, real sockets, real function processes.
//!
//! [`world`] is a machine with its operator, [`client`] a person with a connection; then one file for each kind of story.

#[path = "../binary/mod.rs"]
mod binary;
mod client;
mod crashes;
mod people;
mod races;
mod refusals;
mod world;
