//! Whole engines with simulated phones: who hears whom, told apart by tone.

#[allow(dead_code)]
mod simulation;

use std::net::SocketAddr;
use std::time::Duration;

use plenary_codec::{Codec, OpusSettings, Rate};
use plenary_media::engine::{Entrance, RecordingOf, tone};
use plenary_media::messages::{
    Command, Direction, Event, LegTerms, PlayEnd, RecordingEnd, SdpKind, ToneSpec,
};
use plenary_media::player::Sound;
use plenary_media::recorder::{Recorded, RecordingLimits};
use proptest::prelude::*;
use simulation::{AMPLITUDE, Simulation, entropy, id, level, sdp, steepest};

/// Hz, none a multiple of another.
const ANN: f64 = 440.0;
const BOB: f64 = 650.0;
const EVE: f64 = 910.0;
const TRIO: [(&str, f64); 3] = [("ann", ANN), ("bob", BOB), ("eve", EVE)];

/// Amplitudes below this are noise of the codec.
const SILENT: f64 = 40.0;

fn is_full(amplitude: f64) -> bool {
    (amplitude - AMPLITUDE).abs() < 0.03 * AMPLITUDE
}

#[test]
fn everyone_hears_all_the_others_and_never_himself() {
    let mut room = Simulation::room(&TRIO);
    room.phone("outsider", 1_200.0);
    room.run_ms(500);
    room.phones
        .values_mut()
        .for_each(|phone| phone.heard.clear());
    room.run_ms(1_000);
    for (name, own) in TRIO {
        let heard = room.heard(name);
        assert_eq!(heard.len(), 8_000, "{name} gets a packet every 20 ms");
        for (_, hz) in TRIO {
            let amplitude = level(&heard, hz);
            assert!(
                if hz == own {
                    amplitude < SILENT
                } else {
                    is_full(amplitude)
                },
                "{name} {hz} {amplitude}"
            );
        }
        assert!(level(&heard, 1_200.0) < SILENT);
    }
    assert!(room.heard("outsider").iter().all(|sample| *sample == 0));
}

#[test]
fn listeners_of_both_laws_share_a_mix() {
    let mut room = Simulation::room(&[("ann", ANN), ("bob", 0.0), ("eve", 0.0)]);
    let alaw = sdp(room.phones["eve"].address, "sendrecv", "8 101");
    room.command(Command::ApplySdp {
        leg: id("eve"),
        kind: SdpKind::Offer,
        sdp: alaw,
    });
    let eve = room.phones.get_mut("eve").expect("a phone");
    eve.set_codec(Codec::Pcma, OpusSettings::default());
    room.run_ms(300);
    room.heard("eve");
    let bob = room.listen("bob", 500);
    let eve = room.heard("eve");
    assert!(is_full(level(&bob, ANN)) && is_full(level(&eve, ANN)));
}

#[test]
fn a_gain_belongs_to_one_listener_and_one_speaker() {
    let mut room = Simulation::room(&TRIO);
    room.gain("bob", Some("ann"), 0.0);
    room.gain("eve", Some("ann"), 0.5);
    room.run_ms(300);
    room.heard("eve");
    let bob = room.listen("bob", 500);
    let eve = room.heard("eve");
    assert!(level(&bob, ANN) < SILENT && is_full(level(&bob, EVE)));
    assert!(is_full(2.0 * level(&eve, ANN)) && is_full(level(&eve, BOB)));
}

#[test]
fn a_deaf_listener_hears_only_his_exceptions() {
    let mut room = Simulation::room(&TRIO);
    room.gain("ann", None, 0.0);
    room.gain("ann", Some("eve"), 1.0);
    room.run_ms(300);
    let ann = room.listen("ann", 500);
    assert!(level(&ann, BOB) < SILENT && is_full(level(&ann, EVE)));
}

#[test]
fn gains_out_of_range_or_of_strangers_are_refused() {
    let mut room = Simulation::room(&TRIO);
    room.phone("outsider", 0.0);
    room.events.clear();
    room.gain("ann", Some("bob"), 4.5);
    room.gain("ann", Some("nobody"), 1.0);
    room.gain("outsider", None, 1.0);
    let failures = room
        .events
        .iter()
        .filter(|event| matches!(event, Event::CommandFailed { .. }));
    assert_eq!(failures.count(), 3);
}

