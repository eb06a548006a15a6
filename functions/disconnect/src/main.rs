//! The Lambda binary.
fn main() -> std::process::ExitCode {
    disconnect::FUNCTION.main()
}
