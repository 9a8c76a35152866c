//! How loud some samples are.

/// Level of digital silence, in dBFS.
pub const SILENCE_DBFS: f32 = -127.0;

/// RMS level of some samples in dBFS: 0 is a square wave of full scale, a full-scale sine is -3.
#[must_use]
pub fn rms_dbfs(pcm: &[i16]) -> f32 {
    if pcm.is_empty() {
        return SILENCE_DBFS;
    }
    let power = energy(pcm) as f32 / (pcm.len() as f32 * 32_768.0 * 32_768.0);
    if power > 0.0 {
        (10.0 * power.log10()).max(SILENCE_DBFS)
    } else {
        SILENCE_DBFS
    }
}

/// Sum of squares, two at a time: that many fit into 32 bits, and processors have an instruction for them.
fn energy(pcm: &[i16]) -> u64 {
    let square = |sample: i16| i32::from(sample) * i32::from(sample);
    let (pairs, rest) = pcm.as_chunks();
    let pairs = pairs
        .iter()
        .map(|[a, b]| square(*a).wrapping_add(square(*b)));
    let rest = rest.iter().map(|sample| square(*sample));
    pairs
        .chain(rest)
        .map(|squares| u64::from(squares as u32))
        .sum()
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
