//! Rooms of phones with different codecs: rates, shared encodes, and that nobody hears a stream change hands.

#[allow(dead_code)]
mod simulation;

use plenary_codec::{Codec, OpusSettings, Rate};
use plenary_media::engine::RecordingOf;
use plenary_media::messages::{Command, SdpKind};
use plenary_media::player::Sound;
use plenary_media::recorder::RecordingLimits;
use simulation::{AMPLITUDE, Simulation, id, level_at, sdp, steepest};

/// Hz, none a multiple of another, all of them whole periods in a frame.
const ANN: f64 = 450.0;
const BOB: f64 = 650.0;
const EVE: f64 = 1_150.0;
/// More than a telephone can do.
const HIGH: f64 = 6_150.0;
/// More than G.722 can do.
const HIGHEST: f64 = 11_050.0;

fn is_full(amplitude: f64) -> bool {
    (amplitude - AMPLITUDE).abs() < 0.15 * AMPLITUDE
}

fn opus() -> OpusSettings {
    OpusSettings {
        bitrate_bps: 48_000,
        ..OpusSettings::default()
    }
}

fn room(phones: &[(&'static str, f64, Codec)]) -> Simulation {
    let mut room = Simulation::room(&[]);
    for (name, hz, codec) in phones {
        room.phone_with(name, *hz, *codec, opus());
        room.join(name);
    }
    room
}

fn hum(room: &mut Simulation, name: &str, hz: Option<f64>) {
    room.phones.get_mut(name).expect("a phone").hum_hz = hz;
}

/// Root mean square of what is not the tone, in each 20 ms.
fn noise(rate: Rate, pcm: &[i16], hz: f64) -> Vec<f64> {
    let angle = |i: usize| std::f64::consts::TAU * hz * i as f64 / f64::from(rate.hz());
    let windows = pcm.chunks_exact(rate.frame());
    let rest = windows.map(|window| {
        let sum = |wave: fn(f64) -> f64| -> f64 {
            let products = window.iter().enumerate();
            let products = products.map(|(i, sample)| f64::from(*sample) * wave(angle(i)));
            2.0 * products.sum::<f64>() / window.len() as f64
        };
        let (sine, cosine) = (sum(f64::sin), sum(f64::cos));
        let rest = window.iter().enumerate().map(|(i, sample)| {
            f64::from(*sample) - sine * angle(i).sin() - cosine * angle(i).cos()
        });
        (rest.map(|rest| rest * rest).sum::<f64>() / window.len() as f64).sqrt()
    });
    rest.collect()
}

fn loudest(noise: &[f64]) -> f64 {
    noise.iter().copied().fold(0.0, f64::max)
}

#[test]
fn phones_of_all_codecs_hear_each_other_and_never_themselves() {
    let phones = [
        ("ann", ANN, Codec::Opus),
        ("bob", BOB, Codec::G722),
        ("eve", EVE, Codec::Pcmu),
        ("joe", 1_550.0, Codec::Pcma),
    ];
    let mut room = room(&phones);
    room.run_ms(600);
    for (name, own, codec) in phones {
        let heard = room.listen(name, 500);
        for (_, hz, _) in phones {
            let amplitude = level_at(codec.rate(), &heard, hz);
            let as_it_should = if hz == own {
                amplitude < 120.0
            } else {
                is_full(amplitude)
            };
            assert!(as_it_should, "{name} {hz} {amplitude}");
        }
    }
}

#[test]
fn everyone_hears_as_much_as_his_codec_can() {
    let mut room = room(&[
        ("ann", HIGH, Codec::Opus),
        ("bob", HIGHEST, Codec::Opus),
        ("eve", 0.0, Codec::G722),
        ("joe", 0.0, Codec::Pcmu),
    ]);
    room.run_ms(600);
    let heard = room.listen("ann", 500);
    assert!(level_at(Rate::Full, &heard, HIGHEST) > 0.5 * AMPLITUDE);
    let heard = room.listen("eve", 500);
    assert!(is_full(level_at(Rate::Wide, &heard, HIGH)));
    // What is too high comes as nothing, not as something else.
    let joe = room.listen("joe", 500);
    assert!(joe.iter().all(|sample| sample.abs() < 200));
}

#[test]
fn a_thousand_listeners_cost_three_decodes_and_four_encodes() {
    let mut room = Simulation::room(&[]);
    let names: Vec<&'static str> = (0..1_000)
        .map(|n| &*Box::leak(n.to_string().into_boxed_str()))
        .collect();
    for name in &names {
        room.phone_with(name, 0.0, Codec::Opus, opus());
        room.join(name);
    }
    room.run_ms(200);
    for (name, hz) in names.iter().zip([ANN, BOB, EVE]) {
        hum(&mut room, name, Some(hz));
    }
    room.run_ms(300);
    let before = room.engine.output().counts;
    room.run_ms(200);
    let after = room.engine.output().counts;
    let ticks = 10;
    assert_eq!(after.decodes - before.decodes, 3 * ticks);
    assert_eq!(after.encodes - before.encodes, 4 * ticks);
    assert_eq!(after.shared_encodes - before.shared_encodes, 996 * ticks);
    let heard = room.heard("999");
    let heard = &heard[heard.len() - Rate::Full.frame() * 10..];
    let levels = [ANN, BOB, EVE].map(|hz| level_at(Rate::Full, heard, hz));
    assert!(levels.into_iter().all(is_full), "{levels:?}");
}

/// As after a restart of the engine, which brings all legs back at once.
#[test]
fn when_hundreds_come_at_once_few_are_encoded_for_alone_and_all_are_soon_served() {
    let mut room = room(&[("ann", ANN, Codec::Opus)]);
    room.run_ms(200);
    let names: Vec<&'static str> = (0..300)
        .map(|n| &*Box::leak(n.to_string().into_boxed_str()))
        .collect();
    for name in &names {
        room.phone_with(name, 0.0, Codec::Opus, opus());
        room.join(name);
    }
    for _ in 0..60 {
        let before = room.engine.output().counts.encodes;
        room.run_ms(20);
        // Of ann, of the stream, of newcomers.
        assert!(room.engine.output().counts.encodes - before <= 2 + 32);
    }
    assert!(names.iter().all(|name| !room.phones[name].heard.is_empty()));
    let before = room.engine.output().counts.encodes;
    room.run_ms(200);
    assert_eq!(room.engine.output().counts.encodes - before, 2 * 10);
}

#[test]
fn who_hears_music_for_long_keeps_no_newcomer_waiting() {
    let mut room = room(&[("ann", ANN, Codec::Opus)]);
    for n in 0..40 {
        let name = &*Box::leak(n.to_string().into_boxed_str());
        room.phone_with(name, 0.0, Codec::Opus, opus());
        room.join(name);
        let pcm = vec![1_000; 8_000].into();
        let rate = Rate::Narrow;
        let music = Sound::Prompt { pcm, rate };
        room.engine.play(&id(name), &id("music"), music, true);
    }
    room.run_ms(1_000);
    room.phone_with("bob", 0.0, Codec::Opus, opus());
    room.join("bob");
    room.run_ms(300);
    let heard = room.listen("bob", 200);
    assert!(is_full(level_at(Rate::Full, &heard, ANN)));
}

/// Who starts to talk takes a clone of the shared encoder along; who stops comes back once both have heard the same.
#[test]
fn nobody_hears_when_he_leaves_a_shared_stream_and_comes_back() {
    for codec in [Codec::Opus, Codec::G722, Codec::Pcmu] {
        let mut room = room(&[
            ("ann", ANN, codec),
            ("bob", 0.0, codec),
            ("eve", 0.0, codec),
            // Something to be resampled for.
            ("joe", 0.0, Codec::Opus),
        ]);
        room.run_ms(3_000);
        let rate = codec.rate();
        let steady = loudest(&noise(rate, &room.listen("bob", 2_000), ANN));
        for _ in 0..3 {
            hum(&mut room, "bob", Some(BOB));
            room.heard("bob");
            room.run_ms(730);
            hum(&mut room, "bob", None);
            room.run_ms(2_500);
            let changes = loudest(&noise(rate, &room.heard("bob"), ANN));
            assert!(changes < 2.0 * steady + 20.0, "{codec}: {changes} {steady}");
        }
        // At the latest in a pause.
        hum(&mut room, "ann", None);
        room.run_ms(600);
        hum(&mut room, "ann", Some(ANN));
        room.run_ms(100);
        let before = room.engine.output().counts.encodes;
        room.run_ms(1_000);
        let after = room.engine.output().counts.encodes - before;
        // Of ann, and of each format that the others hear.
        let streams = if codec == Codec::Opus { 2 } else { 3 };
        assert_eq!(after, 50 * streams, "{codec}: bob is back");
    }
}

#[test]
fn a_room_changes_its_rate_without_a_click() {
    // A low tone, so that its own steps are small.
    const LOW: f64 = 183.0;
    for codec in [Codec::G722, Codec::Opus] {
        let mut room = Simulation::room(&[("ann", LOW), ("bob", 0.0)]);
        room.phone_with("joe", 0.0, codec, opus());
        room.run_ms(310);
        room.heard("bob");
        for _ in 0..3 {
            room.join("joe");
            room.run_ms(530);
            room.leave("joe");
            room.run_ms(4_070);
        }
        let heard = room.heard("bob");
        assert_eq!(heard.len(), 3 * 8 * 4_600);
        assert!(steepest(&heard) < 900, "{}", steepest(&heard));
        assert!(is_full(level_at(
            Rate::Narrow,
            &heard[heard.len() - 8_000..],
            LOW
        )));
    }
}

/// RFC 3264, section 8.3: another codec in a later offer.
#[test]
fn a_phone_that_changes_its_codec_keeps_talking() {
    let mut room = room(&[("ann", ANN, Codec::Pcmu), ("bob", BOB, Codec::Opus)]);
    room.run_ms(500);
    for (codec, formats) in [
        (Codec::Opus, "111 101"),
        (Codec::G722, "9 101"),
        (Codec::Pcma, "8 101"),
    ] {
        let offer = sdp(room.phones["ann"].address, "sendrecv", formats);
        room.command(Command::ApplySdp {
            leg: id("ann"),
            kind: SdpKind::Offer,
            sdp: offer,
        });
        let ann = room.phones.get_mut("ann").expect("a phone");
        ann.set_codec(codec, opus());
        room.run_ms(600);
        let ann = room.listen("ann", 500);
        assert!(is_full(level_at(codec.rate(), &ann, BOB)), "{codec}");
        let bob = room.listen("bob", 500);
        assert!(is_full(level_at(Rate::Full, &bob, ANN)), "{codec}");
    }
}

#[test]
fn a_recording_has_its_own_rate() {
    for rate in Rate::ALL {
        let mut room = room(&[("ann", HIGH, Codec::Opus), ("eve", EVE, Codec::Pcmu)]);
        for of in [RecordingOf::Room(id("room")), RecordingOf::Leg(id("eve"))] {
            let limits = RecordingLimits::default();
            room.recorded.clear();
            room.engine.start_recording(&id("rec"), &of, rate, limits);
            room.run_ms(1_000);
            room.command(Command::StopRecording {
                recording: id("rec"),
            });
            let pcm = room.recording();
            let heard = &pcm[pcm.len() / 2..];
            assert!(is_full(level_at(rate, heard, EVE)), "{rate:?} {of:?}");
            // The leg's recording is of what a telephone hears.
            let high = rate > Rate::Narrow && matches!(of, RecordingOf::Room(_));
            assert_eq!(level_at(rate, heard, HIGH) > 0.7 * AMPLITUDE, high);
        }
    }
}

#[test]
fn who_sends_only_noise_costs_no_encode_of_his_own_and_his_first_word_is_heard() {
    let mut room = room(&[
        ("ann", 0.0, Codec::G722),
        ("bob", 0.0, Codec::G722),
        ("eve", 0.0, Codec::G722),
    ]);
    for name in ["ann", "bob", "eve"] {
        room.phones.get_mut(name).expect("a phone").noise = true;
    }
    room.run_ms(5_000);
    let before = room.engine.output().counts.encodes;
    room.run_ms(1_000);
    assert_eq!(room.engine.output().counts.encodes - before, 50);
    room.heard("bob");
    hum(&mut room, "ann", Some(ANN));
    room.run_ms(140);
    let heard = room.heard("bob");
    // Two frames on the way, and three that the gate gives back from before.
    let word = &heard[5 * 320 + 80..6 * 320 + 80];
    assert!(level_at(Rate::Wide, word, ANN) > 0.8 * AMPLITUDE);
}

#[test]
fn who_is_muted_is_heard_by_nobody_and_comes_back_without_a_click() {
    let mut room = room(&[("ann", 183.0, Codec::G722), ("bob", 0.0, Codec::G722)]);
    room.run_ms(510);
    room.heard("bob");
    for _ in 0..3 {
        for muted in [true, false] {
            let leg = id("ann");
            room.command(Command::SetMuted { leg, muted });
            room.run_ms(70);
            let heard = room.listen("bob", 110);
            let level = level_at(Rate::Wide, &heard, 183.0);
            assert!(if muted { level < 20.0 } else { is_full(level) }, "{level}");
            room.run_ms(30);
        }
    }
    room.heard("bob");
    for muted in [true, false, true, false] {
        let leg = id("ann");
        room.command(Command::SetMuted { leg, muted });
        room.run_ms(90);
    }
    assert!(steepest(&room.heard("bob")) < 700);
}
