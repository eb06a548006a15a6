//! The Lambda binary.
fn main() -> std::process::ExitCode {
    cleanup::FUNCTION.main()
}
