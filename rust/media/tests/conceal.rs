//! Concealment judged by ear's measures: levels, steps and tones.

use std::f64::consts::TAU;

use plenary_media::codec::{Codec, FRAME_SAMPLES};
use plenary_media::conceal::Concealer;
use plenary_media::jitter::Playout;
use plenary_media::level::rms_dbfs;

const LOST: Playout = Playout::Conceal {
    from: 0,
    to: FRAME_SAMPLES,
};

fn tone(frequency_hz: f64, frames: usize) -> Vec<i16> {
    let step = TAU * frequency_hz / 8_000.0;
    (0..frames * FRAME_SAMPLES)
        .map(|n| ((step * n as f64).sin() * 10_000.0) as i16)
        .collect()
}

/// A vowel of a voice of `pitch_hz`: harmonics that fall off, with formants at 700 and 1,200 Hz.
fn vowel(pitch_hz: f64, frames: usize) -> Vec<i16> {
    (0..frames * FRAME_SAMPLES)
        .map(|n| {
            let time = n as f64 / 8_000.0;
            let harmonics = (1..)
                .map(|k| f64::from(k) * pitch_hz)
                .take_while(|hz| *hz < 3_400.0);
            let sum: f64 = harmonics
                .map(|hz| {
                    let formants = [700.0, 1_200.0]
                        .map(|formant| 1.0 / (1.0 + ((hz - formant) / 200.0_f64).powi(2)));
                    (TAU * hz * time).sin() * (0.1 + formants.iter().sum::<f64>())
                })
                .sum();
            (sum * 3_000.0) as i16
        })
        .collect()
}

/// What is heard of a sound when of each frame `playout` says what has come.
fn heard(sound: &[i16], playout: impl Fn(usize) -> Playout) -> Vec<i16> {
    let mut concealer = Concealer::new();
    let mut out = Vec::new();
    for (n, frame) in sound.chunks_exact(FRAME_SAMPLES).enumerate() {
        let (mut coded, mut pcm) = ([0; FRAME_SAMPLES], [0; FRAME_SAMPLES]);
        Codec::Pcmu.encode(frame, &mut coded);
        let playout = playout(n);
        if playout != Playout::Frame {
            // What is missing is not looked at.
            match playout {
                Playout::Conceal { from, to } => coded[from..to].fill(0x80),
                _ => coded.fill(0x80),
            }
        }
        concealer.decode(Codec::Pcmu, &playout, &coded, &mut pcm);
        out.extend_from_slice(&pcm);
    }
    out
}

fn largest_step(sound: &[i16]) -> i32 {
    sound
        .windows(2)
        .map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs())
        .max()
        .unwrap_or(0)
}

