//! What a browser's peer costs, in microseconds: the best of several batches, so that other work on the machine counts
//! little. Run with `--release`.

#[path = "../tests/webrtc/network.rs"]
#[allow(dead_code)]
mod network;

use std::time::{Duration, Instant};

use network::{ALL, Browser, HOME, Network, address, host};
use plenary_transport::webrtc::{Outgoing, Output, Peer, Proto, ufrag};

const BATCHES: usize = 20;
const PACKETS: u16 = 200;

/// The best of [`BATCHES`] calls of `batch`, which does something `times` times and gives how long that took.
fn best(name: &str, times: u16, mut batch: impl FnMut() -> Duration) {
    let least = (0..BATCHES).map(|_| batch()).min().unwrap_or_default();
    let each = least.as_secs_f64() * 1e6 / f64::from(times);
    println!("{name:<44}{each:>9.2}");
}

fn main() {
    let offer = Browser::new(HOME, Proto::Udp, Duration::ZERO).offer();
    best("offer answered", 1, || {
        let begin = Instant::now();
        let accepted = Peer::accept(&host(), &ALL, &offer, Duration::ZERO);
        let took = begin.elapsed();
        assert!(accepted.is_ok());
        took
    });

    let mut network = Network::connected(Proto::Udp);
    let (mut seq, payload) = (0_u16, [7; 80]);
    best("packet sent (80 bytes)", PACKETS, || {
        let begin = Instant::now();
        for _ in 0..PACKETS {
            seq = seq.wrapping_add(1);
            let packet = Outgoing {
                pt: 111,
                seq,
                timestamp: u32::from(seq) * 960,
                marker: false,
                payload: &payload,
            };
            network.peer.send(packet, network.now);
            while let Some(output) = network.peer.poll() {
                assert!(matches!(output, Output::Transmit { .. }));
            }
        }
        begin.elapsed()
    });
    best("packet received (80 bytes)", PACKETS, || {
        network.down = true;
        for n in 0..PACKETS {
            network.say(111, u32::from(n) * 960, &payload);
        }
        let datagrams = network.take_flying();
        network.down = false;
        let begin = Instant::now();
        let mut heard = 0;
        for datagram in &datagrams {
            network
                .peer
                .receive(Proto::Udp, datagram, address(HOME), network.now);
            while let Some(output) = network.peer.poll() {
                heard += u16::from(matches!(output, Output::Rtp(_)));
            }
        }
        assert_eq!(heard, PACKETS);
        begin.elapsed()
    });
    best("tick in which nothing is due", PACKETS, || {
        let begin = Instant::now();
        (0..PACKETS).for_each(|_| network.peer.tick(network.now));
        begin.elapsed()
    });
    let mut check = vec![0, 1, 0, 28, 0x21, 0x12, 0xa4, 0x42];
    check.extend([7; 12]);
    check.extend([0, 6, 0, 24]);
    check.extend(*b"of-nobody-we-know:whoever");
    check.resize(48, 0);
    best("name read of a stranger's check", PACKETS, || {
        let begin = Instant::now();
        for _ in 0..PACKETS {
            std::hint::black_box(ufrag(std::hint::black_box(&check)));
        }
        begin.elapsed()
    });
    let before = resident_kib();
    let peers: Vec<Peer> = (0..500)
        .filter_map(|_| Peer::accept(&host(), &ALL, &offer, Duration::ZERO).ok())
        .map(|(peer, _)| peer)
        .collect();
    let each = (resident_kib() - before) as f64 / peers.len() as f64;
    println!(
        "{:<44}{each:>9.0}",
        "memory of a peer before its handshake, KiB"
    );
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}
