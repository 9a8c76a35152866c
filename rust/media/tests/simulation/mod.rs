//! Phones around an engine, in memory and in simulated time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use plenary_codec::{Codec, Decoder, Encoder, MAX_PAYLOAD, OpusSettings, Rate};
use plenary_media::engine::{Config, Engine, Entrance, PHASES, SUB_TICK};
use plenary_media::leg::{Entropy, InactivityLimits};
use plenary_media::legs::LegKey;
use plenary_media::messages::{Command, Event, Id, LegStats, LegTerms};
use plenary_media::output::Port;
use plenary_media::recorder::Recorded;
use plenary_media::rtp::packet;
use plenary_transport::demux::{self, Kind};
use plenary_transport::dtls::{Endpoint, Identity, Output};
use plenary_transport::srtp::Session;

/// Loudness of a phone's tone.
pub const AMPLITUDE: f64 = 4_000.0;

/// Payload type of RED.
pub const RED: u8 = 98;

pub fn id(name: &str) -> Id {
    Id::new(name).expect("an id")
}

/// Not random: the same number gives the same leg.
pub fn entropy(number: u8) -> Entropy {
    Entropy {
        seq: number.into(),
        timestamp: number.into(),
        session_id: number.into(),
        secret: [number; 32],
    }
}

/// A phone that hums and keeps what it hears.
pub struct Phone {
    pub key: LegKey,
    pub address: SocketAddr,
    pub hum_hz: Option<f64>,
    pub amplitude: f64,
    pub silent: bool,
    /// The phone stands in a noisy room.
    pub noise: bool,
    codec: Codec,
    encoder: Encoder,
    decoder: Decoder,
    /// What came since the last look, at the rate of the codec.
    pub heard: Vec<i16>,
    /// Payloads of telephone-events, with the marker.
    pub events: Vec<(bool, Vec<u8>)>,
    pub rtcp: Vec<Vec<u8>>,
    /// Keys, if the phone encrypts.
    pub srtp: Option<Box<Session>>,
    pub dtls: Option<Endpoint>,
    pub seq: u16,
    pub ssrc: [u8; 4],
    /// Frames that the phone has sent.
    frames: u32,
}

impl Phone {
    /// The phone speaks and understands another codec from now on.
    pub fn set_codec(&mut self, codec: Codec, opus: OpusSettings) {
        self.codec = codec;
        self.encoder = Encoder::new(codec, codec.rate(), opus);
        self.decoder = Decoder::new(codec, codec.rate());
        self.heard.clear();
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The next packet of what the phone says; `None` if its codec sends nothing for silence.
    pub fn packet(&mut self) -> Option<Vec<u8>> {
        let (timestamp, payload) = self.frame()?;
        Some(self.rtp(pt(self.codec), timestamp, &payload))
    }

    /// What the phone says next: RTP timestamp and payload.
    pub fn frame(&mut self) -> Option<(u32, Vec<u8>)> {
        let (hz, rate) = (self.hum_hz.unwrap_or(0.0), self.codec.rate());
        let amplitude = self.amplitude;
        let first = self.frames * rate.frame() as u32;
        let pcm: Vec<i16> = (first..first + rate.frame() as u32)
            .map(|i| {
                let angle = std::f64::consts::TAU * hz * f64::from(i) / f64::from(rate.hz());
                // A hash of the time, as good as any noise.
                let noise = (i.wrapping_mul(0x9e37_79b9) >> 8).wrapping_mul(0x85eb_ca6b) >> 24;
                let noise = if self.noise {
                    f64::from(noise) - 127.5
                } else {
                    0.0
                };
                (amplitude * angle.sin() + noise) as i16
            })
            .collect();
        if self.codec == Codec::Opus && self.hum_hz.is_none() && !self.noise {
            // DTX. That of the encoder takes tones for noise.
            self.frames += 1;
            return None;
        }
        let mut payload = [0; MAX_PAYLOAD];
        let len = self.encoder.encode(&pcm, &mut payload);
        let timestamp = self.timestamp();
        self.frames += 1;
        (len > 0).then(|| (timestamp, payload[..len].to_vec()))
    }

    /// Encrypts a packet, if the phone does that; nothing while it waits for keys.
    pub fn seal(&mut self, rtp: Vec<u8>) -> Option<Vec<u8>> {
        let mut sealed = Vec::new();
        match &mut self.srtp {
            Some(session) => session.protect(&rtp, &mut sealed).expect("a packet"),
            None if self.dtls.is_some() => return None,
            None => sealed = rtp,
        }
        Some(sealed)
    }

    /// A packet with the next sequence number.
    pub fn rtp(&mut self, pt: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80, pt];
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend(self.ssrc);
        bytes.extend(payload);
        self.seq = self.seq.wrapping_add(1);
        bytes
    }

    /// A packet that has the frame before it once more (RFC 2198), as payload type [`RED`].
    pub fn red(&mut self, before: &(u32, Vec<u8>), now: &(u32, Vec<u8>)) -> Vec<u8> {
        let pt = pt(self.codec);
        let offset = now.0.wrapping_sub(before.0);
        let header = 1 << 31 | u32::from(pt) << 24 | offset << 10 | before.1.len() as u32;
        let payload = [&header.to_be_bytes()[..], &[pt], &before.1, &now.1].concat();
        self.rtp(RED, now.0, &payload)
    }

