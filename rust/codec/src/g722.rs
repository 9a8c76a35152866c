//! G.722 at 64 kbit/s (ITU-T G.722, mode 1): 16 kHz audio in bytes, each of two samples.
//!
//! A pair of mirror filters splits the sound at 4 kHz into two bands of half the rate. In each, what a predictor
//! expects is taken away and the rest is quantised: six bits below 4 kHz, two above. Step and predictor follow from the
//! codes alone, so that the decoder comes to the same ones; what a lost packet upsets leaks away in some milliseconds.
//! Of the low six bits only the upper four steer the adaptation, since other modes use the lower two for data.
//!
//! Blocks and variables are named as in the Recommendation, which defines every operation to the bit.

/// Pairs of samples that are filtered in one go: a frame of 20 ms.
const BLOCK: usize = 160;

/// Half the length of the mirror filters, and the pairs of samples before a block that they look at.
const TAPS: usize = 12;
const PAST: usize = TAPS - 1;

/// Every other coefficient of the mirror filters, of 8,192 (table 11); the others are the same backwards.
const QMF: [i32; TAPS] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Decision levels of the low band (Q6, table 14).
const LEVELS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
    1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];

/// For each number up to the last decision level, how many of the levels it reaches.
static REACHED: [u8; 2920] = {
    let mut reached = [0; 2920];
    let mut number = 0;
    let mut levels = 0;
    while number < reached.len() {
        if levels < LEVELS.len() && number == LEVELS[levels] as usize {
            levels += 1;
        }
        reached[number] = levels as u8;
        number += 1;
    }
    reached
};

/// Codes of the low band's intervals, for differences below zero and others (table 17).
const LOW_CODES: [[u8; 30]; 2] = [
    [
        63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11,
        10, 9, 8, 7, 6, 5, 4,
    ],
    [
        61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39,
        38, 37, 36, 35, 34, 33, 32,
    ],
];

/// What the upper four bits of a low code stand for, in steps of 1/32,768 (QM4).
const LOW_COARSE: [i32; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];

/// What all six bits of a low code stand for (QM6).
const LOW_FINE: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];

/// By how much an upper four bits of a low code change the logarithm of the step (W and RL4 in one).
const LOW_PACE: [i32; 16] = [
    -60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60,
];

/// The same two for the codes of the high band (QM2; WH and RH2).
const HIGH_VALUES: [i32; 4] = [-7408, -1616, 7408, 1616];
const HIGH_PACE: [i32; 4] = [798, -214, 798, -214];

/// The one decision level of the high band (Q2).
const HIGH_LEVEL: i32 = 564;

/// Powers of two by 32nds (ILB).
const EXPONENTIAL: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

