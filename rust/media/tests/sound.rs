//! Tones and WAV headers.

use std::time::Duration;

use plenary_codec::Rate;
use plenary_media::tone::Tone;
use plenary_media::wav;
use plenary_voice::level::{peak_dbfs, rms_dbfs};

fn tone(frequency_hz: f32, ms: u64, level_dbfs: f32) -> Vec<i16> {
    tone_at(Rate::Narrow, frequency_hz, ms, level_dbfs)
}

fn tone_at(rate: Rate, frequency_hz: f32, ms: u64, level_dbfs: f32) -> Vec<i16> {
    let mut tone = Tone::new(frequency_hz, Duration::from_millis(ms), level_dbfs);
    let mut out = Vec::new();
    loop {
        let mut frame = vec![0; rate.frame()];
        let count = tone.fill(rate, &mut frame);
        out.extend_from_slice(&frame[..count]);
        if count < frame.len() {
            return out;
        }
    }
}

#[test]
fn a_tone_has_its_length_level_and_ramps() {
    for level in [-3.1, -10.0, -30.0] {
        let pcm = tone(440.0, 1_000, level);
        assert_eq!(pcm.len(), 8_000);
        assert!((rms_dbfs(&pcm[400..7_600]) - level).abs() < 0.1, "{level}");
        let peak = f64::from(rms_dbfs(&pcm[400..7_600])) + 3.01;
        assert!(
            f64::from(peak_dbfs(&pcm[..20])) < peak - 6.0
                && f64::from(peak_dbfs(&pcm[7_980..])) < peak - 6.0
        );
    }
}

#[test]
fn a_tone_has_one_frequency() {
    let pcm = tone(650.0, 500, -10.0);
    let power_at = |hz: f64| {
        let angle = |n: usize| std::f64::consts::TAU * hz * n as f64 / 8_000.0;
        let (re, im) = pcm
            .iter()
            .enumerate()
            .fold((0.0, 0.0), |(re, im), (n, sample)| {
                (
                    re + angle(n).cos() * f64::from(*sample),
                    im + angle(n).sin() * f64::from(*sample),
                )
            });
        re.hypot(im)
    };
    assert!(
        [440.0, 910.0, 1_300.0, 1_950.0]
            .iter()
            .all(|hz| power_at(*hz) < power_at(650.0) / 100.0)
    );
}

#[test]
fn a_tone_is_the_same_at_every_rate() {
    let narrow = tone(440.0, 100, -10.0);
    for rate in Rate::ALL {
        let pcm = tone_at(rate, 440.0, 100, -10.0);
        let every = pcm.iter().step_by(rate.frame() / 160);
        assert_eq!(pcm.len(), 100 * rate.per_ms());
        assert!(
            every.zip(&narrow).all(|(a, b)| (a - b).abs() < 400),
            "{rate:?}"
        );
    }
}

#[test]
fn values_no_tone_can_have_are_bounded() {
    for (hz, level) in [
        (f32::NAN, 0.0),
        (f32::INFINITY, f32::NAN),
        (-1.0, f32::INFINITY),
        (0.0, f32::NEG_INFINITY),
    ] {
        assert_eq!(tone(hz, 30, level).len(), 240);
    }
}

#[test]
fn a_header_is_that_of_a_wav_file_of_its_size_and_rate() {
    let fields = |header: [u8; wav::HEADER_LEN]| {
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| header[at + n]));
        (number(4), number(24), number(28), number(40))
    };
    for bytes in [0, 2, 320, 4_000_000_000] {
        for rate in Rate::ALL {
            let hz = rate.hz();
            let expected = (bytes + 36, hz, 2 * hz, bytes);
            assert_eq!(fields(wav::header(bytes, rate)), expected);
        }
    }
    let header = |bytes| wav::header(bytes, Rate::Narrow);
    assert_eq!(header(u32::MAX), header(wav::DATA_MAX));
    let header = header(320);
    assert_eq!(&header[..16], b"RIFF\x64\x01\0\0WAVEfmt ");
    // PCM, one channel; two bytes a sample of 16 bits.
    assert_eq!(header[20..24], [1, 0, 1, 0]);
    assert_eq!(&header[32..40], b"\x02\0\x10\0data");
}
