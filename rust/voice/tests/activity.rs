//! Who speaks is heard from the first sound on; steady noise is not.

mod sound;

use plenary_codec::audio::{Frame, Rate};
use plenary_voice::Activity;
use proptest::prelude::*;
use sound::{Colour, add, any_frame, cases, frames, noise, rms_dbfs, set_level, tone};

/// Frames that the gate can still give back when it opens (60 ms).
const LOOK_BACK: usize = 3;

fn heard(activity: &mut Activity, sound: &[Frame]) -> Vec<bool> {
    sound.iter().map(|frame| activity.frame(frame)).collect()
}

/// Number of the frame and what began or ended with it.
fn turns(activity: &mut Activity, sound: &[Frame]) -> Vec<(usize, bool)> {
    sound
        .iter()
        .enumerate()
        .filter_map(|(n, frame)| {
            activity.frame(frame);
            activity.turn().map(|talking| (n, talking))
        })
        .collect()
}

/// Seconds of silence around some sound, as frames.
fn between_silence(rate: Rate, before: f64, sound: &[f64], after: f64) -> Vec<Frame> {
    let mut all = vec![0.0; sound::samples(rate, before)];
    all.extend(sound);
    all.extend(vec![0.0; sound::samples(rate, after)]);
    frames(rate, &all)
}

#[test]
fn steady_noise_is_heard_for_two_seconds_and_then_in_one_frame_of_a_hundred_at_most() {
    for (rate, colour, level) in every_noise() {
        let mut activity = Activity::new();
        let sound = frames(rate, &noise(colour, rate, 30.0, level, 1));
        let heard = heard(&mut activity, &sound);
        let false_alarms = heard[100..].iter().filter(|heard| **heard).count();
        let of = heard.len() - 100;
        println!("{rate:?} {colour:?} {level} dBFS: {false_alarms} of {of}");
        assert!(
            false_alarms * 100 <= of,
            "{rate:?} {colour:?} {level}: {false_alarms} of {of}"
        );
    }
}

#[test]
fn steady_noise_is_talking_for_two_seconds_at_most() {
    for (rate, colour, level) in every_noise() {
        let sound = frames(rate, &noise(colour, rate, 10.0, level, 2));
        let turns = turns(&mut Activity::new(), &sound);
        assert!(
            matches!(turns[..], [] | [(_, true), (..125, false)]),
            "{rate:?} {colour:?} {level}: {turns:?}"
        );
    }
}

fn every_noise() -> impl Iterator<Item = (Rate, Colour, f64)> {
    Rate::ALL.into_iter().flat_map(|rate| {
        Colour::ALL
            .into_iter()
            .flat_map(move |colour| [-65.0, -50.0, -35.0].map(|level| (rate, colour, level)))
    })
}

#[test]
fn the_level_of_steady_noise_is_known() {
    for colour in [Colour::White, Colour::Pink] {
        let mut activity = Activity::new();
        heard(
            &mut activity,
            &frames(Rate::Wide, &noise(colour, Rate::Wide, 5.0, -45.0, 3)),
        );
        assert!(
            (activity.noise_dbfs() + 45.0).abs() < 2.5,
            "{colour:?}: {}",
            activity.noise_dbfs()
        );
    }
}

#[test]
fn no_frame_of_recorded_speech_is_lost_to_the_mix() {
    for rate in Rate::ALL {
        let Some(clips) = sound::speech(rate) else {
            return;
        };
        for (snr, colour) in [40.0, 20.0, 10.0, 5.0]
            .into_iter()
            .flat_map(|snr| Colour::ALL.map(|colour| (snr, colour)))
        {
            let noise_dbfs = -26.0 - snr;
            let (mut of, mut late) = (0, 0);
            for (seed, clip) in clips.iter().enumerate() {
                let mut clip = clip.clone();
                set_level(&mut clip, -26.0);
                let mut said = vec![0.0; sound::samples(rate, 3.0)];
                said.extend(clip);
                let mut sound = said.clone();
                add(
                    &mut sound,
                    &noise(colour, rate, 6.0, noise_dbfs, seed as u64 + 1),
                );
                let heard = heard(&mut Activity::new(), &frames(rate, &sound));
                // Frames of speech: as loud as the noise, or louder.
                for (n, frame) in said.chunks_exact(rate.frame()).enumerate() {
                    let level = rms_dbfs(frame);
                    if level < noise_dbfs.max(-60.0) {
                        continue;
                    }
                    of += 1;
                    late += usize::from(!heard[n]);
                    assert!(
                        heard[n..].iter().take(1 + LOOK_BACK).any(|heard| *heard),
                        "{rate:?}, {snr} dB of {colour:?}, clip {seed}: frame {n} at {level:.1} dBFS"
                    );
                }
            }
            println!("{rate:?}, {snr} dB above {colour:?}: {late} of {of} by look-back");
            assert!(
                late * 50 <= of,
                "{rate:?}, {snr} dB of {colour:?}: {late} of {of} frames need look-back"
            );
        }
    }
}

