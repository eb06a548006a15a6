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
}

#[test]
fn every_seed_of_an_event_holds() {
    let seeds = read("seeds/event.txt");
    for seed in seeds.split("\n\n") {
        assert!(tests::fuzz::scene(seed.as_bytes()), "nothing to play: {seed}");
    }
}

#[test]
fn every_action_and_every_function_is_among_the_seeds_and_the_words() {
    let (frames, scenes, words) = (read("seeds/frame.txt"), read("seeds/event.txt"), read("wire.dict"));
    for (action, _) in tests::simulation::ACTIONS {
        assert!(frames.contains(&format!("\"{action}\"")), "fuzz/seeds/frame.txt lacks {action}");
        assert!(scenes.contains(&format!("\"{action}\"")), "fuzz/seeds/event.txt lacks {action}");
        assert!(words.contains(&format!("\"\\\"{action}\\\"\"")), "fuzz/wire.dict lacks {action}");
    }
    for function in local::functions::FUNCTIONS {
        assert!(words.contains(&format!("\"\\x0a{} \"", function.name())), "fuzz/wire.dict lacks {}", function.name());
    }
}
