//! The peer connection: what str0m is told, and what it says. See [`super`].

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::media::{Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite, Ssrc};
use str0m::{Event, IceConnectionState, Input, Rtc};

use super::offer::Offer;
use super::setup::{self, MID};
use super::{
    Answer, Format, Host, Incoming, Negotiated, Outgoing, Output, Proto, Refusal, Stats, answer,
};

/// Addresses that one peer may send checks from until its next ICE restart: a laptop has a handful of interfaces, and a
/// telephone that roams gets a new one now and then. str0m remembers them all.
const SOURCES_MAX: usize = 64;
/// Streams that one peer may send at a time, by its offers or by authentic packets: microphone and successors of it.
const STREAMS_MAX: usize = 4;
/// Streams that somebody may begin in [`BEGUN_TIME`] without having proved to be the peer: each takes str0m as long as
/// some packets.
const BEGUN_MAX: usize = 8;
const BEGUN_TIME: Duration = Duration::from_millis(20);
/// What one call may give cause for and nobody has fetched yet; a datagram gives cause for a few.
const OUTPUTS_MAX: usize = 256;

/// str0m counts in instants, which only the system makes: this one stands for time 0. It lies a little ahead, so that
/// none of the peer's times is before the first that str0m has seen.
static EPOCH: LazyLock<Instant> = LazyLock::new(|| Instant::now() + Duration::from_secs(1));

/// A browser's peer connection, our end.
pub struct Peer {
    rtc: Rtc,
    host: Host,
    fingerprint: [u8; 32],
    /// Of the peer's peer connection.
    session_id: String,
    /// Payload types that we may use, for the life of this peer.
    agreed: Negotiated,
    mid: Mid,
    ssrc: Ssrc,
    ufrag: String,
    answers: u64,
    /// Where authentic checks came from, the newest last. What a restart leaves behind still counts: until the peer has
    /// found a new way, it sends by the old one.
    sources: VecDeque<(Proto, SocketAddr)>,
    /// How many of them came since the last restart.
    fresh_sources: usize,
    /// Streams that are the peer's: an offer has named them or a packet of theirs was authentic, the last one last.
    streams: Vec<u32>,
    /// What somebody at the peer's address has begun, and not proved to be the peer's: one, in place of the last.
    unproven: Option<u32>,
    /// How many were begun since when.
    begun: usize,
    begun_since: Duration,
    /// Of the last packet sent, without overflow.
    seq: Option<u64>,
    /// DTLS is through.
    secure: bool,
    /// `Connected` was told since the last restart.
    told: bool,
    over: bool,
    timeout: Duration,
    last_heard: Option<Duration>,
    outputs: VecDeque<Output>,
    stats: Stats,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("ufrag", &self.ufrag)
            .field("connected", &self.told)
            .finish_non_exhaustive()
    }
}

impl Peer {
    /// Answers the first offer of a peer connection. `preference`: formats that we may use, the liked ones first.
    ///
    /// # Errors
    /// What is wrong with the offer.
    pub fn accept(
        host: &Host,
        preference: &[Format],
        offer: &str,
        now: Duration,
    ) -> Result<(Peer, Answer), Refusal> {
        let offer = Offer::parse(offer)?;
        let agreed = setup::agree(&offer, preference).ok_or(Refusal::NoFormat)?;
        let mut rtc = setup::configure(host, &agreed, offer.level_extension).build(instant(now));
        for candidate in setup::candidates(host.address) {
            rtc.add_local_candidate(candidate);
        }
        let mut peer = Peer {
            rtc,
            host: host.clone(),
            fingerprint: offer.fingerprint,
            session_id: offer.session_id.clone(),
            agreed,
            mid: MID.into(),
            ssrc: 0.into(),
            ufrag: String::new(),
            answers: 0,
            sources: VecDeque::new(),
            fresh_sources: 0,
            streams: Vec::new(),
            unproven: None,
            begun: 0,
            begun_since: Duration::ZERO,
            seq: None,
            secure: false,
            told: false,
            over: false,
            timeout: now,
            last_heard: None,
            outputs: VecDeque::new(),
            stats: Stats::default(),
        };
        let media = peer.agreed.clone();
        let answer = peer.answer(&offer, media, now)?;
        Ok((peer, answer))
    }

