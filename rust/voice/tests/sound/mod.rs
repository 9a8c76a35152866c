//! Sounds to try the processors with, and ways to measure what came of them.
#![allow(dead_code)] // each test file uses some of it

use std::f64::consts::TAU;

use plenary_codec::audio::{Frame, Rate};
use proptest::prelude::*;

/// Pseudo-random numbers from a seed (xorshift64*).
pub struct Seeded(pub u64);

impl Seeded {
    /// Even between -1 and 1.
    pub fn even(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// Normal, of variance 1 (sum of twelve even ones).
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.even()).sum::<f64>() / 2.0
    }
}

pub fn samples(rate: Rate, seconds: f64) -> usize {
    (seconds * f64::from(rate.hz())).round() as usize
}

pub fn tone(rate: Rate, hz: f64, seconds: f64, level_dbfs: f64) -> Vec<f64> {
    let peak = 2.0_f64.sqrt() * 32_768.0 * 10.0_f64.powf(level_dbfs / 20.0);
    (0..samples(rate, seconds))
        .map(|n| peak * (TAU * hz * n as f64 / f64::from(rate.hz())).sin())
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Colour {
    White,
    /// Falls by about 3 dB an octave: wind, a street.
    Pink,
    /// Falls by 6 dB an octave above 100 Hz: a car, a fan.
    Brown,
}

impl Colour {
    pub const ALL: [Colour; 3] = [Colour::White, Colour::Pink, Colour::Brown];
}

/// Steady noise.
pub fn noise(colour: Colour, rate: Rate, seconds: f64, level_dbfs: f64, seed: u64) -> Vec<f64> {
    let mut seeded = Seeded(seed * 2 + 1);
    let poles: &[f64] = match colour {
        Colour::White => &[],
        Colour::Pink => &[50.0, 400.0, 3_200.0],
        Colour::Brown => &[100.0],
    };
    let mut low = [0.0; 3];
    let mut out: Vec<f64> = (0..samples(rate, seconds) + 4_800)
        .map(|_| {
            let white = seeded.normal();
            if poles.is_empty() {
                return white;
            }
            let mut sum = 0.0;
            for (low, pole) in low.iter_mut().zip(poles) {
                let keep = (-TAU * pole / f64::from(rate.hz())).exp();
                *low = keep * *low + (1.0 - keep) * white;
                sum += *low / (pole / f64::from(rate.hz())).sqrt();
            }
            sum
        })
        .skip(4_800)
        .collect();
    set_level(&mut out, level_dbfs);
    out
}

pub fn rms_dbfs(sound: &[f64]) -> f64 {
    let power = sound.iter().map(|sample| sample * sample).sum::<f64>() / sound.len() as f64;
    10.0 * (power / 32_768.0_f64.powi(2)).max(1e-20).log10()
}

pub fn amplify(sound: &mut [f64], db: f64) {
    for sample in sound {
        *sample *= 10.0_f64.powf(db / 20.0);
    }
}

pub fn set_level(sound: &mut [f64], level_dbfs: f64) {
    let db = level_dbfs - rms_dbfs(sound);
    amplify(sound, db);
}

pub fn add(to: &mut [f64], sound: &[f64]) {
    for (to, sample) in to.iter_mut().zip(sound) {
        *to += sample;
    }
}

/// As frames; what is left of the last one is silence.
pub fn frames(rate: Rate, sound: &[f64]) -> Vec<Frame> {
    sound
        .chunks(rate.frame())
        .map(|chunk| {
            let mut frame = Frame::silence(rate);
            for (to, sample) in frame.iter_mut().zip(chunk) {
                *to = sample.round() as i16;
            }
            frame
        })
        .collect()
}

/// Any sound: of a rate, some samples over and over, at any level.
pub fn any_frame() -> impl Strategy<Value = Frame> {
    let samples = proptest::collection::vec(any::<i16>(), 48);
    (0..Rate::ALL.len(), samples, 0..16_u32).prop_map(|(rate, samples, shift)| {
        let mut frame = Frame::silence(Rate::ALL[rate]);
        for (to, sample) in frame.iter_mut().zip(samples.iter().cycle()) {
            *to = sample >> shift;
        }
        frame
    })
}

/// Few cases, for each is seconds of sound; no file of what failed, for a case prints itself.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub fn joined(frames: &[Frame]) -> Vec<f64> {
    frames
        .iter()
        .flat_map(|frame| frame.iter().map(|sample| f64::from(*sample)))
        .collect()
}

