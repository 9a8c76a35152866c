//! Concealment judged by ear's measures: levels, steps and tones.

use std::f64::consts::TAU;

use plenary_voice::level::rms_dbfs;

use super::*;

fn tone(frequency_hz: f64, frames: usize) -> Vec<i16> {
    let step = TAU * frequency_hz / 8_000.0;
    (0..frames * 160)
        .map(|n| ((step * n as f64).sin() * 10_000.0) as i16)
        .collect()
}

/// A vowel of a voice of `pitch_hz`: harmonics that fall off, with formants at 700 and 1,200 Hz.
fn vowel(pitch_hz: f64, frames: usize) -> Vec<i16> {
    (0..frames * 160)
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

/// What is heard of a sound in G.711 if of each packet `comes` says whether it does; `ahead` packets are in hand.
fn heard(sound: &[i16], ahead: usize, comes: impl Fn(usize) -> bool) -> Vec<i16> {
    let mut buffer = JitterBuffer::new(Codec::Pcmu, Rate::Narrow);
    let mut frame = Frame::default();
    let mut out = Vec::new();
    let send = |n: usize, buffer: &mut JitterBuffer, tick: usize| {
        let Some(pcm) = sound.chunks_exact(160).nth(n).filter(|_| comes(n)) else {
            return;
        };
        let mut payload = [0; 160];
        plenary_codec::g711::encode_ulaw(pcm, &mut payload);
        let place = Place {
            seq: n as u64,
            timestamp: n as i64 * 160,
            new_stream: n == 0,
        };
        let arrival = Duration::from_micros(tick as u64 * 20_000 + 15_000);
        buffer.push(arrival, place, &payload, false);
    };
    for tick in 0..sound.len() / 160 {
        // The first packet takes longer, and so the others come sooner than they are needed.
        if tick == ahead {
            send(0, &mut buffer, tick);
        }
        if tick > 0 {
            send(tick, &mut buffer, tick);
        }
        let at = Duration::from_millis(tick as u64 * 20 + 20);
        if buffer.pull(at, &mut frame) == Playout::Voice {
            out.extend_from_slice(&frame);
        } else {
            out.extend([0; 160]);
        }
    }
    out
}

/// Largest second difference: a click is a corner, whatever the tone below it.
fn sharpest_corner(sound: &[i16]) -> i32 {
    let corner = |w: &[i16]| (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs();
    sound.windows(3).map(corner).max().unwrap_or(0)
}

fn frame_of(sound: &[i16], n: usize) -> &[i16] {
    &sound[n * 160..(n + 1) * 160]
}

#[test]
fn a_lost_packet_of_a_voice_is_hardly_to_be_told_from_it() {
    for (ahead, most_db) in [(0, -4.0), (2, -5.5)] {
        for pitch_hz in [80.0, 110.0, 155.0, 210.0, 290.0] {
            let sound = vowel(pitch_hz, 30);
            let out = heard(&sound, ahead, |n| n != 10);
            let out = &out[ahead * 160..];
            let error: Vec<i16> = out
                .iter()
                .zip(&sound)
                .map(|(a, b)| a.saturating_sub(*b))
                .collect();
            let noise = rms_dbfs(frame_of(&error, 10)) - rms_dbfs(frame_of(&sound, 10));
            assert!(noise < most_db, "{pitch_hz} Hz, {ahead}: {noise} dB");
            let level = rms_dbfs(frame_of(out, 10)) - rms_dbfs(frame_of(&sound, 10));
            assert!((-3.0..1.0).contains(&level), "{pitch_hz} Hz: {level} dB");
        }
    }
}

#[test]
fn losses_of_any_length_make_no_click() {
    for ahead in [0, 2] {
        for pitch_hz in [80.0, 110.0, 155.0, 210.0, 290.0] {
            for lost in 1..=6 {
                let sound = vowel(pitch_hz, 40);
                let out = heard(&sound, ahead, |n| !(15..15 + lost).contains(&n));
                let (before, after) = (sharpest_corner(&sound), sharpest_corner(&out));
                assert!(
                    f64::from(after) <= 1.4 * f64::from(before),
                    "{pitch_hz} Hz, {ahead}, {lost} lost: {before} {after}"
                );
            }
        }
    }
}

#[test]
fn what_is_made_up_fades_from_10_ms_on_and_is_gone_after_60() {
    let sound = tone(400.0, 30);
    let out = heard(&sound, 0, |n| n < 10);
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
fn comfort_noise_ends_a_word_in_5_ms() {
    let mut buffer = JitterBuffer::new(Codec::Pcmu, Rate::Narrow);
    let mut frame = Frame::default();
    let mut out = Vec::new();
    for (n, pcm) in (0..).zip(tone(440.0, 20).chunks_exact(160)) {
        let place = Place {
            seq: n,
            timestamp: n as i64 * 160,
            new_stream: n == 0,
        };
        let arrival = Duration::from_millis(n * 20 + 5);
        if n < 10 {
            let mut payload = [0; 160];
            plenary_codec::g711::encode_ulaw(pcm, &mut payload);
            buffer.push(arrival, place, &payload, false);
        } else if n == 10 {
            buffer.pause(arrival, place);
        }
        let playout = buffer.pull(Duration::from_millis(n * 20 + 20), &mut frame);
        if n > 10 {
            assert_ne!(playout, Playout::Voice);
        } else {
            out.extend_from_slice(&frame);
        }
    }
    assert!(out[1_600 + 40..].iter().all(|sample| *sample == 0));
    assert!(sharpest_corner(&out) < 4_000);
    assert_eq!(buffer.stats().concealed_ms, 0);
}

#[test]
fn who_hears_a_stream_no_more_hears_it_fade_out() {
    // Of a packet of 30 ms some is decoded already, and not heard yet.
    for samples in [160, 240] {
        let mut buffer = JitterBuffer::new(Codec::Pcmu, Rate::Narrow);
        let mut frame = Frame::default();
        assert!(!buffer.farewell(&mut frame));
        let mut payload = [0; 240];
        plenary_codec::g711::encode_ulaw(&tone(440.0, 2)[..240], &mut payload);
        let place = Place {
            seq: 0,
            timestamp: 0,
            new_stream: true,
        };
        buffer.push(Duration::ZERO, place, &payload[..samples], false);
        buffer.pull(Duration::from_millis(20), &mut frame);
        let mut heard = frame.to_vec();
        assert!(buffer.farewell(&mut frame));
        heard.extend_from_slice(&frame);
        assert!(sharpest_corner(&heard) < 4_000, "{heard:?}");
        assert!(heard[160 + 40..].iter().all(|sample| *sample == 0));
    }
}

#[test]
fn sound_that_starts_at_full_level_is_ramped_in() {
    let mut buffer = JitterBuffer::new(Codec::Pcmu, Rate::Narrow);
    let mut frame = Frame::default();
    buffer.push(
        Duration::ZERO,
        Place {
            seq: 0,
            timestamp: 0,
            new_stream: true,
        },
        &[0x80; 160],
        false,
    );
    buffer.pull(Duration::from_millis(20), &mut frame);
    assert!(frame[0] <= 32_124 / 40 + 1);
    assert_eq!(frame[159], 32_124);
}
