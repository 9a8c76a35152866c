//! Keeps a mix of many voices within full scale without the rattle of clipping.
//!
//! What fits into 16 bits passes bit for bit. Where the sum is larger, a gain below 1 takes it down; the gain is a
//! chain of straight lines between points a millisecond apart, so it never jumps:
//!
//! 1. Each millisecond of the frame says which gain its peak needs. A point between two of them takes the lesser, so
//!    the line between two points is low enough for everything under it.
//! 2. Forwards: the gain stays where it is for [`HOLD_MS`] after it was needed, then rises by [`RELEASE_DB_MS`].
//!    Holding longer than half a period of the lowest voice keeps the gain still under a steady tone: no harmonics.
//! 3. Backwards: it begins to fall some milliseconds before a peak, at most [`ATTACK`] a millisecond. All of the frame
//!    is at hand, so this look-ahead costs no delay.
//!
//! The frame before is gone already: a peak in the first millisecond of a frame that needs less gain than the frame
//! before ended with is met by a steep line that ends at the first sample that would not fit. Should that be the very
//! first, what is too large is cut for less than a millisecond.

use plenary_codec::audio::{FRAME_MS, Frame};

/// Lines a frame.
const LINES: usize = FRAME_MS as usize;

/// Half a period of 33 Hz, which is lower than any voice.
const HOLD_MS: u8 = 15;

/// 50 dB a second: two voices that met for a word (6 dB) are forgotten in 120 ms, before the next word.
const RELEASE_DB_MS: f32 = 0.05;

/// Factor by which the gain may fall in a millisecond (3 dB): 12 dB take 4 ms, which no ear takes for a click.
const ATTACK: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// A peak that needs this little less than the present gain renews the hold: peaks of a tone fall between samples.
const NEAR: f32 = 1.02;

/// Limiter of one mix. State is two numbers: a mix class that splits clones it.
#[derive(Clone, Debug)]
pub struct Limiter {
    /// That of the last sample; 0 < gain <= 1.
    gain: f32,
    /// Milliseconds before the gain may rise.
    hold: u8,
}

impl Default for Limiter {
    fn default() -> Limiter {
        Limiter::new()
    }
}

impl Limiter {
    #[must_use]
    pub fn new() -> Limiter {
        Limiter { gain: 1.0, hold: 0 }
    }

    /// Makes a frame of a sum of frames. `sum` has as many samples as `out`. Adds no delay.
    pub fn process(&mut self, sum: &[i32], out: &mut Frame) {
        debug_assert_eq!(sum.len(), out.len());
        if self.gain >= 1.0 && fits(sum) {
            for (out, sum) in out.iter_mut().zip(sum) {
                *out = *sum as i16;
            }
            return;
        }
        let line = out.rate().per_ms();
        let points = self.points(sum, line);
        let mut sums = sum.chunks(line);
        let mut outs = out.chunks_mut(line);
        if let (Some(sum), Some(out)) = (sums.next(), outs.next()) {
            // As far as the first sample that does not fit, which is where the gain must have arrived.
            let steep = sum
                .iter()
                .position(|sum| magnitude(*sum) as f32 * points[0] > CEILING as f32)
                .filter(|_| points[1] < points[0])
                .map_or(line, |at| at + 1);
            draw(&sum[..steep], points[0], points[1], &mut out[..steep]);
            draw(&sum[steep..], points[1], points[1], &mut out[steep..]);
        }
        for ((sum, out), ends) in sums.zip(outs).zip(points[1..].windows(2)) {
            draw(sum, ends[0], ends[1], out);
        }
    }

    /// Gain at each end of each line, from that of the last sample before the frame to that of its last sample.
    fn points(&mut self, sum: &[i32], line: usize) -> [f32; LINES + 1] {
        let mut need = [1.0_f32; LINES + 1];
        for (need, sum) in need.iter_mut().zip(sum.chunks(line)) {
            *need = CEILING as f32 / peak(sum).max(CEILING) as f32;
        }
        let release = 10.0_f32.powf(RELEASE_DB_MS / 20.0);
        let mut points = [self.gain; LINES + 1];
        for n in 1..=LINES {
            let need = need[n - 1].min(need[n]);
            let before = points[n - 1];
            points[n] = if need < 1.0 && need <= before * NEAR {
                self.hold = HOLD_MS;
                need.min(before)
            } else if self.hold > 0 {
                self.hold -= 1;
                before
            } else {
                (before * release).min(need)
            };
        }
        self.gain = points[LINES];
        for n in (1..LINES).rev() {
            points[n] = points[n].min(points[n + 1] / ATTACK);
        }
        points
    }

    /// Gain that the last sample had, in dB: 0 or less.
    #[must_use]
    pub fn gain_db(&self) -> f32 {
        20.0 * self.gain.log10()
    }
}

/// Makes a frame of a sum for who wants no limiter: what fits passes bit for bit, what is larger is cut.
pub fn clip(sum: &[i32], out: &mut Frame) {
    debug_assert_eq!(sum.len(), out.len());
    for (out, sum) in out.iter_mut().zip(sum) {
        *out = (*sum).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    }
}

/// Largest [`magnitude`] that fits.
const CEILING: i32 = i16::MAX as i32;

/// As far from zero as this; a negative number has one more, as in 16 bits.
fn magnitude(sum: i32) -> i32 {
    sum ^ (sum >> 31)
}

/// Whether the peak is not above the ceiling, which is all ones: quicker than to look for it.
fn fits(sum: &[i32]) -> bool {
    sum.iter().fold(0, |bits, sum| bits | magnitude(*sum)) <= CEILING
}

fn peak(sum: &[i32]) -> i32 {
    sum.iter().fold(0, |peak, sum| peak.max(magnitude(*sum)))
}

/// Samples with a gain that goes straight from `from` (before the first) to `to` (at the last).
fn draw(sum: &[i32], from: f32, to: f32, out: &mut [i16]) {
    let step = (to - from) / sum.len() as f32;
    for (n, (out, sum)) in (1_u16..).zip(out.iter_mut().zip(sum)) {
        let sample = rounded(*sum as f32 * (from + step * f32::from(n)));
        *out = sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    }
}

/// The nearest whole number. `f32::round` is a call of a library on the oldest processors of x86-64.
pub fn rounded(value: f32) -> i32 {
    (value + 0.5_f32.copysign(value)) as i32
}
