//! Between 8, 16 and 48 kHz: one linear-phase filter for each pair of rates, worked on phase by phase.
//!
//! Going up by a factor of n, n - 1 zeros would be put after each sample and the whole be filtered; going down, it
//! would be filtered and all samples but each nth thrown away. What is multiplied by zero or thrown away is never
//! computed: the filter is taken apart into n phases of [`TAPS`] taps, all of which work at the lower rate. Going up,
//! each makes every nth sample; going down, each takes every nth, and their sums are the output.
//!
//! The filter passes 85 % of the lower rate's band within 0.05 dB. From the upper end of that band on it is down by
//! 74 dB; the five images of a tone together by 69 dB. There is no image and no alias, not even close to the end.

use std::time::Duration;

use crate::audio::Rate;

/// Taps of a phase: what a filter that steep needs.
const TAPS: usize = 44;

/// The largest factor between two rates.
const PHASES_MAX: usize = 6;

/// Samples of the longest frame at a rate that is the lower of two.
const LOW_MAX: usize = Rate::Wide.frame();

/// Samples that are worked on at once: as many sums as fit into registers.
const BLOCK: usize = 16;

// The first half and the middle of each symmetric filter, times its factor. Designed for equal ripple
// (Parks, McClellan 1972) by SciPy: remez(44 * n - 1, [0, 0.85 * low / 2, low / 2, high / 2], [1, 0],
// weight=[1, 30], fs=high), then brought to a sum of 1.
const HALF_2: [f32; 44] = [
    0.0005712, 0.0024368, 0.0032267, 0.001144, -0.0020991, -0.0018588, 0.0018797, 0.0029832,
    -0.0013452, -0.0043077, 0.0001911, 0.0055647, 0.0017013, -0.0064384, -0.0043357, 0.0065773,
    0.0075854, -0.0056371, -0.0112076, 0.0032771, 0.0147882, 0.0007416, -0.0177958, -0.0065507,
    0.0195782, 0.0141272, -0.0193887, -0.0232779, 0.0163985, 0.0336337, -0.0096743, -0.0446648,
    -0.0019258, 0.0557281, 0.0201102, -0.0661091, -0.0481738, 0.0750959, 0.0945959, -0.082042,
    -0.1910445, 0.0864321, 0.626271, 0.9064759,
];
const HALF_3: [f32; 66] = [
    0.0000558, 0.0011659, 0.0023259, 0.0032201, 0.0029151, 0.0011808, -0.0011553, -0.0025535,
    -0.0018732, 0.0005498, 0.0028625, 0.0029979, 0.0004541, -0.0029609, -0.0043221, -0.0020259,
    0.0025082, 0.005574, 0.00414, -0.0012721, -0.0064417, -0.0066547, -0.0009071, 0.0065687,
    0.0092951, 0.0040698, -0.0056153, -0.0116996, -0.0081559, 0.0032464, 0.0133801, 0.0129301,
    0.0007822, -0.0137871, -0.017997, -0.0065982, 0.0123305, 0.0227917, 0.0141768, -0.0084187,
    -0.0265879, -0.0233221, 0.0014763, 0.0285051, 0.0336681, 0.0090746, -0.0274755, -0.044686,
    -0.0238926, 0.0221542, 0.0557335, 0.0440014, -0.0105749, -0.0660986, -0.0715499, -0.010895,
    0.0750704, 0.1123307, 0.0514625, -0.082004, -0.1872736, -0.1475653, 0.0863847, 0.4470125,
    0.7746623, 0.9066116,
];
const HALF_6: [f32; 132] = [
    -0.0004938, 0.0001985, 0.0005102, 0.0009994, 0.0016113, 0.0022596, 0.0028318, 0.0032054,
    0.0032713, 0.0029604, 0.0022661, 0.0012568, 0.0000734, -0.0010899, -0.0020196, -0.0025261,
    -0.0024873, -0.0018825, -0.0008083, 0.0005298, 0.0018521, 0.002859, 0.0032965, 0.0030173,
    0.0020233, 0.0004791, -0.0013101, -0.0029557, -0.0040676, -0.0043444, -0.0036504, -0.0020602,
    0.0001386, 0.0024902, 0.0044698, 0.0055887, 0.0055183, 0.0041756, 0.0017649, -0.0012463,
    -0.0042133, -0.0064496, -0.0073818, -0.0066923, -0.0044124, -0.0009436, 0.0030068, 0.0065655,
    0.008883, 0.0093317, 0.0076682, 0.004119, -0.0006372, -0.0055926, -0.0096194, -0.0117222,
    -0.0112776, -0.008206, -0.0030284, 0.0032103, 0.0091459, 0.0133888, 0.0148425, 0.0129778,
    0.0079953, 0.00083, -0.0070161, -0.0137791, -0.0178254, -0.0180366, -0.0141035, -0.0066528,
    0.0028345, 0.012307, 0.0195777, 0.0228203, 0.0210144, 0.0142359, 0.0037133, -0.0083777,
    -0.019352, -0.0266, -0.0281938, -0.0233788, -0.012827, 0.0014201, 0.0163271, 0.0284957,
    0.0349215, 0.0337132, 0.0246058, 0.0091372, -0.0095775, -0.0274475, -0.0402763, -0.0447165,
    -0.0391021, -0.023957, -0.002041, 0.0221089, 0.0430786, 0.0557451, 0.0564717, 0.0440606,
    0.0202318, -0.0105174, -0.0416916, -0.0660914, -0.0773805, -0.0715999, -0.048293, -0.010961,
    0.0333101, 0.075044, 0.1042096, 0.1123671, 0.0947043, 0.0515317, -0.0111144, -0.0819616,
    -0.1460754, -0.1872969, -0.1911412, -0.147636, -0.0535655, 0.0863331, 0.259499, 0.4470452,
    0.626418, 0.7747917, 0.8726274, 0.9067829,
];

