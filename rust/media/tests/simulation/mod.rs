//! Phones around an engine, in memory and in simulated time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use plenary_media::codec::Codec;
use plenary_media::engine::{Config, Engine, PHASES, SUB_TICK};
use plenary_media::leg::{Entropy, InactivityLimits};
use plenary_media::legs::LegKey;
use plenary_media::messages::{Command, Event, Id};
use plenary_media::output::Port;
use plenary_media::recorder::Recorded;
use plenary_media::rtp::packet;

/// Loudness of a phone's tone.
pub const AMPLITUDE: f64 = 4_000.0;
const FRAME: usize = 160;

pub fn id(name: &str) -> Id {
    Id::new(name).expect("an id")
}

/// A phone that hums and keeps what it hears.
pub struct Phone {
    pub key: LegKey,
    pub address: SocketAddr,
    pub hum_hz: Option<f64>,
    pub silent: bool,
    pub codec: Codec,
    /// What came since the last look.
    pub heard: Vec<i16>,
    /// Payloads of telephone-events, with the marker.
    pub events: Vec<(bool, Vec<u8>)>,
    pub rtcp: Vec<Vec<u8>>,
    pub seq: u16,
    samples: u32,
}

impl Phone {
    /// The next packet of what the phone says.
    pub fn packet(&mut self) -> Vec<u8> {
        let hz = self.hum_hz.unwrap_or(0.0);
        let pcm: Vec<i16> = (0..FRAME as u32)
            .map(|i| {
                let angle = std::f64::consts::TAU * hz * f64::from(self.samples + i) / 8_000.0;
                (AMPLITUDE * angle.sin()) as i16
            })
            .collect();
        let mut payload = vec![0; FRAME];
        self.codec.encode(&pcm, &mut payload);
        let pt = self.codec.static_pt().0;
        let bytes = self.rtp(pt, self.samples, &payload);
        self.samples += FRAME as u32;
        bytes
    }

    /// A packet with the next sequence number.
    pub fn rtp(&mut self, pt: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80, pt];
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend([9, 9, 9, 9]);
        bytes.extend(payload);
        self.seq = self.seq.wrapping_add(1);
        bytes
    }

    pub fn timestamp(&self) -> u32 {
        self.samples
    }
}

pub struct Simulation {
    pub engine: Engine,
    pub phones: BTreeMap<&'static str, Phone>,
    pub events: Vec<Event>,
    pub recorded: Vec<Recorded>,
    pub now: Duration,
    sub_ticks: usize,
}

