//! S3 for the functions of this machine: one bucket, whose objects are files below the data directory, or in memory.
//!
//! It serves the two calls that the functions make, and no more: `bucket` has the objects, `server` is the way there. Like the
//! engine it asks for no valid signature, and listens on loopback only.

mod bucket;
mod server;

pub use bucket::{Bucket, OBJECT_BYTES_MAX, OBJECTS, Objects};
pub use server::serve;
