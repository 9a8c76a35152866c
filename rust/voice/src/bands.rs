//! Power in bands an octave wide, each few milliseconds: cheap, and without a window to wait for.
//!
//! A tree of two-path half-band filters: two all-pass filters of first order on every other sample each, whose sum is
//! the lower half and whose difference is the upper half of the band, at half the rate (R. Ansari and B. Liu, IEEE
//! Trans. ASSP 31(1), 1983). A neighbour band leaks in at some -30 dB: enough to tell noise from voice, and a fifth of
//! an FFT's work.
//!
//! ```text
//! 16 kHz ─┬─ 4-8 kHz                       48 kHz is averaged down to 16 first: what folds is sound as well
//!         └─ 8 kHz ─┬─ 2-4 kHz
//!                   └─ 4 kHz ─┬─ 1-2 kHz
//!                             └─ 2 kHz ─┬─ 0.5-1 kHz
//!                                       └─ 1 kHz ─ 80-500 Hz
//! ```

use plenary_codec::audio::{Frame, Rate};

/// From the lowest; 4-8 kHz is silent for a narrowband frame.
pub const BANDS: usize = 5;

/// Samples of 20 ms of the band below 2 kHz, which is at 4 kHz.
pub const LOW: usize = 80;

/// Coefficients of the two all-passes.
const PATHS: [f32; 2] = [0.141_35, 0.589_75];

/// Keeps mains hum and a constant offset out of the lowest band: a pole of a first-order high-pass for 80 Hz at 1 kHz.
const HIGH_PASS: f32 = 0.6;

#[derive(Clone, Debug)]
pub struct Bands {
    splits: [Split; BANDS - 1],
    high_pass: (f32, f32),
    low: [f32; LOW],
}

impl Default for Bands {
    fn default() -> Bands {
        Bands {
            splits: Default::default(),
            high_pass: (0.0, 0.0),
            low: [0.0; LOW],
        }
    }
}

impl Bands {
    /// Mean power of each quarter of the frame in each band, relative to full scale. In the two lowest, blocks are half
    /// a frame, for they have so few samples: each is given twice.
    pub fn frame(&mut self, frame: &Frame) -> [[f32; 4]; BANDS] {
        const SCALE: f32 = 1.0 / 32_768.0;
        let mut powers = [[0.0; 4]; BANDS];
        let (mut at_8, mut at_2, mut at_1) = ([0.0; 2 * LOW], [0.0; LOW / 2], [0.0; LOW / 4]);
        let mut upper = [0.0; 2 * LOW];
        if frame.rate() == Rate::Narrow {
            for (to, sample) in at_8.iter_mut().zip(frame.iter()) {
                *to = f32::from(*sample) * SCALE;
            }
        } else {
            let mut at_16 = [0.0; 4 * LOW];
            let by = frame.len() / at_16.len();
            for (to, samples) in at_16.iter_mut().zip(frame.chunks_exact(by)) {
                let sum: i32 = samples.iter().map(|sample| i32::from(*sample)).sum();
                *to = sum as f32 * (SCALE / by as f32);
            }
            self.splits[0].split(&at_16, &mut at_8, &mut upper);
            powers[4] = quarters(&upper);
        }
        let mut low = [0.0; LOW];
        self.splits[1].split(&at_8, &mut low, &mut upper[..LOW]);
        powers[3] = quarters(&upper[..LOW]);
        self.splits[2].split(&low, &mut at_2, &mut upper[..LOW / 2]);
        powers[2] = quarters(&upper[..LOW / 2]);
        self.splits[3].split(&at_2, &mut at_1, &mut upper[..LOW / 4]);
        powers[1] = halves(&upper[..LOW / 4]);
        for sample in &mut at_1 {
            let (x, y) = self.high_pass;
            self.high_pass = (*sample, *sample - x + HIGH_PASS * y);
            *sample = self.high_pass.1 * ((1.0 + HIGH_PASS) / 2.0);
        }
        powers[0] = halves(&at_1);
        self.low = low;
        powers
    }

    /// As after a long silence.
    pub fn clear(&mut self) {
        *self = Bands::default();
    }

    /// The last frame below 2 kHz, at 4 kHz.
    pub fn low(&self) -> &[f32; LOW] {
        &self.low
    }
}

fn quarters(samples: &[f32]) -> [f32; 4] {
    let block = samples.len() / 4;
    std::array::from_fn(|n| power(&samples[n * block..(n + 1) * block]))
}

fn halves(samples: &[f32]) -> [f32; 4] {
    let (first, second) = samples.split_at(samples.len() / 2);
    let (first, second) = (power(first), power(second));
    [first, first, second, second]
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32
}

/// One two-path half-band filter: the last input and output of each of its all-passes.
#[derive(Clone, Debug, Default)]
struct Split([[f32; 2]; 2]);

impl Split {
    fn split(&mut self, samples: &[f32], lower: &mut [f32], upper: &mut [f32]) {
        let [[mut odd, mut late], [mut even, mut early]] = self.0;
        for ((pair, lower), upper) in samples.chunks_exact(2).zip(lower).zip(upper) {
            // y[n] = (a x[n] + x[n-1]) - a y[n-1], so that only two operations wait for the output before.
            late = (PATHS[0] * pair[1] + odd) - PATHS[0] * late;
            early = (PATHS[1] * pair[0] + even) - PATHS[1] * early;
            (even, odd) = (pair[0], pair[1]);
            *lower = 0.5 * (late + early);
            *upper = 0.5 * (late - early);
        }
        self.0 = [[odd, late], [even, early]];
    }
}
