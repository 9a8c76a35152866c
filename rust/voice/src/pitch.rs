//! Whether a sound repeats itself, as vowels and tones do and noise does not.
//!
//! The largest normalised autocorrelation over the periods of voices (70 to 400 Hz), of the band below 2 kHz: there are
//! the harmonics of a vowel that survive every codec. Its samples are differenced first, or a rumble would resemble
//! itself a little later.

use crate::bands::LOW;

/// Periods in samples at 4 kHz: of 400 Hz and of 70 Hz. A higher tone repeats itself within these as well.
const SHORTEST: usize = 10;
const LONGEST: usize = 57;

/// Autocorrelation of a vowel is above, of 20 ms of noise below this (measured: see the tests).
const PERIODIC: f32 = 0.7;

#[derive(Clone, Debug)]
pub struct Pitch {
    /// Differences: the longest period before the frame, then the frame.
    samples: [f32; LONGEST + LOW],
    last: f32,
    /// The period that was found last: that of a voice is seldom far from it.
    period: usize,
}

impl Default for Pitch {
    fn default() -> Pitch {
        Pitch {
            samples: [0.0; LONGEST + LOW],
            last: 0.0,
            period: SHORTEST,
        }
    }
}

impl Pitch {
    pub fn frame(&mut self, low: &[f32; LOW]) {
        self.samples.copy_within(LOW.., 0);
        for (to, sample) in self.samples[LONGEST..].iter_mut().zip(low) {
            *to = sample - self.last;
            self.last = *sample;
        }
    }

    pub fn is_periodic(&mut self) -> bool {
        let frame = &self.samples[LONGEST..];
        let power = product(frame, frame);
        let found = nearest_first(self.period).find(|lag| {
            let before = &self.samples[LONGEST - lag..][..LOW];
            let alike = product(frame, before);
            alike > 0.0 && alike * alike > PERIODIC * PERIODIC * power * product(before, before)
        });
        self.period = found.unwrap_or(self.period);
        found.is_some()
    }
}

/// All periods, those near to one first.
fn nearest_first(period: usize) -> impl Iterator<Item = usize> {
    let near =
        (0..=LONGEST - SHORTEST).flat_map(move |off| [period + off, period.wrapping_sub(off)]);
    near.filter(|lag| (SHORTEST..=LONGEST).contains(lag))
}

/// Sum of products, eight at a time: the order of summing is given, so that it can be done in parallel.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}
