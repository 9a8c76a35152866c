//! A gate keeps noise out and loses nothing of a voice.

mod sound;

use plenary_codec::audio::Rate;
use plenary_voice::{Activity, Gate};
use proptest::prelude::*;
use sound::{Colour, add, amplitude_at, any_frame, cases, frames, joined, noise, rms_dbfs, tone};

/// What comes out, silence where nothing does, and how late it was in each frame. Heard from frame `opens` to `closes`.
fn gated(rate: Rate, sound: &[f64], opens: usize, closes: usize) -> (Vec<f64>, Vec<usize>) {
    let mut gate = Gate::new();
    let (mut out, mut late) = (Vec::new(), Vec::new());
    for (n, mut frame) in frames(rate, sound).into_iter().enumerate() {
        if !gate.process(&mut frame, (opens..closes).contains(&n)) {
            frame.clear(rate);
        }
        out.push(frame);
        late.push(gate.delay_ms());
    }
    (joined(&out), late)
}

#[test]
fn nothing_comes_through_a_closed_gate_and_all_through_an_open_one() {
    for rate in Rate::ALL {
        let sound = noise(Colour::White, rate, 2.0, -40.0, 1);
        let (out, late) = gated(rate, &sound, 50, 80);
        let at = |frame: usize| frame * rate.frame();
        assert!(out[..at(50)].iter().all(|sample| *sample == 0.0));
        assert!(out[at(81)..].iter().all(|sample| *sample == 0.0));
        assert_eq!(late[79], 0);
        // Once it has caught up, every sample is as it came.
        assert!(
            out[at(75)..at(79)]
                .iter()
                .zip(&sound[at(75)..])
                .all(|(out, came)| *out == came.round())
        );
    }
}

#[test]
fn what_was_said_60_ms_before_the_gate_opened_is_heard() {
    for rate in Rate::ALL {
        // A faint hiss before a vowel, which alone makes it open.
        let mut sound = vec![0.0; sound::samples(rate, 2.0)];
        let from = sound::samples(rate, 0.95);
        add(
            &mut sound[from..],
            &noise(Colour::White, rate, 0.04, -50.0, 2),
        );
        let vowel = sound::samples(rate, 1.0);
        add(&mut sound[vowel..], &tone(rate, 200.0, 0.5, -20.0));
        let (out, _) = gated(rate, &sound, 50, 80);
        // It lies at the beginning of what comes out, whole or a third shorter.
        let hiss = &out[vowel..][..sound::samples(rate, 0.04)];
        assert!(rms_dbfs(hiss) > -54.0, "{rate:?}: {}", rms_dbfs(hiss));
    }
}

#[test]
fn a_voice_is_in_time_again_within_a_third_of_a_second() {
    for rate in Rate::ALL {
        let Some(clips) = sound::speech(rate) else {
            return;
        };
        for (seed, clip) in clips.iter().enumerate() {
            let mut sound = noise(Colour::Pink, rate, 5.0, -50.0, seed as u64 + 1);
            add(&mut sound[rate.hz() as usize * 2..], clip);
            let (mut gate, mut activity) = (Gate::new(), Activity::new());
            let late: Vec<usize> = frames(rate, &sound)
                .iter_mut()
                .map(|frame| {
                    let heard = activity.frame(frame);
                    gate.process(frame, heard);
                    gate.delay_ms()
                })
                .collect();
            let begins = 95 + late[95..].iter().position(|late| *late > 0).unwrap_or(0);
            let in_time = late[begins..].iter().position(|late| *late == 0);
            assert!(
                in_time.is_some_and(|frames| frames <= 16),
                "{rate:?}: {:?}",
                &late[begins..begins + 30]
            );
        }
    }
}

#[test]
fn catching_up_does_not_change_the_pitch_nor_click() {
    for rate in Rate::ALL {
        // The gate opens 60 ms into the tone: all of what it catches up with is tone.
        let mut sound = vec![0.0; sound::samples(rate, 0.94)];
        sound.extend(tone(rate, 200.0, 1.0, -15.0));
        let (out, late) = gated(rate, &sound, 50, 90);
        assert!(late[50] > 20 && late[60] == 0, "{late:?}");
        let said = &out[50 * rate.frame()..60 * rate.frame()];
        let pure = amplitude_at(said, rate, 200.0) / 2.0_f64.sqrt() / 32_768.0;
        assert!((20.0 * pure.log10() - rms_dbfs(said)).abs() < 0.5);
        let slope = |sound: &[f64]| {
            sound
                .windows(2)
                .map(|two| (two[1] - two[0]).abs())
                .fold(0.0, f64::max)
        };
        assert!(
            slope(said) < 1.2 * slope(&sound) + 2.0,
            "{rate:?}: {} {}",
            slope(said),
            slope(&sound)
        );
    }
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn no_sound_breaks_it(
        sounds in proptest::collection::vec((any_frame(), any::<bool>(), 1..8_usize), 1..30),
    ) {
        let mut gate = Gate::new();
        for (came, heard, times) in sounds {
            for _ in 0..times {
                let mut frame = came.clone();
                let something = gate.process(&mut frame, heard);
                prop_assert!(something || !heard && frame == came);
                prop_assert!(gate.delay_ms() <= 60);
            }
        }
    }
}
