//! Brings every voice to the same loudness, slowly.
//!
//! Loudness is the active speech level of ITU-T P.56 (method B): the energy of speech, divided by the time in which its
//! envelope was within [`MARGIN_DB`] of that level a moment ago. Here the envelope is the level of a frame, and what
//! was long ago counts for less.
//!
//! The gain goes towards [`TARGET_DBFS`], at most [`RISE_DB_S`] or [`FALL_DB_S`] a second, only while somebody talks,
//! and not at all before it is off by [`OFF_DB`]: nobody hears it move, a pause does not raise it. Each frame goes in a
//! straight line from the gain before to the next. A cough or a shout counts for no more than [`SURPRISE_DB`] above the
//! voice that is known, so that it does not turn down what follows; a limiter keeps it within full scale meanwhile.
//! Noise is not raised above [`NOISE_MAX_DBFS`].

use plenary_codec::audio::{FRAME_MAX, Frame};

use crate::level::{SILENCE_DBFS, rms_dbfs};
use crate::limiter::{Limiter, rounded};

/// Active speech level of every voice: that of the prompts. Peaks of speech are some 15 dB above it and just fit; a
/// browser's own gain control brings a voice to about the same.
const TARGET_DBFS: f32 = -20.0;

/// More than that and the room is louder than the voice.
const GAIN_MAX_DB: f32 = 24.0;
const GAIN_MIN_DB: f32 = -18.0;

/// Slower than anybody raises his voice.
const RISE_DB_S: f32 = 3.0;
/// Too loud is a nuisance, too soft is not.
const FALL_DB_S: f32 = 6.0;
const FRAMES_S: f32 = 50.0;

/// As far from the target the gain begins to move, and ends when it is as near as the other.
const OFF_DB: f32 = 1.5;
const ON_DB: f32 = 0.2;

/// Near the target it slows down: part of the way left that it goes in a frame (a time constant of 2 s).
const SLOWING: f32 = 100.0;

/// ITU-T P.56, 5.3: between the level and the threshold of what is active, and for how long that lasts (200 ms).
const MARGIN_DB: f32 = 15.9;
const ACTIVE_FRAMES: u8 = 10;

/// Frames of a voice at a steady level are at most this much above its level.
const SURPRISE_DB: f32 = 6.0;

/// The least noise is raised to this at most.
const NOISE_MAX_DBFS: f32 = -45.0;
/// How fast the least noise follows a louder frame, in dB a frame (1 dB/s): speech does not pass for it.
const NOISE_RISE_DB: f32 = 0.02;

/// Frames of speech after which an older one counts for a third (5 s).
const MEMORY: f32 = 250.0;

/// Frames of speech before the gain moves at all (200 ms): a click is no voice.
const KNOWN: f32 = 10.0;

/// Thresholds: from [`LOWEST_DBFS`] up, as far apart as this.
const THRESHOLDS: usize = 22;
const APART_DB: f32 = 3.0;
const LOWEST_DBFS: f32 = -66.0;

/// Loudness normaliser of one leg.
#[derive(Clone, Debug)]
pub struct Normaliser {
    /// Sum of the power of all frames of speech, and how many they were; older ones count for less, here and below.
    power: f32,
    frames: f32,
    /// For how many frames each threshold was passed lately, and since when.
    active: [f32; THRESHOLDS],
    since: [u8; THRESHOLDS],
    noise_dbfs: f32,
    moving: bool,
    gain_db: f32,
    limiter: Limiter,
}

impl Default for Normaliser {
    fn default() -> Normaliser {
        Normaliser::new()
    }
}

impl Normaliser {
    #[must_use]
    pub fn new() -> Normaliser {
        Normaliser {
            power: 0.0,
            frames: 0.0,
            active: [0.0; THRESHOLDS],
            since: [ACTIVE_FRAMES; THRESHOLDS],
            noise_dbfs: 0.0,
            moving: false,
            gain_db: 0.0,
            limiter: Limiter::new(),
        }
    }

    /// Amplifies one frame. `talking`: whether it counts as speech
    /// ([`Activity::is_talking`](crate::Activity::is_talking)).
    pub fn process(&mut self, frame: &mut Frame, talking: bool) {
        let level = rms_dbfs(frame);
        let before = self.gain_db;
        // No room is as quiet as a packet that did not come.
        if level > SILENCE_DBFS {
            self.noise_dbfs = level.min(self.noise_dbfs + NOISE_RISE_DB);
        }
        if talking {
            let active = self.count(level);
            if self.frames >= KNOWN {
                self.follow(active);
            }
        }
        let (from, to) = (factor(before), factor(self.gain_db));
        if from == 1.0 && to == 1.0 {
            return;
        }
        let mut louder = [0; FRAME_MAX];
        let louder = &mut louder[..frame.len()];
        let step = (to - from) / frame.len() as f32;
        for (n, (louder, sample)) in (1_u16..).zip(louder.iter_mut().zip(frame.iter())) {
            *louder = rounded(f32::from(*sample) * (from + step * f32::from(n)));
        }
        self.limiter.process(louder, frame);
    }

    /// Present gain in dB.
    #[must_use]
    pub fn gain_db(&self) -> f32 {
        self.gain_db
    }

    /// Takes the level of one frame of speech; what the active level is now.
    fn count(&mut self, level: f32) -> f32 {
        let level = if self.frames >= KNOWN {
            level.min(self.active_dbfs() + SURPRISE_DB)
        } else {
            level
        };
        let keep = 1.0 - 1.0 / MEMORY;
        self.power = self.power * keep + factor(level).powi(2);
        self.frames = self.frames * keep + 1.0;
        let mut threshold = LOWEST_DBFS;
        for (active, since) in self.active.iter_mut().zip(&mut self.since) {
            *since = if level >= threshold {
                0
            } else {
                ACTIVE_FRAMES.min(*since + 1)
            };
            *active = *active * keep + f32::from(u8::from(*since < ACTIVE_FRAMES));
            threshold += APART_DB;
        }
        self.active_dbfs()
    }

    /// Level of the speech that is remembered: where it is [`MARGIN_DB`] above the threshold by which it was told from
    /// pauses.
    fn active_dbfs(&self) -> f32 {
        let (mut threshold, mut last) = (LOWEST_DBFS, None);
        for active in self.active {
            let level = 10.0 * (self.power / active.max(0.01)).log10();
            let above = level - threshold - MARGIN_DB;
            if above <= 0.0 {
                // Between this threshold and the last one.
                return last.map_or(level, |(last_level, last_above)| {
                    last_level + (level - last_level) * last_above / (last_above - above)
                });
            }
            last = Some((level, above));
            threshold += APART_DB;
        }
        0.0
    }

    fn follow(&mut self, active: f32) {
        let most = (NOISE_MAX_DBFS - self.noise_dbfs).clamp(0.0, GAIN_MAX_DB);
        let off = (TARGET_DBFS - active).clamp(GAIN_MIN_DB, most) - self.gain_db;
        self.moving = off.abs() > if self.moving { ON_DB } else { OFF_DB };
        if self.moving {
            self.gain_db += (off / SLOWING).clamp(-FALL_DB_S / FRAMES_S, RISE_DB_S / FRAMES_S);
        }
    }
}

fn factor(db: f32) -> f32 {
    10.0_f32.powf(db / 20.0)
}