#[test]
fn nothing_clicks_when_people_come_go_and_are_muted() {
    // A low tone, so that its own steps are small (4000 * 2 pi * 183 / 8000 = 575, and a little for the codec),
    // whose frames don't end where it is zero.
    const LOW: f64 = 183.0;
    let mut room = Simulation::room(&[("ann", LOW), ("bob", 0.0)]);
    room.run_ms(310);
    room.heard("bob");
    for (muted, rest_ms) in [(true, 130), (false, 110), (true, 70), (false, 210)] {
        room.gain("bob", Some("ann"), if muted { 0.0 } else { 1.0 });
        room.run_ms(rest_ms);
    }
    for _ in 0..3 {
        room.leave("ann");
        room.run_ms(90);
        room.join("ann");
        room.run_ms(130);
    }
    for _ in 0..3 {
        room.leave("bob");
        room.run_ms(70);
        room.join("bob");
        room.run_ms(150);
    }
    assert!(steepest(&room.heard("bob")) < 900);
}

#[test]
fn a_prompt_replaces_the_room_while_it_lasts_and_the_room_goes_on() {
    let mut room = Simulation::room(&TRIO);
    room.run_ms(300);
    let spec = ToneSpec {
        frequency_hz: 1_500.0,
        duration_ms: 400,
        level_dbfs: -18.0,
    };
    room.engine
        .play(&id("ann"), &id("beep"), tone(&spec).expect("a tone"), false);
    let during = room.listen("ann", 380);
    assert!(level(&during, 1_500.0) > 1_000.0 && level(&during, BOB) < SILENT);
    let bob = room.heard("bob");
    assert!(level(&bob[bob.len() - 3_000..], ANN) > 0.9 * AMPLITUDE);
    room.run_ms(100);
    assert!(is_full(level(&room.listen("ann", 300), BOB)));
    let ended = Event::PlayEnded {
        leg: id("ann"),
        play: id("beep"),
        reason: PlayEnd::Finished,
    };
    assert!(room.events.contains(&ended));
}

#[test]
fn a_stopped_play_gives_the_room_back() {
    let mut room = Simulation::room(&TRIO);
    let hum: Vec<i16> = vec![3_000; 8_000];
    room.engine.play(
        &id("ann"),
        &id("music"),
        Sound::Prompt {
            pcm: hum.into(),
            rate: Rate::Narrow,
        },
        true,
    );
    room.run_ms(3_000);
    room.command(Command::StopPlay {
        leg: id("ann"),
        play: id("music"),
    });
    let after = room.listen("ann", 500);
    assert!(is_full(level(&after[320..], BOB)));
    let ended = Event::PlayEnded {
        leg: id("ann"),
        play: id("music"),
        reason: PlayEnd::Stopped,
    };
    assert!(room.events.contains(&ended));
}

/// RFC 4733, section 2.5.1.3: the end of an event is sent three times.
#[test]
fn a_digit_counts_once_however_often_its_packets_come() {
    let mut room = Simulation::room(&[("ann", 0.0)]);
    room.run_ms(200);
    let now = room.now;
    let phone = room.phones.get_mut("ann").expect("a phone");
    let (key, address, start) = (phone.key, phone.address, phone.timestamp());
    for duration in [160_u16, 320, 480, 640, 640, 640] {
        let end = if duration == 640 { 0x80 } else { 0 };
        let [high, low] = duration.to_be_bytes();
        let packet = phone.rtp(101, start, &[5, end | 10, high, low]);
        room.engine.receive(key, &packet, address, now);
    }
    room.run_ms(200);
    let digits: Vec<&Event> = room
        .events
        .iter()
        .filter(|event| matches!(event, Event::Digit { .. }))
        .collect();
    let expected = Event::Digit {
        leg: id("ann"),
        digit: "5".into(),
        duration_ms: 80,
    };
    assert_eq!(digits, [&expected]);
}

