//! What the programs in here share: the machine's binary, as somebody starts it, and what goes wrong with it.

pub mod machine;
pub mod problem;
