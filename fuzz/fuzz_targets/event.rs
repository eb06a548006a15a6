//! Any lines as what happens to the functions.
#![no_main]

use libfuzzer_sys::Corpus;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| -> Corpus {
    // What plays nothing isn't worth keeping.
    if tests::fuzz::scene(bytes) { Corpus::Keep } else { Corpus::Reject }
});