#[test]
fn digits_are_sent_as_events_in_place_of_audio() {
    let mut room = Simulation::room(&[("ann", 0.0)]);
    room.run_ms(100);
    let digits = Command::SendDigits {
        leg: id("ann"),
        digits: "1#".into(),
        duration_ms: 100,
        pause_ms: 60,
    };
    room.command(digits);
    room.run_ms(1_000);
    let phone = &room.phones["ann"];
    let starts: Vec<u8> = phone
        .events
        .iter()
        .filter(|(marker, _)| *marker)
        .map(|(_, p)| p[0])
        .collect();
    assert_eq!(starts, [1, 11]);
    assert!(room.events.contains(&Event::DigitsSent { leg: id("ann") }));
}

#[test]
fn a_recording_of_a_room_holds_everyone_and_begins_with_the_first_sound() {
    let mut room = Simulation::room(&[("ann", 0.0), ("bob", 0.0), ("eve", EVE)]);
    room.phones.get_mut("eve").expect("a phone").silent = true;
    let limits = RecordingLimits::default();
    room.engine.start_recording(
        &id("rec"),
        &RecordingOf::Room(id("room")),
        Rate::Narrow,
        limits,
    );
    room.run_ms(500);
    assert!(room.recording().is_empty());
    room.phones.get_mut("eve").expect("a phone").silent = false;
    room.phones.get_mut("ann").expect("a phone").hum_hz = Some(ANN);
    room.run_ms(1_000);
    room.command(Command::StopRecording {
        recording: id("rec"),
    });
    let pcm = room.recording();
    assert!((7_600..=8_000).contains(&pcm.len()), "{}", pcm.len());
    assert!(is_full(level(&pcm[800..], ANN)) && is_full(level(&pcm[800..], EVE)));
    assert!(room.events.contains(&Event::RecordingStarted {
        recording: id("rec")
    }));
    let end = Recorded::End {
        recording: id("rec"),
        reason: RecordingEnd::Stopped,
    };
    assert_eq!(room.recorded.last(), Some(&end));
}

#[test]
fn who_is_muted_for_everyone_is_not_recorded() {
    let mut room = Simulation::room(&TRIO);
    room.gain("bob", Some("ann"), 0.0);
    room.gain("eve", Some("ann"), 0.0);
    let limits = RecordingLimits::default();
    room.engine.start_recording(
        &id("rec"),
        &RecordingOf::Room(id("room")),
        Rate::Narrow,
        limits,
    );
    room.run_ms(1_000);
    let pcm = room.recording();
    assert!(level(&pcm[800..], ANN) < SILENT && is_full(level(&pcm[800..], BOB)));
}

#[test]
fn a_recording_of_a_leg_holds_both_directions_and_ends_with_the_leg() {
    let mut room = Simulation::room(&TRIO);
    let limits = RecordingLimits::default();
    room.engine.start_recording(
        &id("rec"),
        &RecordingOf::Leg(id("ann")),
        Rate::Narrow,
        limits,
    );
    room.run_ms(1_000);
    room.command(Command::CloseLeg { leg: id("ann") });
    let pcm = room.recording();
    assert!(TRIO.iter().all(|(_, hz)| is_full(level(&pcm[800..], *hz))));
    let end = Recorded::End {
        recording: id("rec"),
        reason: RecordingEnd::LegClosed,
    };
    assert_eq!(room.recorded.last(), Some(&end));
}

#[test]
fn a_strangers_packets_are_neither_heard_nor_answered() {
    let mut room = Simulation::room(&[("ann", ANN), ("bob", 0.0)]);
    room.run_ms(300);
    let stranger = SocketAddr::from(([203, 0, 113, 66], 4_000));
    let key = room.phones["bob"].key;
    let mut forged = Vec::new();
    for i in 0..25_u8 {
        let mut packet = vec![0x80, 0, 0, i, 0, 0, i, 0, 1, 2, 3, 4];
        packet.extend((0..160_u8).map(|sample| sample.wrapping_mul(37)));
        forged.push(packet);
    }
    room.heard("ann");
    for packet in forged {
        room.engine.receive(key, &packet, stranger, room.now);
        room.run_ms(20);
    }
    // That nothing is sent to the stranger is checked with every packet.
    assert!(room.heard("ann").iter().all(|sample| *sample == 0));
    assert_eq!(
        room.engine
            .stats()
            .iter()
            .map(|stats| stats.strangers)
            .sum::<u64>(),
        25
    );
}

