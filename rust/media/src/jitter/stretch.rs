//! Takes pitch periods in or out of what waits to be played (waveform-similarity overlap-add: W. Verhelst, M. Roelands,
//! "An overlap-add technique based on waveform similarity (WSOLA)", ICASSP 1993).
//!
//! At the reading place the sound goes over, in 5 ms, into itself some milliseconds earlier or later, by the lag at which
//! the two resemble each other most. Nothing but time changes then: a voice keeps its pitch.

use plenary_codec::Rate;

use super::pitch::{self, PERIOD_MAX_MS};
use super::tape::Tape;

/// What the sound goes over in, in milliseconds.
const OVERLAP_MS: usize = 5;

/// What is compared, in milliseconds.
const COMPARED_MS: usize = 10;

/// Quieter than this nobody hears where it is cut: root mean square, of 32,768 (-50 dBFS).
const QUIET_RMS: f32 = 100.0;

/// The least that is cut, in tenths of a millisecond.
const CUT_MIN_TENTHS: usize = 25;

/// Puts up to `most` samples in at the reading place, if it resembles itself by `likeness` (0 to 1); gives how many.
pub fn expand(tape: &mut Tape, rate: Rate, most: usize, likeness: f32) -> usize {
    let compared = COMPARED_MS * rate.per_ms();
    let most = most.min(PERIOD_MAX_MS * rate.per_ms());
    if tape.pending() < compared {
        return 0;
    }
    tape.room_for(most);
    let (samples, read) = tape.parts();
    let from = read - most;
    let near = floats(&samples[from..read + compared]);
    let Some(lag) = choose(&near, most, compared, rate, most, likeness, |lag| {
        most - lag
    }) else {
        return 0;
    };
    let overlap = lag.min(OVERLAP_MS * rate.per_ms());
    // A second past of `lag` samples, whose beginning comes out of what follows the first.
    let end = samples.len();
    samples.resize(end + lag, 0);
    samples.copy_within(read - lag..end, read);
    for i in 0..overlap {
        samples[read + i] = mix(samples[read + lag + i], samples[read + i], i, overlap);
    }
    lag
}

/// Takes up to `most` samples out at the reading place, so that `keep` remain; gives how many.
pub fn shrink(tape: &mut Tape, rate: Rate, most: usize, keep: usize, likeness: f32) -> usize {
    let (samples, read) = tape.parts();
    let compared = COMPARED_MS * rate.per_ms();
    let waiting = samples.len() - read;
    let most = most
        .min(PERIOD_MAX_MS * rate.per_ms())
        .min(waiting.saturating_sub(keep.max(compared)));
    let near = floats(&samples[read..read + (most + compared).min(waiting)]);
    let Some(lag) = choose(&near, 0, compared, rate, most, likeness, |lag| lag) else {
        return 0;
    };
    let overlap = OVERLAP_MS * rate.per_ms();
    for i in 0..overlap {
        samples[read + lag + i] = mix(samples[read + i], samples[read + lag + i], i, overlap);
    }
    samples.drain(read..read + lag);
    lag
}

/// The lag at which `near[at..]` and `near[other(lag)..]` are most alike; none if they aren't enough.
fn choose(
    near: &[f32],
    at: usize,
    compared: usize,
    rate: Rate,
    most: usize,
    enough: f32,
    other: impl Fn(usize) -> usize,
) -> Option<usize> {
    let least = CUT_MIN_TENTHS * rate.per_ms() / 10;
    if most < least {
        return None;
    }
    let energy = pitch::dot(near, near) / near.len() as f32;
    if energy < QUIET_RMS * QUIET_RMS {
        return Some(most);
    }
    let here = &near[at..at + compared];
    let (score, lag) = pitch::likest(least..=most, rate, |lag, stride| {
        let there = other(lag);
        pitch::likeness(here, &near[there..there + compared], stride)
    });
    (score >= enough).then_some(lag)
}

fn mix(from: i16, to: i16, i: usize, overlap: usize) -> i16 {
    let (from, to, i, overlap) = (i32::from(from), i32::from(to), i as i32, overlap as i32);
    ((from * (overlap - i) + to * i) / overlap) as i16
}

fn floats(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|sample| f32::from(*sample)).collect()
}
