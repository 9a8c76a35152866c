//! One door to the decoders of all codecs.

use crate::audio::Rate;
use crate::codec::{Codec, Malformed};
use crate::{g711, g722, opus};

/// Turns the payloads of one stream into samples. A clone goes on from the same state.
///
/// `out` is always appended to: who keeps it and its capacity has no allocation in the path.
#[derive(Clone)]
pub struct Decoder(State);

#[derive(Clone)]
enum State {
    Pcmu,
    Pcma,
    G722(Box<g722::Decoder>),
    Opus(opus::Decoder),
}

impl Decoder {
    /// `rate` is what Opus decodes to; the other codecs have one rate only, see [`Decoder::rate`].
    #[must_use]
    pub fn new(codec: Codec, rate: Rate) -> Decoder {
        Decoder(match codec {
            Codec::Pcmu => State::Pcmu,
            Codec::Pcma => State::Pcma,
            Codec::G722 => State::G722(Box::default()),
            Codec::Opus => State::Opus(opus::Decoder::new(rate)),
        })
    }

    #[must_use]
    pub fn codec(&self) -> Codec {
        match &self.0 {
            State::Pcmu => Codec::Pcmu,
            State::Pcma => Codec::Pcma,
            State::G722(_) => Codec::G722,
            State::Opus(_) => Codec::Opus,
        }
    }

    /// The rate of the samples that come out.
    #[must_use]
    pub fn rate(&self) -> Rate {
        match &self.0 {
            State::Opus(opus) => opus.rate(),
            _ => self.codec().rate(),
        }
    }

    /// Appends the samples of one packet, of at most [`crate::MAX_PACKET_MS`]; gives their number. On an error
    /// `out` is as before, and the stream may go on with the next packet.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<usize, Malformed> {
        let codec = self.codec();
        let ticks = codec.duration_ticks(payload)? as usize;
        let before = out.len();
        let samples = ticks * self.rate().per_ms() / (codec.clock_hz() as usize / 1_000);
        out.resize(before + samples, 0);
        let pcm = &mut out[before..];
        let decoded = match &mut self.0 {
            State::Pcmu => {
                g711::decode_ulaw(payload, pcm);
                Ok(())
            }
            State::Pcma => {
                g711::decode_alaw(payload, pcm);
                Ok(())
            }
            State::G722(g722) => {
                g722.decode(payload, pcm);
                Ok(())
            }
            State::Opus(opus) => opus.decode(payload, pcm),
        };
        if let Err(error) = decoded {
            out.truncate(before);
            return Err(error);
        }
        Ok(samples)
    }

    /// Appends `samples` of the lost packet before `next_payload` from what that one carries of it (Opus in-band FEC,
    /// RFC 6716, section 2.1.7). `None`, and nothing appended, if it carries nothing: [`Decoder::conceal`] instead.
    ///
    /// `samples` is what is missing right before `next_payload`; what the FEC data do not reach back to is concealed.
    /// [`Decoder::decode`] of `next_payload` comes after it, as if nothing had been taken from it.
    pub fn fec(
        &mut self,
        next_payload: &[u8],
        samples: usize,
        out: &mut Vec<i16>,
    ) -> Option<usize> {
        match &mut self.0 {
            State::Opus(opus) if opus::has_fec(next_payload) => {
                let before = out.len();
                out.resize(before + opus.whole(samples), 0);
                let done = opus.fec(next_payload, &mut out[before..]);
                out.truncate(if done.is_ok() {
                    before + samples
                } else {
                    before
                });
                done.ok().map(|()| samples)
            }
            _ => None,
        }
    }

    /// Appends `samples` of the codec's own concealment; `false`, and nothing appended, if it has none (all but Opus).
    ///
    /// A multiple of 2.5 ms is exact; of anything else the rest is thrown away, which costs a small discontinuity.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) -> bool {
        let State::Opus(opus) = &mut self.0 else {
            return false;
        };
        if samples == 0 {
            return true;
        }
        let before = out.len();
        out.resize(before + opus.whole(samples), 0);
        let done = opus.conceal(&mut out[before..]);
        out.truncate(if done.is_ok() {
            before + samples
        } else {
            before
        });
        done.is_ok()
    }

    /// Bytes of memory that its state takes.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        match &self.0 {
            State::Pcmu | State::Pcma => 0,
            State::G722(_) => size_of::<g722::Decoder>(),
            State::Opus(opus) => opus.state_bytes(),
        }
    }
}