/// RFC 3264, section 8.4.
#[test]
fn a_leg_on_hold_hears_nothing_is_not_heard_and_its_plays_end_in_time() {
    let mut room = Simulation::room(&TRIO);
    room.run_ms(300);
    room.re_offer("ann", "sendonly");
    let answered = room.events.iter().rev().find_map(|event| match event {
        Event::LegAnswered { direction, .. } => Some(*direction),
        _ => None,
    });
    assert_eq!(answered, Some(Direction::Recvonly));
    room.engine.play(
        &id("ann"),
        &id("prompt"),
        Sound::Prompt {
            pcm: vec![9; 1_600].into(),
            rate: Rate::Narrow,
        },
        false,
    );
    room.run_ms(100);
    assert!(room.listen("ann", 500).is_empty());
    assert!(level(&room.listen("bob", 500), ANN) < SILENT);
    let ended = Event::PlayEnded {
        leg: id("ann"),
        play: id("prompt"),
        reason: PlayEnd::Finished,
    };
    assert!(room.events.contains(&ended));
    room.re_offer("ann", "sendrecv");
    room.run_ms(300);
    room.heard("ann");
    assert!(is_full(level(&room.listen("bob", 500), ANN)));
    assert!(is_full(level(&room.heard("ann"), BOB)));
}

#[test]
fn a_silent_peer_is_reported_once_until_it_speaks_again() {
    let mut room = Simulation::room(&[("ann", ANN)]);
    room.run_ms(100);
    for _ in 0..2 {
        room.events.clear();
        room.phones.get_mut("ann").expect("a phone").silent = true;
        room.run(Duration::from_secs(40));
        let reports: Vec<u64> = room
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Inactive { silent_ms, .. } => Some(*silent_ms),
                _ => None,
            })
            .collect();
        assert_eq!(reports.len(), 1);
        assert!((15_000..15_100).contains(&reports[0]), "{reports:?}");
        room.phones.get_mut("ann").expect("a phone").silent = false;
        room.run_ms(200);
    }
}

#[test]
fn talking_is_told_when_it_begins_and_when_it_ends() {
    let mut room = Simulation::room(&[("ann", ANN), ("bob", 0.0)]);
    room.run_ms(1_000);
    room.phones.get_mut("ann").expect("a phone").hum_hz = None;
    room.run_ms(3_000);
    let talks: Vec<bool> = room
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Talking { leg, talking } => {
                assert_eq!(*leg, id("ann"));
                Some(*talking)
            }
            _ => None,
        })
        .collect();
    assert_eq!(talks, [true, false]);
}

/// RFC 3550, section 6.6.
#[test]
fn reports_are_sent_while_a_leg_lives_and_a_bye_when_it_closes() {
    let mut room = Simulation::room(&[("ann", ANN)]);
    room.run(Duration::from_secs(20));
    let reports = room.phones["ann"].rtcp.len();
    assert!((2..=8).contains(&reports), "{reports}");
    room.command(Command::CloseLeg { leg: id("ann") });
    let last = room.phones["ann"].rtcp.last().expect("a report");
    assert!(
        last.windows(2).any(|bytes| bytes == [0x81, 203]),
        "no BYE in {last:x?}"
    );
    let closed = room.events.iter().find_map(|event| match event {
        Event::LegClosed { stats, .. } => Some(stats),
        _ => None,
    });
    let stats = closed.expect("it tells what the leg has done");
    assert_eq!((stats.packets_received, stats.lost), (1_000, 0));
    assert_eq!(stats.room, Some(id("room")));
}

#[test]
fn closing_a_room_puts_its_legs_out_and_ends_its_recording() {
    let mut room = Simulation::room(&TRIO);
    let limits = RecordingLimits::default();
    room.engine.start_recording(
        &id("rec"),
        &RecordingOf::Room(id("room")),
        Rate::Narrow,
        limits,
    );
    room.run_ms(300);
    room.command(Command::CloseRoom { room: id("room") });
    room.run_ms(100);
    assert!(room.listen("ann", 300).iter().all(|sample| *sample == 0));
    let end = Recorded::End {
        recording: id("rec"),
        reason: RecordingEnd::RoomClosed,
    };
    assert_eq!(room.recorded.last(), Some(&end));
    assert_eq!(room.engine.rooms().count(), 0);
}

