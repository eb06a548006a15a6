//! The Lambda binary.
fn main() -> std::process::ExitCode {
    connect::FUNCTION.main()
}
