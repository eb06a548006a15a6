//! The Lambda binary.
fn main() -> std::process::ExitCode {
    authorize::FUNCTION.main()
}