/// Largest second difference: a click is a corner, whatever the tone below it.
fn sharpest_corner(sound: &[i16]) -> i32 {
    let corner = |w: &[i16]| (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs();
    sound.windows(3).map(corner).max().unwrap_or(0)
}

fn frame_of(sound: &[i16], n: usize) -> &[i16] {
    &sound[n * FRAME_SAMPLES..(n + 1) * FRAME_SAMPLES]
}

#[test]
fn a_lost_frame_of_a_voice_is_hardly_to_be_told_from_it() {
    for pitch_hz in [80.0, 110.0, 155.0, 210.0, 290.0] {
        let sound = vowel(pitch_hz, 20);
        let out = heard(&sound, |n| if n == 10 { LOST } else { Playout::Frame });
        let error: Vec<i16> = out
            .iter()
            .zip(&sound)
            .map(|(a, b)| a.saturating_sub(*b))
            .collect();
        let noise = rms_dbfs(frame_of(&error, 10)) - rms_dbfs(frame_of(&sound, 10));
        assert!(noise < -4.0, "{pitch_hz} Hz: {noise} dB");
        let level = rms_dbfs(frame_of(&out, 10)) - rms_dbfs(frame_of(&sound, 10));
        assert!((-3.0..1.0).contains(&level), "{pitch_hz} Hz: {level} dB");
    }
}

#[test]
fn losses_of_any_length_make_no_click() {
    for hz in [205.0, 440.0, 697.0, 1_000.0, 1_633.0] {
        for lost in 1..=6 {
            let sound = tone(hz, 30);
            let out = heard(&sound, |n| {
                if (10..10 + lost).contains(&n) {
                    LOST
                } else {
                    Playout::Frame
                }
            });
            let (before, after) = (largest_step(&sound), largest_step(&out));
            assert!(
                f64::from(after) <= 1.5 * f64::from(before) + 300.0,
                "{hz} Hz, {lost} lost: {before} {after}"
            );
        }
    }
}

#[test]
fn losses_in_a_voice_make_no_click() {
    for pitch_hz in [80.0, 110.0, 155.0, 210.0, 290.0] {
        for lost in 1..=6 {
            let sound = vowel(pitch_hz, 30);
            let out = heard(&sound, |n| {
                if (10..10 + lost).contains(&n) {
                    LOST
                } else {
                    Playout::Frame
                }
            });
            let (before, after) = (sharpest_corner(&sound), sharpest_corner(&out));
            assert!(
                f64::from(after) <= 1.4 * f64::from(before),
                "{pitch_hz} Hz, {lost} lost: {before} {after}"
            );
        }
    }
}

#[test]
fn what_is_made_up_fades_from_10_ms_on_and_is_gone_after_60() {
    let sound = tone(400.0, 30);
    let out = heard(&sound, |n| if n < 10 { Playout::Frame } else { LOST });
    let level = |ms: usize| {
        rms_dbfs(&out[1_600 + ms * 8..1_600 + ms * 8 + 80]) - rms_dbfs(frame_of(&sound, 5))
    };
    let expected = [(0, 0.0), (10, -0.9), (20, -3.1), (30, -6.0), (40, -10.5)];
    for (ms, db) in expected {
        assert!((level(ms) - db).abs() < 1.0, "{ms} ms: {} dB", level(ms));
    }
    assert!(out[1_600 + 480..].iter().all(|sample| *sample == 0));
}

#[test]
fn a_sender_who_stops_in_the_middle_of_a_word_fades_out() {
    for concealed in 0..3 {
        let sound = tone(440.0, 20);
        let out = heard(&sound, |n| match n {
            0..10 => Playout::Frame,
            n if n < 10 + concealed => LOST,
            _ => Playout::Silence,
        });
        assert!(f64::from(largest_step(&out)) <= 1.5 * f64::from(largest_step(&sound)));
        assert!(
            out[(10 + concealed) * FRAME_SAMPLES + 40..]
                .iter()
                .all(|sample| *sample == 0)
        );
    }
}

#[test]
fn sound_that_starts_at_full_level_is_ramped_in() {
    let mut concealer = Concealer::new();
    let mut pcm = [0; FRAME_SAMPLES];
    concealer.decode(
        Codec::Pcmu,
        &Playout::Frame,
        &[0x80; FRAME_SAMPLES],
        &mut pcm,
    );
    assert!(largest_step(&pcm) <= 32_124 / 40 + 1);
    assert_eq!(pcm[FRAME_SAMPLES - 1], 32_124);
}

#[test]
fn silence_stays_silence_when_frames_are_lost() {
    let mut concealer = Concealer::new();
    let mut pcm = [1; FRAME_SAMPLES];
    concealer.decode(
        Codec::Pcma,
        &Playout::Frame,
        &[0x2a; FRAME_SAMPLES],
        &mut pcm,
    );
    assert!(concealer.is_active());
    concealer.skip();
    assert!(!concealer.is_active());
    concealer.decode(Codec::Pcma, &LOST, &[0; FRAME_SAMPLES], &mut pcm);
    assert_eq!(pcm, [0; FRAME_SAMPLES]);
}

#[test]
fn a_part_of_a_frame_is_concealed_between_the_others() {
    let sound = tone(400.0, 20);
    let out = heard(&sound, |n| {
        if n == 10 {
            Playout::Conceal { from: 80, to: 120 }
        } else {
            Playout::Frame
        }
    });
    for (i, (a, b)) in out.iter().zip(&sound).enumerate() {
        assert!(
            (i32::from(*a) - i32::from(*b)).abs() < 900 || i < 40,
            "{i}: {a} {b}"
        );
    }
}
