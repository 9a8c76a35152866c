//! Where a sound resembles itself.

use plenary_codec::Rate;

/// Longest pitch period that is looked for, in milliseconds: 66 Hz.
pub const PERIOD_MAX_MS: usize = 15;

/// Shortest, in tenths of a millisecond: 400 Hz. Higher voices repeat two periods or more.
const PERIOD_MIN_TENTHS: usize = 25;

/// How alike the last `compared_ms` of `past` are to what lies a period before, and the period in samples.
pub fn period(past: &[f32], rate: Rate, compared_ms: usize) -> (f32, usize) {
    let per_ms = rate.per_ms();
    let end = past.len();
    let len = (compared_ms * per_ms).min(end / 2);
    let from = PERIOD_MIN_TENTHS * per_ms / 10;
    let to = (PERIOD_MAX_MS * per_ms).min(end - len).min(end * 4 / 5 - 1);
    let last = &past[end - len..];
    likest(from..=to, rate, |lag, stride| {
        likeness(last, &past[end - len - lag..end - lag], stride)
    })
}

/// The lag at which `score` is highest, and the score; at 48 kHz coarsely at first.
///
/// `score` is given the lag, and of how many samples it may look at one only.
pub fn likest(
    lags: core::ops::RangeInclusive<usize>,
    rate: Rate,
    score: impl Fn(usize, usize) -> f32,
) -> (f32, usize) {
    let stride = if rate == Rate::Full { 4 } else { 1 };
    let mut best = (f32::MIN, *lags.start());
    for lag in lags.clone().step_by(stride) {
        let score = score(lag, stride);
        if score > best.0 {
            best = (score, lag);
        }
    }
    if stride > 1 {
        let near = best.1.saturating_sub(stride - 1).max(*lags.start())
            ..=(best.1 + stride - 1).min(*lags.end());
        best.0 = f32::MIN;
        for lag in near {
            let score = score(lag, 1);
            if score > best.0 {
                best = (score, lag);
            }
        }
    }
    best
}

/// Normalised correlation of two signals of one length: 1 if one is a multiple of the other.
pub fn likeness(a: &[f32], b: &[f32], stride: usize) -> f32 {
    let (product, a_energy, b_energy) = if stride == 1 {
        (dot(a, b), dot(a, a), dot(b, b))
    } else {
        let mut sums = (0.0, 0.0, 0.0);
        for (a, b) in a.iter().step_by(stride).zip(b.iter().step_by(stride)) {
            sums.0 += a * b;
            sums.1 += a * a;
            sums.2 += b * b;
        }
        sums
    };
    product / (a_energy * b_energy + 1.0).sqrt()
}

/// Product of two signals of one length, in eight sums so that the compiler may work on them at once.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}
