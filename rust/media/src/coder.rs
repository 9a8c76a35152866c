//! From what is heard to packets: a change of rate, and an encoder. Both have a memory, which belongs to the one
//! decoder at the other end, so a stream that goes on elsewhere goes on in a clone.

use std::fmt;

use plenary_codec::{Codec, Encoder, Frame, MAX_PAYLOAD, OpusSettings, Rate, Resampler};

/// What packets are made of. Listeners of one format can be sent the same packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub codec: Codec,
    /// The highest rate that the listener can hear; what the encoder is given.
    pub rate: Rate,
    /// For other codecs than Opus always the same. Its complexity counts for nothing: see [`Coder::encode`].
    pub opus: OpusSettings,
}

impl Format {
    /// Whether the encoder has a memory that the decoder must have as well.
    pub fn remembers(&self) -> bool {
        !matches!(self.codec, Codec::Pcmu | Codec::Pcma)
    }

    /// Whether its packets follow from what is heard at `rate` alone, not from what was before.
    #[inline]
    pub fn is_plain(&self, rate: Rate) -> bool {
        rate == self.rate && !self.remembers()
    }
}

/// Brings frames from one rate to another.
#[derive(Clone, Debug)]
pub struct Converter {
    resampler: Resampler,
}

impl Converter {
    pub fn new(from: Rate, to: Rate) -> Converter {
        Converter {
            resampler: Resampler::new(from, to),
        }
    }

    pub fn joins(&self, from: Rate, to: Rate) -> bool {
        (self.resampler.from(), self.resampler.to()) == (from, to)
    }

    /// By how many samples of the output the output is late.
    pub fn latency(&self) -> usize {
        let hz = f64::from(self.resampler.to().hz());
        (self.resampler.latency().as_secs_f64() * hz).round() as usize
    }

    /// A frame of its first rate in, one of its second out.
    pub fn convert(&mut self, frame: &Frame, out: &mut Frame) {
        if out.rate() != self.resampler.to() {
            out.clear(self.resampler.to());
        }
        self.resampler.process(frame, out);
    }

    /// Forgets what it has heard.
    pub fn reset(&mut self) {
        self.resampler.reset();
    }
}

/// One stream's way from frames to packets.
#[derive(Clone)]
pub struct Coder {
    format: Format,
    /// Complexity of Opus.
    effort: u8,
    converter: Option<Converter>,
    encoder: Encoder,
}

impl fmt::Debug for Coder {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_tuple("Coder").field(&self.format).finish()
    }
}

impl Coder {
    pub fn new(format: Format) -> Coder {
        Coder {
            format,
            effort: format.opus.complexity,
            converter: None,
            encoder: Encoder::new(format.codec, format.rate, format.opus),
        }
    }

    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Whether its next packet follows from what it is given next alone.
    pub fn is_plain(&self) -> bool {
        self.converter.is_none() && self.format.is_plain(self.format.rate)
    }

    /// Other settings of the same codec at the same rate, from the next packet on.
    pub fn set(&mut self, format: Format) {
        assert_eq!(
            (self.format.codec, self.format.rate),
            (format.codec, format.rate),
            "another stream"
        );
        if self.format != format {
            self.format = format;
            self.set_encoder();
        }
    }

    fn set_encoder(&mut self) {
        self.encoder.set(OpusSettings {
            complexity: self.effort,
            ..self.format.opus
        });
    }

    /// The frame at the rate of the encoder; `true` if the conversion began anew with it.
    pub fn convert(&mut self, frame: &Frame, pcm: &mut Frame) -> bool {
        let (from, to) = (frame.rate(), self.format.rate);
        if from == to {
            pcm.set(frame);
            return self.converter.take().is_some();
        }
        let anew = !self.converter.as_ref().is_some_and(|it| it.joins(from, to));
        if anew {
            self.converter = Some(Converter::new(from, to));
        }
        if let Some(converter) = &mut self.converter {
            converter.convert(frame, pcm);
        }
        anew
    }

    /// What comes next does not follow what was converted last.
    pub fn interrupt(&mut self) {
        if let Some(converter) = &mut self.converter {
            converter.reset();
        }
    }

    /// The payload of one packet; its length may be 0, and nothing is to be sent then. `effort` is the complexity of Opus,
    /// 0 to 10: it may change at any time, and who decodes does not notice.
    pub fn encode(&mut self, pcm: &Frame, effort: u8, out: &mut [u8; MAX_PAYLOAD]) -> usize {
        if effort != self.effort {
            self.effort = effort;
            self.set_encoder();
        }
        self.encoder.encode(pcm, out)
    }
}
