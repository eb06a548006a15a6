//! The Lambda binary.
fn main() -> std::process::ExitCode {
    verify::FUNCTION.main()
}