    /// Whether an offer is of the same peer connection, so that [`Peer::restart`] is for it; otherwise it wants a new
    /// peer. What can't be read is not of another.
    pub fn is_same_page(&self, offer: &str) -> bool {
        Offer::parse(offer).map_or(true, |offer| {
            !self.over
                && offer.fingerprint == self.fingerprint
                && offer.session_id == self.session_id
        })
    }

    /// Answers a later offer of the same peer connection: new ICE credentials if the network has changed, another
    /// direction (hold).
    ///
    /// # Errors
    /// What is wrong with the offer; the peer goes on as before.
    pub fn restart(&mut self, offer: &str, now: Duration) -> Result<Answer, Refusal> {
        let offer = Offer::parse(offer)?;
        let stay = self.agreed.formats.iter();
        let stay = stay.filter(|agreed| offer.formats.contains(agreed));
        let preference: Vec<Format> = stay.map(|(_, format)| *format).collect();
        let mut media = setup::agree(&offer, &preference).ok_or(Refusal::NoFormat)?;
        let known = &self.agreed.event_pts;
        media.event_pts.retain(|event| known.contains(event));
        media.events = media.events.filter(|event| known.contains(event));
        self.answer(&offer, media, now)
    }

    fn answer(
        &mut self,
        offer: &Offer,
        media: Negotiated,
        now: Duration,
    ) -> Result<Answer, Refusal> {
        const OURS: Refusal = Refusal::Malformed("its peer connection can't be gone on with");
        let composed =
            SdpOffer::from_sdp_string(&setup::compose(offer, &self.agreed)).map_err(|_| OURS)?;
        let accepted = self.rtc.sdp_api().accept_offer(composed);
        self.drain(now);
        accepted.map_err(|_| OURS)?;
        let mut api = self.rtc.direct_api();
        let ours = api.local_ice_credentials();
        let fingerprint = api.local_dtls_fingerprint().bytes.clone();
        let stream = api.stream_tx_by_mid(self.mid, None).ok_or(OURS)?;
        stream.set_rtx_cache(1, Duration::ZERO, None);
        self.ssrc = stream.ssrc();
        self.drain(now);
        if self.ufrag != ours.ufrag {
            self.ufrag.clone_from(&ours.ufrag);
            self.fresh_sources = 0;
            self.told = false;
        }
        for ssrc in &offer.ssrcs {
            self.expect(*ssrc, now);
            self.own(*ssrc);
        }
        self.drain(now);
        self.answers += 1;
        let local = answer::Local {
            // Any number that stays; half the range, because some read it as a signed one.
            session_id: u64::from(*self.ssrc) + 1,
            version: self.answers,
            address: self.host.address,
            ufrag: &ours.ufrag,
            pwd: &ours.pass,
            fingerprint: &fingerprint,
            ssrc: *self.ssrc,
        };
        let sdp = answer::write(offer, &media, &local);
        Ok(Answer { sdp, media })
    }

    /// Ours: what the user name of the peer's checks begins with. Changes with an ICE restart.
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// Of the packets that we send.
    pub fn ssrc(&self) -> u32 {
        *self.ssrc
    }

    /// ICE and DTLS are through, and no restart is under way.
    pub fn is_connected(&self) -> bool {
        self.told && !self.over
    }

    /// Packets can be sent; during an ICE restart they go where they went before.
    pub fn can_send(&self) -> bool {
        self.secure && !self.over
    }

