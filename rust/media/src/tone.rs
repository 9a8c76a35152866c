//! Sine tones for signals and tests.

use core::time::Duration;

/// A sine of 8 kHz with ramps of 5 ms at both ends.
#[derive(Clone, Debug)]
pub struct Tone {}

impl Tone {
    /// `frequency_hz` 1 to 3,999; `level_dbfs` is the RMS level as in [`crate::level::rms_dbfs`], at most -3.
    #[must_use]
    pub fn new(frequency_hz: f32, duration: Duration, level_dbfs: f32) -> Self {
        let _ = (frequency_hz, duration, level_dbfs);
        Self {}
    }

    /// Writes the next samples, gives how many; fewer than asked for once the tone is over.
    pub fn fill(&mut self, pcm: &mut [i16]) -> usize {
        let _ = pcm;
        0
    }
}
