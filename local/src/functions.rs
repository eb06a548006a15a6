//! stand-in
/// stand-in
#[must_use]
pub fn run(_name: &str) -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
