//! Whether somebody speaks.
//!
//! **Hearing.** A bank of half-band filters splits a frame into bands an octave wide ([`Bands`](crate::bands::Bands)).
//! In each the power of the steady noise is followed by its minima over [`WINDOWS`] x [`WINDOW_FRAMES`] frames: a voice
//! pauses in each band many times a second, noise never does (minimum statistics, R. Martin, IEEE Trans. Speech Audio
//! Proc. 9(5), 2001). A frame is suspicious if in any band any block of 5 or 10 ms stands out from that noise by
//! [`OPEN`], which blocks of noise almost never do. Blocks are that short so that an onset in the last corner of a
//! frame, or a fricative in one band, is not averaged away.
//!
//! **No onset is cut** because a suspicious frame is heard itself: nothing is awaited to be surer. If it was noise
//! after all, [`HANG_BRIEF`] frames of noise were heard. What is too faint even for that, a swelling /f/ below the
//! noise, is kept and caught up with by [`Gate`](crate::Gate).
//!
//! **Talking** is told to people, so it is surer and later: frames that stand out clearly count as evidence, periodic
//! ones (a voice, a tone; see [`Pitch`](crate::pitch::Pitch)) twice.
//!
//! **Tones and music** are periodic without pause. They are taken for noise [`PERIODIC_SLOWER`] times later than noise
//! is, and above [`NOISE_MAX`] never: mains hum is learned in the end, a held note is heard out.

use plenary_codec::audio::Frame;

use crate::bands::{BANDS, Bands};
use crate::level::{SILENCE_DBFS, rms_dbfs};
use crate::pitch::Pitch;

/// Power above that of the noise that makes a block suspicious, for each band: 7, 7, 7, 5.4 and 4.1 dB. Blocks have 10,
/// 10, 10, 20 and 40 degrees of freedom, so that of steady noise about one frame in a thousand gets there (at worst 4
/// in a thousand: `tests/activity.rs`).
const OPEN: [f32; BANDS] = [5.0, 5.0, 5.0, 3.5, 2.6];

/// Power above that of the noise that is clearly no noise, over a whole frame: 8 dB.
const CLEAR: f32 = 6.3;

/// What is clearly no noise must be as loud as this for talking: -50 dBFS. A whisper at the other end of the room is
/// not.
const TALK_MIN: f32 = 1e-5;

/// Least noise in a band: -78 dBFS, below the steps of G.711. A quieter line is no quieter room.
const NOISE_MIN: f32 = 1.6e-8;

/// Most noise in a band: -33 dBFS. Louder than [`CLEAR`] above it (-25 dBFS) somebody talks, however loud the room.
const NOISE_MAX: f32 = 5e-4;

/// Frames of one window of minima (200 ms), and windows that are remembered: in 1.6 s every band of a phrase has paused.
const WINDOW_FRAMES: u32 = 10;
const WINDOWS: usize = 8;

/// Part of the way that the smoothed power goes to that of a frame: five frames, so that a minimum is not a dent in the
/// noise.
const SMOOTH: f32 = 0.2;

/// Minima of smoothed noise are this much below its mean (0.8 dB, measured).
const BIAS: f32 = 1.2;

/// A periodic frame advances the windows only every so often: a held tone is learned after 26 s instead of 1.6.
const PERIODIC_SLOWER: u32 = 16;

/// Frames that are heard after a suspicious one (60 ms), and after one that was talk (400 ms: pauses between words are
/// shorter).
const HANG_BRIEF: u32 = 3;
const HANG_TALK: u32 = 20;

/// Evidence for talking that starts it: two frames of a vowel (40 ms), or four without pitch. A click is shorter.
const EVIDENCE: u32 = 4;

/// Voice activity of one leg: takes a frame of 20 ms each tick.
///
/// Two decisions come of it. *Heard* ([`frame`](Activity::frame)) is for the mix and errs on the side of letting sound
/// in. *Talking* ([`turn`](Activity::turn), [`is_talking`](Activity::is_talking)) is for people and is surer; whoever
/// talks is heard.
#[derive(Clone, Debug)]
pub struct Activity {
    bands: Bands,
    pitch: Pitch,
    noise: [Floor; BANDS],
    /// Frames so far in the window, in which windows of minima are told apart.
    window: u32,
    /// Periodic frames since the last that counted.
    periodic: u32,
    level_dbfs: f32,
    /// Frames that will still be heard.
    hang: u32,
    evidence: u32,
    /// Frames since the last that was clearly no noise.
    since_clear: u32,
    talking: bool,
    turn: Option<bool>,
}

/// Noise in one band: the least smoothed power of the last windows.
#[derive(Clone, Copy, Debug)]
struct Floor {
    smoothed: f32,
    minima: [f32; WINDOWS],
    noise: f32,
}

