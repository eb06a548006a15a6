//! Stub.
use shared::run::Function;
/// The function.
pub static FUNCTION: Function = Function { name: "send" };
