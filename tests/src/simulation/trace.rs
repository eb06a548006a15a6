//! What happened, in order: a hash over all of it, and the last of it in words.

use std::collections::VecDeque;

use tokio::time::Instant;

/// Every event of a run.
pub(super) struct Trace {
    began: Instant,
    hash: u64,
    lines: VecDeque<String>,
    /// How many lines are kept.
    kept: usize,
}

impl Trace {
    pub(super) fn new(kept: usize) -> Self {
        // FNV-1a, 64 bits: <https://www.rfc-editor.org/rfc/rfc9923>.
        Self { began: Instant::now(), hash: 0xCBF2_9CE4_8422_2325, lines: VecDeque::new(), kept }
    }

    /// Something happened.
    pub(super) fn add(&mut self, what: &str) {
        let ms = self.began.elapsed().as_millis();
        let line = format!("{ms:>8} ms  {what}");
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if self.lines.len() == self.kept {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The hash over all events.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// The last events.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}
