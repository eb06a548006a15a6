//! The Lambda binary.
fn main() -> std::process::ExitCode {
    sync::FUNCTION.main()
}
