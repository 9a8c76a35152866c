//! Audio by media time: half a second of bytes, and a bit for each that is there.

use crate::codec::{CodedFrame, FRAME_SAMPLES};

/// Samples in the ring (512 ms): more than twice of what may wait. A power of two, for places are remainders by it.
pub const RING: usize = 4_096;

const WORDS: usize = RING / 64;

/// Audio by media time, and which samples of it are there.
#[derive(Debug)]
pub struct Ring {
    bytes: Box<[u8; RING]>,
    present: [u64; WORDS],
    gap: (usize, usize),
}

impl Ring {
    pub fn new() -> Self {
        Self {
            bytes: Box::new([0; RING]),
            present: [0; WORDS],
            gap: (0, 0),
        }
    }

    pub fn clear(&mut self) {
        self.present = [0; WORDS];
    }

    pub fn put(&mut self, at: i64, payload: &[u8]) {
        let start = index(at);
        let (head, tail) = payload.split_at(payload.len().min(RING - start));
        self.bytes[start..start + head.len()].copy_from_slice(head);
        self.bytes[..tail.len()].copy_from_slice(tail);
        self.each_word(at, payload.len(), |word, mask| *word |= mask);
    }

    pub fn discard(&mut self, from: i64, to: i64) {
        if to - from >= RING as i64 {
            self.clear();
        } else {
            self.each_word(from, (to - from) as usize, |word, mask| *word &= !mask);
        }
    }

    pub fn has(&self, at: i64, len: i64) -> bool {
        (0..)
            .map_while(|n| word_of(at, len, n))
            .all(|(word, mask)| self.present[word] & mask == mask)
    }

    /// First sample that is there in `from..to`.
    pub fn first(&self, from: i64, to: i64) -> Option<i64> {
        let mut at = from;
        while at < to {
            let bits = self.present[index(at) / 64] >> (at.rem_euclid(64));
            if bits != 0 {
                let found = at + i64::from(bits.trailing_zeros());
                return (found < to).then_some(found);
            }
            at += 64 - at.rem_euclid(64);
        }
        None
    }

    /// Copies a frame, present or not, and forgets it; gives the number of samples that were there.
    pub fn take(&mut self, at: i64, out: &mut CodedFrame) -> usize {
        self.copy(at, out);
        if self.has(at, FRAME_SAMPLES as i64) {
            self.each_word(at, FRAME_SAMPLES, |word, mask| *word &= !mask);
            return FRAME_SAMPLES;
        }
        let mut present = 0;
        let mut gap = None;
        for i in 0..FRAME_SAMPLES {
            let place = index(at + i as i64);
            if self.present[place / 64] >> (place % 64) & 1 == 1 {
                present += 1;
            } else {
                gap = Some((gap.map_or(i, |(first, _)| first), i + 1));
            }
        }
        self.gap = gap.unwrap_or((0, 0));
        self.each_word(at, FRAME_SAMPLES, |word, mask| *word &= !mask);
        present
    }

    /// From the first to behind the last sample that was missing in the frame taken last.
    pub fn taken_gap(&self) -> (usize, usize) {
        self.gap
    }

    pub fn copy(&self, at: i64, out: &mut [u8]) {
        let start = index(at);
        let (head, tail) = out.split_at_mut(out.len().min(RING - start));
        head.copy_from_slice(&self.bytes[start..start + head.len()]);
        tail.copy_from_slice(&self.bytes[..tail.len()]);
    }

    fn each_word(&mut self, at: i64, len: usize, change: impl Fn(&mut u64, u64)) {
        for (word, mask) in (0..).map_while(|n| word_of(at, len as i64, n)) {
            change(&mut self.present[word], mask);
        }
    }
}

fn index(at: i64) -> usize {
    at.rem_euclid(RING as i64) as usize
}

/// Which word holds the `n`th piece of `at..at + len`, and the bits of it there.
fn word_of(at: i64, len: i64, n: i64) -> Option<(usize, u64)> {
    let word = at.div_euclid(64) + n;
    let from = (at - word * 64).max(0);
    let to = (at + len - word * 64).min(64);
    (from < to).then(|| {
        (
            index(word * 64) / 64,
            u64::MAX >> (64 - (to - from)) << from,
        )
    })
}
