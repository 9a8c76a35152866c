//! Audio as it travels through the engine: frames of 20 ms, mono, 16 bit, at one of three rates.

use std::ops::{Deref, DerefMut};

/// Length of a frame in milliseconds.
pub const FRAME_MS: u64 = 20;

/// Samples of the longest frame: 20 ms at 48 kHz.
pub const FRAME_MAX: usize = 960;

/// Samples a second. Only these three: each divides the next, so a change of rate is by a factor of 2, 3 or 6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rate {
    /// 8 kHz, narrowband: G.711.
    #[default]
    Narrow,
    /// 16 kHz, wideband: G.722.
    Wide,
    /// 48 kHz, fullband: Opus.
    Full,
}

impl Rate {
    pub const ALL: [Rate; 3] = [Rate::Narrow, Rate::Wide, Rate::Full];

    #[must_use]
    pub const fn hz(self) -> u32 {
        match self {
            Rate::Narrow => 8_000,
            Rate::Wide => 16_000,
            Rate::Full => 48_000,
        }
    }

    /// `None` for any other number.
    #[must_use]
    pub fn from_hz(hz: u32) -> Option<Rate> {
        Rate::ALL.into_iter().find(|rate| rate.hz() == hz)
    }

    /// Samples of 20 ms.
    #[must_use]
    pub const fn frame(self) -> usize {
        self.hz() as usize / 50
    }

    /// Samples of a millisecond.
    #[must_use]
    pub const fn per_ms(self) -> usize {
        self.hz() as usize / 1_000
    }
}

/// 20 ms of linear mono audio. As a slice it has [`Rate::frame`] samples.
#[derive(Clone, Debug)]
pub struct Frame {
    rate: Rate,
    samples: [i16; FRAME_MAX],
}

impl Frame {
    #[must_use]
    pub const fn silence(rate: Rate) -> Frame {
        Frame {
            rate,
            samples: [0; FRAME_MAX],
        }
    }

    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Becomes silence, at `rate`.
    pub fn clear(&mut self, rate: Rate) {
        self.rate = rate;
        self.fill(0);
    }

    /// Becomes a copy of another frame; only its samples are touched.
    pub fn set(&mut self, other: &Frame) {
        self.rate = other.rate;
        self.samples[..other.rate.frame()].copy_from_slice(other);
    }
}

impl Default for Frame {
    fn default() -> Frame {
        Frame::silence(Rate::Narrow)
    }
}

impl Deref for Frame {
    type Target = [i16];

    fn deref(&self) -> &[i16] {
        &self.samples[..self.rate.frame()]
    }
}

impl DerefMut for Frame {
    fn deref_mut(&mut self) -> &mut [i16] {
        &mut self.samples[..self.rate.frame()]
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Frame) -> bool {
        self.rate == other.rate && **self == **other
    }
}
