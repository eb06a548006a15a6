//! The Lambda binary.
fn main() -> std::process::ExitCode {
    people::FUNCTION.main()
}
