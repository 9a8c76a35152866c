//! Levels, talking, tones and WAV headers.

use std::time::Duration;

use plenary_media::level::{SILENCE_DBFS, TalkDetector, peak_dbfs, rms_dbfs};
use plenary_media::tone::Tone;
use plenary_media::wav;

fn tone(frequency_hz: f32, ms: u64, level_dbfs: f32) -> Vec<i16> {
    let mut tone = Tone::new(frequency_hz, Duration::from_millis(ms), level_dbfs);
    let mut out = Vec::new();
    loop {
        let mut frame = [0; 160];
        let count = tone.fill(&mut frame);
        out.extend_from_slice(&frame[..count]);
        if count < frame.len() {
            return out;
        }
    }
}

#[test]
fn levels_are_those_of_full_scale() {
    assert!((rms_dbfs(&[i16::MIN; 160])).abs() < 0.01);
    assert!((peak_dbfs(&[0, i16::MIN])).abs() < 0.01);
    assert!((rms_dbfs(&[3_277; 160]) + 20.0).abs() < 0.01);
    assert_eq!(
        (rms_dbfs(&[0; 160]), rms_dbfs(&[]), peak_dbfs(&[])),
        (SILENCE_DBFS, SILENCE_DBFS, SILENCE_DBFS)
    );
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

/// Frames of these levels, and after how many of them talking began or ended.
fn changes(levels: &[(usize, f32)]) -> Vec<(usize, bool)> {
    let mut detector = TalkDetector::new();
    let frames = levels
        .iter()
        .flat_map(|(count, level)| std::iter::repeat_n(*level, *count));
    frames
        .enumerate()
        .filter_map(|(n, level)| detector.frame(level).map(|talking| (n, talking)))
        .collect()
}

#[test]
fn talking_starts_with_the_second_loud_frame_and_ends_400_ms_after_the_last() {
    assert_eq!(
        changes(&[(50, -65.0), (30, -25.0), (50, -65.0)]),
        [(51, true), (99, false)]
    );
}

#[test]
fn clicks_and_pauses_between_words_change_nothing() {
    assert_eq!(changes(&[(50, -65.0), (1, -10.0), (50, -65.0)]), []);
    assert_eq!(
        changes(&[(10, -65.0), (30, -25.0), (15, -65.0), (30, -25.0)]),
        [(11, true)]
    );
}

#[test]
fn steady_noise_is_not_talking_for_long_and_speech_stands_out_from_it() {
    let noise = changes(&[(500, -40.0)]);
    assert!(
        matches!(noise[..], [(1, true), (..300, false)]),
        "{noise:?}"
    );
    assert_eq!(changes(&[(500, -40.0), (10, -22.0)])[2], (501, true));
}

#[test]
fn who_talks_for_an_hour_still_talks() {
    let mut detector = TalkDetector::new();
    for quiet in [SILENCE_DBFS, -55.0] {
        for n in 0..180_000 {
            detector.frame(if n % 100 < 90 { -28.0 } else { quiet });
            assert!(n < 2 || detector.is_talking(), "{quiet}: frame {n}");
        }
    }
}

#[test]
fn digital_silence_is_never_talking() {
    assert_eq!(changes(&[(1_000, SILENCE_DBFS)]), []);
}

#[test]
fn a_header_is_that_of_a_wav_file_of_its_size() {
    let fields = |header: [u8; wav::HEADER_LEN]| {
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| header[at + n]));
        (number(4), number(24), number(40))
    };
    for bytes in [0, 2, 320, 4_000_000_000] {
        assert_eq!(fields(wav::header(bytes)), (bytes + 36, 8_000, bytes));
    }
    assert_eq!(wav::header(u32::MAX), wav::header(wav::DATA_MAX));
    let header = wav::header(320);
    assert_eq!(&header[..16], b"RIFF\x64\x01\0\0WAVEfmt ");
    // PCM, one channel; two bytes a sample of 16 bits.
    assert_eq!(header[20..24], [1, 0, 1, 0]);
    assert_eq!(&header[32..40], b"\x02\0\x10\0data");
}
