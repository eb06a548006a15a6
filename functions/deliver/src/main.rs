//! The Lambda binary.
fn main() -> std::process::ExitCode {
    deliver::FUNCTION.main()
}
