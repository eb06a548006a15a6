//! What must hold for any bytes at all. `fuzz/run` searches for bytes for which it doesn't, guided by what code they
//! reach; `cargo test` tries the seeds that the search begins with. Whatever breaks a rule panics.

mod frame;
mod scene;

pub use frame::frame;
pub use scene::scene;