#[test]
fn a_leg_goes_on_where_it_was_in_another_engine() {
    let mut first = Simulation::room(&[("ann", ANN), ("bob", 0.0)]);
    let mut second = Simulation::room(&[("eve", 0.0)]);
    first.run_ms(300);
    second.run_ms(300);
    let leg = first.engine.take_leg(&id("ann")).expect("the leg");
    let mut ann = first.phones.remove("ann").expect("the phone");
    ann.key = second.engine.insert_leg(leg);
    ann.address = SocketAddr::from(([198, 51, 100, 1], 4_000));
    second.phones.get_mut("eve").expect("a phone").address =
        SocketAddr::from(([198, 51, 100, 1], 4_000));
    second.phones.insert("ann", ann);
    second.join("ann");
    second.run_ms(300);
    assert!(is_full(level(&second.listen("eve", 500), ANN)));
    first.run_ms(100);
    assert!(first.listen("bob", 200).iter().all(|sample| *sample == 0));
}

#[test]
fn refused_offers_leave_nothing_behind() {
    let mut room = Simulation::room(&[]);
    let entropy = entropy(1);
    let terms = LegTerms::default();
    let address = SocketAddr::from(([198, 51, 100, 1], 4_000));
    for offer in ["", "nonsense", &sdp(address, "sendrecv", "18")] {
        assert!(
            room.engine
                .open_leg(
                    &id("x"),
                    Some(offer),
                    &terms,
                    Entrance::Port(10_000),
                    entropy,
                    room.now
                )
                .is_none()
        );
    }
    assert_eq!(room.engine.legs(), 0);
    let events = &room.engine.output().events;
    assert!(
        events.len() == 3
            && events
                .iter()
                .all(|event| matches!(event, Event::LegRefused { .. }))
    );
}

#[test]
fn an_offer_of_ours_is_answered_later() {
    let mut room = Simulation::room(&[]);
    let entropy = entropy(1);
    let terms = LegTerms::default();
    let address = SocketAddr::from(([198, 51, 100, 1], 4_000));
    room.engine
        .open_leg(
            &id("out"),
            None,
            &terms,
            Entrance::Port(10_000),
            entropy,
            room.now,
        )
        .expect("an offer");
    room.run_ms(50);
    assert!(
        room.events
            .iter()
            .any(|event| matches!(event, Event::LegOffered { .. }))
    );
    let sdp = sdp(address, "sendrecv", "0 101");
    room.command(Command::ApplySdp {
        leg: id("out"),
        kind: SdpKind::Answer,
        sdp,
    });
    let applied = Event::LegApplied {
        leg: id("out"),
        direction: Direction::Sendrecv,
    };
    assert!(room.events.contains(&applied));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A leg that panics is closed, so that it is still there means that nothing did.
    #[test]
    fn no_datagram_closes_a_leg(
        datagrams in prop::collection::vec(
            (any::<bool>(), any::<[u8; 3]>(), prop::collection::vec(any::<u8>(), 0..400)), 1..40),
    ) {
        let mut room = Simulation::room(&[("ann", 0.0), ("bob", 0.0)]);
        let (key, address) = (room.phones["ann"].key, room.phones["ann"].address);
        for (is_rtcp, [first, second, seq], rest) in datagrams {
            // Mostly such that it gets past the first checks: version 2, one of our payload types, one stream.
            let pt = [0, 101, 200, 201, 203, second][usize::from(second) % 6];
            let head = [0x80 | first & 0x3f, pt, 0, seq, 0, 0, seq, first, 9, 9, 9, 9];
            let datagram = [&head[..], &rest].concat();
            if is_rtcp {
                room.engine.receive_rtcp(key, &datagram, address, room.now);
            } else {
                room.engine.receive(key, &datagram, address, room.now);
            }
            room.run_ms(5);
        }
        room.run_ms(100);
        prop_assert_eq!(room.engine.legs(), 2);
    }
}
