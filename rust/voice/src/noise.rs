//! Takes steady noise away from a voice.
//!
//! The work is done by `sonora-ns`, a port of WebRTC's noise suppression: it follows the noise in each of 129
//! frequencies by its quantiles, and weights each by a Wiener filter according to how likely it holds speech. It takes
//! blocks of 160 samples, and gives them back 96 samples later (its windows overlap).
//!
//! * *Wide*: two blocks a frame, as it was made for.
//! * *Narrow*: one block a frame. Frequencies are told apart twice as finely and noise is followed half as fast; delay
//!   is 12 ms instead of 6. That costs half of working at 16 kHz with an empty upper half, and needs no resampler.
//! * *Full*: split at 8 kHz. The lower band goes down to 16 kHz and is worked on; the upper band is what is missing
//!   from it, delayed as much, with the gain that the suppressor finds for it from the top of the lower band. With all
//!   gains 1 the two add up to the sound that came in, whatever the filter is.

use plenary_codec::audio::{Frame, Rate};
use sonora_ns::config::{NS_FRAME_SIZE, NsConfig, OVERLAP_SIZE, SuppressionLevel};
use sonora_ns::noise_suppressor::NoiseSuppressor as Suppressor;

use crate::limiter::rounded;

/// 12 dB leaves a fan in the room, 21 dB leaves holes in the voice.
const LEVEL: SuppressionLevel = SuppressionLevel::K18dB;

/// Noise suppressor of one leg.
#[derive(Debug)]
pub struct NoiseSuppressor {
    rate: Rate,
    /// Boxed, so that a leg without one does not keep the room for it.
    suppressor: Box<Suppressor>,
    upper: Option<Box<Upper>>,
}

impl NoiseSuppressor {
    #[must_use]
    pub fn new(rate: Rate) -> NoiseSuppressor {
        let config = NsConfig {
            target_level: LEVEL,
        };
        let (suppressor, upper) = match rate {
            Rate::Narrow | Rate::Wide => (Suppressor::new(config), None),
            Rate::Full => (
                Suppressor::new_with_bands(config, 2),
                Some(Box::new(Upper::new())),
            ),
        };
        NoiseSuppressor {
            rate,
            suppressor: Box::new(suppressor),
            upper,
        }
    }

    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Works on one frame in place. A frame of another rate makes it begin anew at that rate.
    pub fn process(&mut self, frame: &mut Frame) {
        if frame.rate() != self.rate {
            *self = NoiseSuppressor::new(frame.rate());
        }
        if let Some(upper) = &mut self.upper {
            for samples in frame.chunks_exact_mut(WHOLE) {
                upper.process(samples, |block| {
                    self.suppressor.analyze(block);
                    self.suppressor.process(block);
                    self.suppressor.upper_band_gain()
                });
            }
            return;
        }
        for samples in frame.chunks_exact_mut(NS_FRAME_SIZE) {
            let mut block = [0.0; NS_FRAME_SIZE];
            for (to, sample) in block.iter_mut().zip(samples.iter()) {
                *to = f32::from(*sample);
            }
            self.suppressor.analyze(&block);
            self.suppressor.process(&mut block);
            for (sample, from) in samples.iter_mut().zip(block) {
                *sample = to_sample(from);
            }
        }
    }

    /// By how many samples at its rate a voice comes out later: 12, 6 and 7 ms.
    #[must_use]
    pub fn delay(&self) -> usize {
        match self.rate {
            Rate::Narrow | Rate::Wide => OVERLAP_SIZE,
            Rate::Full => DELAY,
        }
    }
}

/// Ratio of 48 kHz to 16 kHz.
const BY: usize = 3;

/// A block at 48 kHz.
const WHOLE: usize = NS_FRAME_SIZE * BY;

/// Samples that the low-pass takes to either side. 49 taps leave the lower band clean up to 6.5 kHz; what folds around
/// 8 kHz is at most 1.5 kHz wide, and is put right again by the upper band.
const HALF: usize = 24;
const TAPS: usize = 2 * HALF + 1;

/// Values at 16 kHz that one value at 48 kHz is made of.
const MEETING: usize = TAPS.div_ceil(BY);

/// Low-pass down, suppressor, low-pass up.
const DELAY: usize = HALF + OVERLAP_SIZE * BY + HALF;

