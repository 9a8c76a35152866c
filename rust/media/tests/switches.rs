//! What is done to a voice before it is mixed and to a mix before it is heard, each switched for itself.

#[allow(dead_code)]
mod simulation;

use plenary_codec::{Codec, OpusSettings, Rate};
use plenary_media::messages::{Command, Event, Switches};
use simulation::{Simulation, id, level_at, steepest};

/// Hz.
const ANN: f64 = 450.0;

fn room(phones: &[(&'static str, f64, Codec)]) -> Simulation {
    let mut room = Simulation::room(&[]);
    for (name, hz, codec) in phones {
        room.phone_with(name, *hz, *codec, OpusSettings::default());
        room.join(name);
    }
    room
}

fn hum(room: &mut Simulation, name: &str, hz: Option<f64>) {
    room.phones.get_mut(name).expect("a phone").hum_hz = hz;
}

fn switch(room: &mut Simulation, name: &str, switches: Switches) {
    let leg = id(name);
    room.command(Command::SetProcessing { leg, switches });
}

fn without_voice_activity() -> Switches {
    Switches {
        voice_activity: false,
        ..Switches::default()
    }
}

fn without_limiter() -> Switches {
    Switches {
        limiter: false,
        ..Switches::default()
    }
}

fn rms(pcm: &[i16]) -> f64 {
    let power: f64 = pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    (power / pcm.len().max(1) as f64).sqrt()
}

/// That of what a leg says, as the statistics have it, and whether it talks.
fn level_of(room: &Simulation, name: &str) -> (f64, bool) {
    let stats = room.engine.stats();
    let leg = stats.iter().find(|stats| stats.leg == id(name));
    leg.map(|leg| (leg.level_dbfs, leg.talking)).expect("a leg")
}

#[test]
fn voice_processing_is_switched_without_a_step() {
    let mut room = room(&[("ann", 200.0, Codec::G722), ("bob", 0.0, Codec::G722)]);
    room.run_ms(500);
    room.heard("bob");
    for on in [true, false, true, false] {
        let switches = Switches {
            noise_suppression: on,
            normaliser: !on,
            voice_activity: on,
            ..Switches::default()
        };
        switch(&mut room, "ann", switches);
        room.run_ms(210);
    }
    assert!(steepest(&room.heard("bob")) < 900);
    let stats = room.engine.stats();
    let ann = stats
        .iter()
        .find(|stats| stats.leg == id("ann"))
        .expect("ann");
    assert_eq!((ann.noise_suppression, ann.normaliser), (false, true));
    assert_eq!((ann.voice_activity, ann.limiter), (false, true));
}

/// Steady noise, which with voice activity is kept out of the mix.
#[test]
fn without_voice_activity_all_that_is_sent_is_heard_from_the_first_frame_to_the_last() {
    let mut room = room(&[
        ("ann", 0.0, Codec::G722),
        ("bob", 0.0, Codec::G722),
        ("eve", 0.0, Codec::G722),
    ]);
    let ann = room.phones.get_mut("ann").expect("a phone");
    ann.noise = true;
    room.run_ms(5_000);
    let quiet = rms(&room.listen("bob", 1_000));
    assert!(quiet < 2.0, "{quiet}");

    switch(&mut room, "ann", without_voice_activity());
    // On its way.
    room.run_ms(60);
    let heard = room.listen("bob", 60_000);
    let levels: Vec<f64> = heard.chunks_exact(320).map(rms).collect();
    let sent = 256.0 / 12.0_f64.sqrt();
    let off = |level: &&f64| !(0.8 * sent..1.2 * sent).contains(*level);
    assert_eq!(levels.iter().find(off), None);
    let (level, talks) = level_of(&room, "ann");
    assert!((-55.0..-50.0).contains(&level) && !talks, "{level}");

    switch(&mut room, "ann", Switches::default());
    room.run_ms(5_000);
    let quiet = rms(&room.listen("bob", 1_000));
    assert!(quiet < 2.0, "{quiet}");
}

#[test]
fn steady_noise_begins_and_ends_without_a_step_where_voice_activity_is_switched() {
    let mut room = room(&[("ann", 0.0, Codec::G722), ("bob", 0.0, Codec::G722)]);
    // A hum that is taken for noise in the end.
    let ann = room.phones.get_mut("ann").expect("a phone");
    (ann.hum_hz, ann.amplitude) = (Some(113.0), 300.0);
    room.run_ms(40_000);
    let quiet = rms(&room.listen("bob", 1_000));
    assert!(quiet < 2.0, "{quiet}");
    for on in [false, true, false] {
        let switches = match on {
            true => Switches::default(),
            false => without_voice_activity(),
        };
        switch(&mut room, "ann", switches);
        let heard = room.listen("bob", 40_000);
        assert!(steepest(&heard) < 60, "{on} {}", steepest(&heard));
        let level = level_at(Rate::Wide, &heard[heard.len() - 16_000..], 113.0);
        assert_eq!(level > 270.0, !on, "{level}");
    }
}

#[test]
fn who_talks_is_told_until_voice_activity_is_switched_off() {
    let mut room = room(&[("ann", ANN, Codec::G722), ("bob", 0.0, Codec::G722)]);
    room.run_ms(500);
    let told = |room: &mut Simulation| -> Vec<bool> {
        let events = std::mem::take(&mut room.events);
        let talking = events.into_iter().filter_map(|event| match event {
            Event::Talking { leg, talking } if leg == id("ann") => Some(talking),
            _ => None,
        });
        talking.collect()
    };
    assert_eq!(told(&mut room), [true]);
    // The normaliser goes on asking who talks, and tells nobody.
    for normaliser in [false, true] {
        let switches = Switches {
            normaliser,
            ..without_voice_activity()
        };
        switch(&mut room, "ann", switches);
        room.run_ms(1_000);
        assert_eq!(told(&mut room), [false]);
        assert!(!level_of(&room, "ann").1);
        switch(&mut room, "ann", Switches::default());
        room.run_ms(1_000);
        assert_eq!(told(&mut room), [true]);
    }
}

/// The noise there is not turned up.
#[test]
fn the_normaliser_works_without_voice_activity_and_leaves_pauses_alone() {
    let gains = [true, false].map(|voice_activity| {
        let mut room = room(&[("ann", ANN, Codec::G722), ("bob", 0.0, Codec::G722)]);
        let ann = room.phones.get_mut("ann").expect("a phone");
        (ann.noise, ann.amplitude) = (true, 1_000.0);
        let switches = Switches {
            normaliser: true,
            voice_activity,
            ..Switches::default()
        };
        switch(&mut room, "ann", switches);
        let gain = |room: &Simulation| {
            let stats = room.engine.stats();
            let ann = stats.iter().find(|stats| stats.leg == id("ann"));
            ann.and_then(|ann| ann.gain_db).expect("a gain")
        };
        for _ in 0..12 {
            hum(&mut room, "ann", None);
            room.run_ms(200);
            hum(&mut room, "ann", Some(ANN));
            room.run_ms(800);
        }
        let spoken = gain(&room);
        hum(&mut room, "ann", None);
        room.run_ms(8_000);
        [spoken, gain(&room)]
    });
    assert_eq!(gains[0], gains[1]);
    let [spoken, pause] = gains[1];
    assert!(spoken > 3.0 && (spoken - pause).abs() < 1.0, "{gains:?}");
}

/// Two tones, and who listens to them.
fn loud_room(amplitude: f64) -> Simulation {
    let mut room = room(&[
        ("ann", 350.0, Codec::G722),
        ("bob", 550.0, Codec::G722),
        ("eve", 0.0, Codec::G722),
        ("joe", 0.0, Codec::Pcmu),
    ]);
    for name in ["ann", "bob"] {
        room.phones.get_mut(name).expect("a phone").amplitude = amplitude;
    }
    room.run_ms(500);
    room
}

/// Power that is at neither of the two tones, relative to all of it, in dB.
fn distortion_db(rate: Rate, pcm: &[i16]) -> f64 {
    let all = rms(pcm).powi(2);
    let tones = [350.0, 550.0].map(|hz| level_at(rate, pcm, hz).powi(2) / 2.0);
    10.0 * ((all - tones.iter().sum::<f64>()).max(all * 1e-9) / all).log10()
}

#[test]
fn without_limiter_sums_above_full_scale_are_cut_for_who_wants_it_so_and_for_nobody_else() {
    let mut room = loud_room(30_000.0);
    switch(&mut room, "eve", without_limiter());
    room.run_ms(500);
    let clipped = distortion_db(Rate::Wide, &room.listen("eve", 1_000));
    assert!(clipped > -20.0, "{clipped}");
    let limited = distortion_db(Rate::Narrow, &room.listen("joe", 1_000));
    assert!(limited < -30.0, "{limited}");
    switch(&mut room, "eve", Switches::default());
    room.run_ms(500);
    let limited = distortion_db(Rate::Wide, &room.listen("eve", 1_000));
    assert!(limited < -30.0, "{limited}");
}

#[test]
fn below_full_scale_the_limiter_makes_no_difference() {
    let heard = [Switches::default(), without_limiter()].map(|switches| {
        let mut room = loud_room(8_000.0);
        for name in ["eve", "joe", "ann"] {
            switch(&mut room, name, switches);
        }
        for name in ["eve", "joe", "ann"] {
            room.heard(name);
        }
        room.run_ms(1_000);
        ["eve", "joe", "ann"].map(|name| room.heard(name))
    });
    assert!(heard[0].iter().all(|heard| rms(heard) > 4_000.0));
    assert!(heard[0] == heard[1]);
}

#[test]
fn the_limiter_is_switched_without_a_click() {
    for talks in [false, true] {
        let mut room = loud_room(30_000.0);
        // Low, so that their own steps are small, and never twice at the same place where a frame ends.
        hum(&mut room, "ann", Some(113.0));
        hum(&mut room, "bob", Some(171.0));
        if talks {
            // A mix of his own before as well.
            hum(&mut room, "eve", Some(750.0));
        }
        let steps = |room: &mut Simulation, limiter: bool| {
            let switches = Switches {
                limiter,
                ..Switches::default()
            };
            switch(room, "eve", switches);
            steepest(&room.listen("eve", 300))
        };
        let still = [true, false].map(|limiter| {
            steps(&mut room, limiter);
            steps(&mut room, limiter)
        });
        let most = still[0].max(still[1]);
        for n in 0..40 {
            let step = steps(&mut room, n % 2 == 0);
            assert!(step <= most + most / 5, "{talks} {n}: {step} {still:?}");
        }
    }
}

/// Nothing has to do with his leg but the switch. Only who wants no limiter is encoded for alone.
#[test]
fn who_has_been_silent_for_long_is_heeded_when_he_switches_the_limiter() {
    let mut room = loud_room(30_000.0);
    room.phone_with("zoe", 0.0, Codec::Pcmu, OpusSettings::default());
    room.join("zoe");
    room.phones.get_mut("joe").expect("a phone").silent = true;
    room.re_offer("joe", "recvonly");
    room.run_ms(10_000);
    for (switches, clips) in [(without_limiter(), true), (Switches::default(), false)] {
        switch(&mut room, "joe", switches);
        room.run_ms(500);
        let distortion = distortion_db(Rate::Narrow, &room.listen("joe", 1_000));
        assert_eq!(distortion > -20.0, clips, "{distortion}");
        room.run_ms(10_000);
    }
    hum(&mut room, "bob", None);
    for (switches, encodes) in [(without_limiter(), 5), (Switches::default(), 4)] {
        switch(&mut room, "joe", switches);
        room.run_ms(2_000);
        let before = room.engine.output().counts.encodes;
        room.run_ms(200);
        assert_eq!(room.engine.output().counts.encodes - before, encodes * 10);
    }
}

#[test]
fn a_word_that_a_hold_cuts_does_not_go_on_when_it_ends() {
    for noise_suppression in [false, true] {
        let mut room = room(&[("ann", ANN, Codec::Pcmu), ("bob", 0.0, Codec::Pcmu)]);
        let switches = Switches {
            noise_suppression,
            voice_activity: false,
            ..Switches::default()
        };
        switch(&mut room, "ann", switches);
        room.run_ms(1_000);
        room.re_offer("ann", "sendonly");
        room.phones.get_mut("ann").expect("a phone").silent = true;
        room.run_ms(3_000);
        let ann = room.phones.get_mut("ann").expect("a phone");
        (ann.silent, ann.hum_hz, ann.noise) = (false, None, true);
        room.re_offer("ann", "sendrecv");
        let heard = room.listen("bob", 400);
        let peak = heard.iter().map(|it| it.unsigned_abs()).max();
        assert!(
            peak < Some(200) && peak > Some(0),
            "{noise_suppression}: {peak:?}"
        );
    }
}
