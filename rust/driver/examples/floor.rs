//! What the system calls alone cost: a bare loop with one socket per leg that receives, decodes by table,
//! adds, subtracts, encodes and sends. No jitter buffer, no RTCP, no check of anything.
//!
//! `floor [LEGS] [ROOM_SIZE] [SECONDS]` prints JSON. Pin it to two cores: server and phones are a thread each.

#[allow(dead_code, reason = "only phones with G.711 are needed here")]
mod traffic;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plenary_codec::{Codec, g711};
use plenary_driver::sys;
use traffic::{Plan, Traffic};

const FRAME: usize = 160;
const MAX_LEGS: usize = 4_000;
const MAX_SECONDS: u64 = 20;
/// Time in which caches settle.
const SETTLING: Duration = Duration::from_secs(1);

struct Leg {
    socket: UdpSocket,
    peer: SocketAddr,
    pcm: [i16; FRAME],
    packet: [u8; 12 + FRAME],
    count: u32,
}

fn serve(legs: &mut [Leg], room_size: usize, end: &AtomicBool) {
    let mut buffer = [0; 1_500];
    let mut due = sys::monotonic();
    while !end.load(Ordering::Relaxed) {
        for room in legs.chunks_mut(room_size) {
            let mut sum = [0_i32; FRAME];
            for leg in room.iter_mut() {
                leg.pcm = [0; FRAME];
                if let Ok((length, _)) = leg.socket.recv_from(&mut buffer) {
                    g711::decode_ulaw(&buffer[12..length], &mut leg.pcm);
                }
                sum.iter_mut()
                    .zip(&leg.pcm)
                    .for_each(|(sum, said)| *sum += i32::from(*said));
            }
            for leg in room {
                let mut heard = [0; FRAME];
                for ((heard, sum), said) in heard.iter_mut().zip(&sum).zip(&leg.pcm) {
                    *heard = (sum - i32::from(*said)).clamp(-32_768, 32_767) as i16;
                }
                g711::encode_ulaw(&heard, &mut leg.packet[12..]);
                leg.count += 1;
                leg.packet[2..4].copy_from_slice(&(leg.count as u16).to_be_bytes());
                leg.packet[4..8].copy_from_slice(&(leg.count * FRAME as u32).to_be_bytes());
                // Lost is lost, and seen at the other end.
                drop(leg.socket.send_to(&leg.packet, leg.peer));
            }
        }
        due += Duration::from_millis(20);
        if let Some(left) = due.checked_sub(sys::monotonic()) {
            std::thread::sleep(left);
        }
    }
}

fn main() -> io::Result<()> {
    let argument = |number: usize, default: u64| {
        std::env::args()
            .nth(number)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let legs = (argument(1, 1_000) as usize).min(MAX_LEGS);
    let room_size = (argument(2, 10) as usize).max(1);
    let seconds = argument(3, 10).min(MAX_SECONDS);
    sys::raise_file_limit();

    let mut traffic = Traffic::new(Plan {
        room_size,
        talkers: 3,
        codecs: vec![Codec::Pcmu],
        receive_only: false,
    })?;
    let mut served = Vec::new();
    for number in 0..legs {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        traffic.add(socket.local_addr()?);
        let mut packet = [0; 12 + FRAME];
        packet[0] = 0x80;
        served.push(Leg {
            socket,
            peer: traffic.address(number)?,
            pcm: [0; FRAME],
            packet,
            count: 0,
        });
    }
    let end = Arc::new(AtomicBool::new(false));
    let server = {
        let end = end.clone();
        std::thread::spawn(move || {
            let begin = (sys::monotonic(), sys::thread_cpu());
            serve(&mut served, room_size, &end);
            (sys::thread_cpu() - begin.1).as_secs_f64() / (sys::monotonic() - begin.0).as_secs_f64()
        })
    };
    traffic.run(SETTLING);
    traffic.reset();
    traffic.run(Duration::from_secs(seconds));
    let findings = traffic.findings();
    end.store(true, Ordering::Relaxed);
    let cores = server
        .join()
        .map_err(|_| io::Error::other("the server has panicked"))?;
    println!(
        "{{\"legs\": {legs}, \"room_size\": {room_size}, \"ucore_per_leg\": {:.1}, \"delay_ms_p50\": {:.2}, \
         \"delay_ms_p99\": {:.2}, \"bursts_heard\": {}, \"packets_sent\": {}, \"packets_received\": {}, \
         \"packets_lost\": {}, \"phones_short\": {}, \"longest_gap_ms\": {:.1}}}",
        cores / legs as f64 * 1e6,
        findings.delay_ms_p50,
        findings.delay_ms_p99,
        findings.bursts_heard,
        findings.sent,
        findings.received,
        findings.lost,
        findings.phones_short,
        findings.longest_gap_ms,
    );
    Ok(())
}
