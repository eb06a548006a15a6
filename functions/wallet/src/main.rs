//! The Lambda binary.
fn main() -> std::process::ExitCode {
    wallet::FUNCTION.main()
}
