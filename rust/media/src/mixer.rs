//! Arithmetic of the mix: gains, sums, ramps.
//!
//! Voices are summed in 32 bits and clamped once, at the end, so that the order of speakers does not matter
//! and taking a voice out of a sum again is exact. A contribution at a given gain is always computed by the
//! same function ([`Gain::of`]), so what was added for everyone can be subtracted for its speaker.

pub use crate::codec::{FRAME_SAMPLES as FRAME, Frame};

/// Length of a frame in milliseconds.
pub const FRAME_MS: u64 = 20;
/// Samples over which a signal that would step is ramped: 5 ms.
pub const RAMP: usize = 40;

/// 20 ms of several voices.
pub type Sum = [i32; FRAME];

/// Silence.
pub const SILENCE: Frame = [0; FRAME];

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

/// Adds a voice to a sum.
#[inline]
pub fn add(sum: &mut Sum, voice: &Frame, gain: Gain) {
    if gain == Gain::UNITY {
        for (total, sample) in sum.iter_mut().zip(voice) {
            *total += i32::from(*sample);
        }
    } else if gain != Gain::MUTE {
        for (total, sample) in sum.iter_mut().zip(voice) {
            *total += gain.of(*sample);
        }
    }
}

/// Adds a voice whose gain changes from `from` to `to` over the first [`RAMP`] samples.
pub fn add_ramped(sum: &mut Sum, voice: &Frame, from: Gain, to: Gain) {
    if from == to {
        return add(sum, voice, to);
    }
    let (from, span) = (i32::from(from.0), i32::from(to.0) - i32::from(from.0));
    for (i, (total, sample)) in sum.iter_mut().zip(voice).enumerate() {
        let done = i.min(RAMP) as i32;
        let gain = from + span * done / RAMP as i32;
        *total += (i32::from(*sample) * gain) >> Gain::SHIFT;
    }
}

/// `sum` without what [`add`] put there for `voice` at `gain`.
#[inline]
pub fn without(sum: &Sum, voice: &Frame, gain: Gain) -> Sum {
    let mut rest = *sum;
    if gain == Gain::UNITY {
        for (total, sample) in rest.iter_mut().zip(voice) {
            *total -= i32::from(*sample);
        }
    } else if gain != Gain::MUTE {
        for (total, sample) in rest.iter_mut().zip(voice) {
            *total -= gain.of(*sample);
        }
    }
    rest
}

/// The sum as it is heard: saturated at the ends of 16 bits.
#[inline]
pub fn clamp(sum: &Sum) -> Frame {
    let mut frame = SILENCE;
    for (sample, total) in frame.iter_mut().zip(sum) {
        *sample = (*total).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
    }
    frame
}

/// Makes a frame begin from nothing.
pub fn fade_in(frame: &mut Frame) {
    for (i, sample) in frame[..RAMP].iter_mut().enumerate() {
        *sample = (i32::from(*sample) * i as i32 / RAMP as i32) as i16;
    }
}

/// Makes a frame end in nothing: after [`RAMP`] samples it is silent.
pub fn fade_out(frame: &mut Frame) {
    for (i, sample) in frame[..RAMP].iter_mut().enumerate() {
        *sample = (i32::from(*sample) * (RAMP - i) as i32 / RAMP as i32) as i16;
    }
    frame[RAMP..].fill(0);
}

/// Lets a signal that stopped at `last` die away in what comes after it.
pub fn add_tail(frame: &mut Frame, last: i16) {
    for (i, sample) in frame[..RAMP].iter_mut().enumerate() {
        let tail = (i32::from(last) * (RAMP - 1 - i) as i32 / RAMP as i32) as i16;
        *sample = sample.saturating_add(tail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(step: i32) -> Frame {
        std::array::from_fn(|i| ((i as i32 * step * 331) % 65_536 - 32_768) as i16)
    }

    #[test]
    fn a_voice_taken_out_of_a_clipping_sum_leaves_exactly_the_others() {
        let voices = [voice(1), voice(7), voice(31)];
        for gain in [0.0, 0.3, 1.0, 4.0].map(|factor| Gain::new(factor).expect("in range")) {
            let mut all = [0; FRAME];
            let mut others = [0; FRAME];
            voices.iter().for_each(|v| add(&mut all, v, gain));
            voices[1..].iter().for_each(|v| add(&mut others, v, gain));
            assert_eq!(without(&all, &voices[0], gain), others);
        }
    }

    #[test]
    fn a_ramp_begins_at_the_old_gain_and_ends_at_the_new_one() {
        let mut sum = [0; FRAME];
        add_ramped(&mut sum, &[1000; FRAME], Gain::UNITY, Gain::MUTE);
        assert_eq!((sum[0], sum[RAMP], sum[FRAME - 1]), (1000, 0, 0));
        assert!(
            sum.windows(2)
                .all(|pair| (pair[0] - pair[1]).abs() <= 1000 / RAMP as i32 + 1)
        );
    }

    #[test]
    fn the_sum_saturates_only_when_it_is_heard() {
        let mut sum = [0; FRAME];
        add(&mut sum, &[i16::MAX; FRAME], Gain::UNITY);
        add(&mut sum, &[i16::MAX; FRAME], Gain::UNITY);
        assert_eq!(clamp(&sum), [i16::MAX; FRAME]);
        assert_eq!(
            clamp(&without(&sum, &[i16::MAX; FRAME], Gain::UNITY)),
            [i16::MAX; FRAME]
        );
    }

    #[test]
    fn a_gain_outside_of_the_scale_is_none() {
        assert_eq!([-0.1, 4.1, f64::NAN].map(Gain::new), [None; 3]);
    }
}
