//! The Lambda binary.
fn main() -> std::process::ExitCode {
    presence::FUNCTION.main()
}