#[test]
fn a_faint_onset_is_heard_in_its_own_frame_wherever_in_it_it_falls() {
    for rate in Rate::ALL {
        for room in [None, Some(-62.0)] {
            for (name, ms) in [("plosive", 5.0), ("fricative", 80.0)] {
                for at_ms in 0..16 {
                    let seconds = ms / 1_000.0;
                    // A fricative has its power where it hisses: the upper half of a telephone's band.
                    let mut onset = noise(Colour::White, rate, seconds, -45.0, at_ms + 1);
                    if name == "fricative" {
                        onset = onset.windows(2).map(|two| two[1] - two[0]).collect();
                        set_level(&mut onset, -45.0);
                    }
                    let mut sound = room.map_or(vec![0.0; sound::samples(rate, 5.0)], |level| {
                        noise(Colour::Pink, rate, 5.0, level, at_ms + 50)
                    });
                    let from = sound::samples(rate, 4.0) + at_ms as usize * rate.per_ms();
                    add(&mut sound[from..], &onset);
                    let heard = heard(&mut Activity::new(), &frames(rate, &sound));
                    assert!(
                        heard[200],
                        "{rate:?}, {name} {at_ms} ms into the frame, room {room:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn talking_begins_with_the_second_frame_of_a_voice_and_ends_400_ms_after_the_last() {
    for rate in Rate::ALL {
        let sound = between_silence(rate, 1.0, &tone(rate, 210.0, 0.6, -25.0), 1.0);
        // One frame more where the filters still ring.
        let turns = turns(&mut Activity::new(), &sound);
        assert!(
            matches!(turns[..], [(51, true), (99 | 100, false)]),
            "{rate:?}: {turns:?}"
        );
    }
}

#[test]
fn a_click_is_heard_but_nobody_talks() {
    let rate = Rate::Wide;
    let click = noise(Colour::White, rate, 0.02, -10.0, 4);
    let sound = between_silence(rate, 1.0, &click, 1.0);
    assert_eq!(turns(&mut Activity::new(), &sound), []);
    assert!(heard(&mut Activity::new(), &sound)[50]);
}

#[test]
fn words_are_turns_of_talking_and_who_talks_is_heard() {
    for rate in Rate::ALL {
        let Some(clips) = sound::speech(rate) else {
            return;
        };
        for clip in clips {
            let sound = between_silence(rate, 1.0, &clip, 1.0);
            let turns = turns(&mut Activity::new(), &sound);
            assert!(
                // Two, where the speaker pauses for half a second between them.
                matches!(
                    turns[..],
                    [(50..70, true), (_, false)] | [(50..70, true), _, _, (_, false)]
                ),
                "{rate:?}: {turns:?}"
            );
            let mut activity = Activity::new();
            assert!(
                sound
                    .iter()
                    .all(|frame| activity.frame(frame) || !activity.is_talking())
            );
        }
    }
}

#[test]
fn who_talks_for_an_hour_still_talks() {
    let rate = Rate::Narrow;
    let Some(clips) = sound::speech(rate) else {
        return;
    };
    let mut said: Vec<f64> = clips.concat();
    set_level(&mut said, -30.0);
    add(&mut said, &noise(Colour::Pink, rate, 20.0, -50.0, 6));
    let said = frames(rate, &said);
    let mut activity = Activity::new();
    let mut talking = Vec::new();
    for _ in 0..3_600 * 50 / said.len() {
        talking.push(
            said.iter()
                .filter(|frame| {
                    activity.frame(frame);
                    activity.is_talking()
                })
                .count(),
        );
    }
    // The same words in the first minute and in the last.
    assert!(
        talking[3].abs_diff(*talking.last().unwrap_or(&0)) <= 2,
        "{talking:?}"
    );
}

#[test]
fn a_held_note_is_heard_for_twenty_seconds_and_a_loud_one_forever() {
    for (level, seconds) in [(-35.0, 20.0), (-16.0, 120.0)] {
        let held = frames(Rate::Wide, &tone(Rate::Wide, 440.0, seconds, level));
        let mut activity = Activity::new();
        assert!(held.iter().all(|frame| activity.frame(frame)), "{level}");
        assert!(activity.is_talking());
    }
}

#[test]
fn silence_is_neither_heard_nor_talking() {
    for rate in Rate::ALL {
        let mut activity = Activity::new();
        assert!((0..500).all(|_| !activity.frame(&Frame::silence(rate))
            && !activity.silence()
            && activity.turn().is_none()));
        // The least step of G.711, as a telephone may send for silence.
        let idle: Vec<f64> = (0..rate.hz())
            .map(|n| if n % 7 < 3 { 8.0 } else { -8.0 })
            .collect();
        assert!(frames(rate, &idle).iter().skip(10).all(|frame| {
            activity.frame(frame);
            !activity.is_talking()
        }));
    }
}

#[test]
fn a_voice_that_ends_with_the_packets_ends_as_one_that_falls_silent() {
    let mut activity = Activity::new();
    heard(
        &mut activity,
        &frames(Rate::Narrow, &tone(Rate::Narrow, 200.0, 1.0, -20.0)),
    );
    let ends = (0..100).find(|_| {
        activity.silence();
        activity.turn() == Some(false)
    });
    assert_eq!(ends, Some(19));
    assert!(!activity.silence());
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn no_sound_breaks_it(sound in proptest::collection::vec(any_frame(), 1..60)) {
        let mut activity = Activity::new();
        for frame in sound {
            let heard = activity.frame(&frame);
            prop_assert!(heard || !activity.is_talking());
            prop_assert!((-127.0..=0.1).contains(&activity.level_dbfs()));
            prop_assert!((-80.0..=-20.0).contains(&activity.noise_dbfs()));
        }
    }
}