    /// It has said goodbye, has failed, or was closed: nothing more comes of it.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// When the peer was last heard: an authentic ICE check, a packet or its goodbye.
    pub fn last_heard(&self) -> Option<Duration> {
        self.last_heard
    }

    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Takes a datagram from the network, whatever it is.
    pub fn receive(&mut self, proto: Proto, datagram: &[u8], from: SocketAddr, now: Duration) {
        if self.over {
            return;
        }
        let known = self.sources.contains(&(proto, from));
        let is_check = datagram.first().is_some_and(|first| *first < 2);
        if !is_check && !known {
            self.stats.strangers += 1;
            return;
        }
        if is_media(datagram) {
            let ssrc = [datagram[8], datagram[9], datagram[10], datagram[11]];
            self.expect(u32::from_be_bytes(ssrc), now);
        }
        let protocol = match proto {
            Proto::Udp => Protocol::Udp,
            Proto::Tcp => Protocol::Tcp,
        };
        let Ok(received) = Receive::new(protocol, from, self.host.address, datagram) else {
            self.stats.strangers += 1;
            return;
        };
        let input = Input::Receive(instant(now), received);
        if is_check {
            if !self.rtc.accepts(&input) || (!known && self.fresh_sources >= SOURCES_MAX) {
                self.stats.strangers += 1;
                return;
            }
            if !known {
                self.fresh_sources += 1;
                if self.sources.len() == SOURCES_MAX {
                    self.sources.pop_front();
                }
                self.sources.push_back((proto, from));
            }
            self.last_heard = Some(now);
        }
        if self.rtc.handle_input(input).is_err() {
            // A DTLS record that makes no sense; the connection lives on if str0m says so.
            self.stats.strangers += 1;
        }
        self.drain(now);
    }

    /// Lets packets of a stream in, to see whether they are authentic. Offers may leave out which streams there are.
    fn expect(&mut self, ssrc: u32, now: Duration) {
        if self.streams.contains(&ssrc) || self.unproven == Some(ssrc) || ssrc == 0 {
            return;
        }
        if now.saturating_sub(self.begun_since) >= BEGUN_TIME {
            (self.begun, self.begun_since) = (0, now);
        }
        if self.begun == BEGUN_MAX {
            return;
        }
        self.begun += 1;
        if let Some(last) = self.unproven.replace(ssrc) {
            self.rtc.direct_api().remove_stream_rx(last.into());
        }
        let mut api = self.rtc.direct_api();
        api.expect_stream_rx(ssrc.into(), None, self.mid, None)
            .suppress_nack(true);
        self.drain(now);
    }

    /// A stream is the peer's: it may take the place of the one that was not heard for longest. To be followed by
    /// `drain`, or called by it.
    fn own(&mut self, ssrc: u32) {
        if self.streams.last() == Some(&ssrc) {
            return;
        }
        if self.unproven == Some(ssrc) {
            self.unproven = None;
        }
        self.streams.retain(|known| *known != ssrc);
        self.streams.push(ssrc);
        if self.streams.len() > STREAMS_MAX {
            let oldest = self.streams.remove(0);
            self.rtc.direct_api().remove_stream_rx(oldest.into());
        }
    }

