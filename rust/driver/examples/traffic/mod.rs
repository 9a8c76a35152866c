//! Traffic of many phones over few sockets, and what they hear.
//!
//! Phones are in rooms of a given size; the first of each room talk, the others send silence or nothing. In each second
//! a room is silent for 100 ms, then the first talker begins, a little later the others. In rooms with G.711, from
//! sending the packet that begins the burst until a listener of the room receives its first sample is the delay that
//! the server adds.

pub mod voice;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use plenary_codec::{Codec, Decoder, FRAME_MS, Rate};
use plenary_driver::sys;
use voice::{CYCLE, Sounds, VOICES};

/// Sockets that all phones share; a phone is known by the server's port.
const SOCKETS: usize = 256;
/// Steps of 20 ms in which packets are sent, so that they come spread over time.
const STEPS: usize = 20;
/// Packets that a phone may have sent without their answer having come yet.
const ON_ITS_WAY: u64 = 3;
/// Loudness from which a sample belongs to a burst.
const LOUD: u16 = 500;
/// Packets of which it is looked whose voice is in them.
const PROBE_PACKETS: usize = 100;
/// Packets that are fetched from a socket at once.
const BATCH: usize = 64;
const HEADER: usize = 12;
/// Payload types that are RTCP when RTP has the same port (RFC 5761, section 4).
const RTCP: std::ops::RangeInclusive<u8> = 192..=223;
/// Weight of the newest value in the jitter (RFC 3550, section 6.4.1).
const JITTER_WEIGHT: f64 = 1.0 / 16.0;

/// Who the phones are.
#[derive(Clone, Debug)]
pub struct Plan {
    pub room_size: usize,
    /// Of each room.
    pub talkers: usize,
    /// Dealt to the phones of a room in turn.
    pub codecs: Vec<Codec>,
    /// Who does not talk sends nothing at all, else packets of silence.
    pub receive_only: bool,
}

impl Plan {
    pub fn room(&self, phone: usize) -> usize {
        phone / self.room_size
    }

    pub fn seat(&self, phone: usize) -> usize {
        phone % self.room_size
    }

    pub fn codec(&self, phone: usize) -> Codec {
        self.codecs[self.seat(phone) % self.codecs.len()]
    }

    /// Which voice a phone has.
    pub fn voice(&self, phone: usize) -> Option<usize> {
        let seat = self.seat(phone);
        (seat < self.talkers).then_some(seat % VOICES)
    }

    pub fn sends(&self, phone: usize) -> bool {
        !self.receive_only || self.voice(phone).is_some()
    }
}

/// Payload type of a codec, in our offers.
pub fn payload_type(codec: Codec) -> u8 {
    codec.static_pt().unwrap_or(111)
}

#[derive(Debug)]
struct Phone {
    server: SocketAddr,
    room: usize,
    codec: Codec,
    voice: Option<usize>,
    sent: u64,
    last_seq: Option<u16>,
    received: u64,
    lost: u64,
    /// Packets of silence received in a row.
    silent: u32,
    last_arrival: Option<Duration>,
    longest_gap: Duration,
    jitter_ms: f64,
    /// The payloads of what it last received, if it is to be listened to.
    probe: Option<Vec<Vec<u8>>>,
}

/// All phones.
pub struct Traffic {
    plan: Plan,
    sockets: Vec<UdpSocket>,
    receiver: sys::Receiver<BATCH>,
    phones: Vec<Phone>,
    /// By the step in which they send: rooms differ in that, as strangers' rooms do.
    senders: [Vec<usize>; STEPS],
    /// Phone by the server's port.
    by_port: Vec<Option<usize>>,
    /// When the first talker of each room last began, by the wall clock.
    bursts: Vec<Option<Duration>>,
    delays_ms: Vec<f64>,
    /// As [`Codec::ALL`].
    sounds: Vec<Sounds>,
    counting_since: Duration,
    sent_before: u64,
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
    /// Of the time between two packets, of the phone that has most of it but for a hundredth.
    pub jitter_ms_p99: f64,
    pub delay_ms_p50: f64,
    pub delay_ms_p99: f64,
    pub bursts_heard: usize,
    /// How many of its room's voices the listener with the fewest of them hears; one listener of each codec.
    pub voices_heard: usize,
    /// Listeners to whom it was listened.
    pub listened: usize,
}