/// What lies above 8 kHz, and the way between 48 and 16 kHz.
#[derive(Debug)]
struct Upper {
    low_pass: [f32; TAPS],
    /// Samples that came, as far back as they are needed, then the block.
    came: [f32; DELAY + WHOLE],
    /// The lower band before the suppressor, likewise.
    lower: [f32; OVERLAP_SIZE + NS_FRAME_SIZE],
    /// What is added to the sound that came, likewise.
    change: [f32; MEETING + NS_FRAME_SIZE],
    gain: f32,
}

impl Upper {
    fn new() -> Upper {
        Upper {
            low_pass: low_pass(),
            came: [0.0; DELAY + WHOLE],
            lower: [0.0; OVERLAP_SIZE + NS_FRAME_SIZE],
            change: [0.0; MEETING + NS_FRAME_SIZE],
            gain: 1.0,
        }
    }

    /// `suppress` works on the lower band, which comes out [`OVERLAP_SIZE`] later, and gives the gain of the upper one.
    fn process(
        &mut self,
        samples: &mut [i16],
        suppress: impl FnOnce(&mut [f32; NS_FRAME_SIZE]) -> f32,
    ) {
        self.came.copy_within(WHOLE.., 0);
        for (to, sample) in self.came[DELAY..].iter_mut().zip(samples.iter()) {
            *to = f32::from(*sample);
        }
        self.lower.copy_within(NS_FRAME_SIZE.., 0);
        for (n, to) in self.lower[OVERLAP_SIZE..].iter_mut().enumerate() {
            let last = DELAY + BY * n;
            *to = product(&self.low_pass, &self.came[last + 1 - TAPS..=last]);
        }
        let mut block = [0.0; NS_FRAME_SIZE];
        block.copy_from_slice(&self.lower[OVERLAP_SIZE..]);
        let (from, to) = (self.gain, suppress(&mut block));

        // out = lower suppressed + gain (all - lower) = gain all + (lower suppressed - gain lower)
        self.gain = to;
        self.change.copy_within(NS_FRAME_SIZE.., 0);
        let step = (to - from) / WHOLE as f32;
        for (n, change) in self.change[MEETING..].iter_mut().enumerate() {
            *change = block[n] - (from + step * (BY * n) as f32) * self.lower[n];
        }
        for (n, sample) in samples.iter_mut().enumerate() {
            // Of the values at 48 kHz only each third is not zero.
            let (phase, last) = (n % BY, MEETING + n / BY);
            let change: f32 = (phase..TAPS)
                .step_by(BY)
                .zip((0..=last).rev())
                .map(|(tap, at)| self.low_pass[tap] * self.change[at])
                .sum();
            let gain = from + step * n as f32;
            *sample = to_sample(gain * self.came[n] + BY as f32 * change);
        }
    }
}

/// Windowed sinc (Hamming), half at 8 kHz, 1 in all.
fn low_pass() -> [f32; TAPS] {
    use std::f32::consts::PI;
    let mut taps = std::array::from_fn(|n| {
        let x = n as f32 - HALF as f32;
        let sinc = if x == 0.0 {
            1.0
        } else {
            (PI * x / BY as f32).sin() / (PI * x / BY as f32)
        };
        sinc * (0.54 + 0.46 * (PI * x / (HALF + 1) as f32).cos())
    });
    let sum: f32 = taps.iter().sum();
    taps.iter_mut().for_each(|tap| *tap /= sum);
    taps
}

fn to_sample(value: f32) -> i16 {
    rounded(value).clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

fn product(a: &[f32; TAPS], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + a[TAPS - 1] * b[TAPS - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suppressor_that_takes_nothing_away_gives_back_what_came() {
        let came: Vec<i16> = (0..20 * WHOLE as i32)
            .map(|n| ((n * n) % 20_011 - 10_000) as i16)
            .collect();
        let (mut upper, mut late) = (Upper::new(), [0.0; OVERLAP_SIZE]);
        let mut out = came.clone();
        for samples in out.chunks_exact_mut(WHOLE) {
            upper.process(samples, |block| {
                let mut both = [0.0; OVERLAP_SIZE + NS_FRAME_SIZE];
                both[..OVERLAP_SIZE].copy_from_slice(&late);
                both[OVERLAP_SIZE..].copy_from_slice(block);
                block.copy_from_slice(&both[..NS_FRAME_SIZE]);
                late.copy_from_slice(&both[NS_FRAME_SIZE..]);
                1.0
            });
        }
        assert_eq!(out[DELAY..], came[..came.len() - DELAY]);
    }
}
