//! What many a server does: a fixed delay, the last frame again, ever softer, where one is missing.

use std::collections::BTreeMap;

use plenary_codec::{Codec, Decoder, Frame, Rate};

/// Ticks that a packet waits at least.
const DELAY_TICKS: i64 = 3;

/// Frames that wait at most before the buffer begins anew.
const FRAMES_MAX: i64 = 12;

/// Playout buffer for packets of one frame.
pub struct Naive {
    decoder: Decoder,
    /// By number of the frame in the stream.
    frames: BTreeMap<i64, Vec<u8>>,
    next: Option<i64>,
    newest: i64,
    last: Vec<i16>,
    gain: f32,
    pub concealed: u64,
}

impl Naive {
    pub fn new(codec: Codec, rate: Rate) -> Naive {
        Naive {
            decoder: Decoder::new(codec, rate),
            frames: BTreeMap::new(),
            next: None,
            newest: 0,
            last: Vec::new(),
            gain: 0.0,
            concealed: 0,
        }
    }

    pub fn push(&mut self, frame: i64, payload: &[u8]) {
        let next = *self.next.get_or_insert(frame - DELAY_TICKS);
        self.newest = self.newest.max(frame);
        if frame >= next {
            self.frames.insert(frame, payload.to_vec());
        }
    }

    /// Number of the frame that was played.
    pub fn pull(&mut self, out: &mut Frame) -> Option<i64> {
        let next = self.next.as_mut()?;
        let newest = self.newest;
        if newest - *next > FRAMES_MAX || newest < *next {
            *next = newest - DELAY_TICKS;
        }
        let played = *next;
        *next += 1;
        self.frames = self.frames.split_off(&played);
        out.clear(self.decoder.rate());
        match self.frames.remove(&played) {
            Some(payload) => {
                self.last.clear();
                if self.decoder.decode(&payload, &mut self.last).is_ok() {
                    self.gain = 1.0;
                }
            }
            None => {
                self.gain *= 0.5;
                self.concealed += 1;
            }
        }
        for (out, sample) in out.iter_mut().zip(&self.last) {
            *out = (f32::from(*sample) * self.gain) as i16;
        }
        Some(played)
    }
}
