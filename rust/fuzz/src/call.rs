//! A whole engine with two phones in a room, in clear or by SRTP: any packets, any commands that fit, in any order.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use plenary_media::engine::{Config, Engine, Entrance, PHASES, SUB_TICK};
use plenary_media::leg::{Entropy, InactivityLimits};
use plenary_media::messages::{Command, Event, Id, LegTerms, SdpKind, Switches, ToneSpec};
use plenary_media::output::Port;
use plenary_media::rtp::packet;
use plenary_transport::sdes::{CryptoLine, SUITES};
use plenary_transport::srtp::Session;

use crate::script::Script;
use crate::secure::master;

const NAMES: [&str; 2] = ["ann", "bob"];
/// What phones of both makes offer, and change to.
const FORMATS: [&str; 6] = [
    "0 101",
    "8 101 13",
    "9 101",
    "111 101",
    "63 111 101",
    "111 9 0 8 101",
];

pub fn call(data: &[u8]) {
    let mut script = Script(data);
    let inactivity = InactivityLimits {
        first: Duration::from_secs(30),
        later: Duration::from_secs(15),
    };
    let mut engine = Engine::new(Config {
        public_address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        inactivity,
        stopwatch: None,
        identity: None,
    });
    let mut now = Duration::from_secs(1);
    let mut sub_ticks = 0;
    let room = id("room");
    engine.handle(Command::OpenRoom { room: room.clone() }, now);
    // What each phone seals its packets with, if it does.
    let mut sessions = [const { None }; 2];
    for (number, name) in NAMES.iter().enumerate() {
        let entropy = Entropy {
            seq: 65_530,
            timestamp: u32::MAX - 1_000,
            session_id: 5,
            secret: [number as u8; 32],
        };
        let wishes = script.byte();
        if wishes & 2 != 0 {
            let own = master(
                SUITES[usize::from(wishes >> 2) % SUITES.len()],
                number as u8,
            );
            sessions[number] = Some(Session::new(own, own));
        }
        let terms = LegTerms {
            switches: Switches {
                noise_suppression: wishes & 1 != 0,
                ..Switches::default()
            },
            ..LegTerms::default()
        };
        let offer = offer(number, &sessions[number], script.pick(&FORMATS), "sendrecv");
        let opened = engine.open_leg(
            &id(name),
            Some(&offer),
            &terms,
            Entrance::Port(10_000),
            entropy,
            now,
        );
        assert!(opened.is_some());
        engine.handle(join(name), now);
    }
    let (mut seq, mut timestamp) = (0_u16, 0_u32);
    script.steps(256, |script| {
        let step = script.byte();
        let number = usize::from(step >> 7);
        let (leg, from) = (id(NAMES[number]), address(number));
        let Some(key) = engine.leg_key(&leg) else {
            panic!("{leg} was closed")
        };
        match step & 15 {
            0..=2 => {
                for _ in 0..PHASES * usize::from(1 + (step >> 4 & 3)) {
                    engine.tick(sub_ticks % PHASES, now);
                    sub_ticks += 1;
                    now += SUB_TICK;
                }
            }
            3..=8 => {
                seq = seq.wrapping_add(1);
                let moves = script.byte();
                timestamp = timestamp.wrapping_add(u32::from(moves >> 2) * 80);
                if moves & 3 == 3 {
                    (seq, timestamp) = (script.word(), script.double());
                }
                let mut datagram = vec![0x80, script.byte()];
                datagram.extend(seq.to_be_bytes());
                datagram.extend(timestamp.to_be_bytes());
                datagram.extend([0, 0, 0, step & 16]);
                datagram.extend(script.bytes());
                let mut sealed = datagram.clone();
                if let Some(session) = &mut sessions[number] {
                    // What can't be sealed is empty: a datagram as well.
                    let _ = session.protect(&datagram, &mut sealed);
                }
                if moves & 3 == 2 {
                    sealed = script.bend(&sealed);
                }
                engine.receive(key, &sealed, from, now);
            }
            9 => engine.receive(key, script.bytes(), from, now),
            10 => {
                let clear = script.bytes();
                let mut sealed = clear.to_vec();
                if let Some(session) = &mut sessions[number] {
                    let _ = session.protect_rtcp(clear, &mut sealed);
                }
                engine.receive_rtcp(key, &sealed, from, now);
            }
            11 => {
                let direction = script.pick(&["sendrecv", "sendonly", "recvonly", "inactive"]);
                let sdp = offer(number, &sessions[number], script.pick(&FORMATS), direction);
                let kind = SdpKind::Offer;
                engine.handle(Command::ApplySdp { leg, kind, sdp }, now);
            }
            12 => engine.handle(command(leg, &room, script), now),
            13 => engine.handle(Command::Leave { leg }, now),
            14 => engine.handle(join(NAMES[number]), now),
            _ => {
                let stranger = SocketAddr::from(([203, 0, 113, script.byte()], 9_000));
                engine.receive(key, script.bytes(), stranger, now);
            }
        }
        let output = engine.output();
        for (sent, bytes) in output.packets.iter() {
            assert!(bytes.len() <= packet::MAX_DATAGRAM);
            assert!(sent.port == Port::Rtcp || packet::parse(bytes).is_ok());
        }
        output.packets.clear();
        output.closed.clear();
        output.recorded.clear();
        for event in output.events.drain(..) {
            // Elsewhere than under libFuzzer, the engine survives a panic of a leg.
            let failed = matches!(&event, Event::CommandFailed { command, .. } if command == "leg");
            assert!(!failed, "{event:?}");
        }
        engine.stats();
    });
}