impl Traffic {
    pub fn new(plan: Plan) -> io::Result<Traffic> {
        let mut sockets = Vec::new();
        for _ in 0..SOCKETS {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            sys::stamp_arrivals(socket.as_fd())?;
            sockets.push(socket);
        }
        Ok(Traffic {
            plan,
            sockets,
            receiver: sys::Receiver::default(),
            phones: Vec::new(),
            senders: Default::default(),
            by_port: vec![None; 65_536],
            bursts: Vec::new(),
            delays_ms: Vec::new(),
            sounds: Codec::ALL.map(Sounds::new).into(),
            counting_since: sys::monotonic(),
            sent_before: 0,
        })
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where the phone of this number sends from and listens.
    pub fn address(&self, phone: usize) -> io::Result<SocketAddr> {
        self.sockets[phone % SOCKETS].local_addr()
    }

    /// Adds the phone of the next number; phones of one room come one after the other.
    pub fn add(&mut self, server: SocketAddr) {
        let number = self.phones.len();
        let (room, codec) = (self.plan.room(number), self.plan.codec(number));
        let voice = self.plan.voice(number);
        self.by_port[usize::from(server.port())] = Some(number);
        self.bursts.resize(room + 1, None);
        if self.plan.sends(number) {
            self.senders[(number + 7 * room) % STEPS].push(number);
        }
        let probed = |phone: &Phone| phone.codec == codec && phone.probe.is_some();
        let listens = voice.is_none() && !self.phones.iter().any(probed);
        self.phones.push(Phone {
            server,
            room,
            codec,
            voice,
            sent: 0,
            last_seq: None,
            received: 0,
            lost: 0,
            silent: 0,
            last_arrival: None,
            longest_gap: Duration::ZERO,
            jitter_ms: 0.0,
            probe: listens.then(Vec::new),
        });
    }

    /// Forgets what was counted so far.
    pub fn reset(&mut self) {
        self.counting_since = sys::monotonic();
        self.sent_before = self.phones.iter().map(|phone| phone.sent).sum();
        self.delays_ms.clear();
        for phone in &mut self.phones {
            (phone.received, phone.lost) = (0, 0);
            (phone.last_arrival, phone.longest_gap) = (None, Duration::ZERO);
        }
    }

    /// Lets the phones talk and listen for some time.
    pub fn run(&mut self, time: Duration) {
        let step = Duration::from_millis(FRAME_MS) / STEPS as u32;
        let begin = sys::monotonic();
        let steps = (time.as_nanos() / step.as_nanos()) as u32;
        for number in 0..steps {
            self.send(number as usize % STEPS);
            self.listen();
            let due = begin + step * (number + 1);
            if let Some(left) = due.checked_sub(sys::monotonic()) {
                std::thread::sleep(left);
            }
        }
        self.listen();
    }

    fn listen(&mut self) {
        for socket in 0..self.sockets.len() {
            self.listen_at(socket);
        }
    }

    /// What was found since the last reset.
    pub fn findings(&mut self) -> Findings {
        let ticks = (sys::monotonic() - self.counting_since).as_millis() as u64 / FRAME_MS;
        let due = ticks.saturating_sub(ON_ITS_WAY);
        let is_short = |phone: &&Phone| {
            phone.lost * 1000 > phone.received + phone.lost || phone.received * 1000 < due * 999
        };
        let sum = |what: fn(&Phone) -> u64| self.phones.iter().map(what).sum::<u64>();
        let gaps = self.phones.iter().map(|phone| phone.longest_gap);
        let probe = |phone: &Phone| Some(voice::heard(phone.codec, phone.probe.as_ref()?));
        let probes: Vec<usize> = self.phones.iter().filter_map(probe).collect();
        let jitters = self.phones.iter().map(|phone| phone.jitter_ms).collect();
        let delays = std::mem::take(&mut self.delays_ms);
        Findings {
            sent: sum(|phone| phone.sent) - self.sent_before,
            received: sum(|phone| phone.received),
            lost: sum(|phone| phone.lost),
            phones_short: self.phones.iter().filter(is_short).count(),
            longest_gap_ms: gaps.max().unwrap_or_default().as_secs_f64() * 1000.0,
            jitter_ms_p99: quantile(jitters, 0.99),
            bursts_heard: delays.len(),
            delay_ms_p50: quantile(delays.clone(), 0.5),
            delay_ms_p99: quantile(delays, 0.99),
            listened: probes.len(),
            voices_heard: probes.into_iter().min().unwrap_or(0),
        }
    }

    fn send(&mut self, step: usize) {
        for number in &self.senders[step] {
            let phone = &mut self.phones[*number];
            // Rooms are at different places of their cycle.
            let place = (phone.sent as usize + 7 * phone.room) % CYCLE;
            let sounds = &self.sounds[index(phone.codec)];
            let payload = sounds.payload(phone.voice, place);
            let ticks = phone.codec.frame_ticks();
            let mut packet = [0; HEADER + plenary_codec::MAX_PAYLOAD];
            packet[..2].copy_from_slice(&[0x80, payload_type(phone.codec)]);
            packet[2..4].copy_from_slice(&(phone.sent as u16).to_be_bytes());
            packet[4..8].copy_from_slice(&(phone.sent as u32).wrapping_mul(ticks).to_be_bytes());
            packet[8..12].copy_from_slice(&(*number as u32 + 1).to_be_bytes());
            packet[HEADER..HEADER + payload.len()].copy_from_slice(payload);
            phone.sent += 1;
            if self.plan.seat(*number) == 0 {
                let begins = voice::begins(0);
                if place == begins {
                    self.bursts[phone.room] = Some(sys::realtime());
                } else if place == 0 {
                    self.bursts[phone.room] = None;
                }
            }
            let packet = &packet[..HEADER + payload.len()];
            // What can't be sent is missing at the other end, and seen there.
            drop(self.sockets[number % SOCKETS].send_to(packet, phone.server));
        }
    }

    fn listen_at(&mut self, socket: usize) {
        let Traffic {
            sockets,
            receiver,
            phones,
            by_port,
            bursts,
            delays_ms,
            ..
        } = self;
        let mut hear = |packet: &[u8], source: SocketAddr, arrival: Option<Duration>| {
            let Some(number) = by_port[usize::from(source.port())] else {
                return;
            };
            if packet.len() < HEADER || RTCP.contains(&packet[1]) {
                return;
            }
            let phone = &mut phones[number];
            phone.count(packet, arrival);
            if let (Some(into_packet), Some(begin), Some(arrival)) =
                (phone.burst(packet), bursts[phone.room], arrival)
            {
                let delay = arrival.saturating_sub(begin) + into_packet;
                delays_ms.push(delay.as_secs_f64() * 1000.0);
            }
        };
        while !receiver.drain(sockets[socket].as_fd(), &mut hear) {}
    }
}

impl Phone {
    fn count(&mut self, packet: &[u8], arrival: Option<Duration>) {
        let seq = u16::from_be_bytes([packet[2], packet[3]]);
        let steps = self.last_seq.map(|last| seq.wrapping_sub(last));
        self.last_seq = Some(seq);
        self.received += 1;
        self.lost += steps.map_or(0, |steps| u64::from(steps.wrapping_sub(1)));
        if let (Some(last), Some(now), Some(steps)) = (self.last_arrival, arrival, steps) {
            let gap = now.saturating_sub(last);
            self.longest_gap = self.longest_gap.max(gap);
            let expected_ms = f64::from(steps) * FRAME_MS as f64;
            let off_ms = (gap.as_secs_f64() * 1000.0 - expected_ms).abs();
            self.jitter_ms += (off_ms - self.jitter_ms) * JITTER_WEIGHT;
        }
        self.last_arrival = arrival;
        if let Some(probe) = &mut self.probe {
            if probe.len() == PROBE_PACKETS {
                probe.remove(0);
            }
            probe.push(packet[HEADER..].to_vec());
        }
    }

    /// Where in a packet of G.711 the burst of another begins, if it does.
    fn burst(&mut self, packet: &[u8]) -> Option<Duration> {
        let payload = &packet[HEADER..];
        if self.codec != Codec::Pcmu || self.voice == Some(0) {
            return None;
        }
        if self.codec.is_silence(payload) {
            self.silent += 1;
            return None;
        }
        let mut pcm = Vec::with_capacity(Rate::Narrow.frame());
        if std::mem::take(&mut self.silent) < 2 {
            return None;
        }
        Decoder::new(self.codec, Rate::Narrow)
            .decode(payload, &mut pcm)
            .ok()?;
        let first = pcm.iter().position(|s| s.unsigned_abs() > LOUD)?;
        Some(Duration::from_secs(first as u64) / Rate::Narrow.hz())
    }
}

fn index(codec: Codec) -> usize {
    Codec::ALL.iter().position(|it| *it == codec).unwrap_or(0)
}

/// Not a number for none.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share) as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}
