//! One door to the encoders of all codecs.

use crate::audio::Rate;
use crate::codec::Codec;
use crate::{g711, g722, opus};

/// Bytes of the longest payload: what goes through an Ethernet in one piece. No frame of 20 ms comes near it.
pub const MAX_PAYLOAD: usize = 1_500;

/// How Opus encodes: what the other side's SDP, the network and the load of this machine ask for. Streams of equal
/// settings can share one encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpusSettings {
    /// 6,000 to 510,000; beyond that it is brought there.
    pub bitrate_bps: u32,
    /// 0 to 10: what an encode costs, and how good it sounds.
    pub complexity: u8,
    /// In-band FEC: each packet carries the one before once more, coarsely, as far as `expected_loss_percent` makes
    /// that worth its bits.
    pub fec: bool,
    /// Nothing is sent for silence, but for a packet each 400 ms.
    pub dtx: bool,
    /// 0 to 100; only with `fec`, and for that only 0, less than 15, and more are told apart. At 24 kbit/s FEC leaves
    /// room for wideband only, at 32 kbit/s for everything; below about 20 there is none.
    pub expected_loss_percent: u8,
    /// The highest rate that the listener can hear (`maxplaybackrate`, RFC 7587, section 6.1).
    pub max_playback: Rate,
    /// Every packet of the same size (`cbr=1`); otherwise as many bits as the sound needs.
    pub cbr: bool,
}

impl OpusSettings {
    /// What these settings come to: those that encode alike become equal. As the key of shared encoders this keeps
    /// listeners together whose loss differs by little.
    ///
    /// libopus, told to expect less than 6 %, puts no FEC into 24 kbit/s; from 6 to 9 % it sounds worse than at 10; from
    /// 25 % on bits go into a wider band instead. Complexities above 8 cost and sound like 8.
    #[must_use]
    pub fn effective(self) -> OpusSettings {
        OpusSettings {
            bitrate_bps: self.bitrate_bps.clamp(6_000, 510_000),
            complexity: self.complexity.min(8),
            expected_loss_percent: match self.expected_loss_percent {
                _ if !self.fec => 0,
                0 => 0,
                1..15 => 10,
                _ => 20,
            },
            ..self
        }
    }
}

impl Default for OpusSettings {
    fn default() -> OpusSettings {
        OpusSettings {
            bitrate_bps: 24_000,
            complexity: 5,
            fec: true,
            dtx: false,
            expected_loss_percent: 0,
            max_playback: Rate::Full,
            cbr: false,
        }
    }
}

/// Turns samples into the payloads of one stream.
///
/// A clone goes on from the same state: a stream continues in it as if nothing had been.
#[derive(Clone)]
pub struct Encoder(State);

#[derive(Clone)]
enum State {
    Pcmu,
    Pcma,
    G722(Box<g722::Encoder>),
    Opus(opus::Encoder),
}

impl Encoder {
    /// `rate` is what Opus is given; the other codecs have one rate only, see [`Encoder::rate`], and no settings.
    #[must_use]
    pub fn new(codec: Codec, rate: Rate, settings: OpusSettings) -> Encoder {
        Encoder(match codec {
            Codec::Pcmu => State::Pcmu,
            Codec::Pcma => State::Pcma,
            Codec::G722 => State::G722(Box::default()),
            Codec::Opus => State::Opus(opus::Encoder::new(rate, settings)),
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

    /// The rate of the samples that go in.
    #[must_use]
    pub fn rate(&self) -> Rate {
        match &self.0 {
            State::Opus(opus) => opus.rate(),
            _ => self.codec().rate(),
        }
    }

    /// Encodes one packet and gives its length; 0 if the codec has nothing to send (Opus in DTX): the timestamp goes
    /// on, the sequence number does not.
    ///
    /// # Panics
    /// If Opus cannot make one packet of so many samples: it takes 2.5, 5, 10, 20, 40, 60, 80, 100 and 120 ms; or if
    /// `pcm` is of more than 120 ms, or of an odd number of samples for G.722.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8; MAX_PAYLOAD]) -> usize {
        match &mut self.0 {
            State::Pcmu => {
                g711::encode_ulaw(pcm, &mut out[..pcm.len()]);
                pcm.len()
            }
            State::Pcma => {
                g711::encode_alaw(pcm, &mut out[..pcm.len()]);
                pcm.len()
            }
            State::G722(g722) => {
                g722.encode(pcm, &mut out[..pcm.len() / 2]);
                pcm.len() / 2
            }
            State::Opus(opus) => opus.encode(pcm, out),
        }
    }

    /// Other settings from the next packet on; costs little if they are the same. Nothing but Opus has any.
    pub fn set(&mut self, settings: OpusSettings) {
        if let State::Opus(opus) = &mut self.0 {
            opus.set(settings);
        }
    }

    /// Before a stream whose packets came out of another encoder goes on in this one: encodes `past` for nobody, the
    /// last frames of 20 ms that the listener has heard. Three make the change inaudible, and cost three encodes; what
    /// this one had encoded before does not matter.
    ///
    /// Without this, a stream goes on as if nothing had been in a clone of its encoder, and unheard in one that has
    /// encoded the same frames for 60 ms. Both encoders are of equal settings: other ones are set in the encoder that a
    /// stream has, or in a clone of it, since a change between the modes of Opus needs what only that encoder knows.
    pub fn take_over(&mut self, past: &[i16]) {
        for frame in past.chunks_exact(self.rate().frame()) {
            self.encode(frame, &mut [0; MAX_PAYLOAD]);
        }
    }

    /// Bytes of memory that its state takes.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        match &self.0 {
            State::Pcmu | State::Pcma => 0,
            State::G722(_) => size_of::<g722::Encoder>(),
            State::Opus(opus) => opus.state_bytes(),
        }
    }
}
