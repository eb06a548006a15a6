//! S3, in process: one bucket of objects that are written once.

use std::sync::{Arc, Mutex};

use local::s3::{self, Objects};
use serde_json::Value;

use crate::lock::lock;
use crate::operation::Operation;

/// The bucket.
#[derive(Default)]
pub struct Bucket {
    objects: Arc<Mutex<Objects>>,
}

impl Bucket {
    /// Answers a call: status and body.
    ///
    /// # Panics
    /// When it writes an object again, with something else: whoever writes one again writes the same.
    pub(crate) fn answer(&self, operation: &Operation, body: &[u8]) -> (u16, Vec<u8>) {
        let (method, name) = match operation {
            Operation::PutObject(name) => ("PUT", name),
            Operation::GetObject(name) => ("GET", name),
            other => panic!("no call to S3: {other:?}"),
        };
        let before = lock(&self.objects).get(name).cloned();
        let same = method == "GET" || before.is_none_or(|before| before == body);
        assert!(same, "{name} was written again with something else");
        let (status, answer) = s3::Bucket::in_memory(self.objects.clone()).answer(method, name, body.to_vec().into());
        (status.as_u16(), answer.into())
    }

    /// An object's lines; none where there is no object.
    ///
    /// # Panics
    /// When it can't be read.
    pub(crate) fn lines(&self, name: &str) -> Vec<Value> {
        let object = lock(&self.objects).get(name).cloned();
        let text = object.map(|bytes| zstd::decode_all(&*bytes).expect("zstd")).unwrap_or_default();
        let text = String::from_utf8(text).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// How many there are, and the bytes of each.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        lock(&self.objects).values().map(|object| object.len()).collect()
    }

    /// Every object.
    pub(crate) fn snapshot(&self) -> Objects {
        lock(&self.objects).clone()
    }

    /// Holds these again, and no others.
    pub(crate) fn restore(&self, objects: &Objects) {
        lock(&self.objects).clone_from(objects);
    }
}
