//! The resampler by tones at all frequencies, each way between each two rates.

mod sound;

use plenary_codec::{FRAME_MS, Rate, Resampler};
use proptest::prelude::*;
use sound::{apart, decibels, rms, tone};

const AMPLITUDE: f64 = 16_000.0;

fn pairs() -> impl Iterator<Item = (Rate, Rate)> {
    Rate::ALL
        .into_iter()
        .flat_map(|from| Rate::ALL.map(|to| (from, to)))
        .filter(|(from, to)| from != to)
}

/// All of `pcm`, frame by frame, without the first 40 ms, in which the filter fills.
fn resampled(from: Rate, to: Rate, pcm: &[i16]) -> Vec<i16> {
    let mut resampler = Resampler::new(from, to);
    let mut out = vec![0; pcm.len() / from.frame() * to.frame()];
    for (frame, out) in pcm.chunks(from.frame()).zip(out.chunks_mut(to.frame())) {
        resampler.process(frame, out);
    }
    out.split_off(2 * to.frame())
}

/// Frequencies in steps of a 50th of the lower rate's band, none a divisor of the rates.
fn sweep(low_hz: f64, high_hz: f64, nyquist_hz: f64) -> impl Iterator<Item = f64> {
    (0..)
        .map(move |i| low_hz + 7.3 + f64::from(i) * nyquist_hz / 50.0)
        .take_while(move |hz| *hz < high_hz)
}

#[test]
fn up_to_85_percent_of_the_lower_band_every_tone_passes_within_a_tenth_of_a_decibel() {
    for (from, to) in pairs() {
        let nyquist = f64::from(from.min(to).hz()) / 2.0;
        for hz in sweep(30.0, 0.85 * nyquist, nyquist) {
            let out = resampled(from, to, &tone(hz, AMPLITUDE, from.hz(), 10 * from.frame()));
            let (amplitude, _) = apart(&out, hz, to.hz());
            let gain = decibels(amplitude / AMPLITUDE);
            assert!(gain.abs() < 0.1, "{from:?} to {to:?}, {hz} Hz: {gain} dB");
        }
    }
}

#[test]
fn images_and_aliases_are_66_decibels_down_at_every_frequency() {
    for (from, to) in pairs() {
        let nyquist = f64::from(from.min(to).hz()) / 2.0;
        let end = f64::from(from.hz()) / 2.0;
        for hz in sweep(30.0, end, nyquist) {
            let out = resampled(from, to, &tone(hz, AMPLITUDE, from.hz(), 10 * from.frame()));
            // Above the lower band nothing of a tone may come out; below it, nothing but the tone.
            let wrong = if hz < nyquist {
                apart(&out, hz, to.hz()).1
            } else {
                rms(&out)
            };
            let level = decibels(wrong * 2_f64.sqrt() / AMPLITUDE);
            assert!(level < -66.0, "{from:?} to {to:?}, {hz} Hz: {level} dB");
        }
    }
}

#[test]
fn the_delay_is_what_it_says_at_every_frequency() {
    for (from, to) in pairs() {
        let latency = Resampler::new(from, to).latency().as_secs_f64();
        assert!(latency < 0.002_8);
        let nyquist = f64::from(from.min(to).hz()) / 2.0;
        for hz in [0.1 * nyquist, 0.4 * nyquist, 0.8 * nyquist] {
            let out = resampled(from, to, &tone(hz, AMPLITUDE, from.hz(), 10 * from.frame()));
            let skipped = 2.0 * FRAME_MS as f64 / 1_000.0;
            let mut worst: f64 = 0.0;
            for (n, sample) in out.iter().enumerate() {
                let t = skipped + n as f64 / f64::from(to.hz()) - latency;
                let expected = AMPLITUDE * (std::f64::consts::TAU * hz * t).sin();
                worst = worst.max((f64::from(*sample) - expected).abs());
            }
            assert!(
                worst < 0.015 * AMPLITUDE,
                "{from:?} to {to:?}, {hz} Hz: {worst}"
            );
        }
    }
}

#[test]
fn what_overshoots_is_clipped_and_does_not_wrap_around() {
    for (from, to) in pairs() {
        let square: Vec<i16> = (0..from.frame() * 10)
            .map(|n| {
                if n / (from.per_ms() * 3) % 2 == 0 {
                    i16::MAX
                } else {
                    i16::MIN
                }
            })
            .collect();
        let out = resampled(from, to, &square);
        assert!(out.contains(&i16::MAX) && out.contains(&i16::MIN));
        // A wrap would be a jump from one end to the other between two samples that are both near an end.
        let jump = out
            .windows(2)
            .filter(|pair| pair[0].abs_diff(pair[1]) > 60_000)
            .count();
        assert_eq!(jump, 0, "{from:?} to {to:?}");
    }
}

#[test]
fn equal_rates_are_a_copy_without_delay() {
    let pcm = tone(440.0, AMPLITUDE, 16_000, 320);
    let mut out = vec![0; 320];
    let mut resampler = Resampler::new(Rate::Wide, Rate::Wide);
    resampler.process(&pcm, &mut out);
    assert_eq!(out, pcm);
    assert!(resampler.latency().is_zero());
}

#[test]
fn a_clone_goes_on_and_a_reset_forgets() {
    for (from, to) in pairs() {
        let pcm = sound::voice(from.hz(), 1, 7);
        let (before, after) = pcm.split_at(25 * from.frame());
        let mut first = Resampler::new(from, to);
        let (mut out, mut again) = (vec![0; 25 * to.frame()], vec![0; 25 * to.frame()]);
        first.process(before, &mut out);
        let mut second = first.clone();
        first.process(after, &mut out);
        second.process(after, &mut again);
        assert_eq!(out, again);
        second.reset();
        second.process(before, &mut again);
        Resampler::new(from, to).process(before, &mut out);
        assert_eq!(out, again);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn it_does_not_matter_how_a_stream_is_cut(pcm in proptest::collection::vec(any::<i16>(), 48 * 60), cuts in proptest::collection::vec(1..25_usize, 60)) {
        for (from, to) in pairs() {
            let length = pcm.len() / 48 * from.per_ms();
            let pcm = &pcm[..length];
            let mut whole = vec![0; length / from.per_ms() * to.per_ms()];
            Resampler::new(from, to).process(pcm, &mut whole);
            let (mut pieces, mut resampler, mut rest) = (Vec::new(), Resampler::new(from, to), pcm);
            for cut in &cuts {
                let (piece, after) = rest.split_at((cut * from.per_ms()).min(rest.len()));
                let mut out = vec![0; piece.len() / from.per_ms() * to.per_ms()];
                resampler.process(piece, &mut out);
                pieces.extend(out);
                rest = after;
            }
            prop_assert_eq!(&whole[..pieces.len()], pieces);
        }
    }
}