fn saturate(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// Limit of what a band holds: 15 bits.
fn limit(value: i32) -> i32 {
    value.clamp(-16_384, 16_383)
}

/// What both sides know of a band.
#[derive(Clone)]
struct Band {
    /// The prediction of the next sample.
    s: i32,
    /// The part of it that comes from the zeros.
    sz: i32,
    /// Reconstructed samples, the last first, doubled.
    r: [i32; 2],
    /// Signs of the last two partly reconstructed samples.
    p: [i32; 2],
    /// Coefficients of the two poles.
    a: [i32; 2],
    /// Quantised differences, the last first.
    d: [i32; 6],
    /// Coefficients of the six zeros.
    b: [i32; 6],
    /// Logarithm of the step.
    nb: i32,
    /// The step.
    det: i32,
}

impl Band {
    fn new(det: i32) -> Band {
        Band {
            s: 0,
            sz: 0,
            r: [0; 2],
            p: [0; 2],
            a: [0; 2],
            d: [0; 6],
            b: [0; 6],
            nb: 0,
            det,
        }
    }

    /// The difference that a value of a table stands for now.
    fn scaled(&self, value: i32) -> i32 {
        (self.det * value) >> 15
    }

    /// LOGSCL and SCALEL, or LOGSCH and SCALEH: the step after a code that changes it by `pace`.
    fn rescale(&mut self, pace: i32, most: i32, shift: i32) {
        self.nb = (((self.nb * 127) >> 7) + pace).clamp(0, most);
        let mantissa = EXPONENTIAL[(self.nb >> 6) as usize & 31];
        let down = shift - (self.nb >> 11);
        self.det = if down < 0 {
            mantissa << -down
        } else {
            mantissa >> down
        } << 2;
    }

    fn low_coded(&mut self, code: u8) {
        let coarse = usize::from(code >> 2);
        let d = self.scaled(LOW_COARSE[coarse]);
        self.rescale(LOW_PACE[coarse], 18_432, 8);
        self.predict(d);
    }

    fn high_coded(&mut self, code: u8) {
        let d = self.scaled(HIGH_VALUES[usize::from(code)]);
        self.rescale(HIGH_PACE[usize::from(code)], 22_528, 10);
        self.predict(d);
    }

    /// Block 4: the predictor learns from the difference `d` and makes the next prediction.
    fn predict(&mut self, d: i32) {
        // RECONS, PARREC
        let r = saturate(self.s + d);
        let p = saturate(self.sz + d) >> 15;
        // UPPOL2
        let [a1, a2] = self.a;
        let [p1, p2] = self.p;
        let turn = saturate(a1 << 2);
        let turn = if p == p1 { (-turn).min(32_767) } else { turn };
        let towards = if p == p2 { 128 } else { -128 };
        let a2 = ((turn >> 7) + towards + ((a2 * 32_512) >> 15)).clamp(-12_288, 12_288);
        // UPPOL1
        let towards = if p == p1 { 192 } else { -192 };
        let stable = 15_360 - a2;
        let a1 = (towards + ((a1 * 32_640) >> 15)).clamp(-stable, stable);
        // UPZERO
        let towards = if d == 0 { 0 } else { 128 };
        for (b, earlier) in self.b.iter_mut().zip(&self.d) {
            let same = (earlier ^ d) >= 0;
            *b = (if same { towards } else { -towards }) + ((*b * 32_640) >> 15);
        }
        // DELAYA
        self.d.copy_within(..5, 1);
        self.d[0] = d;
        self.r = [saturate(r + r), self.r[0]];
        self.p = [p, p1];
        self.a = [a1, a2];
        // FILTEZ, FILTEP, PREDIC
        let zeros = self.b.iter().zip(&self.d);
        self.sz = saturate(zeros.map(|(b, d)| (b * saturate(d + d)) >> 15).sum());
        let sp = saturate(((a1 * self.r[0]) >> 15) + ((a2 * self.r[1]) >> 15));
        self.s = saturate(sp + self.sz);
    }
}

#[derive(Clone)]
struct Bands {
    low: Band,
    high: Band,
}

impl Default for Bands {
    fn default() -> Bands {
        Bands {
            low: Band::new(32),
            high: Band::new(8),
        }
    }
}

/// Two streams that the mirror filters work on, with the past that they look at in front.
#[derive(Clone, Default)]
struct Mirror {
    even_past: [i32; PAST],
    odd_past: [i32; PAST],
}

impl Mirror {
    /// Filters up to [`BLOCK`] pairs, in place: `even` by the coefficients, `odd` by them backwards.
    fn filter(&mut self, even: &mut [i32], odd: &mut [i32]) {
        run(&mut self.even_past, even, |tap| QMF[tap]);
        run(&mut self.odd_past, odd, |tap| QMF[PAST - tap]);
    }
}

/// One after the other in `stream`, the older first; sample by sample, not tap by tap, so that it vectorises.
fn run(past: &mut [i32; PAST], stream: &mut [i32], coefficient: impl Fn(usize) -> i32) {
    let mut window = [0; PAST + BLOCK];
    window[..PAST].copy_from_slice(past);
    window[PAST..PAST + stream.len()].copy_from_slice(stream);
    past.copy_from_slice(&window[stream.len()..][..PAST]);
    stream.fill(0);
    for tap in 0..TAPS {
        let coefficient = coefficient(tap);
        for (sum, sample) in stream.iter_mut().zip(&window[tap..]) {
            *sum += sample * coefficient;
        }
    }
}

#[derive(Clone, Default)]
pub struct Encoder {
    mirror: Mirror,
    bands: Bands,
}

impl Encoder {
    /// Each two samples of `pcm` become a byte of `coded`.
    ///
    /// # Panics
    /// If `pcm` is not twice as long as `coded`.
    pub fn encode(&mut self, pcm: &[i16], coded: &mut [u8]) {
        assert_eq!(pcm.len(), coded.len() * 2, "two samples a byte");
        for (pcm, coded) in pcm.chunks(2 * BLOCK).zip(coded.chunks_mut(BLOCK)) {
            let (mut even, mut odd) = ([0; BLOCK], [0; BLOCK]);
            for (i, pair) in pcm.chunks_exact(2).enumerate() {
                (even[i], odd[i]) = (i32::from(pair[0]), i32::from(pair[1]));
            }
            let pairs = coded.len();
            self.mirror.filter(&mut even[..pairs], &mut odd[..pairs]);
            for ((byte, even), odd) in coded.iter_mut().zip(even).zip(odd) {
                let low = self.low(limit((odd + even) >> 14));
                let high = self.high(limit((odd - even) >> 14));
                *byte = high << 6 | low;
            }
        }
    }

    fn low(&mut self, xl: i32) -> u8 {
        let band = &mut self.bands.low;
        let el = saturate(xl - band.s);
        let magnitude = el ^ (el >> 15);
        // level * det >> 12 <= magnitude, solved for the level: one division instead of many products.
        let reached = ((((magnitude + 1) << 12) - 1) / band.det).min(2_919);
        let interval = usize::from(REACHED[reached as usize]);
        let code = LOW_CODES[usize::from(el >= 0)][interval];
        band.low_coded(code);
        code
    }

    fn high(&mut self, xh: i32) -> u8 {
        let band = &mut self.bands.high;
        let eh = saturate(xh - band.s);
        let magnitude = eh ^ (eh >> 15);
        let small = magnitude < (HIGH_LEVEL * band.det) >> 12;
        let code = u8::from(small) | if eh < 0 { 0 } else { 2 };
        band.high_coded(code);
        code
    }
}

#[derive(Clone, Default)]
pub struct Decoder {
    mirror: Mirror,
    bands: Bands,
}

impl Decoder {
    /// Each byte of `coded` becomes two samples of `pcm`.
    ///
    /// # Panics
    /// If `pcm` is not twice as long as `coded`.
    pub fn decode(&mut self, coded: &[u8], pcm: &mut [i16]) {
        assert_eq!(pcm.len(), coded.len() * 2, "two samples a byte");
        for (coded, pcm) in coded.chunks(BLOCK).zip(pcm.chunks_mut(2 * BLOCK)) {
            let (mut sum, mut difference) = ([0; BLOCK], [0; BLOCK]);
            for (i, byte) in coded.iter().enumerate() {
                let (low, high) = (self.low(byte & 0x3f), self.high(byte >> 6));
                (sum[i], difference[i]) = (low + high, low - high);
            }
            let pairs = coded.len();
            self.mirror
                .filter(&mut sum[..pairs], &mut difference[..pairs]);
            for ((pair, sum), difference) in pcm.chunks_exact_mut(2).zip(sum).zip(difference) {
                pair[0] = saturate(difference >> 11) as i16;
                pair[1] = saturate(sum >> 11) as i16;
            }
        }
    }

    fn low(&mut self, code: u8) -> i32 {
        let band = &mut self.bands.low;
        let value = limit(band.s + band.scaled(LOW_FINE[usize::from(code)]));
        band.low_coded(code);
        value
    }

    fn high(&mut self, code: u8) -> i32 {
        let band = &mut self.bands.high;
        let value = limit(band.s + band.scaled(HIGH_VALUES[usize::from(code)]));
        band.high_coded(code);
        value
    }
}

#[cfg(test)]
mod tests {
    //! Appendix II of the Recommendation: each band alone, without the mirror filters.

    use super::*;

    /// A word with this bit asks for a reset; a file begins and ends with 16 of them.
    const RESET: u16 = 1;

    /// CRC-32 of a file of 16-bit words, as the distribution of the sequences gives it.
    fn crc32(words: impl Iterator<Item = u16>) -> u32 {
        let file = [RESET; 16].into_iter().chain(words).chain([RESET; 16]);
        !file.flat_map(u16::to_le_bytes).fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        })
    }

    /// Sequence T1C2, which drives everything to its limits.
    fn overflow() -> impl Iterator<Item = u16> {
        let (low, high) = (0x8000, 0x7ffe);
        let twos = [low, high].into_iter().cycle().take(639);
        let threes = [low, high, low].into_iter().cycle().take(126);
        twos.chain([0, 0xb1e0, 0xc000]).chain(threes)
    }

    #[test]
    fn the_overflow_sequence_of_appendix_ii_is_coded_to_the_bit() {
        assert_eq!(crc32(overflow()), 0x2d60_4685, "T1C2.XMT");
        let mut encoder = Encoder::default();
        let codes: Vec<u8> = overflow()
            .map(|word| {
                let sample = i32::from(word as i16) >> 1;
                encoder.high(sample) << 6 | encoder.low(sample)
            })
            .collect();
        let files = codes.iter().map(|code| u16::from(*code) << 8);
        assert_eq!(crc32(files), 0x344e_a5d0, "T2R2.COD");
        let mut decoder = Decoder::default();
        let low = codes
            .iter()
            .map(|code| (decoder.low(code & 0x3f) << 1) as u16);
        assert_eq!(crc32(low), 0xaf00_f31f, "T3L2.RC1");
        let high = codes
            .iter()
            .map(|code| (decoder.high(code >> 6) << 1) as u16);
        assert_eq!(crc32(high), 0x5330_ae2e, "T3H2.RC0");
    }
}
