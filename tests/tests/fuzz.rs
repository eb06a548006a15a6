//! The seeds of `fuzz/run` hold, and name everything that they should.

use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_seed_of_a_frame_holds() {
    let seeds = read("seeds/frame.txt");
    seeds.lines().for_each(|seed| tests::fuzz::frame(seed.as_bytes()));
    let samples = wire::ACTIONS.iter().flat_map(wire::Action::frames);
    samples.for_each(|frame| tests::fuzz::frame(frame.to_string().as_bytes()));
}

#[test]
fn every_seed_of_an_event_holds() {
    let seeds = read("seeds/event.txt");
    for seed in seeds.split("\n\n") {
        assert!(tests::fuzz::scene(seed.as_bytes()), "nothing to play: {seed}");
    }
}

#[test]
fn every_function_is_among_the_words() {
    let words = read("wire.dict");
    for function in local::functions::FUNCTIONS {
        let name = function.name();
        assert!(words.contains(&format!("\"\\x0a{name} \"")), "fuzz/wire.dict lacks {name}");
    }
}
