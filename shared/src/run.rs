//! Stub.
use std::process::ExitCode;
/// One Lambda function.
pub struct Function {
    /// The name of its folder.
    pub name: &'static str,
}
impl Function {
    /// Runs the Lambda loop.
    pub fn main(&self) -> ExitCode {
        ExitCode::SUCCESS
    }
}
