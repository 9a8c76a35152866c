//! The codecs of a leg. A frame is 20 ms of mono at 8 kHz: 160 samples of `i16`, or 160 coded bytes.

pub mod g711;

use crate::rtp::Pt;

/// Samples a second of every frame in the engine.
pub const SAMPLE_RATE_HZ: u32 = 8_000;

/// Samples of a frame of 20 ms; for G.711 also its coded bytes.
pub const FRAME_SAMPLES: usize = 160;

/// 20 ms of linear mono audio.
pub type Frame = [i16; FRAME_SAMPLES];

/// 20 ms of G.711, as it came or as it will be sent.
pub type CodedFrame = [u8; FRAME_SAMPLES];

/// G.711 in its two laws (ITU-T G.711, RFC 3551 section 4.5.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Pcmu,
    Pcma,
}

impl Codec {
    /// The static payload type of RFC 3551.
    #[must_use]
    pub fn static_pt(self) -> Pt {
        match self {
            Self::Pcmu => Pt(0),
            Self::Pcma => Pt(8),
        }
    }

    /// The name in `a=rtpmap`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// The coded byte of a sample of zero.
    #[must_use]
    pub fn silence(self) -> u8 {
        match self {
            Self::Pcmu => 0xff,
            Self::Pcma => 0xd5,
        }
    }

    /// Decodes each byte of `coded` to a sample of `pcm`; the shorter of the two lengths counts.
    pub fn decode(self, coded: &[u8], pcm: &mut [i16]) {
        match self {
            Self::Pcmu => g711::decode_ulaw(coded, pcm),
            Self::Pcma => g711::decode_alaw(coded, pcm),
        }
    }

    /// Encodes each sample of `pcm` to a byte of `coded`; the shorter of the two lengths counts.
    pub fn encode(self, pcm: &[i16], coded: &mut [u8]) {
        match self {
            Self::Pcmu => g711::encode_ulaw(pcm, coded),
            Self::Pcma => g711::encode_alaw(pcm, coded),
        }
    }

    /// Whether no byte of `coded` is louder than [`g711::SILENCE_PEAK`], seen without decoding.
    #[must_use]
    pub fn is_silence(self, coded: &[u8]) -> bool {
        match self {
            Self::Pcmu => g711::is_silence_ulaw(coded),
            Self::Pcma => g711::is_silence_alaw(coded),
        }
    }
}
