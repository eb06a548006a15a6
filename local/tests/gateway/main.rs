//! What clients and functions see of the gateway, over real sockets. The functions are fakes, so that each test says
//! what they answer; everything else is the machine's own.
//!
//! [`world`] is a gateway with its functions and clients; then one file for each kind of story.

mod endings;
mod frames;
mod handshake;
mod http_api;
mod pushes;
mod sites;
mod world;
