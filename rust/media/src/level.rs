//! How loud a frame is, and whether somebody talks.

/// Level of digital silence, in dBFS.
pub const SILENCE_DBFS: f32 = -127.0;

/// RMS level of some samples in dBFS: 0 is a square wave of full scale, a full-scale sine is -3.
#[must_use]
pub fn rms_dbfs(pcm: &[i16]) -> f32 {
    if pcm.is_empty() {
        return SILENCE_DBFS;
    }
    let energy: u64 = pcm
        .iter()
        .map(|&sample| u64::from((i32::from(sample) * i32::from(sample)) as u32))
        .sum();
    let power = energy as f32 / (pcm.len() as f32 * 32_768.0 * 32_768.0);
    if power > 0.0 {
        (10.0 * power.log10()).max(SILENCE_DBFS)
    } else {
        SILENCE_DBFS
    }
}

/// Largest magnitude among some samples, in dBFS.
#[must_use]
pub fn peak_dbfs(pcm: &[i16]) -> f32 {
    let peak = pcm
        .iter()
        .fold(0, |peak: u16, sample| peak.max(sample.unsigned_abs()));
    if peak > 0 {
        20.0 * (f32::from(peak) / 32_768.0).log10()
    } else {
        SILENCE_DBFS
    }
}

/// Frames above the threshold in a row that start talking (40 ms): a click is shorter.
const ATTACK_FRAMES: u32 = 2;

/// Frames below it in a row that end talking (400 ms): pauses between words are shorter.
const RELEASE_FRAMES: u32 = 20;

/// Speech stands out from the noise by this much.
const ABOVE_NOISE_DB: f32 = 10.0;

/// Quieter than this nobody talks, however quiet the line.
const THRESHOLD_MIN_DBFS: f32 = -50.0;

/// The least noise floor: what [`THRESHOLD_MIN_DBFS`] stands above.
const NOISE_MIN_DBFS: f32 = THRESHOLD_MIN_DBFS - ABOVE_NOISE_DB;

/// Louder than this somebody talks, however loud the room.
const THRESHOLD_MAX_DBFS: f32 = -25.0;

/// How fast the noise floor follows a louder frame, in dB a frame (5 dB/s): slower than anybody talks without pause.
const NOISE_RISE_DB: f32 = 0.1;

/// Part of the way down to a quieter frame that the noise floor goes at once.
const NOISE_FALL: f32 = 0.2;

/// Whether somebody talks: louder than the noise for a while, until quieter for a longer while.
#[derive(Debug)]
pub struct TalkDetector {
    noise_dbfs: f32,
    talking: bool,
    /// Frames in a row that speak against the present state.
    against: u32,
}

impl Default for TalkDetector {
    fn default() -> Self {
        Self::new()
    }
}

impl TalkDetector {
    #[must_use]
    pub fn new() -> Self {
        Self {
            noise_dbfs: NOISE_MIN_DBFS,
            talking: false,
            against: 0,
        }
    }

    /// Takes the RMS level of one frame of 20 ms ([`SILENCE_DBFS`] for one that was not decoded); `Some` if talking
    /// starts or ends with it.
    pub fn frame(&mut self, level_dbfs: f32) -> Option<bool> {
        let threshold =
            (self.noise_dbfs + ABOVE_NOISE_DB).clamp(THRESHOLD_MIN_DBFS, THRESHOLD_MAX_DBFS);
        // Digital silence is no quieter room than any other.
        let step = level_dbfs.max(NOISE_MIN_DBFS) - self.noise_dbfs;
        self.noise_dbfs += if step < 0.0 {
            step * NOISE_FALL
        } else {
            step.min(NOISE_RISE_DB)
        };
        if (level_dbfs > threshold) == self.talking {
            self.against = 0;
            return None;
        }
        self.against += 1;
        if self.against
            < if self.talking {
                RELEASE_FRAMES
            } else {
                ATTACK_FRAMES
            }
        {
            return None;
        }
        self.talking = !self.talking;
        self.against = 0;
        Some(self.talking)
    }

    #[must_use]
    pub fn is_talking(&self) -> bool {
        self.talking
    }
}
