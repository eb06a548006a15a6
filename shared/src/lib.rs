//! Stub.
pub mod run;
