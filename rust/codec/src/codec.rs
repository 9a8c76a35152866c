//! What the codecs of a call are called, how their RTP clocks run, and what their coded bytes tell undecoded.

use std::fmt;

use crate::audio::{FRAME_MS, Rate};
use crate::{g711, opus};

/// Audio of the longest packet that is accepted, in milliseconds: what an Opus packet can hold (RFC 6716, R5).
pub const MAX_PACKET_MS: usize = 120;

/// A codec as SDP names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s.
    G722,
    Opus,
}

/// A payload that is not of its codec. The words say why, for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

impl Codec {
    /// The best first.
    pub const ALL: [Codec; 4] = [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma];

    /// The encoding name in `a=rtpmap` (RFC 3551, RFC 7587).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::G722 => "G722",
            Codec::Opus => "opus",
        }
    }

    /// The codec of an encoding name; case does not matter (RFC 8866, section 6.6).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Codec> {
        Codec::ALL
            .into_iter()
            .find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// Ticks a second of its RTP timestamps. That of G.722 is 8,000 though its audio has 16,000 samples (RFC 3551,
    /// section 4.5.2), that of Opus always 48,000 (RFC 7587, section 4.1).
    #[must_use]
    pub const fn clock_hz(self) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => 8_000,
            Codec::Opus => 48_000,
        }
    }

    /// RTP ticks of a frame of 20 ms.
    #[must_use]
    pub const fn frame_ticks(self) -> u32 {
        self.clock_hz() / 1_000 * FRAME_MS as u32
    }

    /// The rate of its audio. Opus is at home at 48 kHz, and does the other two by itself.
    #[must_use]
    pub const fn rate(self) -> Rate {
        match self {
            Codec::Pcmu | Codec::Pcma => Rate::Narrow,
            Codec::G722 => Rate::Wide,
            Codec::Opus => Rate::Full,
        }
    }

    /// Channels in `a=rtpmap`: those of Opus are always two (RFC 7587, section 7), whatever is sent.
    #[must_use]
    pub const fn sdp_channels(self) -> u8 {
        match self {
            Codec::Opus => 2,
            _ => 1,
        }
    }

    /// The static payload type of RFC 3551.
    #[must_use]
    pub const fn static_pt(self) -> Option<u8> {
        match self {
            Codec::Pcmu => Some(0),
            Codec::Pcma => Some(8),
            Codec::G722 => Some(9),
            Codec::Opus => None,
        }
    }

    /// RTP ticks of audio in a payload, found without decoding.
    pub fn duration_ticks(self, payload: &[u8]) -> Result<u32, Malformed> {
        let ticks = match self {
            // One byte is one tick: a sample of G.711, two of G.722.
            Codec::Pcmu | Codec::Pcma | Codec::G722 => payload.len(),
            Codec::Opus => opus::samples(payload, Rate::Full)?,
        };
        if ticks == 0 {
            Err(Malformed("empty payload"))
        } else if ticks > self.clock_hz() as usize / 1_000 * MAX_PACKET_MS {
            Err(Malformed("more than 120 ms in a packet"))
        } else {
            Ok(ticks as u32)
        }
    }

    /// Whether a payload holds nothing that can be heard, as far as its coded bytes tell: for G.711 no sample is louder
    /// than [`g711::SILENCE_PEAK`], for Opus the sender was in DTX. The bytes of G.722 do not tell.
    #[must_use]
    pub fn is_silence(self, payload: &[u8]) -> bool {
        match self {
            Codec::Pcmu => g711::is_silence_ulaw(payload),
            Codec::Pcma => g711::is_silence_alaw(payload),
            Codec::G722 => false,
            Codec::Opus => opus::is_dtx(payload),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}
