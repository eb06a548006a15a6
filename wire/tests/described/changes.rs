//! Frames with one thing changed: a field left out, or another value in its place.

use serde_json::{Map, Value, json};

/// What may stand somewhere instead: something of each type.
pub(crate) fn of_each_type() -> Vec<Value> {
    let plain = [json!(null), json!(true), json!(false), json!(-1), json!(0), json!(1), json!(1.5)];
    let texts = ["", "x", "a b", "é", "a\nb", "a\u{0}b", "a\u{85}b", "2026-01-01", "sent"].map(|text| json!(text));
    let lists = [json!([]), json!([7]), json!(["bob"]), json!([""]), json!([null]), json!({})];
    plain.into_iter().chain(texts).chain(lists).collect()
}

/// What may stand somewhere instead of a value of the same type: what is as long or as large as some limit, or just beyond it.
pub(crate) fn about_limits() -> Vec<Value> {
    let texts = [64, 65, 128, 129, 1_024, 1_025, 10_000, 10_001].map(|length| json!("x".repeat(length)));
    let numbers = [50, 100, 101, 9_007_199_254_740_991_u64, 9_007_199_254_740_992].map(|number| json!(number));
    let lists = [100, 101].map(|length| json!(vec!["u"; length]));
    let many = |count: usize| (0..count).map(|n| (format!("c{n}"), json!(n))).collect::<Map<_, _>>();
    let objects = [json!({ "c": 1 }), json!({ "a b": 1 }), json!({ "": 1 }), json!({ "c": -1 }), json!({ "c": null })];
    let objects = objects.into_iter().chain([4_096, 4_097].map(|count| Value::Object(many(count))));
    // However a whole number is written, it is one.
    [json!(2.0)].into_iter().chain(texts).chain(numbers).chain(lists).chain(objects).collect()
}

/// The frame with each thing in it left out, or changed to each of these, and to those of the same type; and in words, what was changed.
pub(crate) fn changed(frame: &Value, to: &[Value], to_same_type: &[Value]) -> Vec<(String, Value)> {
    let mut places = Vec::new();
    places_in(frame, "", &mut places);
    let mut frames = Vec::new();
    for place in places {
        let mut without = frame.clone();
        let (parent, name) = place.rsplit_once('/').expect("a place in something");
        if let Some(Value::Object(object)) = without.pointer_mut(parent) {
            object.remove(name);
            frames.push((format!("without {place}"), without));
        }
        let is = frame.pointer(&place).map(std::mem::discriminant);
        let same_type = to_same_type.iter().filter(|value| is == Some(std::mem::discriminant(*value)));
        for value in to.iter().chain(same_type) {
            let mut other = frame.clone();
            *other.pointer_mut(&place).expect("it is there") = value.clone();
            let mut value = value.to_string();
            value.truncate(value.floor_char_boundary(60));
            frames.push((format!("{place} = {value}"), other));
        }
    }
    frames
}

/// Each two of these frames in one.
pub(crate) fn together(frames: &[&Value]) -> Vec<(String, Value)> {
    let mut both = Vec::new();
    for one in frames {
        for other in frames {
            let (one, other) = (one.as_object().expect("a frame"), other.as_object().expect("a frame"));
            let frame: Map<_, _> = one.clone().into_iter().chain(other.clone()).collect();
            let frame = Value::Object(frame);
            both.push((frame.to_string(), frame));
        }
    }
    both
}

/// The JSON pointers of everything in a value.
fn places_in(value: &Value, here: &str, places: &mut Vec<String>) {
    let mut each = |name: String, value: &Value| {
        let place = format!("{here}/{}", name.replace('~', "~0").replace('/', "~1"));
        places_in(value, &place, places);
        places.push(place);
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| each(name.clone(), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| each(at.to_string(), item)),
        _ => {}
    }
}
