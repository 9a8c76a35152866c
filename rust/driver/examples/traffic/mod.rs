//! Traffic of many phones over few sockets, and what they hear.
//!
//! Phones are in rooms of a given size; the first three of a room talk. In each second a room is silent for
//! 100 ms, then the first talker begins, a little later the others. From sending the packet that begins the
//! burst until a listener of the room receives its first sample is the delay that the server adds.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use plenary_driver::sys;
use plenary_media::codec::Codec;

const FRAME: usize = 160;
const FRAME_MS: u64 = 20;
/// Packets of one cycle of silence and talk: a second.
const CYCLE: u64 = 50;
/// Packets of silence at the beginning of a cycle.
const PAUSE: u64 = 5;
/// Packets between the beginnings of two talkers of a room.
const STAGGER: u64 = 6;
const TALKERS: usize = 3;
/// Sockets that all phones share; a phone is known by the server's port.
const SOCKETS: usize = 32;
/// Steps of 20 ms in which packets are sent, so that they come spread over time.
const STEPS: usize = 20;
/// Packets that a phone may have sent without their answer having come yet.
const ON_ITS_WAY: u64 = 3;
/// Loudness from which a sample belongs to a burst.
const LOUD: u16 = 500;

#[derive(Debug)]
struct Phone {
    server: SocketAddr,
    room: usize,
    /// Place in the room; the first three talk.
    seat: usize,
    sent: u64,
    last_seq: Option<u16>,
    received: u64,
    lost: u64,
    /// Packets of silence received in a row.
    silent: u32,
    last_arrival: Option<Duration>,
    longest_gap: Duration,
    /// What it had sent when counting began.
    sent_before: u64,
}

impl Phone {
    /// What is on its way when counting begins and ends is not missing.
    fn is_short(&self) -> bool {
        let due = (self.sent - self.sent_before).saturating_sub(ON_ITS_WAY);
        self.lost * 1000 > self.received + self.lost || self.received * 1000 < due * 999
    }
}

/// All phones.
pub struct Traffic {
    sockets: Vec<UdpSocket>,
    phones: Vec<Phone>,
    /// Phone by the server's port.
    by_port: Vec<Option<usize>>,
    /// When the first talker of each room last began, by the wall clock.
    bursts: Vec<Option<Duration>>,
    delays_ms: Vec<f64>,
    tones: Vec<[u8; FRAME]>,
}

/// What the phones found.
#[derive(Debug)]
pub struct Findings {
    pub sent: u64,
    pub received: u64,
    pub lost: u64,
    /// Phones that did not get 99.9 % of what they should have got.
    pub phones_short: usize,
    /// Between two packets of any phone.
    pub longest_gap_ms: f64,
    pub delay_ms_p50: f64,
    pub delay_ms_p99: f64,
    pub bursts_heard: usize,
}

impl Traffic {
    pub fn new() -> io::Result<Traffic> {
        let mut sockets = Vec::new();
        for _ in 0..SOCKETS {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            sys::stamp_arrivals(socket.as_fd())?;
            sockets.push(socket);
        }
        Ok(Traffic {
            sockets,
            phones: Vec::new(),
            by_port: vec![None; 65_536],
            bursts: Vec::new(),
            delays_ms: Vec::new(),
            tones: (0..TALKERS).map(tone).collect(),
        })
    }

    /// Where the phone of this number sends from and listens.
    pub fn address(&self, phone: usize) -> io::Result<SocketAddr> {
        self.sockets[phone % SOCKETS].local_addr()
    }

    /// Adds the phone of the next number; phones of one room come one after the other.
    pub fn add(&mut self, server: SocketAddr, room_size: usize) {
        let number = self.phones.len();
        let room = number / room_size;
        self.by_port[usize::from(server.port())] = Some(number);
        self.bursts.resize(room + 1, None);
        self.phones.push(Phone {
            server,
            room,
            seat: number % room_size,
            sent: 0,
            last_seq: None,
            received: 0,
            lost: 0,
            silent: 0,
            last_arrival: None,
            longest_gap: Duration::ZERO,
            sent_before: 0,
        });
    }

    /// Forgets what was counted so far.
    pub fn reset(&mut self) {
        self.delays_ms.clear();
        for phone in &mut self.phones {
            (phone.received, phone.lost) = (0, 0);
            (phone.last_arrival, phone.longest_gap) = (None, Duration::ZERO);
            phone.sent_before = phone.sent;
        }
    }

