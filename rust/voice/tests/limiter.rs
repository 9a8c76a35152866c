//! A mix of many voices stays within full scale and still sounds like voices.

mod sound;

use plenary_codec::audio::{Frame, Rate};
use plenary_voice::{Limiter, clip};
use proptest::prelude::*;
use sound::{amplitude_at, cases, joined, tone};

fn limited(limiter: &mut Limiter, rate: Rate, sum: &[f64]) -> Vec<f64> {
    let mut out = Vec::new();
    for chunk in sum.chunks_exact(rate.frame()) {
        let sum: Vec<i32> = chunk.iter().map(|sample| sample.round() as i32).collect();
        let mut frame = Frame::silence(rate);
        limiter.process(&sum, &mut frame);
        out.push(frame);
    }
    joined(&out)
}

fn clipped(sum: &[f64]) -> Vec<f64> {
    sum.iter()
        .map(|sample| sample.clamp(-32_768.0, 32_767.0))
        .collect()
}

/// Power that is not at the frequencies of the tones, relative to all of it, in dB.
fn distortion_db(sound: &[f64], rate: Rate, tones: &[f64]) -> f64 {
    let all = sound.iter().map(|sample| sample * sample).sum::<f64>() / sound.len() as f64;
    let pure: f64 = tones
        .iter()
        .map(|hz| amplitude_at(sound, rate, *hz).powi(2) / 2.0)
        .sum();
    10.0 * ((all - pure).max(all * 1e-9) / all).log10()
}

#[test]
fn what_fits_into_16_bits_passes_bit_for_bit() {
    let mut sum: Vec<f64> = tone(Rate::Wide, 440.0, 1.0, -3.02);
    sum[100] = -32_768.0;
    sum[200] = 32_767.0;
    let rounded: Vec<f64> = sum.iter().map(|sample| sample.round()).collect();
    assert_eq!(limited(&mut Limiter::new(), Rate::Wide, &sum), rounded);
}

#[test]
fn without_limiter_what_does_not_fit_is_cut_and_nothing_else_is_touched() {
    let sum: Vec<i32> = (0..320).map(|n| (n - 160) * 400).collect();
    let mut out = Frame::silence(Rate::Wide);
    clip(&sum, &mut out);
    let cut = sum.iter().map(|sum| (*sum).clamp(-32_768, 32_767) as i16);
    assert!(out.iter().copied().eq(cut));
}

#[test]
fn voices_that_are_too_loud_together_are_not_distorted() {
    for rate in Rate::ALL {
        for hz in [110.0, 300.0, 1_100.0] {
            // Two tones that meet at 6 dB above full scale.
            let tones = [hz, hz * 2.4];
            let mut sum = tone(rate, tones[0], 2.0, -3.02);
            sound::add(&mut sum, &tone(rate, tones[1], 2.0, -3.02));
            let out = limited(&mut Limiter::new(), rate, &sum);
            let settled = rate.hz() as usize / 2;
            let ours = distortion_db(&out[settled..], rate, &tones);
            let theirs = distortion_db(&clipped(&sum)[settled..], rate, &tones);
            println!("{rate:?} {hz} Hz: {ours:.1} dB, clipped {theirs:.1} dB");
            assert!(
                ours < -40.0 && theirs > -20.0,
                "{rate:?} {hz}: {ours} {theirs}"
            );
        }
    }
}

#[test]
fn a_crowd_at_full_scale_keeps_to_full_scale_and_to_its_balance() {
    let rate = Rate::Full;
    let tones: Vec<f64> = (0..30).map(|n| 200.0 + 100.0 * f64::from(n)).collect();
    let mut sum = vec![0.0; rate.hz() as usize * 2];
    for hz in &tones {
        sound::add(&mut sum, &tone(rate, *hz, 2.0, -3.02));
    }
    let out = limited(&mut Limiter::new(), rate, &sum);
    let levels: Vec<f64> = tones
        .iter()
        .map(|hz| amplitude_at(&out[48_000..], rate, *hz))
        .collect();
    let (least, most) = levels
        .iter()
        .fold((f64::MAX, 0.0_f64), |(least, most), level| {
            (least.min(*level), most.max(*level))
        });
    assert!(most / least < 1.1 && least > 500.0, "{least} {most}");
}

#[test]
fn there_is_no_click_where_a_second_voice_comes_in_or_leaves() {
    let rate = Rate::Full;
    // The second voice comes at the border of two frames, where nothing is known of it before, or inside of one.
    for (at, most) in [
        (0, 0.05),
        (1, 0.05),
        (959, 0.05),
        (100, 0.02),
        (500, 0.02),
        (900, 0.02),
    ] {
        let mut sum = tone(rate, 300.0, 1.0, -3.1);
        let from = 9_600 + at;
        for (n, sample) in tone(rate, 500.0, 0.3, -3.1).iter().enumerate() {
            sum[from + n] += sample;
        }
        let out = limited(&mut Limiter::new(), rate, &sum);
        // Steps of the gain: where the sum is large enough to tell it.
        let gain: Vec<Option<f64>> = sum
            .iter()
            .zip(&out)
            .map(|(sum, out)| (sum.abs() > 8_000.0).then(|| out / sum))
            .collect();
        let step = gain
            .windows(2)
            .filter_map(|two| Some((two[1]? - two[0]?).abs()))
            .fold(0.0, f64::max);
        // A twentieth in a sample is a fall within half a millisecond: shorter than an ear tells from the onset.
        assert!(step < most, "{at}: {step}");
        assert!(
            out.iter()
                .all(|sample| (-32_768.0..=32_767.0).contains(sample))
        );
    }
}

#[test]
fn after_a_loud_word_the_gain_is_back_within_a_quarter_of_a_second() {
    let rate = Rate::Narrow;
    let mut limiter = Limiter::new();
    let loud: Vec<f64> = tone(rate, 400.0, 0.5, -3.0)
        .iter()
        .map(|sample| sample * 2.0)
        .collect();
    limited(&mut limiter, rate, &loud);
    assert!(
        (-6.2..-5.8).contains(&limiter.gain_db()),
        "{}",
        limiter.gain_db()
    );
    limited(&mut limiter, rate, &vec![0.0; 2_000 / 160 * 160]);
    assert_eq!(limiter.gain_db(), 0.0);
}

#[test]
fn a_copy_goes_on_as_the_original_does() {
    let rate = Rate::Wide;
    let loud: Vec<f64> = tone(rate, 400.0, 0.1, 6.0);
    let mut first = Limiter::new();
    limited(&mut first, rate, &loud);
    let mut second = first.clone();
    assert_eq!(
        limited(&mut first, rate, &loud),
        limited(&mut second, rate, &loud)
    );
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn no_sum_breaks_it(sums in proptest::collection::vec(any::<i32>(), 480), shift in 0..31_u32) {
        let mut limiter = Limiter::new();
        for sum in sums.chunks(160) {
            let sum: Vec<i32> = sum.iter().map(|sample| sample >> shift).collect();
            let mut out = Frame::silence(Rate::Narrow);
            limiter.process(&sum, &mut out);
            prop_assert!(limiter.gain_db() <= 0.0 && limiter.gain_db() > -100.0);
            // Never against the sign of the sum, never larger.
            let fits = sum.iter().zip(out.iter()).all(|(sum, out)| {
                i64::from(*out) * i64::from(*sum) >= 0
                    && i32::from(*out).unsigned_abs() <= sum.unsigned_abs()
            });
            prop_assert!(fits);
        }
    }
}
