//! Opus (RFC 6716) by libopus, mono in and out.
//!
//! What a stream goes through when its packets come out of another encoder from now on: the decoder predicts from what
//! it has decoded, the encoder from what it has encoded. If these are not nearly the same sound, the first packets decode
//! to something that can be 30 dB further off than usual. An encoder that has encoded three frames of the listener's
//! sound is as good as one that has encoded all of it. That its first packet leans on no other
//! (`OPUS_SET_PREDICTION_DISABLED`) is neither enough nor of use beside it; `docs/decisions/opus.md` has the figures.

mod ffi;

use crate::audio::Rate;
use crate::codec::Malformed;
use crate::encoder::{MAX_PAYLOAD, OpusSettings};

/// Samples at `rate` in a packet, found without decoding.
pub fn samples(packet: &[u8], rate: Rate) -> Result<usize, Malformed> {
    ffi::packet_samples(packet, rate.hz() as i32)
}

/// Whether a packet is what a sender in DTX sends or leaves out: a table of contents with at most a byte after it.
pub fn is_dtx(packet: &[u8]) -> bool {
    packet.len() <= 2
}

/// Whether a packet carries the one before it once more.
pub fn has_fec(packet: &[u8]) -> bool {
    ffi::packet_has_fec(packet)
}

#[derive(Clone)]
pub struct Decoder {
    rate: Rate,
    state: ffi::Decoder,
}

impl Decoder {
    pub fn new(rate: Rate) -> Decoder {
        Decoder {
            rate,
            state: ffi::Decoder::new(rate.hz() as i32),
        }
    }

    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// libopus makes multiples of 2.5 ms only: the next one from `samples` up.
    pub fn whole(&self, samples: usize) -> usize {
        samples.next_multiple_of(self.rate.hz() as usize / 400)
    }

    /// `pcm` has the samples of the packet.
    pub fn decode(&mut self, packet: &[u8], pcm: &mut [i16]) -> Result<(), Malformed> {
        self.state.decode(packet, pcm, false)
    }

    pub fn fec(&mut self, next: &[u8], pcm: &mut [i16]) -> Result<(), Malformed> {
        self.state.decode(next, pcm, true)
    }

    pub fn conceal(&mut self, pcm: &mut [i16]) -> Result<(), Malformed> {
        self.state.conceal(pcm)
    }

    pub fn state_bytes(&self) -> usize {
        self.state.bytes()
    }
}

#[derive(Clone)]
pub struct Encoder {
    rate: Rate,
    settings: OpusSettings,
    state: ffi::Encoder,
}

impl Encoder {
    pub fn new(rate: Rate, settings: OpusSettings) -> Encoder {
        let mut encoder = Encoder {
            rate,
            settings,
            state: ffi::Encoder::new(rate.hz() as i32),
        };
        encoder.apply();
        encoder
    }

    pub fn rate(&self) -> Rate {
        self.rate
    }

    pub fn set(&mut self, settings: OpusSettings) {
        if self.settings != settings {
            self.settings = settings;
            self.apply();
        }
    }

    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8; MAX_PAYLOAD]) -> usize {
        let length = self.state.encode(pcm, out);
        if is_dtx(&out[..length]) { 0 } else { length }
    }

    pub fn state_bytes(&self) -> usize {
        self.state.bytes()
    }

    fn apply(&mut self) {
        let s = self.settings.effective();
        let bandwidth = match s.max_playback {
            Rate::Narrow => ffi::NARROWBAND,
            Rate::Wide => ffi::WIDEBAND,
            Rate::Full => ffi::FULLBAND,
        };
        for (setting, value) in [
            (ffi::Setting::Bitrate, s.bitrate_bps as i32),
            (ffi::Setting::Complexity, s.complexity.into()),
            (ffi::Setting::Fec, s.fec.into()),
            (ffi::Setting::Dtx, s.dtx.into()),
            (ffi::Setting::ExpectedLoss, s.expected_loss_percent.into()),
            (ffi::Setting::MaxBandwidth, bandwidth),
            (ffi::Setting::Vbr, (!s.cbr).into()),
        ] {
            self.state.set(setting, value);
        }
    }
}
