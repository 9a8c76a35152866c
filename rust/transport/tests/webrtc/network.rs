//! A browser (str0m with full ICE), a peer of ours and the network between them, in simulated time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

use plenary_transport::webrtc::{
    Answer, Format, Host, Identity, Incoming, Outgoing, Output, Peer, Proto,
};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Rtc};

pub const SERVER: &str = "192.0.2.1:4000";
pub const HOME: &str = "198.51.100.7:5000";
pub const MOBILE: &str = "203.0.113.9:6000";
pub const ALL: [Format; 4] = [Format::Opus, Format::G722, Format::Pcmu, Format::Pcma];
const STEP: Duration = Duration::from_millis(5);
const TICK: Duration = Duration::from_millis(20);
/// One way.
const DELAY: Duration = Duration::from_millis(10);

static BEGIN: LazyLock<Instant> = LazyLock::new(|| Instant::now() + Duration::from_secs(1));
static IDENTITY: OnceLock<Identity> = OnceLock::new();

pub fn host() -> Host {
    let identity = IDENTITY.get_or_init(|| Identity::new().expect("a certificate"));
    Host {
        identity: identity.clone(),
        address: address(SERVER),
    }
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub struct Browser {
    pub rtc: Rtc,
    pub mid: Option<Mid>,
    pub pending: Option<SdpPendingOffer>,
    pub heard: Vec<RtpPacket>,
    proto: Proto,
    places: Vec<SocketAddr>,
    seq: u64,
}

impl Browser {
    pub fn new(place: &str, proto: Proto, now: Duration) -> Browser {
        let mut config = Rtc::builder()
            .set_rtp_mode(true)
            .set_dtls_version(str0m::config::DtlsVersion::Auto)
            .clear_codecs()
            .enable_opus(true, true)
            .enable_pcmu(true, false);
        config.codec_config().add_config(
            110.into(),
            None,
            Codec::Tele,
            Frequency::FORTY_EIGHT_KHZ,
            None,
            Default::default(),
        );
        let mut browser = Browser {
            rtc: config.build(*BEGIN + now),
            mid: None,
            pending: None,
            heard: Vec::new(),
            proto,
            places: Vec::new(),
            seq: 100,
        };
        browser.add_address(place);
        browser
    }

    /// Has one more address from now on.
    pub fn add_address(&mut self, place: &str) {
        let place = address(place);
        self.places.push(place);
        let candidate = match self.proto {
            Proto::Udp => Candidate::host(place, "udp"),
            Proto::Tcp => {
                let tcp = Candidate::builder().tcp().host(place);
                tcp.tcptype(TcpType::Active).build()
            }
        };
        self.rtc
            .add_local_candidate(candidate.expect("a candidate"));
    }

    /// Nothing more comes from there or gets there; the browser has to find out.
    pub fn lose_address(&mut self, place: &str) {
        self.places.retain(|known| *known != address(place));
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

    pub fn take(&mut self, answer: &Answer) {
        let answer = SdpAnswer::from_sdp_string(&answer.sdp).expect("an answer that can be read");
        let pending = self.pending.take().expect("an offer");
        let taken = self.rtc.sdp_api().accept_answer(pending, answer);
        taken.expect("an answer that fits the offer");
    }
}

struct Flying {
    due: Duration,
    from: SocketAddr,
    to: SocketAddr,
    proto: Proto,
    bytes: Vec<u8>,
}

pub struct Network {
    pub now: Duration,
    pub browser: Browser,
    pub peer: Peer,
    /// Nothing gets through.
    pub down: bool,
    pub heard: Vec<Incoming>,
    pub losses: Vec<f32>,
    pub connected: usize,
    pub disconnected: bool,
    /// What has come to us, to be played again.
    pub seen: Vec<Vec<u8>>,
    seq: u16,
    flying: VecDeque<Flying>,
}

impl Network {
    /// A browser at [`HOME`] whose offer was answered.
    pub fn answered(proto: Proto) -> Network {
        Network::answered_to(proto, |offer| offer)
    }

    /// One whose offer was changed on its way.
    pub fn answered_to(proto: Proto, change: impl Fn(String) -> String) -> Network {
        let mut browser = Browser::new(HOME, proto, Duration::ZERO);
        let offer = change(browser.offer());
        let (peer, answer) =
            Peer::accept(&host(), &ALL, &offer, Duration::ZERO).expect("an answer");
        browser.take(&answer);
        Network {
            now: Duration::ZERO,
            browser,
            peer,
            down: false,
            heard: Vec::new(),
            losses: Vec::new(),
            connected: 0,
            disconnected: false,
            seen: Vec::new(),
            seq: 65_530,
            flying: VecDeque::new(),
        }
    }

    /// One that has been connected as well.
    pub fn connected(proto: Proto) -> Network {
        let mut network = Network::answered(proto);
        network.run(Duration::from_secs(2));
        assert!(network.peer.is_connected() && network.connected == 1);
        network
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            let ticks = self.now.as_millis().is_multiple_of(TICK.as_millis());
            if ticks {
                self.peer.tick(self.now);
                self.collect();
            }
            let at = *BEGIN + self.now;
            drop(self.browser.rtc.handle_input(Input::Timeout(at)));
            self.collect();
            while self
                .flying
                .front()
                .is_some_and(|first| first.due <= self.now)
            {
                let datagram = self.flying.pop_front().expect("one is there");
                self.deliver(&datagram);
            }
        }
    }

    /// Both speak for a while, a packet each 20 ms: their payloads count from 0.
    pub fn talk(&mut self, packets: u8) {
        for n in 0..packets {
            self.seq = self.seq.wrapping_add(1);
            self.peer.send(
                Outgoing {
                    pt: 111,
                    seq: self.seq,
                    timestamp: u32::from(n) * 960,
                    marker: n == 0,
                    payload: &[n; 60],
                },
                self.now,
            );
            self.collect();
            self.say(111, u32::from(n) * 960, &[n; 40]);
            self.run(TICK);
        }
        self.run(DELAY * 2);
    }

    /// The browser sends a packet.
    pub fn say(&mut self, pt: u8, timestamp: u32, payload: &[u8]) {
        let browser = &mut self.browser;
        browser.seq += 1;
        let (at, mid) = (*BEGIN + self.now, browser.mid.expect("an offer"));
        let mut api = browser.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None).expect("a stream");
        stream.write_rtp(RtpWrite::new(
            pt.into(),
            browser.seq.into(),
            timestamp,
            at,
            payload,
        ));
        drop(browser.rtc.handle_input(Input::Timeout(at)));
        self.collect();
    }

    /// What is on its way to us.
    pub fn take_flying(&mut self) -> Vec<Vec<u8>> {
        let flying = self
            .flying
            .drain(..)
            .filter(|datagram| datagram.to == address(SERVER));
        flying.map(|datagram| datagram.bytes).collect()
    }

    fn deliver(&mut self, datagram: &Flying) {
        if self.down {
            return;
        }
        let places = &self.browser.places;
        if datagram.to == address(SERVER) && places.contains(&datagram.from) {
            self.seen.push(datagram.bytes.clone());
            self.peer
                .receive(datagram.proto, &datagram.bytes, datagram.from, self.now);
        } else if places.contains(&datagram.to) {
            let proto = match datagram.proto {
                Proto::Udp => Protocol::Udp,
                Proto::Tcp => Protocol::Tcp,
            };
            let received = Receive::new(proto, datagram.from, datagram.to, &datagram.bytes);
            let input = Input::Receive(*BEGIN + self.now, received.expect("a datagram"));
            drop(self.browser.rtc.handle_input(input));
        }
        self.collect();
    }

    /// Fetches what both have to say.
    fn collect(&mut self) {
        while let Some(output) = self.peer.poll() {
            match output {
                Output::Transmit { proto, to, bytes } => self.flying.push_back(Flying {
                    due: self.now + DELAY,
                    from: address(SERVER),
                    to,
                    proto,
                    bytes,
                }),
                Output::Rtp(packet) => self.heard.push(packet),
                Output::Loss(loss) => self.losses.push(loss),
                Output::Connected => self.connected += 1,
                Output::Disconnected => self.disconnected = true,
            }
        }
        loop {
            match self.browser.rtc.poll_output() {
                Ok(str0m::Output::Transmit(sent)) => self.flying.push_back(Flying {
                    due: self.now + DELAY,
                    from: sent.source,
                    to: sent.destination,
                    proto: match sent.proto {
                        Protocol::Udp => Proto::Udp,
                        _ => Proto::Tcp,
                    },
                    bytes: sent.contents.into(),
                }),
                Ok(str0m::Output::Event(Event::RtpPacket(packet))) => {
                    self.browser.heard.push(packet);
                }
                Ok(str0m::Output::Event(_)) => {}
                Ok(str0m::Output::Timeout(_)) | Err(_) => break,
            }
        }
    }
}