static BY_2: [[f32; TAPS]; 2] = phases(&HALF_2);
static BY_3: [[f32; TAPS]; 3] = phases(&HALF_3);
static BY_6: [[f32; TAPS]; 6] = phases(&HALF_6);

/// Takes a filter apart; in each phase the tap of the oldest sample is the first.
const fn phases<const N: usize>(half: &[f32]) -> [[f32; TAPS]; N] {
    let mut phases = [[0.0; TAPS]; N];
    let middle = half.len() - 1;
    let mut phase = 0;
    while phase < N {
        let mut i = 0;
        while i < TAPS {
            // One more than the filter has: the last is 0.
            let n = phase + N * (TAPS - 1 - i);
            if n <= 2 * middle {
                phases[phase][i] = half[if n <= middle { n } else { 2 * middle - n }];
            }
            i += 1;
        }
        phase += 1;
    }
    phases
}

/// Brings a stream of samples from one rate to another. A clone goes on from the same state. Equal rates are a copy.
#[derive(Clone, Debug)]
pub struct Resampler {
    from: Rate,
    to: Rate,
    /// The last samples of each phase of the input; going up it has only one.
    past: [[f32; TAPS - 1]; PHASES_MAX],
}

/// A phase of the input with its past in front, and room for the last block to be whole.
type Window = [f32; TAPS - 1 + LOW_MAX + BLOCK];

impl Resampler {
    #[must_use]
    pub fn new(from: Rate, to: Rate) -> Resampler {
        Resampler {
            from,
            to,
            past: [[0.0; TAPS - 1]; PHASES_MAX],
        }
    }

    #[must_use]
    pub fn from(&self) -> Rate {
        self.from
    }

    #[must_use]
    pub fn to(&self) -> Rate {
        self.to
    }

    /// By how much the output is late, the same for every frequency: 21 samples of the lower rate going down, one of
    /// the higher rate less than 22 of the lower going up; 1.3 to 2.7 ms.
    #[must_use]
    pub fn latency(&self) -> Duration {
        let (low, high) = (self.from.min(self.to), self.from.max(self.to));
        let factor = high.frame() / low.frame();
        let samples = match self.from.cmp(&self.to) {
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Less => factor * TAPS / 2 - 1,
            std::cmp::Ordering::Greater => factor * (TAPS / 2 - 1),
        };
        Duration::from_nanos(samples as u64 * 1_000_000_000 / u64::from(high.hz()))
    }

