//! The Lambda binary.
fn main() -> std::process::ExitCode {
    send::FUNCTION.main()
}
