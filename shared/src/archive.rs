//! The archive: old messages as objects of S3 (the private module `s3`), many in one.
//!
//! An object holds consecutive numbers of one conversation: a line of JSON for each, compressed. It never changes, so
//! whoever writes it again writes the same. Which object holds which numbers is in SEGMENT items
//! ([`crate::store::segments`]); pages of history are joined from both in [`crate::chat::history`].

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::ops::RangeInclusive;

use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};
use wire::{ConversationId, Seq};

use crate::aws::s3::Bucket;
use crate::error::Error;
use crate::limits::SEGMENT_TEXT_BYTES_MAX;
use crate::store::log::LogItem;
use crate::store::segments::Segment;

/// How hard zstd tries: its own default. More costs much time for few bytes.
const ZSTD_LEVEL: i32 = 3;

/// One line of an object.
#[derive(Serialize, Deserialize)]
struct Line {
    seq: Seq,
    #[serde(flatten)]
    item: LogItem,
}

/// The archive: one bucket.
#[derive(Clone, Debug)]
pub struct Archive(Bucket);

/// The name of the object with these numbers of a conversation, as it is first written. One that is written anew, without
/// somebody's messages, will have another name, and SEGMENT says which one counts.
pub fn object_name(conversation: &ConversationId, numbers: &RangeInclusive<Seq>) -> String {
    format!("segments/{conversation}/{:020}-{:020}.ndjson.zst", numbers.start().0, numbers.end().0)
}

impl Archive {
    /// In this bucket.
    pub fn open(sdk: &SdkConfig, bucket: String) -> Self {
        Self(Bucket::new(sdk, &bucket))
    }

    /// Writes an object; says how many bytes it has.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when S3 doesn't take it.
    pub async fn put(&self, object: &str, slots: &[(Seq, LogItem)]) -> Result<usize, Error> {
        let bytes = compress(slots).map_err(|error| Error::Internal(format!("{object}: {error}")))?;
        let size = bytes.len();
        self.0.put(object, bytes, "application/zstd").await?;
        Ok(size)
    }

    /// Reads some of a segment's messages, in the order of their numbers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when S3 doesn't answer; [`Error::Unreadable`] when it doesn't give the object, or that isn't what
    /// was written.
    pub async fn read(&self, segment: &Segment, numbers: RangeInclusive<Seq>) -> Result<Vec<(Seq, LogItem)>, Error> {
        let object = &segment.object;
        let bytes = self.0.get(object).await?;
        // What the error quotes may be what somebody wrote.
        extract(&bytes, segment.first, &numbers)
            .map_err(|error| Error::Unreadable(format!("{object}: {}", error.kind())))
    }
}

/// What a message takes of [`crate::limits::SEGMENT_BYTES_MAX`].
pub fn line_bytes(seq: Seq, item: &LogItem) -> usize {
    serde_json::to_string(&Line { seq, item: item.clone() }).map_or(0, |line| line.len() + 1)
}

fn compress(slots: &[(Seq, LogItem)]) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    for (seq, item) in slots {
        serde_json::to_writer(&mut encoder, &Line { seq: *seq, item: item.clone() })?;
        encoder.write_all(b"\n")?;
    }
    encoder.finish()
}

/// The lines of these numbers, where the first line has the number FIRST.
fn extract(bytes: &[u8], first: Seq, numbers: &RangeInclusive<Seq>) -> std::io::Result<Vec<(Seq, LogItem)>> {
    // One byte more than may be there, so that an object that holds more is no object that ends in the middle of a line.
    let text = zstd::Decoder::new(bytes)?.take(SEGMENT_TEXT_BYTES_MAX as u64 + 1);
    let mut found = Vec::new();
    let mut next = first;
    for line in BufReader::new(text).lines() {
        let line = line?;
        if numbers.contains(&next) {
            let Line { seq, item } = serde_json::from_str(&line)?;
            if seq != next {
                return Err(std::io::Error::other(format!("{seq} stands where {next} should")));
            }
            found.push((seq, item));
        }
        next = next.next();
        if next > *numbers.end() {
            return Ok(found);
        }
    }
    Err(std::io::Error::other(format!("ends before {}", numbers.end())))
}

#[cfg(test)]
mod tests {
    use wire::{Coins, SendId, Time};

    use super::*;
    use crate::limits::SEGMENT_BYTES_MAX;

    /// Consecutive messages of so many bytes in all, or a message more.
    fn slots(bytes: usize) -> Vec<(Seq, LogItem)> {
        let (sender, client_message_id) = ("ann".parse().expect("an id"), "m".parse().expect("an id"));
        let item = LogItem {
            sid: SendId::new(&sender, &client_message_id),
            sender,
            client_message_id,
            content: "x".repeat(10_000),
            reply_to: None,
            price: Coins(0),
            created_at: Time { ms: 0 },
            void: false,
        };
        let each = line_bytes(Seq(1), &item);
        (1..=bytes.div_ceil(each) as u64).map(|n| (Seq(n), item.clone())).collect()
    }

    #[test]
    fn a_text_is_read_up_to_a_limit() {
        for (bytes, is_read) in [(SEGMENT_BYTES_MAX, true), (SEGMENT_TEXT_BYTES_MAX, false)] {
            let slots = slots(bytes);
            let last = slots.len() as u64;
            let object = compress(&slots).expect("it is written");
            assert_eq!(extract(&object, Seq(1), &(Seq(last)..=Seq(last))).is_ok(), is_read, "{last} messages");
        }
    }
}
