//! Levels, talking, tones and WAV headers.

use std::time::Duration;

use plenary_media::level::{SILENCE_DBFS, TalkDetector, peak_dbfs, rms_dbfs};
use plenary_media::tone::Tone;
use plenary_media::wav::{self, Data, NotOurs};
use proptest::prelude::*;

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
fn a_header_tells_where_and_how_much_the_audio_is() {
    for bytes in [0, 2, 320, 4_000_000_000, u32::MAX] {
        let header = wav::header(bytes);
        assert_eq!(
            wav::parse(&header),
            Ok(Data {
                offset: 44,
                bytes: bytes.min(wav::DATA_MAX)
            })
        );
    }
    assert_eq!(&wav::header(320)[..8], b"RIFF\x64\x01\0\0");
}

#[test]
fn chunks_before_the_audio_are_skipped_and_other_formats_refused() {
    let ours = wav::header(8);
    let with_list = [&ours[..12], b"LIST\x03\0\0\0abc\0", &ours[12..]].concat();
    assert_eq!(
        wav::parse(&with_list),
        Ok(Data {
            offset: 56,
            bytes: 8
        })
    );
    for (place, value) in [(20, 3), (22, 2), (24, 1), (34, 8)] {
        let mut other = ours;
        other[place] = value;
        assert_eq!(wav::parse(&other), Err(NotOurs::OtherFormat));
    }
    assert_eq!(wav::parse(&ours[..43]), Err(NotOurs::NotWav));
    assert_eq!(wav::parse(b"RIFX"), Err(NotOurs::NotWav));
}

proptest! {
    #[test]
    fn no_file_panics(mut head in prop::collection::vec(any::<u8>(), 0..200), like_wav: bool) {
        if like_wav && head.len() > 12 {
            head[..4].copy_from_slice(b"RIFF");
            head[8..12].copy_from_slice(b"WAVE");
        }
        let _ = wav::parse(&head);
    }

    #[test]
    fn no_cut_or_changed_header_panics(place in 0..44_usize, value: u8, cut in 0..45_usize) {
        let mut header = wav::header(320);
        header[place] = value;
        let _ = wav::parse(&header[..cut]);
    }
}