impl Floor {
    const NEW: Floor = Floor {
        smoothed: NOISE_MIN,
        minima: [NOISE_MIN; WINDOWS],
        noise: NOISE_MIN,
    };

    /// Takes a frame's power. `at`: place of the present window among the minima.
    fn frame(&mut self, power: f32, at: usize, begins: bool) {
        self.smoothed += (power - self.smoothed) * SMOOTH;
        if begins {
            self.minima[at] = self.smoothed;
        } else {
            self.minima[at] = self.minima[at].min(self.smoothed);
        }
        let least = self.minima.iter().copied().fold(f32::MAX, f32::min);
        self.noise = (least * BIAS).clamp(NOISE_MIN, NOISE_MAX);
    }
}

impl Default for Activity {
    fn default() -> Activity {
        Activity::new()
    }
}

impl Activity {
    #[must_use]
    pub fn new() -> Activity {
        Activity {
            bands: Bands::default(),
            pitch: Pitch::default(),
            noise: [Floor::NEW; BANDS],
            window: 0,
            periodic: 0,
            level_dbfs: SILENCE_DBFS,
            hang: 0,
            evidence: 0,
            since_clear: HANG_TALK,
            talking: false,
            turn: None,
        }
    }

    /// Takes one frame; whether it belongs into the mix. Its rate may be another than that of the frame before.
    pub fn frame(&mut self, frame: &Frame) -> bool {
        self.level_dbfs = rms_dbfs(frame);
        let powers = self.bands.frame(frame);
        self.pitch.frame(self.bands.low());
        self.decide(&powers)
    }

    /// Takes a tick in which nothing was said or nothing was decoded; as [`frame`](Activity::frame) with digital
    /// silence.
    pub fn silence(&mut self) -> bool {
        self.level_dbfs = SILENCE_DBFS;
        self.bands.clear();
        self.pitch.frame(self.bands.low());
        self.decide(&[[0.0; 4]; BANDS])
    }

    fn decide(&mut self, powers: &[[f32; 4]; BANDS]) -> bool {
        let mut suspicious = false;
        let mut clear = 0.0;
        let mut means = [0.0; BANDS];
        for (band, blocks) in powers.iter().enumerate() {
            let noise = self.noise[band].noise;
            let most = blocks.iter().copied().fold(0.0, f32::max);
            suspicious |= most > noise * OPEN[band];
            means[band] = blocks.iter().sum::<f32>() / 4.0;
            clear += (means[band] - noise * CLEAR).max(0.0);
        }
        let clear = clear > TALK_MIN;
        // Looking for a pitch costs more than all the rest, and nothing waits for it in silence.
        let periodic = clear && self.pitch.is_periodic();
        self.learn(&means, periodic);

        self.evidence = match (clear, periodic) {
            (true, true) => EVIDENCE.min(self.evidence + 2),
            (true, false) => EVIDENCE.min(self.evidence + 1),
            (false, _) => self.evidence.saturating_sub(1),
        };
        self.since_clear = if clear { 0 } else { self.since_clear + 1 };
        let talking = if self.talking {
            self.since_clear < HANG_TALK
        } else {
            self.evidence >= EVIDENCE
        };
        self.turn = (talking != self.talking).then_some(talking);
        self.talking = talking;

        self.hang = self.hang.saturating_sub(1);
        if suspicious {
            self.hang = self.hang.max(HANG_BRIEF + 1);
        }
        if talking {
            self.hang = self.hang.max(HANG_TALK - self.since_clear);
        }
        self.hang > 0
    }

    /// Lets the noise of each band follow, once in a while only if the frame may be a held note.
    fn learn(&mut self, means: &[f32; BANDS], periodic: bool) {
        if periodic {
            self.periodic += 1;
            if self.periodic < PERIODIC_SLOWER {
                return;
            }
        }
        self.periodic = 0;
        let begins = self.window.is_multiple_of(WINDOW_FRAMES);
        let at = (self.window / WINDOW_FRAMES) as usize % WINDOWS;
        for (floor, mean) in self.noise.iter_mut().zip(means) {
            floor.frame(*mean, at, begins);
        }
        self.window = (self.window + 1) % (WINDOW_FRAMES * WINDOWS as u32);
    }

    /// `Some` if talking began or ended with the last frame.
    #[must_use]
    pub fn turn(&self) -> Option<bool> {
        self.turn
    }

    #[must_use]
    pub fn is_talking(&self) -> bool {
        self.talking
    }

    /// RMS level of the last frame.
    #[must_use]
    pub fn level_dbfs(&self) -> f32 {
        self.level_dbfs
    }

    /// Level of the steady noise on this leg, above 80 Hz, as far as it is known.
    #[must_use]
    pub fn noise_dbfs(&self) -> f32 {
        10.0 * self
            .noise
            .iter()
            .map(|floor| floor.noise)
            .sum::<f32>()
            .log10()
    }
}
