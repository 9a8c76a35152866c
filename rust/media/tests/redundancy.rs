//! What phones may send of all that they have offered: other codecs than they are sent, packets that carry the one before
//! them once more (RFC 2198), comfort noise (RFC 3389).

#[allow(dead_code)]
mod simulation;

use std::time::Duration;

use plenary_codec::{Codec, OpusSettings};
use plenary_media::engine::{PHASES, SUB_TICK};
use simulation::{AMPLITUDE, Phone, Simulation, level, steepest, with_everything};

const HZ: f64 = 440.0;

/// A room in which `ann`, who speaks G.711, is heard by `bob`.
fn room() -> Simulation {
    let mut room = Simulation::room(&[("bob", 0.0)]);
    let opus = OpusSettings::default();
    room.phone_offering("ann", HZ, Codec::Pcmu, opus, |offer| {
        with_everything(offer, Codec::Pcmu)
    });
    room.join("ann");
    room
}

/// Lets time go on for so many frames; what `ann` sends in each comes as `sends` says.
fn run(
    room: &mut Simulation,
    frames: usize,
    mut sends: impl FnMut(usize, &mut Phone) -> Vec<Vec<u8>>,
) {
    room.phones.get_mut("ann").expect("a phone").silent = true;
    for n in 0..frames {
        let ann = room.phones.get_mut("ann").expect("a phone");
        let (key, address) = (ann.key, ann.address);
        for packet in sends(n, ann) {
            room.engine.receive(key, &packet, address, room.now);
        }
        room.run(SUB_TICK * PHASES as u32);
    }
}

#[test]
fn what_is_lost_is_heard_from_the_next_packet() {
    let mut room = room();
    let mut before = None;
    let mut second = |n: usize, ann: &mut Phone| {
        let frame = ann.frame().expect("she hums");
        let packet = match before.replace(frame.clone()) {
            Some(before) => ann.red(&before, &frame),
            None => ann.rtp(0, frame.0, &frame.1),
        };
        // The first ones tell how long the way is.
        if n > 25 && n.is_multiple_of(3) {
            vec![]
        } else {
            vec![packet]
        }
    };
    // Until what is one packet late is late for nobody.
    run(&mut room, 400, &mut second);
    let lost = room.stats("ann");
    room.heard("bob");
    run(&mut room, 150, &mut second);
    let heard = room.heard("bob");
    let now = room.stats("ann");
    assert!(now.lost >= lost.lost + 40);
    assert_eq!(now.concealed_ms, lost.concealed_ms);
    assert!((780..=880).contains(&(now.fec_ms - lost.fec_ms)), "{now:?}");
    assert!((level(&heard, HZ) - AMPLITUDE).abs() < 0.03 * AMPLITUDE);
    assert!(steepest(&heard) < 1_700, "{}", steepest(&heard));
}

#[test]
fn a_packet_that_is_only_overtaken_counts_as_come() {
    let mut room = room();
    let mut before = None;
    let mut held = None;
    run(&mut room, 200, |n, ann| {
        let frame = ann.frame().expect("she hums");
        let packet = match before.replace(frame.clone()) {
            Some(before) => ann.red(&before, &frame),
            None => ann.rtp(0, frame.0, &frame.1),
        };
        match n % 2 {
            0 => {
                held = Some(packet);
                vec![]
            }
            _ => [Some(packet), held.take()].into_iter().flatten().collect(),
        }
    });
    let stats = room.stats("ann");
    assert_eq!((stats.fec_ms, stats.lost, stats.malformed), (0, 0, 0));
    assert!(stats.reordered > 90);
}

#[test]
fn redundancy_of_another_codec_is_not_taken_for_sound() {
    let mut room = room();
    run(&mut room, 100, |n, ann| {
        let (timestamp, payload) = ann.frame().expect("she hums");
        // G.722 is none of what it is said to be: as bytes of G.711 it would be as loud as can be.
        let header = 1_u32 << 31 | 9 << 24 | 160 << 10 | 160;
        let red = [&header.to_be_bytes()[..], &[0], &[0; 160], &payload].concat();
        let packet = ann.rtp(simulation::RED, timestamp, &red);
        if n > 25 && n.is_multiple_of(10) {
            vec![]
        } else {
            vec![packet]
        }
    });
    let stats = room.stats("ann");
    assert_eq!((stats.fec_ms, stats.malformed), (0, 0));
    assert!(
        stats.concealed_ms > 0 && stats.codec.as_deref() == Some("opus"),
        "{stats:?}"
    );
}

