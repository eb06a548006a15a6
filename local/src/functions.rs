//! The Lambda functions, as processes of this binary.
//!
//! On AWS each function is a binary of its own. On one machine there is one binary: it starts itself again as
//! `parley function NAME`, and [`run`] calls the very `main` that the function's binary has on AWS.

use std::process::ExitCode;

use shared::run::AnyFunction;

/// Every function, in the order of the folders of `functions/`.
pub static FUNCTIONS: [&dyn AnyFunction; 16] = [
    &admin::FUNCTION,
    &authorize::FUNCTION,
    &cleanup::FUNCTION,
    &connect::FUNCTION,
    &conversations::FUNCTION,
    &deliver::FUNCTION,
    &disconnect::FUNCTION,
    &groups::FUNCTION,
    &people::FUNCTION,
    &presence::FUNCTION,
    &read::FUNCTION,
    &send::FUNCTION,
    &sweep::FUNCTION,
    &sync::FUNCTION,
    &verify::FUNCTION,
    &wallet::FUNCTION,
];

/// The exit code of a command line that can't be understood, as `clap` has it.
const EXIT_USAGE: u8 = 2;

/// Is the function NAME until it ends. A name that no function has: an error on stderr, exit code 2.
pub fn run(name: &str) -> ExitCode {
    die_with_parent();
    if let Some(function) = FUNCTIONS.iter().find(|function| function.name() == name) {
        return function.main();
    }
    let names = FUNCTIONS.map(|function| function.name()).join(", ");
    eprintln!("error: there is no function `{name}`; there are {names}");
    ExitCode::from(EXIT_USAGE)
}

/// Asks the kernel to kill this process when the one that started it dies, however it dies.
///
/// There is no gap before this call: a process whose parent died earlier fails at its first poll of the Runtime API
/// and ends. Where the kernel has no such service, that failing poll is what ends a process, after its event at the
/// latest; one that is frozen gets the SIGHUP that POSIX sends to a stopped process whose group is orphaned (see
/// `_exit`; the runtime gives each process a group of its own).
pub fn die_with_parent() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
        eprintln!("warning: this process may outlive the one that started it: {error}");
    }
}
