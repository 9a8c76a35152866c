//! A room of more than a thousand listeners: what they share may be sent over the time until their next packet.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use plenary_media::engine::{Config, Engine, Entrance, PHASES, SUB_TICK};
use plenary_media::leg::{Entropy, InactivityLimits};
use plenary_media::messages::{Command, Id, LegTerms};

fn id(name: &str) -> Id {
    Id::new(name).expect("an id")
}

fn listeners(count: usize) -> Engine {
    let mut engine = Engine::new(Config {
        public_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        inactivity: InactivityLimits {
            first: Duration::MAX,
            later: Duration::MAX,
        },
        stopwatch: None,
        identity: None,
    });
    let hall = Command::OpenRoom { room: id("hall") };
    engine.handle(hall, Duration::ZERO);
    for number in 0..count {
        let leg = id(&number.to_string());
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {} RTP/AVP 0\r\na=recvonly\r\n",
            20_000 + 2 * number
        );
        let entropy = Entropy {
            seq: 1,
            timestamp: 1,
            session_id: 1,
            secret: [1; 32],
        };
        let (terms, port) = (LegTerms::default(), Entrance::Port(10_000));
        let opened = engine.open_leg(&leg, Some(&offer), &terms, port, entropy, Duration::ZERO);
        opened.expect("a leg");
        let room = id("hall");
        engine.handle(Command::Join { leg, room }, Duration::ZERO);
    }
    engine
}

/// What the last of so many ticks sends: packets, and how many of them are to be spread.
fn sent(engine: &mut Engine, ticks: usize) -> (usize, usize) {
    let (mut all, mut spread) = (0, 0);
    for tick in 0..ticks * PHASES {
        if tick % PHASES == 0 {
            (all, spread) = (0, 0);
        }
        // Too early for any report.
        engine.tick(tick % PHASES, SUB_TICK * (tick % PHASES) as u32);
        let packets = &mut engine.output().packets;
        all += packets.len();
        let here = packets.iter().filter(|(packet, _)| packet.spread);
        let here = here.count();
        assert_eq!(packets.has_spread(), here > 0);
        spread += here;
        packets.clear();
    }
    (all, spread)
}

#[test]
fn a_thousand_listeners_get_their_packets_at_once_and_one_more_makes_them_wait_for_each_other() {
    assert_eq!(sent(&mut listeners(1_000), 3), (1_000, 0));
    assert_eq!(sent(&mut listeners(1_001), 3), (1_001, 1_001));
}

#[test]
fn a_room_that_has_become_smaller_is_sent_at_once_again_after_a_second() {
    let mut engine = listeners(1_001);
    sent(&mut engine, 2);
    for number in 0..202 {
        let leg = id(&number.to_string());
        engine.handle(Command::CloseLeg { leg }, Duration::ZERO);
    }
    engine.output().packets.clear();
    assert_eq!(sent(&mut engine, 50), (799, 799));
    assert_eq!(sent(&mut engine, 1), (799, 0));
}
