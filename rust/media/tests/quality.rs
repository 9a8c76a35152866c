//! How a leg sounds where it is loud, and what is told of how it sounds.

#[allow(dead_code)]
mod simulation;

use plenary_codec::Rate;
use plenary_media::engine::RecordingOf;
use plenary_media::recorder::RecordingLimits;
use plenary_media::rtp::SeqNo;
use plenary_media::rtp::packet::parse;
use simulation::{AMPLITUDE, Simulation, id, level, steepest};

const ANN: f64 = 450.0;
const BOB: f64 = 650.0;

/// A report of ann's phone on what it hears: of each 256 packets, so many were lost.
fn report(room: &mut Simulation, fraction_lost: u8) {
    let phone = &room.phones["ann"];
    let (key, mut address) = (phone.key, phone.address);
    address.set_port(address.port() + 1);
    // RR with one block: SSRC 9.9.9.9 on SSRC 1, which is ann's leg's.
    let mut bytes = vec![0x81, 201, 0, 7, 9, 9, 9, 9, 0, 0, 0, 1, fraction_lost];
    bytes.resize(32, 0);
    room.engine.receive_rtcp(key, &bytes, address, room.now);
}

/// Lets ann talk for some packets' time; `arrives` says which of them, by number, come through.
fn talk(room: &mut Simulation, packets: u32, arrives: impl Fn(u32) -> bool) {
    for n in 0..packets {
        let phone = room.phones.get_mut("ann").expect("a phone");
        let packet = phone.packet().expect("a voice");
        if arrives(n) {
            let (key, address) = (phone.key, phone.address);
            room.engine.receive(key, &packet, address, room.now);
        }
        room.run_ms(20);
    }
}

fn call() -> Simulation {
    let mut room = Simulation::room(&[("ann", ANN), ("bob", BOB)]);
    room.phones.get_mut("ann").expect("a phone").silent = true;
    room
}

#[test]
fn what_is_lost_from_a_peer_and_to_it_are_told_apart() {
    let mut room = call();
    assert_eq!(room.stats("ann").loss_percent, None);
    talk(&mut room, 500, |n| n % 10 != 3);
    // A phone that reports nothing: what it sends is counted all the same.
    let told = room.stats("ann");
    assert!((8.0..12.0).contains(&told.loss_percent.expect("counted")));
    assert_eq!(told.loss_out_percent, None);
    report(&mut room, 64);
    talk(&mut room, 1_500, |_| true);
    let told = room.stats("ann");
    assert!(told.loss_percent.expect("counted") < 0.1);
    assert_eq!(told.loss_out_percent, Some(25.0));
}

#[test]
fn what_only_comes_late_or_twice_or_not_at_all_for_a_while_is_not_lost() {
    let mut room = call();
    for n in 0..400 {
        let phone = room.phones.get_mut("ann").expect("a phone");
        let (key, address) = (phone.key, phone.address);
        let mut packets = [0; 2].map(|_| phone.packet().expect("a voice"));
        packets.reverse();
        let last = parse(&packets[0]).expect("RTP").0.seq;
        assert_eq!(last, SeqNo(101 + 2 * n));
        for packet in [&packets[0], &packets[1], &packets[1]] {
            room.engine.receive(key, packet, address, room.now);
        }
        room.run_ms(if n == 200 { 30_000 } else { 40 });
        assert!(room.stats("ann").loss_percent.unwrap_or(0.0) < 1.0, "{n}");
    }
}

#[test]
fn the_jitter_buffers_delay_is_what_packets_wait_in_it_whenever_one_asks() {
    let mut room = call();
    let mut told = Vec::new();
    for n in 0..300 {
        // Two packets at once, every other tick: sometimes one waits, sometimes none does.
        let phone = room.phones.get_mut("ann").expect("a phone");
        let (key, address) = (phone.key, phone.address);
        for packet in [0; 2].map(|_| phone.packet().expect("a voice")) {
            room.engine.receive(key, &packet, address, room.now);
        }
        for _ in 0..2 {
            room.run_ms(20);
            if n >= 250 {
                told.push(room.stats("ann").buffer_ms.expect("she is heard"));
            }
        }
    }
    let least = told.iter().copied().fold(f64::MAX, f64::min);
    let most = told.iter().copied().fold(0.0, f64::max);
    assert!(most - least < 3.0, "{least} to {most} ms");
    // The second of two waits 20 ms longer than the first, which waits for nothing but the tick, or a little.
    assert!(least > 8.0 && most < 40.0, "{least} to {most} ms");
}

#[test]
fn a_recording_of_a_leg_does_not_clip_where_it_and_its_room_are_loud_at_once() {
    let mut room = Simulation::room(&[("ann", ANN), ("bob", BOB)]);
    for phone in room.phones.values_mut() {
        phone.amplitude = 28_000.0;
    }
    room.run_ms(300);
    room.engine.start_recording(
        &id("rec"),
        &RecordingOf::Leg(id("ann")),
        Rate::Narrow,
        RecordingLimits::default(),
    );
    room.run_ms(1_000);
    let pcm = room.recording();
    let pcm = &pcm[800..];
    assert!([ANN, BOB].iter().all(|hz| level(pcm, *hz) > 14_000.0));
    // What clipping adds.
    assert!(level(pcm, 2.0 * BOB - ANN) < 400.0);
}

#[test]
fn who_speaks_up_after_noise_is_caught_up_with_without_a_click() {
    let mut room = Simulation::room(&[("ann", 0.0), ("bob", 0.0)]);
    room.phones.get_mut("ann").expect("a phone").noise = true;
    room.run_ms(5_000);
    room.phones.get_mut("ann").expect("a phone").hum_hz = Some(ANN);
    let heard = room.listen("bob", 500);
    assert!(level(&heard[2_400..], ANN) > 0.8 * AMPLITUDE);
    // One and a half times what the tone has itself, where two stretches of it are joined; a click has more.
    assert!(steepest(&heard) < 2_400, "{}", steepest(&heard));
}
