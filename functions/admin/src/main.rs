//! The Lambda binary.
fn main() -> std::process::ExitCode {
    admin::FUNCTION.main()
}
