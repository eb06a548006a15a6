//! The Lambda binary.
fn main() -> std::process::ExitCode {
    groups::FUNCTION.main()
}
