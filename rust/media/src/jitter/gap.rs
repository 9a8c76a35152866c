//! What is heard in place of what is lost, for codecs that have no concealment of their own.
//!
//! **One side.** What was heard last is repeated, a pitch period at a time (in the manner of ITU-T G.711 Appendix I): one
//! period for the first 10 ms, two, then three, lest it buzz; from 10 ms on it fades, so that after 60 ms nothing is left.
//! Where a repetition begins anew, and where the first good sample follows, the two overlap and fade into each other.
//! Unlike in the appendix nothing is delayed for that: the first sample that is made up is moved onto the last good one,
//! and the move is taken back over a quarter period.
//!
//! **Both sides.** If what follows the gap is there already, it is repeated backwards in the same way, and the gap goes
//! over from the one repetition into the other. A voice's pitch has changed meanwhile, so the two are out of step by the
//! gap's end: each is played as much faster or slower as brings it into step where it meets the other's side.

use plenary_codec::Rate;

use super::pitch;
use super::tape::PAST_MS;

/// Periods that are repeated at most.
const PERIODS_MAX: usize = 3;

/// Milliseconds after which more periods are used, and the fading starts.
const STEP_MS: usize = 10;

/// Milliseconds after which nothing is left.
pub const FADED_MS: usize = 60;

/// Ramp where sound starts or ends at once, in milliseconds.
const RAMP_MS: usize = 5;

/// A first sample after silence beyond this needs a ramp, or it clicks.
const STEP_AUDIBLE: u16 = 64;

/// What has to follow a gap for it to be known from both sides, in milliseconds.
pub const FUTURE_MS: usize = 16;

/// What is looked at of what follows, in milliseconds.
const FUTURE_MAX_MS: usize = 40;

/// Milliseconds after which the fading starts, if both sides are known.
const BOTH_STEADY_MS: usize = 20;

/// How much of the gap's two sides is compared with a repetition earlier, in milliseconds: a voice changes quickly.
const BEFORE_COMPARED_MS: usize = 8;
const AFTER_COMPARED_MS: usize = 6;

/// What is compared to bring one side into step with the other, in milliseconds to either side of where they meet.
const STEP_COMPARED_MS: usize = 8;

/// Both sides must resemble themselves by this much for there to be a step: the rest is noise.
const VOICED: f32 = 0.6;

/// What the greatest move into step costs in likeness, so that a small one is preferred: voices glide, they don't jump.
const MOVE_COST: f32 = 0.5;

/// A sound that goes on by repeating itself.
#[derive(Debug)]
struct Repeated {
    rate: Rate,
    /// What was heard, the newest last.
    past: Vec<f32>,
    period: usize,
    /// How much it resembles itself a period earlier.
    likeness: f32,
    /// Difference between the last sample and the one a period earlier.
    step: f32,
}

impl Repeated {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            past: Vec::with_capacity(PAST_MS * rate.per_ms()),
            period: 1,
            likeness: 0.0,
            step: 0.0,
        }
    }

    fn set(&mut self, past: impl Iterator<Item = i16>, compared_ms: usize) {
        self.past.clear();
        self.past.extend(past.map(f32::from));
        let end = self.past.len();
        (self.likeness, self.period) = pitch::period(&self.past, self.rate, compared_ms);
        self.step = self.past[end - 1] - self.past[end - 1 - self.period];
    }

    /// The `n`th sample after the last one, not faded.
    fn sample(&self, n: usize) -> f32 {
        let step = STEP_MS * self.rate.per_ms();
        let quarter = self.period / 4;
        let most = (self.past.len() - quarter) / self.period;
        let periods = (n / step + 1).min(PERIODS_MAX).min(most);
        let mut sample = self.repeated(n, periods);
        let since = n - (periods - 1) * step;
        if periods > 1 && since < quarter {
            let part = (since + 1) as f32 / (quarter + 1) as f32;
            sample = self.repeated(n, periods - 1) * (1.0 - part) + sample * part;
        }
        if n < quarter {
            sample += self.step * (quarter - n) as f32 / (quarter + 1) as f32;
        }
        sample
    }

    /// The `n`th sample of the last `periods` periods in a loop, whose end fades into what came before its beginning.
    fn repeated(&self, n: usize, periods: usize) -> f32 {
        let end = self.past.len();
        let quarter = self.period / 4;
        let len = periods * self.period;
        // A multiple of the period: the same phase in the loop of one, two or three.
        let place = n % len;
        let sample = self.past[end - len + place];
        if place < len - quarter {
            return sample;
        }
        let into = place + 1 - (len - quarter);
        let part = into as f32 / (quarter + 1) as f32;
        sample * (1.0 - part) + self.past[end + place - 2 * len] * part
    }
}

