//! S3, in process: one bucket of objects that are written once.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;

use crate::lock::lock;
use crate::operation::Operation;

/// The bucket.
#[derive(Default)]
pub struct Bucket {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Bucket {
    /// Answers a call: status and body.
    pub(crate) fn answer(&self, operation: &Operation, body: &[u8]) -> (u16, Vec<u8>) {
        match operation {
            Operation::PutObject(name) => {
                self.put(name, body);
                (200, Vec::new())
            }
            Operation::GetObject(name) => match self.get(name) {
                Some(bytes) => (200, bytes),
                None => (404, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
            },
            other => panic!("no call to S3: {other:?}"),
        }
    }

    /// Takes an object.
    ///
    /// # Panics
    /// When there is another of this name: whoever writes one again writes the same.
    fn put(&self, name: &str, bytes: &[u8]) {
        let before = lock(&self.objects).insert(name.to_owned(), bytes.to_vec());
        assert!(before.is_none_or(|before| before == bytes), "{name} was written again with something else");
    }

    /// Gives an object.
    fn get(&self, name: &str) -> Option<Vec<u8>> {
        lock(&self.objects).get(name).cloned()
    }

    /// An object's lines; none where there is no object.
    ///
    /// # Panics
    /// When it can't be read.
    pub(crate) fn lines(&self, name: &str) -> Vec<Value> {
        let text = self.get(name).map(|bytes| zstd::decode_all(bytes.as_slice()).expect("zstd")).unwrap_or_default();
        let text = String::from_utf8(text).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// How many there are, and the bytes of each.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        lock(&self.objects).values().map(Vec::len).collect()
    }

    /// Every object.
    pub(crate) fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        lock(&self.objects).clone()
    }

    /// Holds these again, and no others.
    pub(crate) fn restore(&self, objects: &BTreeMap<String, Vec<u8>>) {
        lock(&self.objects).clone_from(objects);
    }
}
