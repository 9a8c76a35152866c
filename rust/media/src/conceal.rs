//! Decoding of G.711 with concealment of what was lost, in the manner of ITU-T G.711 Appendix I.
//!
//! What was heard last is repeated, a pitch period at a time: one period for the first 10 ms, two, then three, lest it
//! buzz; from 10 ms on it fades by a fifth every 10 ms, so that after 60 ms nothing is left. Where a repetition begins
//! anew, and where the first good frame follows, the two overlap and fade into each other. Unlike in the appendix nothing
//! is delayed for that: the first sample that is made up is moved onto the last good one, and the move is taken back
//! over a quarter period.

use crate::codec::{Codec, CodedFrame, FRAME_SAMPLES, Frame};
use crate::jitter::Playout;

/// Pitch periods that are looked for, in samples: 200 to 66 Hz. Higher voices repeat two periods or more.
const PITCH: core::ops::RangeInclusive<usize> = 40..=120;

/// Samples that are compared with those a period earlier (20 ms); a multiple of eight, see [`dot`].
const COMPARED: usize = 160;

/// Periods that are repeated at most.
const PERIODS_MAX: usize = 3;

/// Good samples that are remembered: three periods, and a quarter of one before them to fade from.
const HISTORY: usize = 3 * 120 + 30;

/// Samples after which more periods are used, and the fading starts (10 ms).
const STEP: usize = 80;

/// Samples after which nothing is left (60 ms).
const FADED: usize = 480;

/// Ramp where sound starts or ends at once (5 ms).
const RAMP: usize = 40;

/// A first sample after silence beyond this needs a ramp, or it clicks.
const STEP_AUDIBLE: u16 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing sounds, and the history is none.
    Quiet,
    /// The history ends where the sound does.
    Good,
    /// So many samples have been made up.
    Erased(usize),
}

/// Decoder of one stream that fills what is missing.
#[derive(Debug)]
pub struct Concealer {
    state: State,
    history: [i16; HISTORY],
    pitch: usize,
    /// Difference between the last good sample and the one before the first made up.
    step: f32,
}

impl Default for Concealer {
    fn default() -> Self {
        Self::new()
    }
}