    pub fn timestamp(&self) -> u32 {
        self.frames * self.codec.frame_ticks()
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
                stopwatch: None,
                identity: Some(Arc::new(Identity::new().expect("OpenSSL works"))),
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
        self.phone_with(name, hum_hz, Codec::Pcmu, OpusSettings::default());
    }

    /// The same of any codec.
    pub fn phone_with(
        &mut self,
        name: &'static str,
        hum_hz: f64,
        codec: Codec,
        opus: OpusSettings,
    ) {
        self.phone_offering(name, hum_hz, codec, opus, |offer| offer);
    }

    /// The same with another offer.
    pub fn phone_offering(
        &mut self,
        name: &'static str,
        hum_hz: f64,
        codec: Codec,
        opus: OpusSettings,
        edit: impl FnOnce(String) -> String,
    ) {
        let number = self.phones.len() as u16;
        let address = SocketAddr::from(([198, 51, 100, 1], 4_000 + 2 * number));
        let seed = u32::from(number) + 1;
        let entropy = Entropy {
            seq: 65_530,
            timestamp: seed.wrapping_mul(0x9e37_79b9),
            session_id: seed.into(),
            secret: [number as u8; 32],
        };
        let offer = sdp(address, "sendrecv", &format!("{} 101", pt(codec)));
        let offer = edit(offer);
        let terms = LegTerms::default();
        let entrance = Entrance::Port(10_000);
        let key =
            self.engine
                .open_leg(&id(name), Some(&offer), &terms, entrance, entropy, self.now);
        self.phones.insert(
            name,
            Phone {
                key: key.expect("the offer is good"),
                address,
                hum_hz: (hum_hz > 0.0).then_some(hum_hz),
                amplitude: AMPLITUDE,
                silent: false,
                noise: false,
                codec,
                encoder: Encoder::new(codec, codec.rate(), opus),
                decoder: Decoder::new(codec, codec.rate()),
                heard: Vec::new(),
                events: Vec::new(),
                rtcp: Vec::new(),
                srtp: None,
                dtls: None,
                seq: 100,
                ssrc: [9; 4],
                frames: 0,
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
                    if let Some(packet) = packet.and_then(|packet| phone.seal(packet)) {
                        self.engine
                            .receive(phone.key, &packet, phone.address, self.now);
                    }
                }
            }
            self.engine.tick(self.sub_ticks % PHASES, self.now);
            self.collect();
            self.shake_hands();
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
            if let (Kind::Dtls, Some(endpoint)) = (demux::kind(bytes), &mut phone.dtls) {
                endpoint.receive(bytes);
                continue;
            }
            let mut plain = Vec::new();
            let bytes = match &mut phone.srtp {
                Some(session) => {
                    if session.unprotect(bytes, &mut plain).is_err() {
                        // Of two ends of a handshake one has its keys first.
                        assert!(phone.dtls.is_some(), "encrypted otherwise");
                        continue;
                    }
                    &plain
                }
                None => bytes,
            };
            let (header, payload) = packet::parse(bytes).expect("we send proper RTP");
            if header.pt.0 == 101 {
                phone.events.push((header.marker, payload.to_vec()));
                continue;
            }
            let decoded = phone.decoder.decode(payload, &mut phone.heard);
            decoded.expect("we send the codec that was agreed on");
        }
        output.packets.clear();
        output.closed.clear();
        self.events.append(&mut output.events);
        self.recorded.append(&mut output.recorded);
    }

    /// Lets the phones do what their handshakes are for.
    fn shake_hands(&mut self) {
        for phone in self.phones.values_mut() {
            while let Some(output) = phone.dtls.as_mut().and_then(|it| it.poll(self.now)) {
                match output {
                    Output::Transmit(bytes) => {
                        self.engine
                            .receive(phone.key, &bytes, phone.address, self.now);
                    }
                    Output::Connected(session) => phone.srtp = Some(session),
                    Output::Failed(error) => panic!("{error}"),
                }
            }
        }
    }

    pub fn stats(&self, name: &str) -> LegStats {
        let mut all = self.engine.stats().into_iter();
        let found = all.find(|stats| stats.leg == id(name));
        found.expect("a leg")
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

pub fn pt(codec: Codec) -> u8 {
    codec.static_pt().unwrap_or(111)
}

/// Has a phone offer all codecs, comfort noise and RED; it likes `codec` best.
pub fn with_everything(offer: String, codec: Codec) -> String {
    let (pt, all) = (pt(codec), "111 9 0 13 98 101");
    offer.replace(&format!("RTP/AVP {pt} 101"), &format!("RTP/AVP {pt} {all}"))
        + "a=rtpmap:98 red/8000\r\n"
}

pub fn sdp(address: SocketAddr, direction: &str, formats: &str) -> String {
    format!(
        "v=0\r\no=- 7 7 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n\
         a=rtpmap:111 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na={direction}\r\n",
        ip = address.ip(),
        port = address.port(),
    )
}

/// Amplitude of a tone in some audio at 8 kHz.
pub fn level(pcm: &[i16], hz: f64) -> f64 {
    level_at(Rate::Narrow, pcm, hz)
}

/// Amplitude of a tone in some audio (Goertzel).
pub fn level_at(rate: Rate, pcm: &[i16], hz: f64) -> f64 {
    let factor = 2.0 * (std::f64::consts::TAU * hz / f64::from(rate.hz())).cos();
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
