//! Sine tones for signals and tests.

use core::f64::consts::TAU;
use core::time::Duration;

use plenary_codec::Rate;

/// Time is counted in samples at 48 kHz, of which every rate has a whole number to its own.
const CLOCK: Rate = Rate::Full;

/// Length of the ramp at either end (5 ms): a step would click.
const RAMP: i64 = 5 * CLOCK.per_ms() as i64;

/// Longest tone: an hour.
const DURATION_MAX: Duration = Duration::from_secs(3_600);

/// A sine with ramps of 5 ms at both ends.
#[derive(Clone, Debug)]
pub struct Tone {
    peak: f64,
    /// Angle a tick of the clock.
    step: f64,
    next: i64,
    len: i64,
}

impl Tone {
    /// `frequency_hz` 1 to 3,999; `level_dbfs` is the RMS level as in [`plenary_voice::level::rms_dbfs`], at most -3. Values
    /// outside are taken for the nearest inside; `duration` is at most an hour.
    #[must_use]
    pub fn new(frequency_hz: f32, duration: Duration, level_dbfs: f32) -> Self {
        let frequency_hz = f64::from(frequency_hz.clamp(1.0, 3_999.0));
        let peak_dbfs = f64::from(level_dbfs.clamp(-127.0, -3.0)) + 20.0 * 2.0_f64.sqrt().log10();
        let duration = duration.min(DURATION_MAX);
        Self {
            peak: 32_767.0 * 10.0_f64.powf(peak_dbfs.min(0.0) / 20.0),
            step: TAU * frequency_hz / f64::from(CLOCK.hz()),
            next: 0,
            len: (duration.as_nanos() * u128::from(CLOCK.hz()) / 1_000_000_000) as i64,
        }
    }

    /// Writes the next samples, `rate` of them a second, and gives how many; fewer than asked for once the tone is over.
    pub fn fill(&mut self, rate: Rate, pcm: &mut [i16]) -> usize {
        let ticks = i64::from(CLOCK.hz() / rate.hz());
        let left = (self.len - self.next).max(0) / ticks;
        let count = pcm.len().min(left as usize);
        for sample in &mut pcm[..count] {
            let from_end = (self.next + ticks).min(self.len - self.next).min(RAMP);
            let ramp = from_end as f64 / RAMP as f64;
            *sample = (self.peak * ramp * (self.step * self.next as f64).sin()).round() as i16;
            self.next += ticks;
        }
        count
    }
}