#[test]
fn comfort_noise_is_silence_and_no_loss() {
    let mut room = room();
    run(&mut room, 300, |n, ann| {
        let (timestamp, payload) = ann.frame().expect("she hums");
        match n % 100 {
            0..50 => vec![ann.rtp(0, timestamp, &payload)],
            50 | 70 | 90 => vec![ann.rtp(13, timestamp, &[30])],
            _ => vec![],
        }
    });
    room.heard("bob");
    run(&mut room, 30, |_, ann| {
        ann.frame();
        vec![]
    });
    assert_eq!(room.heard("bob").iter().map(|it| it.abs()).max(), Some(0));
    let stats = room.stats("ann");
    assert_eq!((stats.concealed_ms, stats.starved, stats.lost), (0, 0, 0));
    assert_eq!(stats.packets_received, 159);
    assert!(stats.level_dbfs < -60.0);
}

/// RFC 2198 section 3: the last block is the packet itself, whatever the offsets of those before it say.
#[test]
fn a_packet_that_would_be_of_several_codecs_is_of_its_last() {
    let mut room = room();
    run(&mut room, 100, |_, ann| {
        let (timestamp, payload) = ann.frame().expect("she hums");
        let block = |pt: u32| (1 << 31 | pt << 24 | 20).to_be_bytes();
        let heads = [111, 9, 111, 9].map(block).concat();
        let red = [&heads[..], &[0], &[0; 80], &payload].concat();
        vec![ann.rtp(simulation::RED, timestamp, &red)]
    });
    let stats = room.stats("ann");
    assert_eq!((stats.concealed_ms, stats.malformed, stats.lost), (0, 0, 0));
    assert_eq!(stats.heard_codec.as_deref(), Some("PCMU"));
    let heard = room.heard("bob");
    assert!((level(&heard[heard.len() / 2..], HZ) - AMPLITUDE).abs() < 0.03 * AMPLITUDE);
}

#[test]
fn comfort_noise_of_another_time_deafens_nobody() {
    let mut room = room();
    run(&mut room, 300, |n, ann| {
        let (timestamp, payload) = ann.frame().expect("she hums");
        let mut packets = vec![ann.rtp(0, timestamp, &payload)];
        if n == 100 {
            packets.push(ann.rtp(13, timestamp.wrapping_add(80_000), &[30]));
        }
        packets
    });
    let stats = room.stats("ann");
    assert_eq!((stats.concealed_ms, stats.starved, stats.late), (0, 0, 0));
    let heard = room.heard("bob");
    assert!((level(&heard[heard.len() / 2..], HZ) - AMPLITUDE).abs() < 0.03 * AMPLITUDE);
}

/// RFC 3264 section 5.1: each side may send any codec that both have.
#[test]
fn figures_are_of_the_codec_that_comes() {
    let mut room = room();
    run(&mut room, 1, |_, _| vec![]);
    let silent = room.stats("ann");
    assert_eq!(
        (silent.buffer_ms, silent.tick_wait_ms, silent.heard_codec),
        (None, None, None)
    );
    for n in 0..500 {
        let ann = room.phones.get_mut("ann").expect("a phone");
        let (key, address) = (ann.key, ann.address);
        let packet = ann.packet().expect("she hums");
        let late = Duration::from_millis(n % 2 * 10);
        room.engine.receive(key, &packet, address, room.now + late);
        room.run(SUB_TICK * PHASES as u32);
    }
    let stats = room.stats("ann");
    assert_eq!(
        (stats.codec.as_deref(), stats.heard_codec.as_deref()),
        (Some("opus"), Some("PCMU"))
    );
    assert!(
        (9.0..10.5).contains(&stats.jitter_ms),
        "{}",
        stats.jitter_ms
    );
    assert!(stats.buffer_ms.is_some() && stats.tick_wait_ms.is_some());
}
