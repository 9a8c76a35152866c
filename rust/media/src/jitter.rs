//! Playout buffer of one G.711 stream.

use core::time::Duration;

use crate::codec::{Codec, CodedFrame};
use crate::rtp::source::Place;

/// What [`JitterBuffer::pull`] has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playout {
    /// All 160 bytes are there.
    Frame,
    /// Samples in this range are missing and to be concealed; the other bytes are there.
    Conceal { from: usize, to: usize },
    /// Nothing is being said: nothing was written.
    Silence,
}

/// What the buffer has done so far and how deep it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Packets that came after their time had passed.
    pub late: u64,
    pub concealed_ms: u64,
    /// Audio that waits now.
    pub buffer_ms: u32,
    /// Wait between arrival and playing that the observed jitter asks for.
    pub target_ms: u32,
}

/// Playout buffer of one stream of G.711: packets in as they come, one frame out at every tick.
#[derive(Debug)]
pub struct JitterBuffer {}

impl JitterBuffer {
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        let _ = codec;
        Self {}
    }

    /// The peer changes the law: what waits is dropped.
    pub fn set_codec(&mut self, codec: Codec) {
        let _ = codec;
    }

    /// Takes a packet that arrived at `now`; `payload` is G.711, a byte a sample, of any length.
    pub fn push(&mut self, now: Duration, place: Place, payload: &[u8], marker: bool) {
        let _ = (now, place, payload, marker);
    }

    /// The next 20 ms, asked for once a tick.
    pub fn pull(&mut self, now: Duration, out: &mut CodedFrame) -> Playout {
        let _ = (now, out);
        Playout::Silence
    }

    #[must_use]
    pub fn stats(&self) -> JitterStats {
        JitterStats::default()
    }
}