/// Amplitude of one frequency, by a Hann window (side lobes of neighbours below -60 dB from 4 / length away).
pub fn amplitude_at(sound: &[f64], rate: Rate, hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in sound.iter().enumerate() {
        let window = 1.0 - (TAU * n as f64 / sound.len() as f64).cos();
        let angle = TAU * hz * n as f64 / f64::from(rate.hz());
        re += sample * window * angle.cos();
        im += sample * window * angle.sin();
    }
    2.0 * re.hypot(im) / sound.len() as f64
}

/// Spoken words of Debian's alsa-utils ("front center" ...), at `rate`; `None`, and a line, where they are not
/// installed.
pub fn speech(rate: Rate) -> Option<Vec<Vec<f64>>> {
    const NAMES: [&str; 8] = [
        "Front_Center",
        "Front_Left",
        "Front_Right",
        "Rear_Center",
        "Rear_Left",
        "Rear_Right",
        "Side_Left",
        "Side_Right",
    ];
    let clips: Vec<Vec<f64>> = NAMES
        .iter()
        .filter_map(|name| std::fs::read(format!("/usr/share/sounds/alsa/{name}.wav")).ok())
        .map(|wav| {
            // A plain header of 44 bytes; 16 bit, one channel, 48 kHz.
            let wide: Vec<f64> = wav[44..]
                .chunks_exact(2)
                .map(|two| f64::from(i16::from_le_bytes([two[0], two[1]])))
                .collect();
            decimated(&wide, 48_000 / rate.hz() as usize)
        })
        .collect();
    if clips.len() < NAMES.len() {
        eprintln!("skipped: no recorded speech here (alsa-utils is not installed)");
        return None;
    }
    Some(clips)
}

/// By a windowed sinc of 16 lobes a side.
fn decimated(sound: &[f64], by: usize) -> Vec<f64> {
    if by == 1 {
        return sound.to_vec();
    }
    let half = 16 * by as isize;
    let taps: Vec<f64> = (-half..=half)
        .map(|n| {
            let x = n as f64 / by as f64 * 0.95;
            let sinc = if n == 0 {
                1.0
            } else {
                (TAU / 2.0 * x).sin() / (TAU / 2.0 * x)
            };
            sinc * 0.95 / by as f64 * (0.5 + 0.5 * (TAU / 2.0 * n as f64 / half as f64).cos())
        })
        .collect();
    (0..sound.len() / by)
        .map(|n| {
            let from = (n * by) as isize - half;
            taps.iter()
                .enumerate()
                .filter_map(|(k, tap)| {
                    let at = usize::try_from(from + k as isize).ok()?;
                    Some(tap * sound.get(at)?)
                })
                .sum()
        })
        .collect()
}

/// Active speech level: method B of ITU-T P.56, without its interpolation between thresholds (they are 0.5 dB apart
/// here).
pub fn active_dbfs(sound: &[f64], rate: Rate) -> f64 {
    const MARGIN_DB: f64 = 15.9;
    let keep = (-1.0 / (0.03 * f64::from(rate.hz()))).exp();
    let hang = rate.hz() as usize / 5;
    let (mut p, mut q) = (0.0, 0.0);
    let envelope: Vec<f64> = sound
        .iter()
        .map(|sample| {
            p = keep * p + (1.0 - keep) * sample.abs();
            q = keep * q + (1.0 - keep) * p;
            q / 32_768.0
        })
        .collect();
    let energy: f64 = sound.iter().map(|sample| (sample / 32_768.0).powi(2)).sum();
    let mut threshold_dbfs = -90.0;
    loop {
        let threshold = 10.0_f64.powf(threshold_dbfs / 20.0);
        let (mut active, mut since) = (0, hang);
        for envelope in &envelope {
            since = if *envelope >= threshold { 0 } else { since + 1 };
            active += usize::from(since < hang);
        }
        let level = 10.0 * (energy / active.max(1) as f64).max(1e-12).log10();
        if active == 0 || level - threshold_dbfs <= MARGIN_DB {
            return level;
        }
        threshold_dbfs += 0.5;
    }
}