fn command(leg: Id, room: &Id, script: &mut Script) -> Command {
    match script.byte() % 5 {
        0 => Command::SetMuted {
            leg,
            muted: script.byte() & 1 != 0,
        },
        1 => Command::SetProcessing {
            leg,
            switches: Switches {
                noise_suppression: script.byte() & 1 != 0,
                normaliser: script.byte() & 1 != 0,
                voice_activity: script.byte() & 1 != 0,
                limiter: script.byte() & 1 != 0,
            },
        },
        2 => Command::Play {
            leg,
            play: id("play"),
            prompt: None,
            tone: Some(ToneSpec {
                frequency_hz: f64::from(script.word()),
                duration_ms: script.word().into(),
                level_dbfs: -f64::from(script.byte()),
            }),
            looped: script.byte() & 1 != 0,
        },
        3 => Command::SendDigits {
            leg,
            digits: String::from_utf8_lossy(script.bytes()).into_owned(),
            duration_ms: script.word().into(),
            pause_ms: script.word().into(),
        },
        _ => Command::SetGain {
            room: room.clone(),
            listener: leg,
            speaker: Some(id(script.pick(&NAMES))),
            gain: f64::from(script.byte()) / 50.0,
        },
    }
}

fn join(name: &str) -> Command {
    Command::Join {
        leg: id(name),
        room: id("room"),
    }
}

fn id(name: &str) -> Id {
    Id::new(name).expect("an id")
}

fn address(number: usize) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], 4_000 + 2 * number as u16))
}

fn offer(number: usize, session: &Option<Session>, formats: &str, direction: &str) -> String {
    let (ip, port) = (address(number).ip(), address(number).port());
    let (profile, keys) = match session {
        None => ("RTP/AVP", String::new()),
        Some(session) => {
            let master = master(session.suite(), number as u8);
            (
                "RTP/SAVP",
                format!("a={}\r\n", CryptoLine { tag: 1, master }),
            )
        }
    };
    format!(
        "v=0\r\no=- 7 7 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} {profile} {formats}\r\n{keys}\
         a=rtpmap:111 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:101 telephone-event/8000\r\n\
         a={direction}\r\n"
    )
}
