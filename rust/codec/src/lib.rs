//! Audio frames, the codecs that calls use, and the resampler between their rates.
//!
//! A [`Codec`] is what SDP negotiates; a [`Decoder`] turns the payloads of one RTP stream into samples, an [`Encoder`]
//! samples into payloads. G.711 has no state and its [`Rate`] is 8 kHz; G.722 is an ADPCM of 16 kHz; Opus (libopus)
//! encodes from and decodes to any of the three rates by itself. What no codec does is done by a [`Resampler`].

#![deny(unsafe_code)]

pub mod audio;
mod codec;
mod decoder;
mod encoder;
pub mod g711;
mod g722;
mod opus;
pub mod red;
mod resampler;

pub use audio::{FRAME_MAX, FRAME_MS, Frame, Rate};
pub use codec::{Codec, MAX_PACKET_MS, Malformed};
pub use decoder::Decoder;
pub use encoder::{Encoder, MAX_PAYLOAD, OpusSettings};
pub use resampler::Resampler;