impl Concealer {
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Quiet,
            history: [0; HISTORY],
            pitch: *PITCH.end(),
            step: 0.0,
        }
    }

    /// Turns what the jitter buffer gave into the samples to mix.
    pub fn decode(&mut self, codec: Codec, playout: &Playout, coded: &CodedFrame, pcm: &mut Frame) {
        match *playout {
            Playout::Frame => {
                codec.decode(coded, pcm);
                self.good(pcm);
            }
            Playout::Conceal { from, to } => {
                codec.decode(coded, pcm);
                let to = to.min(FRAME_SAMPLES);
                let from = from.min(to);
                let (before, rest) = pcm.split_at_mut(from);
                let (missing, after) = rest.split_at_mut(to - from);
                self.good(before);
                self.erased(missing);
                self.good(after);
            }
            Playout::Silence => {
                self.erased(pcm);
                for (i, sample) in pcm.iter_mut().enumerate() {
                    let left = RAMP.saturating_sub(i + 1) as f32 / RAMP as f32;
                    *sample = (f32::from(*sample) * left) as i16;
                }
                self.skip();
            }
        }
    }

    /// Whether something still sounds that [`Self::decode`] has to fade out at a silence: [`Self::skip`] would click.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state != State::Quiet
    }

    /// Says that a silent frame was not decoded; what is lost next is then silence too. Cheap.
    pub fn skip(&mut self) {
        self.state = State::Quiet;
    }

    fn good(&mut self, pcm: &mut [i16]) {
        if pcm.is_empty() {
            return;
        }
        match self.state {
            State::Quiet => {
                self.history = [0; HISTORY];
                if pcm[0].unsigned_abs() > STEP_AUDIBLE {
                    for (i, sample) in pcm.iter_mut().take(RAMP).enumerate() {
                        *sample = (i32::from(*sample) * (i as i32 + 1) / RAMP as i32) as i16;
                    }
                }
            }
            State::Erased(made_up) => {
                let overlap = (self.pitch / 4 + made_up / STEP * 32)
                    .min(STEP)
                    .min(pcm.len());
                for (i, sample) in pcm.iter_mut().take(overlap).enumerate() {
                    let part = (i + 1) as f32 / (overlap + 1) as f32;
                    let made = self.made_up(made_up + i);
                    *sample = (made * (1.0 - part) + f32::from(*sample) * part).round() as i16;
                }
                // What was made up belongs to the sound's past as well, or the next loss would repeat an old one.
                let mut gone = [0; FRAME_SAMPLES];
                let first = made_up.saturating_sub(FRAME_SAMPLES);
                for (n, sample) in (first..made_up).zip(&mut gone) {
                    *sample = self.made_up(n) as i16;
                }
                self.remember(&gone[..made_up - first]);
            }
            State::Good => {}
        }
        self.state = State::Good;
        self.remember(pcm);
    }

    fn erased(&mut self, pcm: &mut [i16]) {
        let made_up = match self.state {
            State::Quiet => {
                pcm.fill(0);
                return;
            }
            State::Good => {
                self.begin();
                0
            }
            State::Erased(made_up) => made_up,
        };
        for (n, sample) in (made_up..).zip(pcm.iter_mut()) {
            *sample = self.made_up(n).round() as i16;
        }
        self.state = State::Erased((made_up + pcm.len()).min(FADED));
    }

    fn remember(&mut self, pcm: &[i16]) {
        let pcm = &pcm[pcm.len().saturating_sub(HISTORY)..];
        self.history.copy_within(pcm.len().., 0);
        self.history[HISTORY - pcm.len()..].copy_from_slice(pcm);
    }

    /// Finds the period, and how far its repetition is from the last sample.
    fn begin(&mut self) {
        let mut linear = [0.0_f32; HISTORY];
        for (linear, sample) in linear.iter_mut().zip(&self.history) {
            *linear = f32::from(*sample);
        }
        let last = &linear[HISTORY - COMPARED..];
        let mut best = (f32::MIN, *PITCH.end());
        for lag in PITCH {
            let earlier = &linear[HISTORY - COMPARED - lag..HISTORY - lag];
            let likeness = dot(last, earlier) / (dot(earlier, earlier) + 1.0).sqrt();
            if likeness > best.0 {
                best = (likeness, lag);
            }
        }
        self.pitch = best.1;
        self.step = 0.0;
        self.step = f32::from(self.history[HISTORY - 1]) - self.at(HISTORY - 1 - self.pitch);
    }

    fn at(&self, index: usize) -> f32 {
        f32::from(self.history[index])
    }

    /// The `n`th sample after the last good one.
    fn made_up(&self, n: usize) -> f32 {
        if n >= FADED {
            return 0.0;
        }
        let quarter = self.pitch / 4;
        let periods = (n / STEP + 1).min(PERIODS_MAX);
        let mut sample = self.repeated(n, periods);
        let since = n - (periods - 1) * STEP;
        if periods > 1 && since < quarter {
            let part = (since + 1) as f32 / (quarter + 1) as f32;
            sample = self.repeated(n, periods - 1) * (1.0 - part) + sample * part;
        }
        if n < quarter {
            sample += self.step * (quarter - n) as f32 / (quarter + 1) as f32;
        }
        let fade = if n < STEP {
            1.0
        } else {
            (FADED - n) as f32 / (FADED - STEP) as f32
        };
        sample * fade
    }

    /// The `n`th sample of the last `periods` periods in a loop, whose end fades into what came before its beginning.
    fn repeated(&self, n: usize, periods: usize) -> f32 {
        let quarter = self.pitch / 4;
        let len = periods * self.pitch;
        // A multiple of the period: the same phase in the loop of one, two or three.
        let place = n % len;
        let sample = self.at(HISTORY - len + place);
        if place < len - quarter {
            return sample;
        }
        let into = place + 1 - (len - quarter);
        let part = into as f32 / (quarter + 1) as f32;
        sample * (1.0 - part) + self.at(HISTORY + place - 2 * len) * part
    }
}

/// Product of two signals of one length, in eight sums so that the compiler may work on them at once.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}
