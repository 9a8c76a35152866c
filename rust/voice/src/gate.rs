//! Lets a voice into the mix, and keeps the noise of a silent leg out of it.
//!
//! A closed gate keeps the last [`LOOK_BACK_MS`]. When it opens it begins with those, so that what was too faint to be
//! told from noise is heard as well: the breath before a word, a swelling /f/. To add no delay that stays, it then
//! plays faster than real time until it has caught up: each tick it looks for two stretches of sound that are most
//! alike (in a vowel: whole periods apart), drops what lies between them, and fades from one into the other (WSOLA: W.
//! Verhelst and M. Roelands, ICASSP 1993). The pitch stays. The first tenth of a second of a phrase is spoken a third
//! faster, which nobody notices; then the delay is zero.

use plenary_codec::audio::{FRAME_MAX, Frame, Rate};

/// Longer than a plosive's closure or a fricative's swelling; three frames, which are caught up with in some 150 ms.
const LOOK_BACK_MS: usize = 60;

/// Least and most that is dropped at once: periods of 400 Hz and of 80 Hz.
const DROP_MIN_US: usize = 2_500;
const DROP_MAX_US: usize = 12_500;

/// Length of a fade from before what is dropped to behind it: a period of most voices, shorter than any sound of
/// speech.
const FADE_MS: usize = 5;

/// How alike the two must be (correlation), or else how little their power may differ (3 dB, as its logarithm): two
/// stretches of a fricative are never alike, and can be joined anywhere.
const ALIKE: f32 = 0.5;
const CHANGE_MAX: f32 = 0.7;

/// Most power of what is dropped, compared with what is kept of it: a burst is not dropped.
const LOUDER_MAX: f32 = 4.0;

/// Mean square of -46 dBFS: what is quieter than that is as good as silent here.
const QUIET: f32 = 27_000.0;

const HELD_MAX: usize = FRAME_MAX * (LOOK_BACK_MS / 20 + 1);

/// Noise gate of one leg, with look-back.
#[derive(Clone, Debug)]
pub struct Gate {
    rate: Rate,
    open: bool,
    /// Closed: the last frames. Open: what is still to be played.
    held: Box<[i16; HELD_MAX]>,
    len: usize,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::new()
    }
}

impl Gate {
    #[must_use]
    pub fn new() -> Gate {
        Gate {
            rate: Rate::Narrow,
            open: false,
            held: Box::new([0; HELD_MAX]),
            len: 0,
        }
    }

    /// Takes the frame of this tick (silence if there was none) and whether it is heard
    /// ([`Activity::frame`](crate::Activity::frame)), and makes of it what goes into the mix; `false`: nothing does,
    /// and the frame is as it was.
    pub fn process(&mut self, frame: &mut Frame, heard: bool) -> bool {
        if frame.rate() != self.rate {
            self.rate = frame.rate();
            self.len = 0;
        }
        if !self.open && !heard {
            self.drop_first(
                (self.len + frame.len()).saturating_sub(LOOK_BACK_MS * self.rate.per_ms()),
            );
            self.append(frame);
            return false;
        }
        self.append(frame);
        if heard && self.len > frame.len() {
            self.hurry();
        }
        let len = frame.len();
        frame.copy_from_slice(&self.held[..len]);
        let fade = (FADE_MS * self.rate.per_ms()) as i32;
        if !self.open {
            for (n, sample) in (0..fade).zip(frame.iter_mut()) {
                *sample = (i32::from(*sample) * n / fade) as i16;
            }
        }
        if !heard {
            for (n, sample) in (0..fade).zip(frame.iter_mut().rev()) {
                *sample = (i32::from(*sample) * n / fade) as i16;
            }
        }
        self.drop_first(len);
        if !heard {
            // What was not caught up with is the end of the hangover: noise.
            self.len = 0;
        }
        self.open = heard;
        true
    }

    /// By how much what is heard is late now: at most 60 ms, where a voice begins.
    #[must_use]
    pub fn delay_ms(&self) -> usize {
        if self.open {
            self.len / self.rate.per_ms()
        } else {
            0
        }
    }

    /// Whether the gate is open and every sample comes out in the tick it came in: it may be left out from now on.
    #[must_use]
    pub fn is_in_time(&self) -> bool {
        self.open && self.len == 0
    }

    fn append(&mut self, frame: &Frame) {
        self.held[self.len..][..frame.len()].copy_from_slice(frame);
        self.len += frame.len();
    }

    fn drop_first(&mut self, count: usize) {
        self.held.copy_within(count..self.len, 0);
        self.len -= count;
    }

    /// Drops a stretch of what is held, as long as what is late or shorter, where it is missed least.
    fn hurry(&mut self) {
        let per_ms = self.rate.per_ms();
        let late = self.len - self.rate.frame();
        let fade = FADE_MS * per_ms;
        let most = late.min(DROP_MAX_US * per_ms / 1_000);
        let least = most.min(DROP_MIN_US * per_ms / 1_000);
        // First roughly, in steps of 8 kHz, then to the sample.
        let step = per_ms / 8;
        let Some((_, rough)) = self.best((least..=most).step_by(step), fade, step) else {
            return;
        };
        let near = rough.saturating_sub(step - 1).max(least)..=(rough + step - 1).min(most);
        let Some((alike, drop)) = self.best(near, fade, 1) else {
            return;
        };
        let power = |samples: &[i16]| power(samples).max(QUIET);
        let (dropped, kept) = (power(&self.held[..drop]), power(&self.held[drop..][..fade]));
        let change = (kept / power(&self.held[..fade])).ln().abs();
        if alike < ALIKE && change > CHANGE_MAX || dropped > LOUDER_MAX * kept {
            return;
        }
        for n in 0..fade {
            let (from, to) = (i32::from(self.held[n]), i32::from(self.held[drop + n]));
            let (n_i, fade_i) = (n as i32, fade as i32);
            self.held[drop + n] = ((from * (fade_i - n_i) + to * n_i) / fade_i) as i16;
        }
        self.drop_first(drop);
    }

    /// The distance at which what is held is most like its beginning, after the correlation there.
    fn best(
        &self,
        distances: impl Iterator<Item = usize>,
        fade: usize,
        step: usize,
    ) -> Option<(f32, usize)> {
        let value = |at: usize| f32::from(self.held[at]);
        distances
            .map(|distance| {
                let (mut product, mut here, mut there) = (0.0, 1.0, 1.0);
                for n in (0..fade).step_by(step) {
                    let (a, b) = (value(n), value(n + distance));
                    product += a * b;
                    here += a * a;
                    there += b * b;
                }
                (product / (here * there).sqrt(), distance)
            })
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
    }
}

fn power(samples: &[i16]) -> f32 {
    samples
        .iter()
        .map(|sample| f32::from(*sample).powi(2))
        .sum::<f32>()
        / samples.len() as f32
}