    /// Makes as much time of `output` out of `input`.
    ///
    /// # Panics
    /// If the one is not as long as the other at its rate.
    pub fn process(&mut self, input: &[i16], output: &mut [i16]) {
        let (from, to) = (self.from.frame(), self.to.frame());
        assert_eq!(input.len() * to, output.len() * from, "as long");
        for (input, output) in input.chunks(from).zip(output.chunks_mut(to)) {
            match (self.from, self.to) {
                (Rate::Narrow, Rate::Wide) => self.raise(input, output, &BY_2),
                (Rate::Wide, Rate::Full) => self.raise(input, output, &BY_3),
                (Rate::Narrow, Rate::Full) => self.raise(input, output, &BY_6),
                (Rate::Wide, Rate::Narrow) => self.lower(input, output, &BY_2),
                (Rate::Full, Rate::Wide) => self.lower(input, output, &BY_3),
                (Rate::Full, Rate::Narrow) => self.lower(input, output, &BY_6),
                _ => output.copy_from_slice(input),
            }
        }
    }

    /// Forgets what it has heard.
    pub fn reset(&mut self) {
        self.past = Resampler::new(self.from, self.to).past;
    }

    fn raise<const N: usize>(
        &mut self,
        input: &[i16],
        output: &mut [i16],
        phases: &[[f32; TAPS]; N],
    ) {
        let window = window(&mut self.past[0], input.iter());
        for (phase, taps) in phases.iter().enumerate() {
            let mut samples = [0.0; LOW_MAX];
            filter(&window, taps, &mut samples[..input.len()]);
            for (sample, sum) in output.iter_mut().skip(phase).step_by(N).zip(samples) {
                *sample = to_i16(sum);
            }
        }
    }

    fn lower<const N: usize>(
        &mut self,
        input: &[i16],
        output: &mut [i16],
        phases: &[[f32; TAPS]; N],
    ) {
        let mut samples = [0.0; LOW_MAX];
        let samples = &mut samples[..output.len()];
        // The newest of n samples meets the first tap.
        for (phase, taps) in phases.iter().rev().enumerate() {
            let input = input.iter().skip(phase).step_by(N);
            filter(&window(&mut self.past[phase], input), taps, samples);
        }
        for (sample, sum) in output.iter_mut().zip(samples) {
            *sample = to_i16(*sum / N as f32);
        }
    }
}

/// The past and a phase of the input in one; its end becomes the past.
fn window<'a>(past: &mut [f32; TAPS - 1], input: impl ExactSizeIterator<Item = &'a i16>) -> Window {
    let mut window = [0.0; TAPS - 1 + LOW_MAX + BLOCK];
    let length = input.len();
    window[..past.len()].copy_from_slice(past);
    for (to, sample) in window[past.len()..].iter_mut().zip(input) {
        *to = f32::from(*sample);
    }
    past.copy_from_slice(&window[length..][..TAPS - 1]);
    window
}

/// Adds the filtered window to `sums`. Tap after tap, not sample after sample: so it works on a block of samples in
/// vector registers.
fn filter(window: &Window, taps: &[f32; TAPS], sums: &mut [f32]) {
    for (block, sums) in sums.chunks_mut(BLOCK).enumerate() {
        let window = &window[block * BLOCK..][..TAPS + BLOCK - 1];
        let mut products = [0.0; BLOCK];
        for (tap, i) in taps.iter().zip(0..) {
            for (product, sample) in products.iter_mut().zip(&window[i..i + BLOCK]) {
                *product += sample * tap;
            }
        }
        for (sum, product) in sums.iter_mut().zip(products) {
            *sum += product;
        }
    }
}

/// Rounds and saturates. Added to 1.5 * 2^23, a number has its integer part in the lowest bits of a float.
fn to_i16(sample: f32) -> i16 {
    const SHIFT: f32 = 12_582_912.0;
    (sample.clamp(-32_768.0, 32_767.0) + SHIFT).to_bits() as i16
}
