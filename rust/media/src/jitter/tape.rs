//! Decoded audio: what has been played lately, and what waits to be.

use plenary_codec::Rate;

/// Audio that is remembered after it has been played (60 ms): three pitch periods of the deepest voice.
pub const PAST_MS: usize = 60;

/// Room for what waits, in milliseconds: a few frames, so that the past is seldom moved. Who needs more gets it once.
const ROOM_MS: usize = 100;

/// A strip of samples with a reading place on it.
#[derive(Debug)]
pub struct Tape {
    samples: Vec<i16>,
    past: usize,
    read: usize,
}

impl Tape {
    pub fn new(rate: Rate) -> Self {
        let past = PAST_MS * rate.per_ms();
        let mut samples = Vec::with_capacity(past + ROOM_MS * rate.per_ms());
        samples.resize(past, 0);
        Self {
            samples,
            past,
            read: past,
        }
    }

    /// Samples that wait.
    pub fn pending(&self) -> usize {
        self.waiting().len()
    }

    pub fn waiting(&self) -> &[i16] {
        &self.samples[self.read..]
    }

    /// The last [`PAST_MS`] before the end, played or not.
    pub fn past(&self) -> &[i16] {
        &self.samples[self.samples.len() - self.past..]
    }

    /// All samples, and where those begin that wait: at least [`PAST_MS`] lie before that.
    pub fn parts(&mut self) -> (&mut Vec<i16>, usize) {
        (&mut self.samples, self.read)
    }

    /// The samples, to append up to `len` to without an allocation.
    pub fn room_for(&mut self, len: usize) -> &mut Vec<i16> {
        if self.samples.len() + len > self.samples.capacity() {
            self.samples.drain(..self.read - self.past);
            self.read = self.past;
        }
        &mut self.samples
    }

    /// Appends `len` samples of silence; the past before them, and they.
    pub fn append(&mut self, len: usize) -> (&[i16], &mut [i16]) {
        let samples = self.room_for(len);
        let end = samples.len();
        samples.resize(end + len, 0);
        let (past, new) = self.samples[end - self.past..].split_at_mut(self.past);
        (past, new)
    }

    /// The last `len` samples that wait, and the past before them.
    pub fn newest(&mut self, len: usize) -> (&[i16], &mut [i16]) {
        let from = self.samples.len() - len.min(self.pending());
        let (past, new) = self.samples[from - self.past..].split_at_mut(self.past);
        (past, new)
    }

    /// Takes `len` samples out, `ago` before the end.
    pub fn remove(&mut self, ago: usize, len: usize) {
        let from = self.samples.len() - ago.min(self.pending());
        let to = (from + len).min(self.samples.len());
        self.samples.drain(from..to);
    }

    /// Moves the reading place on over `out`; what isn't there is silence.
    pub fn take(&mut self, out: &mut [i16]) {
        let len = out.len().min(self.pending());
        out[..len].copy_from_slice(&self.samples[self.read..self.read + len]);
        out[len..].fill(0);
        self.read += len;
    }

    /// Nothing waits, and nothing was.
    pub fn clear(&mut self) {
        self.samples.truncate(self.past);
        self.samples.fill(0);
        self.read = self.past;
    }

    /// Bytes that were allocated.
    pub fn memory(&self) -> usize {
        self.samples.capacity() * size_of::<i16>()
    }
}
