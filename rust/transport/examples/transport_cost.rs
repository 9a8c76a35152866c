//! What encryption costs: nanoseconds for each packet of 20 ms of G.711 (172 bytes), and for a DTLS handshake; the least
//! of several rounds, as other work on the machine only adds.
//!
//! `cargo run --release -p plenary-transport --example transport_cost`

use core::time::Duration;
use std::hint::black_box;
use std::time::Instant;

use plenary_transport::dtls::{Endpoint, Identity, Output, Role};
use plenary_transport::srtp::{Master, Session, Suite};

const PACKETS: u32 = 60_000;
const ROUNDS: u32 = 9;

fn main() {
    for suite in [
        Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32,
        Suite::AeadAes128Gcm,
        Suite::AeadAes256Gcm,
    ] {
        let costs: Vec<_> = (0..ROUNDS).map(|_| srtp(suite)).collect();
        let least = |of: fn(&(u128, u128, u128)) -> u128| costs.iter().map(of).min().unwrap_or(0);
        let (protect, unprotect, forged) = (least(|c| c.0), least(|c| c.1), least(|c| c.2));
        let name = suite.name();
        println!(
            "{name}: protect {protect} ns, unprotect {unprotect} ns, refuse a forged one {forged} ns"
        );
    }
    let least = (0..30).map(|_| handshake()).min().unwrap_or_default();
    println!("DTLS handshake, both ends: {least:?}");
    let start = Instant::now();
    for _ in 0..100 {
        black_box(Identity::new().expect("OpenSSL works here"));
    }
    println!("identity: {:?}", start.elapsed() / 100);
    let (local, remote) = masters(Suite::AesCm128HmacSha1_80);
    let start = Instant::now();
    for _ in 0..1_000 {
        black_box(Session::new(local, remote));
    }
    println!("session: {:?}", start.elapsed() / 1_000);
}

fn masters(suite: Suite) -> (Master, Master) {
    let len = suite.key_len() + suite.salt_len();
    let master = |byte: u8| Master::new(suite, &vec![byte; len]).expect("the suite's length");
    (master(1), master(2))
}

/// Nanoseconds to protect, to unprotect, and to refuse a packet.
fn srtp(suite: Suite) -> (u128, u128, u128) {
    let (local, remote) = masters(suite);
    let (mut ann, mut bob) = (Session::new(local, remote), Session::new(remote, local));
    let packet = |seq: u32| {
        let seq = (seq as u16).to_be_bytes();
        let mut rtp = vec![0x55; 172];
        rtp[..12].copy_from_slice(&[0x80, 0, seq[0], seq[1], 0, 0, 0, 1, 0, 0, 0, 7]);
        rtp
    };
    let clear: Vec<_> = (0..PACKETS).map(packet).collect();
    let mut sealed = vec![Vec::with_capacity(200); clear.len()];
    let mut out = Vec::with_capacity(200);
    let per_packet = |start: Instant| start.elapsed().as_nanos() / u128::from(PACKETS);
    let start = Instant::now();
    for (clear, sealed) in clear.iter().zip(&mut sealed) {
        ann.protect(black_box(clear), sealed).expect("a packet");
    }
    let protect = per_packet(start);
    let start = Instant::now();
    for sealed in &sealed {
        bob.unprotect(black_box(sealed), &mut out)
            .expect("authentic");
    }
    let unprotect = per_packet(start);
    for sealed in &mut sealed {
        *sealed.last_mut().expect("a tag") ^= 1;
    }
    let (mut eve, start) = (Session::new(remote, local), Instant::now());
    for sealed in &sealed {
        let _ = black_box(eve.unprotect(black_box(sealed), &mut out));
    }
    (protect, unprotect, per_packet(start))
}

fn handshake() -> Duration {
    let (a, b) = (
        Identity::new().expect("works"),
        Identity::new().expect("works"),
    );
    let start = Instant::now();
    let begin = |of: &Identity, role, expects| {
        Endpoint::new(of, role, expects, Duration::ZERO).expect("OpenSSL can begin")
    };
    let mut ends = [
        begin(&a, Role::Active, b.fingerprint()),
        begin(&b, Role::Passive, a.fingerprint()),
    ];
    let mut connected = 0;
    while connected < 2 {
        for i in 0..2 {
            while let Some(output) = ends[i].poll(Duration::ZERO) {
                match output {
                    Output::Transmit(datagram) => ends[1 - i].receive(&datagram),
                    Output::Connected(_) => connected += 1,
                    Output::Failed(error) => panic!("{error}"),
                }
            }
        }
    }
    start.elapsed()
}