    /// Sends a packet, at once; `false` if it can't, because the peer isn't connected.
    pub fn send(&mut self, packet: Outgoing, now: Duration) -> bool {
        if !self.can_send() {
            return false;
        }
        let seq = extend(self.seq, packet.seq);
        let pt = Pt::new_with_value(packet.pt & 0x7f);
        let write = RtpWrite::new(
            pt,
            seq.into(),
            packet.timestamp,
            instant(now),
            packet.payload,
        )
        .marker(packet.marker);
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.mid, None) else {
            return false;
        };
        self.seq = Some(self.seq.map_or(seq, |last| last.max(seq)));
        stream.write_rtp(write);
        self.advance(now);
        true
    }

    /// Lets time pass: to be called every 20 ms or so.
    pub fn tick(&mut self, now: Duration) {
        if now >= self.timeout && !self.over {
            self.advance(now);
        }
    }

    /// Says goodbye, by RTCP and DTLS; what is left of it is in [`Peer::poll`].
    pub fn close(&mut self, now: Duration) {
        if !self.over {
            drop(self.rtc.close());
            self.drain(now);
            self.over = true;
        }
    }

    /// The next of what has come about; to be called after all others until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn advance(&mut self, now: Duration) {
        // What fails here fails again when it is polled, and is seen there.
        drop(self.rtc.handle_input(Input::Timeout(instant(now))));
        self.drain(now);
    }

    /// Polls str0m dry.
    fn drain(&mut self, now: Duration) {
        loop {
            match self.rtc.poll_output() {
                Ok(str0m::Output::Timeout(at)) => {
                    self.timeout = at.saturating_duration_since(*EPOCH);
                    break;
                }
                Ok(str0m::Output::Transmit(datagram)) => {
                    let proto = match datagram.proto {
                        Protocol::Udp => Proto::Udp,
                        _ => Proto::Tcp,
                    };
                    self.push(Output::Transmit {
                        proto,
                        to: datagram.destination,
                        bytes: datagram.contents.into(),
                    });
                }
                Ok(str0m::Output::Event(event)) => self.note(event, now),
                Err(_) => {
                    self.end();
                    break;
                }
            }
        }
        if !self.rtc.is_alive() {
            self.end();
        }
    }

    fn note(&mut self, event: Event, now: Duration) {
        match event {
            Event::RtpPacket(packet) => {
                self.last_heard = Some(now);
                self.own(*packet.header.ssrc);
                self.push(Output::Rtp(incoming(packet, now)));
            }
            Event::Connected => {
                self.secure = true;
                self.tell();
            }
            Event::IceConnectionStateChange(state) if reaches(state) && self.secure => self.tell(),
            Event::Closed => {
                self.last_heard = Some(now);
                self.end();
            }
            Event::MediaEgressStats(stats) => {
                self.stats.round_trip = stats.rtt.or(self.stats.round_trip);
                if let Some(loss) = stats.loss {
                    self.push(Output::Loss(loss));
                }
            }
            _ => {}
        }
    }

    fn tell(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.push(Output::Connected);
        }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            self.push(Output::Disconnected);
        }
    }

    fn push(&mut self, output: Output) {
        if self.outputs.len() < OUTPUTS_MAX {
            self.outputs.push_back(output);
        } else {
            self.stats.dropped += 1;
        }
    }
}

fn instant(now: Duration) -> Instant {
    *EPOCH + now
}

fn reaches(state: IceConnectionState) -> bool {
    matches!(
        state,
        IceConnectionState::Connected | IceConnectionState::Completed
    )
}

/// RTP, by its first two bytes (RFC 7983, RFC 5761).
fn is_media(datagram: &[u8]) -> bool {
    datagram.len() > 12
        && (128..192).contains(&datagram[0])
        && !(64..96).contains(&(datagram[1] & 0x7f))
}

/// The number near `last` that ends in `seq`; one for a first packet, which rolls over 65,536 packets later.
fn extend(last: Option<u64>, seq: u16) -> u64 {
    let Some(last) = last else {
        return u64::from(seq);
    };
    let step = i64::from(seq.wrapping_sub(last as u16) as i16);
    last.checked_add_signed(step).unwrap_or(u64::from(seq))
}

fn incoming(packet: RtpPacket, arrival: Duration) -> Incoming {
    let header = packet.header;
    let level = header.ext_vals.audio_level;
    let voice = header.ext_vals.voice_activity.unwrap_or(false);
    Incoming {
        ssrc: *header.ssrc,
        seq: header.sequence_number,
        timestamp: header.timestamp,
        pt: *header.payload_type,
        marker: header.marker,
        payload: packet.payload,
        arrival,
        level: level.map(|level| (level, voice)),
    }
}
