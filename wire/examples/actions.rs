//! Prints the table of actions, for what isn't written in Rust: `json`, one action a line; `frames`, one frame a line; `words`,
//! what means something in a frame, as libFuzzer's dictionaries are written.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::{Value, json};
use wire::{ACTIONS, Action};

fn main() -> ExitCode {
    let form = std::env::args().nth(1);
    let lines: Vec<String> = match form.as_deref() {
        Some("json") => ACTIONS.iter().map(in_json).collect(),
        Some("frames") => ACTIONS.iter().flat_map(Action::frames).map(|frame| frame.to_string()).collect(),
        Some("words") => words().into_iter().collect(),
        _ => {
            eprintln!("usage: actions json|frames|words");
            return ExitCode::from(2);
        }
    };
    println!("{}", lines.join("\n"));
    ExitCode::SUCCESS
}

fn in_json(action: &Action) -> String {
    let frames: Vec<Value> = action.frames().collect();
    json!({ "name": action.name, "answer": action.answer, "frames": frames }).to_string()
}

fn words() -> BTreeSet<String> {
    let names = ACTIONS.iter().map(|action| format!(r#""\"{}\"""#, action.name));
    let frames = ACTIONS.iter().flat_map(Action::frames);
    let fields = frames.flat_map(|frame| frame.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>()));
    names.chain(fields.flatten().map(|field| format!(r#""\"{field}\":""#))).collect()
}
