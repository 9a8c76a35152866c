//! G.711: 13 or 14 bits of linear audio in 8 bits of nearly logarithmic steps (ITU-T G.711).
//!
//! Decoding is a table of 256. Encoding is arithmetic without branches, so that the compiler may work on several
//! samples at once: the segment is the position of the highest bit, the rest the four bits below it, which is how a
//! float stores a number. Whether a frame is silent shows on the coded bytes: both laws order them by magnitude once
//! the inverted bits are restored.

/// Largest magnitude of a sample, of 32,768, that still counts as silence: about -60 dBFS, the noise of a quiet line.
pub const SILENCE_PEAK: i16 = 32;

const fn ulaw_to_linear(coded: u8) -> i16 {
    let bits = !coded;
    let segment = (bits >> 4) & 7;
    let magnitude = (((((bits & 0x0f) as i16) << 3) + 0x84) << segment) - 0x84;
    if bits & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    }
}

const fn alaw_to_linear(coded: u8) -> i16 {
    let bits = coded ^ 0x55;
    let segment = (bits >> 4) & 7;
    let steps = ((bits & 0x0f) as i16) << 4;
    let magnitude = if segment == 0 {
        steps + 8
    } else {
        (steps + 0x108) << (segment - 1)
    };
    if bits & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }
}

const ULAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = ulaw_to_linear(i as u8);
        i += 1;
    }
    table
};

const ALAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = alaw_to_linear(i as u8);
        i += 1;
    }
    table
};

/// The µ-law byte of one sample.
#[must_use]
pub fn ulaw(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    const CLIP: i32 = 32_635;
    let sample = i32::from(sample);
    let sign = (sample >> 31) & 0x80;
    let magnitude = sample.abs().min(CLIP) + BIAS;
    !(sign | rounded_down(magnitude)) as u8
}

/// Segment, from 0 for 128 to 255, and interval of a magnitude.
fn rounded_down(magnitude: i32) -> i32 {
    const BELOW: i32 = (127 + 7) << 4;
    // Exponent and four bits of the mantissa. Shifts by what differs from sample to sample don't vectorise everywhere.
    ((magnitude as f32).to_bits() >> 19) as i32 - BELOW
}

/// The A-law byte of one sample.
#[must_use]
pub fn alaw(sample: i16) -> u8 {
    let sample = i32::from(sample);
    let sign = !(sample >> 31) & 0x80;
    let magnitude = sample ^ (sample >> 31);
    // The lowest segment is as fine as the next.
    let code = if magnitude < 256 {
        magnitude >> 4
    } else {
        rounded_down(magnitude)
    };
    ((sign | code) ^ 0x55) as u8
}

/// Decodes µ-law; the shorter of the two lengths counts.
pub fn decode_ulaw(coded: &[u8], pcm: &mut [i16]) {
    for (sample, byte) in pcm.iter_mut().zip(coded) {
        *sample = ULAW[usize::from(*byte)];
    }
}

/// Decodes A-law; the shorter of the two lengths counts.
pub fn decode_alaw(coded: &[u8], pcm: &mut [i16]) {
    for (sample, byte) in pcm.iter_mut().zip(coded) {
        *sample = ALAW[usize::from(*byte)];
    }
}

/// Encodes µ-law; the shorter of the two lengths counts.
pub fn encode_ulaw(pcm: &[i16], coded: &mut [u8]) {
    for (byte, sample) in coded.iter_mut().zip(pcm) {
        *byte = ulaw(*sample);
    }
}

/// Encodes A-law; the shorter of the two lengths counts.
pub fn encode_alaw(pcm: &[i16], coded: &mut [u8]) {
    for (byte, sample) in coded.iter_mut().zip(pcm) {
        *byte = alaw(*sample);
    }
}

/// Whether no sample of µ-law `coded` exceeds [`SILENCE_PEAK`] in magnitude.
#[must_use]
pub fn is_silence_ulaw(coded: &[u8]) -> bool {
    // Magnitude of code n in the lowest segment is 8n: 32 is code 4.
    coded
        .iter()
        .fold(0, |loudest, byte| (!byte & 0x7f).max(loudest))
        <= (SILENCE_PEAK / 8) as u8
}

/// Whether no sample of A-law `coded` exceeds [`SILENCE_PEAK`] in magnitude.
#[must_use]
pub fn is_silence_alaw(coded: &[u8]) -> bool {
    // Magnitude of code n in the lowest segments is 16n + 8: 24 is code 1, 40 code 2.
    coded
        .iter()
        .fold(0, |loudest, byte| ((byte ^ 0x55) & 0x7f).max(loudest))
        <= ((SILENCE_PEAK - 8) / 16) as u8
}
