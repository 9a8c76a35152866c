//! Arithmetic of the mix: gains, sums, ramps.
//!
//! Voices are summed in 32 bits and limited once, at the end, so that the order of speakers does not matter
//! and taking a voice out of a sum again is exact. A contribution at a given gain is always computed by the
//! same function ([`Gain::of`]), so what was added for everyone can be subtracted for its speaker.
//!
//! Whatever the rate, a slice here is a whole frame of 20 ms, and a ramp takes the first quarter of it: 5 ms.

use std::ops::{Deref, DerefMut};

pub use plenary_codec::{FRAME_MS, Frame, Rate};

use plenary_codec::FRAME_MAX;

/// Samples over which a signal that would step is ramped, in a frame of so many: 5 ms.
#[must_use]
pub const fn ramp(frame: usize) -> usize {
    frame / 4
}

/// 20 ms of several voices. As a slice it has [`Rate::frame`] totals.
#[derive(Clone, Debug)]
pub struct Sum {
    rate: Rate,
    totals: [i32; FRAME_MAX],
}

impl Default for Sum {
    fn default() -> Sum {
        Sum {
            rate: Rate::Narrow,
            totals: [0; FRAME_MAX],
        }
    }
}

impl Sum {
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Becomes silence, at `rate`.
    #[inline]
    pub fn clear(&mut self, rate: Rate) {
        self.rate = rate;
        self.fill(0);
    }

    /// Becomes a copy of another sum.
    #[inline]
    pub fn set(&mut self, other: &Sum) {
        self.rate = other.rate;
        self.totals[..other.rate.frame()].copy_from_slice(other);
    }
}

impl Deref for Sum {
    type Target = [i32];

    #[inline]
    fn deref(&self) -> &[i32] {
        &self.totals[..self.rate.frame()]
    }
}

impl DerefMut for Sum {
    #[inline]
    fn deref_mut(&mut self) -> &mut [i32] {
        &mut self.totals[..self.rate.frame()]
    }
}

/// A factor between 0 and [`Gain::MAX`], in steps of 1/4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gain(u16);

impl Gain {
    pub const MUTE: Gain = Gain(0);
    pub const UNITY: Gain = Gain(1 << Gain::SHIFT);
    /// Largest factor: 12 dB more; beyond that, a loud voice only clips.
    pub const MAX: f64 = 4.0;
    const SHIFT: u32 = 12;

    /// `None` unless 0 ≤ `factor` ≤ [`Gain::MAX`].
    pub fn new(factor: f64) -> Option<Gain> {
        (0.0..=Gain::MAX)
            .contains(&factor)
            .then(|| Gain((factor * f64::from(Gain::UNITY.0)).round() as u16))
    }

    /// What a sample contributes at this gain.
    #[inline]
    pub fn of(self, sample: i16) -> i32 {
        (i32::from(sample) * i32::from(self.0)) >> Gain::SHIFT
    }
}

/// Adds a voice to a sum of the same rate.
#[inline]
pub fn add(sum: &mut Sum, voice: &Frame, gain: Gain) {
    debug_assert_eq!(sum.rate, voice.rate());
    if gain == Gain::UNITY {
        for (total, sample) in sum.iter_mut().zip(voice.iter()) {
            *total += i32::from(*sample);
        }
    } else if gain != Gain::MUTE {
        for (total, sample) in sum.iter_mut().zip(voice.iter()) {
            *total += gain.of(*sample);
        }
    }
}

/// Adds a voice whose gain changes from `from` to `to` over the first 5 ms.
pub fn add_ramped(sum: &mut Sum, voice: &Frame, from: Gain, to: Gain) {
    if from == to {
        return add(sum, voice, to);
    }
    debug_assert_eq!(sum.rate, voice.rate());
    let ramp = ramp(voice.len());
    let (from, span) = (i32::from(from.0), i32::from(to.0) - i32::from(from.0));
    for (i, (total, sample)) in sum.iter_mut().zip(voice.iter()).enumerate() {
        let done = i.min(ramp) as i32;
        let gain = from + span * done / ramp as i32;
        *total += (i32::from(*sample) * gain) >> Gain::SHIFT;
    }
}