/// Makes up what is missing.
#[derive(Debug)]
pub struct Gap {
    rate: Rate,
    before: Repeated,
    /// What follows the gap, backwards.
    after: Repeated,
    /// Samples made up so far; `None` outside of a gap.
    made_up: Option<usize>,
    /// Room for what is being compared.
    sides: [Vec<f32>; 2],
}

impl Gap {
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            before: Repeated::new(rate),
            after: Repeated::new(rate),
            made_up: None,
            sides: Default::default(),
        }
    }

    /// Bytes that were allocated.
    pub fn memory(&self) -> usize {
        let rooms = [&self.before.past, &self.after.past];
        let floats: usize = rooms
            .into_iter()
            .chain(&self.sides)
            .map(Vec::capacity)
            .sum();
        floats * size_of::<f32>()
    }

    /// Forgets the gap: what follows is joined to nothing.
    pub fn close(&mut self) {
        self.made_up = None;
    }

    pub fn is_open(&self) -> bool {
        self.made_up.is_some()
    }

    /// Begins a gap after `past`, if none is open.
    pub fn open(&mut self, past: &[i16]) {
        if self.made_up.is_none() {
            self.before.set(past.iter().copied(), BEFORE_COMPARED_MS);
            self.made_up = Some(0);
        }
    }

    /// Fills `out`, which follows `past`, or what was made up last.
    pub fn fill(&mut self, past: &[i16], out: &mut [i16]) {
        self.open(past);
        let made_up = self.made_up.unwrap_or(0);
        for (n, sample) in (made_up..).zip(out.iter_mut()) {
            *sample = self.sample(n).round() as i16;
        }
        self.made_up = Some(made_up + out.len());
    }

    /// What [`Self::fill`] would write, which remains to be done.
    pub fn preview(&mut self, past: &[i16], out: &mut [i16]) {
        self.fill(past, out);
        self.made_up = self.made_up.map(|made_up| made_up - out.len());
    }

    /// Fills `out`, which follows `past` or what was made up last, and ends the gap: `future` follows, at least
    /// [`FUTURE_MS`].
    pub fn bridge(&mut self, past: &[i16], out: &mut [i16], future: &[i16]) {
        self.open(past);
        let Some(made_up) = self.made_up.take() else {
            return;
        };
        let per_ms = self.rate.per_ms();
        let future = &future[..future.len().min(FUTURE_MAX_MS * per_ms)];
        self.after
            .set(future.iter().rev().copied(), AFTER_COMPARED_MS);
        let len = out.len();
        let reach = if self.before.likeness.min(self.after.likeness) < VOICED {
            0
        } else {
            self.before.period.max(self.after.period) / 2
        };
        // Where the repetition of what was before is in step with what follows, and the other way round.
        let end_shift = self.lag(reach, true, made_up, len);
        let start_shift = self.lag(reach, false, made_up, len);
        let alike = self.before.likeness.max(0.0) * self.after.likeness.max(0.0);
        for (n, sample) in out.iter_mut().enumerate() {
            let part = (n + 1) as f32 / (len + 1) as f32;
            let from_before = made_up as f32 + n as f32 + end_shift * part;
            let from_after = (len - 1 - n) as f32 + start_shift * (1.0 - part);
            let before = at(from_before, |n| self.before.sample(n));
            let after = at(from_after, |n| self.after.sample(n));
            // What is alike adds up by amplitude, what isn't by power.
            let (fall, rise) = (1.0 - part, part);
            let (fall2, rise2) = (fall.sqrt(), rise.sqrt());
            let (fall, rise) = (
                fall2 + (fall - fall2) * alike,
                rise2 + (rise - rise2) * alike,
            );
            *sample = (before * fall * self.fade_both(made_up + n) + after * rise).round() as i16;
        }
    }

    fn fade_both(&self, n: usize) -> f32 {
        let faded = FADED_MS * self.rate.per_ms();
        let step = BOTH_STEADY_MS * self.rate.per_ms();
        if n < step {
            1.0
        } else {
            faded.saturating_sub(n) as f32 / (faded - step) as f32
        }
    }

    /// By how many samples, up to `reach` either way, the one side must be moved to match the other at its far end.
    fn lag(&mut self, reach: usize, forward: bool, made_up: usize, len: usize) -> f32 {
        if reach == 0 {
            return 0.0;
        }
        let compared = (STEP_COMPARED_MS * self.rate.per_ms()).min(len);
        let [still, moving] = &mut self.sides;
        still.clear();
        moving.clear();
        let first = made_up + len - compared;
        if forward {
            // Ends of the gap and the beginning of what follows, against the repetition.
            let (end, real) = (self.after.past.len(), compared);
            still.extend((0..compared).rev().map(|n| self.after.sample(n)));
            still.extend((0..real).map(|n| self.after.past[end - 1 - n]));
            moving.extend((0..2 * compared + 2 * reach).map(|n| {
                (first + n)
                    .checked_sub(reach)
                    .map_or(0.0, |n| self.before.sample(n))
            }));
        } else {
            let (end, real) = (self.before.past.len(), compared);
            let first = len - compared;
            still.extend((0..compared).rev().map(|n| self.before.sample(made_up + n)));
            if made_up == 0 {
                still.extend((0..real).map(|n| self.before.past[end - 1 - n]));
            }
            let all = still.len();
            moving.extend((0..all + 2 * reach).map(|n| {
                (first + n)
                    .checked_sub(reach)
                    .map_or(0.0, |n| self.after.sample(n))
            }));
        }
        let all = still.len();
        let mut best = (f32::MIN, reach);
        for lag in 0..=2 * reach {
            let mut score = pitch::likeness(still, &moving[lag..lag + all], 1);
            // The least move that will do.
            score -= MOVE_COST * (lag.abs_diff(reach)) as f32 / reach as f32;
            if score > best.0 {
                best = (score, lag);
            }
        }
        best.1 as f32 - reach as f32
    }

    /// Ends the gap before `real`, whose beginning comes out of what was made up.
    pub fn join(&mut self, real: &mut [i16]) {
        let Some(made_up) = self.made_up.take() else {
            return;
        };
        let step = STEP_MS * self.rate.per_ms();
        let overlap = (self.before.period / 4 + made_up * 4 * self.rate.per_ms() / step)
            .min(step)
            .min(real.len());
        for (i, sample) in real[..overlap].iter_mut().enumerate() {
            let part = (i + 1) as f32 / (overlap + 1) as f32;
            let made = self.sample(made_up + i);
            *sample = (made * (1.0 - part) + f32::from(*sample) * part).round() as i16;
        }
    }

    /// Fills `out`, which follows `past`, with the sound's last 5 ms.
    pub fn fade_out(&mut self, past: &[i16], out: &mut [i16]) {
        self.fill(past, out);
        self.die_away(out);
        self.close();
    }

    /// Lets sound end without a click.
    pub fn die_away(&self, last: &mut [i16]) {
        let ramp = RAMP_MS * self.rate.per_ms();
        for (i, sample) in last.iter_mut().enumerate() {
            let left = ramp.saturating_sub(i + 1) as f32 / ramp as f32;
            *sample = (f32::from(*sample) * left) as i16;
        }
    }

    /// Lets sound begin without a click.
    pub fn fade_in(&self, first: &mut [i16]) {
        if first
            .first()
            .is_some_and(|sample| sample.unsigned_abs() > STEP_AUDIBLE)
        {
            let ramp = RAMP_MS * self.rate.per_ms();
            for (i, sample) in first.iter_mut().take(ramp).enumerate() {
                *sample = (i32::from(*sample) * (i as i32 + 1) / ramp as i32) as i16;
            }
        }
    }

    /// The `n`th sample after the last good one, if nothing is known of what follows.
    fn sample(&self, n: usize) -> f32 {
        let faded = FADED_MS * self.rate.per_ms();
        let step = STEP_MS * self.rate.per_ms();
        if n >= faded {
            return 0.0;
        }
        let fade = if n < step {
            1.0
        } else {
            (faded - n) as f32 / (faded - step) as f32
        };
        self.before.sample(n) * fade
    }
}

/// A signal between two of its samples (Catmull and Rom's cubic).
fn at(place: f32, signal: impl Fn(usize) -> f32) -> f32 {
    let place = place.max(0.0);
    let whole = place as usize;
    let part = place - whole as f32;
    if part < 1e-3 {
        return signal(whole);
    }
    let [a, b, c, d] = [whole.saturating_sub(1), whole, whole + 1, whole + 2].map(signal);
    b + part
        * 0.5
        * (c - a + part * (2.0 * a - 5.0 * b + 4.0 * c - d + part * (3.0 * (b - c) + d - a)))
}
