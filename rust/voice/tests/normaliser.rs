//! Every voice comes out equally loud, and nobody hears that it was made so.

mod sound;

use plenary_codec::audio::Rate;
use plenary_voice::{Activity, Normaliser};
use proptest::prelude::*;
use sound::{Colour, active_dbfs, add, any_frame, cases, frames, joined, noise, tone};

const TARGET_DBFS: f64 = -20.0;

/// Words one after the other, at an active speech level.
fn talk(rate: Rate, seconds: usize, level_dbfs: f64) -> Option<Vec<f64>> {
    let mut talk: Vec<f64> = sound::speech(rate)?.concat();
    let level = active_dbfs(&talk, rate);
    sound::amplify(&mut talk, level_dbfs - level);
    Some(
        talk.iter()
            .copied()
            .cycle()
            .take(seconds * rate.hz() as usize)
            .collect(),
    )
}

/// What comes out, and the gain at the end of each frame.
fn normalised(normaliser: &mut Normaliser, rate: Rate, sound: &[f64]) -> (Vec<f64>, Vec<f32>) {
    let mut activity = Activity::new();
    let (mut out, mut gains) = (Vec::new(), Vec::new());
    for mut frame in frames(rate, sound) {
        activity.frame(&frame);
        normaliser.process(&mut frame, activity.is_talking());
        out.push(frame);
        gains.push(normaliser.gain_db());
    }
    (joined(&out), gains)
}

fn most_in_a_second(gains: &[f32]) -> f32 {
    gains
        .windows(50)
        .map(|second| (second[49] - second[0]).abs())
        .fold(0.0, f32::max)
}

#[test]
fn speech_of_any_level_comes_out_at_the_target_after_ten_seconds() {
    for rate in Rate::ALL {
        for level in [-40.0, -35.0, -30.0, -26.0, -20.0, -12.0, -6.0] {
            let Some(talk) = talk(rate, 25, level) else {
                return;
            };
            let (out, gains) = normalised(&mut Normaliser::new(), rate, &talk);
            let came_out = active_dbfs(&out[10 * rate.hz() as usize..], rate);
            println!(
                "{rate:?} {level} dBFS: {came_out:.1} dBFS, gain {:.1} dB",
                gains[gains.len() - 1]
            );
            assert!(
                (came_out - TARGET_DBFS).abs() < 2.0,
                "{rate:?} {level}: {came_out}"
            );
        }
    }
}

#[test]
fn the_gain_of_steady_speech_moves_less_than_a_decibel_in_a_second_and_by_3_or_6_until_then() {
    for level in [-40.0, -26.0, -6.0] {
        let Some(talk) = talk(Rate::Wide, 60, level) else {
            return;
        };
        let (_, gains) = normalised(&mut Normaliser::new(), Rate::Wide, &talk);
        assert!(most_in_a_second(&gains) < 6.1);
        assert!(
            most_in_a_second(&gains[750..]) < 1.0,
            "{level}: {}",
            most_in_a_second(&gains[750..])
        );
        let (least, most) = gains[750..]
            .iter()
            .fold((f32::MAX, f32::MIN), |(least, most), gain| {
                (least.min(*gain), most.max(*gain))
            });
        assert!(most - least < 3.0, "{level}: {least} {most}");
    }
}

#[test]
fn a_pause_does_not_raise_the_gain() {
    let rate = Rate::Wide;
    let Some(talk) = talk(rate, 15, -30.0) else {
        return;
    };
    let mut normaliser = Normaliser::new();
    let (_, gains) = normalised(&mut normaliser, rate, &talk);
    let room = noise(Colour::Pink, rate, 60.0, -60.0, 1);
    let (_, pause) = normalised(&mut normaliser, rate, &room);
    assert!((pause[pause.len() - 1] - gains[gains.len() - 1]).abs() < 1.0);
}

#[test]
fn noise_alone_is_not_amplified() {
    let room = noise(Colour::Pink, Rate::Wide, 60.0, -43.0, 2);
    let (_, gains) = normalised(&mut Normaliser::new(), Rate::Wide, &room);
    assert!(
        gains.iter().all(|gain| *gain < 1.0),
        "{:?}",
        gains[gains.len() - 1]
    );
}

#[test]
fn a_shout_after_quiet_speech_neither_clips_nor_turns_down_what_follows() {
    let rate = Rate::Full;
    let (Some(quiet), Some(shout)) = (talk(rate, 20, -35.0), talk(rate, 1, -18.0)) else {
        return;
    };
    let mut normaliser = Normaliser::new();
    let (_, before) = normalised(&mut normaliser, rate, &quiet);
    let (out, gains) = normalised(&mut normaliser, rate, &shout);
    // Clipping would be samples in a row at the end of the scale.
    let flat = out
        .windows(8)
        .filter(|run| run.iter().all(|sample| sample.abs() >= 32_767.0))
        .count();
    assert_eq!(flat, 0);
    assert!(before[before.len() - 1] - gains[gains.len() - 1] < 6.1);
    let (_, after) = normalised(&mut normaliser, rate, &quiet);
    assert!(
        (after[10 * 50] - before[before.len() - 1]).abs() < 2.0,
        "{} {}",
        after[500],
        before[before.len() - 1]
    );
}

#[test]
fn the_gain_moves_without_steps() {
    // While the gain rises at its fastest, a tone has no lines beside it: steps each frame would put some at 50 Hz.
    let rate = Rate::Wide;
    let mut sound = noise(Colour::White, rate, 0.5, -60.0, 4);
    sound.extend(tone(rate, 1_000.0, 4.0, -35.0));
    let (out, gains) = normalised(&mut Normaliser::new(), rate, &sound);
    let rising = &out[16_000..48_000];
    assert!(gains[149] - gains[50] > 5.0, "{} {}", gains[50], gains[149]);
    let line = |hz: f64| {
        20.0 * (sound::amplitude_at(rising, rate, hz) / sound::amplitude_at(rising, rate, 1_000.0))
            .log10()
    };
    assert!(
        [950.0, 1_050.0, 1_100.0, 900.0]
            .iter()
            .all(|hz| line(*hz) < -70.0),
        "{} {}",
        line(950.0),
        line(1_050.0)
    );
}

#[test]
fn a_voice_at_the_target_passes_bit_for_bit() {
    let rate = Rate::Narrow;
    let mut sound = tone(rate, 200.0, 5.0, -20.0);
    add(&mut sound, &noise(Colour::White, rate, 5.0, -60.0, 3));
    let (out, gains) = normalised(&mut Normaliser::new(), rate, &sound);
    assert!(gains.iter().all(|gain| *gain == 0.0));
    assert!(
        out.iter()
            .zip(&sound)
            .all(|(out, came)| *out == came.round())
    );
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn no_sound_breaks_it(
        sounds in proptest::collection::vec((any_frame(), any::<bool>(), 1..100_usize), 1..20),
    ) {
        let mut normaliser = Normaliser::new();
        for (mut frame, talking, times) in sounds {
            for _ in 0..times {
                let before = normaliser.gain_db();
                normaliser.process(&mut frame, talking);
                let moved = (normaliser.gain_db() - before).abs();
                prop_assert!((-18.0..=24.0).contains(&normaliser.gain_db()));
                prop_assert!(moved < 0.121 && (talking || moved == 0.0));
            }
        }
    }
}
