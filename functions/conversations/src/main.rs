//! The Lambda binary.
fn main() -> std::process::ExitCode {
    conversations::FUNCTION.main()
}