/// Takes what [`add`] put there for `voice` at `gain` out of a sum again.
#[inline]
pub fn remove(sum: &mut Sum, voice: &Frame, gain: Gain) {
    debug_assert_eq!(sum.rate, voice.rate());
    if gain == Gain::UNITY {
        for (total, sample) in sum.iter_mut().zip(voice.iter()) {
            *total -= i32::from(*sample);
        }
    } else if gain != Gain::MUTE {
        for (total, sample) in sum.iter_mut().zip(voice.iter()) {
            *total -= gain.of(*sample);
        }
    }
}

/// Makes a frame begin from nothing.
pub fn fade_in(frame: &mut [i16]) {
    let ramp = ramp(frame.len());
    for (i, sample) in frame[..ramp].iter_mut().enumerate() {
        *sample = (i32::from(*sample) * i as i32 / ramp as i32) as i16;
    }
}

/// Makes a frame end in nothing: after 5 ms it is silent.
pub fn fade_out(frame: &mut [i16]) {
    let ramp = ramp(frame.len());
    for (i, sample) in frame[..ramp].iter_mut().enumerate() {
        *sample = (i32::from(*sample) * (ramp - i) as i32 / ramp as i32) as i16;
    }
    frame[ramp..].fill(0);
}

/// Lets a frame begin as another, of the same rate, and go over into itself.
pub fn cross_fade(frame: &mut Frame, from: &Frame) {
    debug_assert_eq!(frame.rate(), from.rate());
    let ramp = ramp(frame.len());
    for (i, (sample, from)) in frame[..ramp].iter_mut().zip(from.iter()).enumerate() {
        let (done, left) = (i as i32, (ramp - i) as i32);
        *sample = ((i32::from(*sample) * done + i32::from(*from) * left) / ramp as i32) as i16;
    }
}

/// Lets a signal that stopped at `last` die away in what comes after it.
pub fn add_tail(frame: &mut [i16], last: i16) {
    let ramp = ramp(frame.len());
    for (i, sample) in frame[..ramp].iter_mut().enumerate() {
        let tail = (i32::from(last) * (ramp - 1 - i) as i32 / ramp as i32) as i16;
        *sample = sample.saturating_add(tail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(rate: Rate, sample: impl Fn(i32) -> i16) -> Frame {
        let mut frame = Frame::silence(rate);
        (0..)
            .zip(frame.iter_mut())
            .for_each(|(i, s)| *s = sample(i));
        frame
    }

    fn voice(rate: Rate, step: i32) -> Frame {
        frame(rate, |i| ((i * step * 331) % 65_536 - 32_768) as i16)
    }

    fn silence(rate: Rate) -> Sum {
        let mut sum = Sum::default();
        sum.clear(rate);
        sum
    }

    #[test]
    fn a_voice_taken_out_of_a_clipping_sum_leaves_exactly_the_others() {
        for rate in Rate::ALL {
            let voices = [1, 7, 31].map(|step| voice(rate, step));
            for gain in [0.0, 0.3, 1.0, 4.0].map(|factor| Gain::new(factor).expect("in range")) {
                let (mut all, mut others) = (silence(rate), silence(rate));
                voices.iter().for_each(|v| add(&mut all, v, gain));
                voices[1..].iter().for_each(|v| add(&mut others, v, gain));
                remove(&mut all, &voices[0], gain);
                assert_eq!(*all, *others);
            }
        }
    }

    #[test]
    fn a_ramp_begins_at_the_old_gain_and_ends_at_the_new_one_after_5_ms() {
        for rate in Rate::ALL {
            let (mut sum, ramp) = (silence(rate), 5 * rate.per_ms());
            add_ramped(&mut sum, &frame(rate, |_| 1000), Gain::UNITY, Gain::MUTE);
            assert_eq!((sum[0], sum[ramp], sum[rate.frame() - 1]), (1000, 0, 0));
            let step = 1000 / ramp as i32 + 1;
            assert!(sum.windows(2).all(|pair| (pair[0] - pair[1]).abs() <= step));
        }
    }

    #[test]
    fn a_gain_outside_of_the_scale_is_none() {
        assert_eq!([-0.1, 4.1, f64::NAN].map(Gain::new), [None; 3]);
    }
}