impl Simulation {
    /// A room `room` with these phones in it, each humming a tone (0 Hz: saying nothing).
    pub fn room(phones: &[(&'static str, f64)]) -> Simulation {
        let inactivity = InactivityLimits {
            first: Duration::from_secs(30),
            later: Duration::from_secs(15),
        };
        let public_address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let mut simulation = Simulation {
            engine: Engine::new(Config {
                public_address,
                inactivity,
            }),
            phones: BTreeMap::new(),
            events: Vec::new(),
            recorded: Vec::new(),
            now: Duration::from_secs(1),
            sub_ticks: 0,
        };
        simulation.command(Command::OpenRoom { room: id("room") });
        for (name, hum_hz) in phones {
            simulation.phone(name, *hum_hz);
            simulation.join(name);
        }
        simulation
    }

    /// A phone that calls and stays outside of rooms.
    pub fn phone(&mut self, name: &'static str, hum_hz: f64) {
        let number = self.phones.len() as u16;
        let address = SocketAddr::from(([198, 51, 100, 1], 4_000 + 2 * number));
        let seed = u32::from(number) + 1;
        let entropy = Entropy {
            ssrc: seed,
            seq: 65_530,
            timestamp: seed.wrapping_mul(0x9e37_79b9),
            session_id: seed.into(),
        };
        let offer = sdp(address, "sendrecv", "0 101");
        let key = self
            .engine
            .open_leg(&id(name), Some(&offer), 10_000, entropy, self.now);
        self.phones.insert(
            name,
            Phone {
                key: key.expect("the offer is good"),
                address,
                hum_hz: (hum_hz > 0.0).then_some(hum_hz),
                silent: false,
                codec: Codec::Pcmu,
                heard: Vec::new(),
                events: Vec::new(),
                rtcp: Vec::new(),
                seq: 100,
                samples: 0,
            },
        );
        self.collect();
    }

    pub fn command(&mut self, command: Command) {
        self.engine.handle(command, self.now);
        self.collect();
    }

    pub fn join(&mut self, name: &str) {
        self.command(Command::Join {
            leg: id(name),
            room: id("room"),
        });
    }

    pub fn leave(&mut self, name: &str) {
        self.command(Command::Leave { leg: id(name) });
    }

    pub fn gain(&mut self, listener: &str, speaker: Option<&str>, gain: f64) {
        let speaker = speaker.map(id);
        self.command(Command::SetGain {
            room: id("room"),
            listener: id(listener),
            speaker,
            gain,
        });
    }

    pub fn re_offer(&mut self, name: &str, direction: &str) {
        let sdp = sdp(self.phones[name].address, direction, "0 101");
        let kind = plenary_media::messages::SdpKind::Offer;
        self.command(Command::ApplySdp {
            leg: id(name),
            kind,
            sdp,
        });
    }

    /// Lets time go on; phones send a packet each 20 ms.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            if self.sub_ticks.is_multiple_of(PHASES) {
                for phone in self.phones.values_mut().filter(|phone| !phone.silent) {
                    let packet = phone.packet();
                    self.engine
                        .receive(phone.key, &packet, phone.address, self.now);
                }
            }
            self.engine.tick(self.sub_ticks % PHASES, self.now);
            self.collect();
            self.sub_ticks += 1;
            self.now += SUB_TICK;
        }
    }

    pub fn run_ms(&mut self, time_ms: u64) {
        self.run(Duration::from_millis(time_ms));
    }

    /// What a phone has heard since the last call.
    pub fn heard(&mut self, name: &str) -> Vec<i16> {
        let phone = self.phones.get_mut(name).expect("a phone");
        std::mem::take(&mut phone.heard)
    }

    /// Drops what was heard, and then listens for some time.
    pub fn listen(&mut self, name: &str, time_ms: u64) -> Vec<i16> {
        self.heard(name);
        self.run_ms(time_ms);
        self.heard(name)
    }

    fn collect(&mut self) {
        let output = self.engine.output();
        for (sent, bytes) in output.packets.iter() {
            let Some(phone) = self.phones.values_mut().find(|phone| phone.key == sent.leg) else {
                continue;
            };
            if sent.port == Port::Rtcp {
                phone.rtcp.push(bytes.to_vec());
                continue;
            }
            assert_eq!(sent.to, phone.address, "sent to somebody else");
            let (header, payload) = packet::parse(bytes).expect("we send proper RTP");
            if header.pt.0 == 101 {
                phone.events.push((header.marker, payload.to_vec()));
                continue;
            }
            let mut pcm = vec![0; payload.len()];
            phone.codec.decode(payload, &mut pcm);
            phone.heard.extend(pcm);
        }
        output.packets.clear();
        output.closed.clear();
        self.events.append(&mut output.events);
        self.recorded.append(&mut output.recorded);
    }

    /// Samples recorded so far.
    pub fn recording(&self) -> Vec<i16> {
        let blocks = self.recorded.iter().filter_map(|recorded| match recorded {
            Recorded::Block { pcm, .. } => Some(pcm.as_slice()),
            Recorded::End { .. } => None,
        });
        blocks.flatten().copied().collect()
    }
}

pub fn sdp(address: SocketAddr, direction: &str, formats: &str) -> String {
    format!(
        "v=0\r\no=- 7 7 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na={direction}\r\n",
        ip = address.ip(),
        port = address.port(),
    )
}

/// Amplitude of a tone in some audio (Goertzel).
pub fn level(pcm: &[i16], hz: f64) -> f64 {
    let factor = 2.0 * (std::f64::consts::TAU * hz / 8_000.0).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in pcm {
        (last, before) = (f64::from(*sample) + factor * last - before, last);
    }
    let power = last * last + before * before - factor * last * before;
    power.max(0.0).sqrt() * 2.0 / pcm.len().max(1) as f64
}

/// Largest difference of two samples that follow each other.
pub fn steepest(pcm: &[i16]) -> i32 {
    let steps = pcm
        .windows(2)
        .map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs());
    steps.max().unwrap_or(0)
}
