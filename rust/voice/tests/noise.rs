//! Noise goes, the voice stays.

mod sound;

use plenary_codec::audio::{Frame, Rate};
use plenary_voice::NoiseSuppressor;
use proptest::prelude::*;
use sound::{Colour, active_dbfs, add, any_frame, cases, frames, joined, noise, rms_dbfs, tone};

/// What comes out, moved back by the delay.
fn suppressed(rate: Rate, sound: &[f64]) -> Vec<f64> {
    let mut suppressor = NoiseSuppressor::new(rate);
    let mut frames = frames(rate, sound);
    for frame in &mut frames {
        suppressor.process(frame);
    }
    joined(&frames).split_off(suppressor.delay())
}

/// Words at -26 dBFS, twice: the second time the suppressor knows the room.
fn talk(rate: Rate) -> Option<Vec<f64>> {
    let mut said = sound::speech(rate)?.concat();
    let level = active_dbfs(&said, rate);
    sound::amplify(&mut said, -26.0 - level);
    Some(said.repeat(2))
}

#[test]
fn steady_noise_is_12_db_less_from_the_second_second_on() {
    for rate in Rate::ALL {
        let second = rate.hz() as usize;
        for colour in Colour::ALL {
            for level in [-60.0, -35.0] {
                let out = suppressed(rate, &noise(colour, rate, 8.0, level, 3));
                let (soon, later) = (
                    rms_dbfs(&out[second..2 * second]) - level,
                    rms_dbfs(&out[2 * second..]) - level,
                );
                println!(
                    "{rate:?} {colour:?} {level} dBFS: {soon:.1} dB in the second second, then {later:.1} dB"
                );
                assert!(
                    soon < -12.0 && later < -12.0,
                    "{rate:?} {colour:?} {level}: {soon} {later}"
                );
            }
        }
    }
}

#[test]
fn the_level_of_a_voice_stays_within_a_decibel_and_a_half_with_and_without_noise() {
    for rate in Rate::ALL {
        let Some(said) = talk(rate) else { return };
        let seconds = said.len() as f64 / f64::from(rate.hz());
        let known = said.len() / 2;
        for (snr, colour) in [60.0, 20.0, 15.0, 10.0]
            .into_iter()
            .flat_map(|snr| Colour::ALL.map(|colour| (snr, colour)))
        {
            let mut both = said.clone();
            add(&mut both, &noise(colour, rate, seconds, -26.0 - snr, 5));
            let out = suppressed(rate, &both);
            let change = active_dbfs(&out[known..], rate) - active_dbfs(&said[known..], rate);
            println!("{rate:?}, {snr} dB above {colour:?}: {change:.2} dB");
            assert!(change.abs() < 1.5, "{rate:?} {snr} {colour:?}: {change}");
        }
    }
}

#[test]
fn noise_between_words_is_10_db_less() {
    for rate in Rate::ALL {
        let Some(said) = talk(rate) else { return };
        let seconds = said.len() as f64 / f64::from(rate.hz());
        for colour in Colour::ALL {
            let mut both = said.clone();
            add(&mut both, &noise(colour, rate, seconds, -40.0, 5));
            let out = suppressed(rate, &both);
            // The middle of 60 ms in which nothing is said.
            let len = rate.frame();
            let middles = (said.len() / 2..out.len() - 3 * len)
                .step_by(len)
                .filter(|at| rms_dbfs(&said[*at..at + 3 * len]) < -65.0)
                .map(|at| at + len..at + 2 * len);
            let (before, after): (Vec<&[f64]>, Vec<&[f64]>) =
                middles.map(|at| (&both[at.clone()], &out[at])).unzip();
            let change = rms_dbfs(&after.concat()) - rms_dbfs(&before.concat());
            println!("{rate:?} {colour:?}: {change:.1} dB between words");
            assert!(change < -10.0, "{rate:?} {colour:?}: {change}");
        }
    }
}

#[test]
fn a_clean_voice_comes_out_as_it_was_and_later_by_the_delay_that_is_stated() {
    for rate in Rate::ALL {
        let Some(said) = talk(rate) else { return };
        let out = suppressed(rate, &said);
        let error: Vec<f64> = said
            .iter()
            .zip(&out)
            .skip(said.len() / 2)
            .map(|(said, out)| out - said)
            .collect();
        let error = rms_dbfs(&error) - rms_dbfs(&said[said.len() / 2..]);
        println!("{rate:?}: error {error:.1} dB");
        assert!(error < -25.0, "{rate:?}: {error}");
        assert!(NoiseSuppressor::new(rate).delay() <= 12 * rate.per_ms());
    }
}

#[test]
fn a_frame_of_another_rate_makes_it_begin_anew() {
    let mut suppressor = NoiseSuppressor::new(Rate::Narrow);
    for rate in [Rate::Full, Rate::Wide, Rate::Narrow, Rate::Full] {
        let mut frame = Frame::silence(rate);
        suppressor.process(&mut frame);
        assert_eq!((suppressor.rate(), frame.len()), (rate, rate.frame()));
    }
}

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn no_sound_breaks_it(
        sounds in proptest::collection::vec((any_frame(), 1..20_usize), 1..20),
        rate in 0..3_usize,
    ) {
        let rate = Rate::ALL[rate];
        let mut suppressor = NoiseSuppressor::new(rate);
        for (mut frame, times) in sounds {
            (0..times).for_each(|_| suppressor.process(&mut frame));
        }
        // Whatever came, a voice that comes now passes: nothing in there is not a number.
        let mut voice = frames(rate, &tone(rate, 300.0, 1.0, -15.0));
        voice.iter_mut().for_each(|frame| suppressor.process(frame));
        prop_assert!(rms_dbfs(&joined(&voice)) > -40.0);
    }
}
