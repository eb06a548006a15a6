//! The Lambda binary.
fn main() -> std::process::ExitCode {
    sweep::FUNCTION.main()
}
