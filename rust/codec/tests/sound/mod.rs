//! Sounds to put in, and what to measure of what comes out.

#![allow(dead_code, reason = "each test uses some of it")]

use std::f64::consts::TAU;

/// A tone; `amplitude` of 32,768.
pub fn tone(frequency_hz: f64, amplitude: f64, hz: u32, samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|n| (amplitude * (TAU * frequency_hz * n as f64 / f64::from(hz)).sin()).round() as i16)
        .collect()
}

/// Root mean square.
pub fn rms(pcm: &[i16]) -> f64 {
    (pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pcm.len() as f64).sqrt()
}

pub fn decibels(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-9).log10()
}

/// Amplitude of a tone in `pcm`, and the root mean square of all that is not it: by least squares.
pub fn apart(pcm: &[i16], frequency_hz: f64, hz: u32) -> (f64, f64) {
    let step = TAU * frequency_hz / f64::from(hz);
    let (mut ss, mut sc, mut cc, mut ys, mut yc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, y) in pcm.iter().enumerate() {
        let ((s, c), y) = ((step * n as f64).sin_cos(), f64::from(*y));
        (ss, sc, cc) = (ss + s * s, sc + s * c, cc + c * c);
        (ys, yc) = (ys + y * s, yc + y * c);
    }
    let determinant = ss * cc - sc * sc;
    let a = (ys * cc - yc * sc) / determinant;
    let b = (yc * ss - ys * sc) / determinant;
    let rest = pcm.iter().enumerate().map(|(n, y)| {
        let (s, c) = (step * n as f64).sin_cos();
        (f64::from(*y) - a * s - b * c).powi(2)
    });
    let rest = (rest.sum::<f64>() / pcm.len() as f64).sqrt();
    (a.hypot(b), rest)
}

/// A seeded source of numbers.
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From -1 to 1.
    pub fn number(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// Something like a voice: pulses of 110 to 190 Hz through three formants, a syllable each 250 ms, and some breath.
pub fn voice(hz: u32, seconds: usize, seed: u64) -> Vec<i16> {
    let (mut phase, mut seeded) = (0.0, Seeded(seed));
    let rate = f64::from(hz);
    let mut resonators = [(500.0, 0.0, 0.0), (1_500.0, 0.0, 0.0), (2_500.0, 0.0, 0.0)];
    let pitch = 150.0 + 30.0 * seeded.number();
    (0..seconds * hz as usize)
        .map(|n| {
            let t = n as f64 / rate;
            phase += (pitch + 40.0 * (t * 5.0).sin()) / rate;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase = phase.fract();
            let breath = 0.002 * seeded.number();
            let mut sum = 0.0;
            for (formant, last, before) in &mut resonators {
                let width = (-TAU * 45.0 / rate).exp();
                let turn = 2.0 * width * (TAU * *formant / rate).cos();
                let new = pulse + breath + turn * *last - width * width * *before;
                (*before, *last) = (*last, new);
                sum += new * (1.0 - width);
            }
            let syllable = (t * 2.0 * TAU).sin().abs();
            (sum * syllable * 60_000.0).clamp(-32_000.0, 32_000.0) as i16
        })
        .collect()
}
