//! The Lambda binary.
fn main() -> std::process::ExitCode {
    read::FUNCTION.main()
}