    /// Lets the phones talk and listen for some time.
    pub fn run(&mut self, time: Duration) -> Findings {
        let sent_before: u64 = self.phones.iter().map(|phone| phone.sent).sum();
        let step = Duration::from_millis(FRAME_MS) / STEPS as u32;
        let begin = sys::monotonic();
        let mut receiver = sys::Receiver::default();
        let steps = (time.as_nanos() / step.as_nanos()) as u32;
        for number in 0..steps {
            for phone in 0..self.phones.len() {
                // Rooms differ in when their talkers send, as strangers' rooms do.
                let step = (phone + 7 * self.phones[phone].room) % STEPS;
                if step == number as usize % STEPS {
                    self.send(phone);
                }
            }
            self.listen(&mut receiver);
            let due = begin + step * (number + 1);
            if let Some(left) = due.checked_sub(sys::monotonic()) {
                std::thread::sleep(left);
            }
        }
        self.listen(&mut receiver);
        self.delays_ms.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let at = (self.delays_ms.len() as f64 * share) as usize;
            self.delays_ms.get(at).copied().unwrap_or(f64::NAN)
        };
        Findings {
            sent: self.phones.iter().map(|phone| phone.sent).sum::<u64>() - sent_before,
            received: self.phones.iter().map(|phone| phone.received).sum(),
            lost: self.phones.iter().map(|phone| phone.lost).sum(),
            phones_short: self.phones.iter().filter(|phone| phone.is_short()).count(),
            longest_gap_ms: self
                .phones
                .iter()
                .map(|phone| phone.longest_gap)
                .max()
                .unwrap_or_default()
                .as_secs_f64()
                * 1000.0,
            delay_ms_p50: quantile(0.5),
            delay_ms_p99: quantile(0.99),
            bursts_heard: self.delays_ms.len(),
        }
    }

    fn send(&mut self, number: usize) {
        let phone = &mut self.phones[number];
        // Rooms are at different places of their cycle.
        let place = (phone.sent + 7 * phone.room as u64) % CYCLE;
        let begins = PAUSE + STAGGER * phone.seat as u64;
        let talks = phone.seat < TALKERS && place >= begins;
        let mut packet = [0xff; 12 + FRAME];
        packet[..2].copy_from_slice(&[0x80, 0]);
        packet[2..4].copy_from_slice(&(phone.sent as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(phone.sent as u32 * FRAME as u32).to_be_bytes());
        packet[8..12].copy_from_slice(&(number as u32 + 1).to_be_bytes());
        if talks {
            packet[12..].copy_from_slice(&self.tones[phone.seat]);
        }
        phone.sent += 1;
        if phone.seat == 0 {
            match place {
                0 => self.bursts[phone.room] = None,
                PAUSE => self.bursts[phone.room] = Some(sys::realtime()),
                _ => {}
            }
        }
        // What can't be sent is missing at the other end, and seen there.
        drop(self.sockets[number % SOCKETS].send_to(&packet, phone.server));
    }

    fn listen(&mut self, receiver: &mut sys::Receiver) {
        let Traffic {
            sockets,
            phones,
            by_port,
            bursts,
            delays_ms,
            ..
        } = self;
        for socket in sockets {
            while !receiver.drain(socket.as_fd(), |packet, source, arrival| {
                let Some(number) = by_port[usize::from(source.port())] else {
                    return;
                };
                if packet.len() != 12 + FRAME {
                    return;
                }
                let phone = &mut phones[number];
                let seq = u16::from_be_bytes([packet[2], packet[3]]);
                if let Some(last) = phone.last_seq {
                    phone.lost += u64::from(seq.wrapping_sub(last).wrapping_sub(1));
                }
                phone.last_seq = Some(seq);
                phone.received += 1;
                if let (Some(last), Some(now)) = (phone.last_arrival, arrival) {
                    phone.longest_gap = phone.longest_gap.max(now.saturating_sub(last));
                }
                phone.last_arrival = arrival;
                let mut pcm = [0; FRAME];
                Codec::Pcmu.decode(&packet[12..], &mut pcm);
                let Some(first) = pcm.iter().position(|sample| sample.unsigned_abs() > LOUD) else {
                    phone.silent += 1;
                    return;
                };
                let waited = std::mem::take(&mut phone.silent) >= 2;
                if let (true, true, Some(begin), Some(arrival)) =
                    (waited, phone.seat > 0, bursts[phone.room], arrival)
                {
                    let into_packet = first as f64 / 8.0;
                    delays_ms
                        .push(arrival.saturating_sub(begin).as_secs_f64() * 1000.0 + into_packet);
                }
            }) {}
        }
    }
}

/// A packet of a tone with a whole number of periods, so that it can be repeated.
fn tone(number: usize) -> [u8; FRAME] {
    let frequency = [400.0, 650.0, 950.0][number % TALKERS];
    let pcm: [i16; FRAME] = std::array::from_fn(|i| {
        (4_000.0 * (std::f64::consts::TAU * frequency * (i as f64 + 0.5) / 8_000.0).cos()) as i16
    });
    let mut coded = [0; FRAME];
    Codec::Pcmu.encode(&pcm, &mut coded);
    coded
}
