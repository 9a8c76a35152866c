//! Coded silence that repeats itself, so that it need not be decoded.
//!
//! Who mutes a browser goes on sending: libopus is given zeros, and soon makes ever the same packets of them, or a few in
//! turn. (G.722 does not: its predictors keep moving.) What a packet becomes depends on what was decoded before it as well,
//! but after silence the same packet is silence again. So a few that were are remembered. The last that was left out is
//! decoded before something else is, that the decoder may know what it would have known.

use std::hash::{DefaultHasher, Hasher};

/// Packets that are remembered: libopus makes one to eight of zeros, by its settings.
const KNOWN_MAX: usize = 8;

/// What silence has been coded as lately.
#[derive(Debug, Default)]
pub struct Silences {
    /// Hashes; the peer who finds two packets of one hash has silenced himself.
    known: [Option<u64>; KNOWN_MAX],
    oldest: usize,
    /// The payload that was left out last, and whether there is one.
    left_out: Vec<u8>,
    behind: bool,
}

impl Silences {
    pub fn clear(&mut self) {
        self.known = [None; KNOWN_MAX];
        self.behind = false;
    }

    /// A packet after silence that was silence.
    pub fn learn(&mut self, payload: &[u8]) {
        self.known[self.oldest] = Some(hash(payload));
        self.oldest = (self.oldest + 1) % KNOWN_MAX;
    }

    pub fn knows(&self, payload: &[u8]) -> bool {
        self.known.contains(&Some(hash(payload)))
    }

    /// A packet isn't decoded; its payload is changed for another buffer.
    pub fn leave_out(&mut self, payload: &mut Vec<u8>) {
        core::mem::swap(&mut self.left_out, payload);
        self.behind = true;
    }

    /// What the decoder has to hear first, once.
    pub fn take_left_out(&mut self) -> Option<&[u8]> {
        core::mem::take(&mut self.behind).then_some(&self.left_out)
    }

    /// Bytes that were allocated.
    pub fn memory(&self) -> usize {
        self.left_out.capacity()
    }
}

fn hash(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(payload);
    hasher.finish()
}
