//! A page of a browser: str0m with full ICE and Opus, a tone at its microphone, over UDP or TCP.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use plenary_codec::{Codec, Decoder, Encoder, MAX_PAYLOAD, OpusSettings, Rate};
use plenary_media::messages::Event as EngineEvent;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::FormatParams;
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};

const TICK: Duration = Duration::from_millis(20);
/// Payload types.
const OPUS: u8 = 111;
const EVENTS: u8 = 110;
/// Samples of a packet.
const FRAME: usize = 960;

enum Wire {
    Udp(UdpSocket),
    /// Connected once the answer has told where to; bytes that came of it.
    Tcp(Option<TcpStream>, Vec<u8>),
}

pub struct Page {
    rtc: Rtc,
    wire: Wire,
    place: SocketAddr,
    mid: Option<Mid>,
    pending: Option<SdpPendingOffer>,
    encoder: Encoder,
    decoder: Decoder,
    tone_hz: f64,
    /// Packets, each of 20 ms.
    pub sent: u64,
    /// All that it has heard, at 48 kHz.
    pub heard: Vec<i16>,
    pub connected: bool,
}

impl Page {
    /// A page whose microphone hears a tone.
    pub fn new(tone_hz: f64, by_tcp: bool) -> Page {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let mut config = Rtc::builder()
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false);
        config.codec_config().add_config(
            EVENTS.into(),
            None,
            str0m::format::Codec::Tele,
            Frequency::FORTY_EIGHT_KHZ,
            None,
            FormatParams::default(),
        );
        let mut rtc = config.build(Instant::now());
        let place = socket.local_addr().expect("bound");
        if !by_tcp {
            let candidate = Candidate::host(place, "udp").expect("a candidate");
            rtc.add_local_candidate(candidate);
        }
        Page {
            rtc,
            wire: match by_tcp {
                false => Wire::Udp(socket),
                true => Wire::Tcp(None, Vec::new()),
            },
            place,
            mid: None,
            pending: None,
            encoder: Encoder::new(Codec::Opus, Rate::Full, OpusSettings::default()),
            decoder: Decoder::new(Codec::Opus, Rate::Full),
            tone_hz,
            sent: 0,
            heard: Vec::new(),
            connected: false,
        }
    }

    pub fn offer(&mut self) -> String {
        let mut changes = self.rtc.sdp_api();
        let kind = MediaKind::Audio;
        self.mid = Some(changes.add_media(kind, Direction::SendRecv, None, None, None));
        let (offer, pending) = changes.apply().expect("an offer");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    pub fn offer_restart(&mut self) -> String {
        let mut changes = self.rtc.sdp_api();
        changes.ice_restart(true);
        let (offer, pending) = changes.apply().expect("an offer");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// Says goodbye, as a page does that is closed or loaded anew.
    pub fn close(&mut self) {
        drop(self.rtc.close());
        self.collect();
    }

    /// Takes the answer out of the engine's events.
    pub fn take(&mut self, events: &[EngineEvent]) {
        let answered = events.iter().find_map(|event| match event {
            EngineEvent::LegAnswered { sdp, .. } => Some(sdp),
            _ => None,
        });
        let answer = answered.unwrap_or_else(|| panic!("no answer: {events:?}"));
        if let Wire::Tcp(stream @ None, _) = &mut self.wire {
            let port = answer
                .lines()
                .find_map(|line| line.strip_prefix("m=audio "));
            let port = port.and_then(|line| line.split(' ').next()?.parse::<u16>().ok());
            let connected = TcpStream::connect(("127.0.0.1", port.expect("a port")));
            let connected = connected.expect("a listener");
            connected.set_nonblocking(true).expect("a socket");
            connected.set_nodelay(true).expect("a socket");
            self.place = connected.local_addr().expect("connected");
            *stream = Some(connected);
            let tcp = Candidate::builder().tcp().host(self.place);
            let candidate = tcp.tcptype(TcpType::Active).build();
            self.rtc
                .add_local_candidate(candidate.expect("a candidate"));
        }
        let answer = SdpAnswer::from_sdp_string(answer).expect("an answer");
        let pending = self.pending.take().expect("an offer");
        self.rtc
            .sdp_api()
            .accept_answer(pending, answer)
            .expect("it fits");
    }

    /// Speaks and listens until `is_done`.
    pub fn talk(&mut self, patience: Duration, is_done: impl Fn(&Page) -> bool) {
        let begin = Instant::now();
        let mut due = begin;
        while !is_done(self) {
            assert!(begin.elapsed() < patience, "it takes too long");
            if Instant::now() >= due {
                due += TICK;
                self.say();
            }
            drop(self.rtc.handle_input(Input::Timeout(Instant::now())));
            self.collect();
            self.receive();
        }
    }

    fn say(&mut self) {
        let phase = |n: usize| (self.sent as usize * FRAME + n) as f64 / 48_000.0;
        let wave = |n| (std::f64::consts::TAU * self.tone_hz * phase(n)).sin() * 8_000.0;
        let pcm: Vec<i16> = (0..FRAME).map(|n| wave(n) as i16).collect();
        let mut coded = [0; MAX_PAYLOAD];
        let length = self.encoder.encode(&pcm, &mut coded);
        self.sent += 1;
        if self.connected {
            self.write(OPUS, &coded[..length]);
        }
    }

    /// Presses a key for 100 ms, of which only the end gets through (RFC 4733 section 2.5.1.4).
    pub fn press(&mut self, event: u8) {
        for _ in 0..3 {
            self.sent += 1;
            let [high, low] = 4_800_u16.to_be_bytes();
            self.write(EVENTS, &[event, 0x8a, high, low]);
            drop(self.rtc.handle_input(Input::Timeout(Instant::now())));
            self.collect();
        }
    }

    fn write(&mut self, pt: u8, payload: &[u8]) {
        let (time, now) = (self.sent as u32 * FRAME as u32, Instant::now());
        let packet = RtpWrite::new(pt.into(), self.sent.into(), time, now, payload);
        let mid = self.mid.expect("an offer");
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None).expect("a stream");
        stream.write_rtp(packet);
    }

    fn collect(&mut self) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(sent)) => self.send(sent.destination, &sent.contents),
                Ok(Output::Event(Event::RtpPacket(packet))) => {
                    let decoded = self.decoder.decode(&packet.payload, &mut self.heard);
                    decoded.expect("a good packet");
                }
                Ok(Output::Event(Event::Connected)) => self.connected = true,
                Ok(Output::Event(_)) => {}
                Ok(Output::Timeout(_)) | Err(_) => return,
            }
        }
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        match &mut self.wire {
            Wire::Udp(socket) => drop(socket.send_to(datagram, to)),
            Wire::Tcp(stream, _) => {
                let mut frame = (datagram.len() as u16).to_be_bytes().to_vec();
                frame.extend_from_slice(datagram);
                let stream = stream.as_mut().expect("connected");
                stream
                    .write_all(&frame)
                    .expect("it takes what little there is");
            }
        }
    }

    /// Takes what has come, or waits a millisecond for it.
    fn receive(&mut self) {
        let mut buffer = [0; 2_000];
        match &mut self.wire {
            Wire::Udp(socket) => {
                let wait = Some(Duration::from_millis(1));
                socket.set_read_timeout(wait).expect("a socket");
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    self.input(Protocol::Udp, from, &buffer[..length]);
                }
            }
            Wire::Tcp(Some(stream), came) => {
                match stream.read(&mut buffer) {
                    Ok(length) => came.extend_from_slice(&buffer[..length]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                let from = stream.peer_addr().expect("connected");
                let length = came
                    .first_chunk::<2>()
                    .map(|head| u16::from_be_bytes(*head));
                let whole = length.map(|length| 2 + usize::from(length));
                match whole.filter(|whole| came.len() >= *whole) {
                    Some(whole) => {
                        let frame: Vec<u8> = came.drain(..whole).collect();
                        self.input(Protocol::Tcp, from, &frame[2..]);
                    }
                    None => std::thread::yield_now(),
                }
            }
            Wire::Tcp(None, _) => {}
        }
    }

    fn input(&mut self, proto: Protocol, from: SocketAddr, datagram: &[u8]) {
        let received = Receive::new(proto, from, self.place, datagram).expect("a datagram");
        drop(
            self.rtc
                .handle_input(Input::Receive(Instant::now(), received)),
        );
        self.collect();
    }
}

/// Part of the power of `pcm` that is at `hz`, 0 to 1 (Goertzel).
pub fn share_of_tone(pcm: &[i16], rate_hz: f64, hz: f64) -> f64 {
    let step = std::f64::consts::TAU * hz / rate_hz;
    let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
    for (n, sample) in pcm.iter().enumerate() {
        let (sample, angle) = (f64::from(*sample), step * n as f64);
        re += sample * angle.cos();
        im += sample * angle.sin();
        power += sample * sample;
    }
    2.0 * (re * re + im * im) / (power.max(1.0) * pcm.len().max(1) as f64)
}
