//! A leg whose peer is a browser: what takes the place of SDP, latch, RTCP and RTP headers of a phone's leg.
//!
//! A seat outlives the pages that sit in it. An offer of the peer connection that we know is an ICE restart or puts
//! something on hold; every other offer is of a page that was loaded anew, and gets a peer of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use plenary_codec::{Codec, Rate};
use plenary_transport::webrtc::{self, Answer, Host, Outgoing, Output, Peer, Proto};

use super::Leg;
use crate::legs::LegKey;
use crate::messages::Event;
use crate::output::{self, Port};
use crate::rtp::packet::Header;
use crate::rtp::{Pt, RtpTime, SeqNo, Ssrc};
use crate::sdp::{Direction, Format, Negotiated, OpusWishes, Refusal, Security};

/// Datagrams in which a peer that is replaced says goodbye.
const FAREWELLS_MAX: usize = 8;

pub struct Browser {
    host: Host,
    preference: Vec<webrtc::Format>,
    peer: Option<Peer>,
    media: Option<webrtc::Negotiated>,
    /// Of peers before this one.
    strangers: u64,
    farewells: Vec<Output>,
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Browser").field(&self.peer).finish()
    }
}

impl Browser {
    /// A seat that nobody sits in yet. `codecs`: those that may be used, the liked ones first.
    pub fn new(host: Host, codecs: &[Codec]) -> Browser {
        let format = |codec: &Codec| match codec {
            Codec::Opus => webrtc::Format::Opus,
            Codec::G722 => webrtc::Format::G722,
            Codec::Pcmu => webrtc::Format::Pcmu,
            Codec::Pcma => webrtc::Format::Pcma,
        };
        Browser {
            host,
            preference: codecs.iter().map(format).collect(),
            peer: None,
            media: None,
            strangers: 0,
            farewells: Vec::new(),
        }
    }

    /// Answers an offer; what was in force stays if it is refused.
    pub fn answer(&mut self, offer: &str, now: Duration) -> Result<(Negotiated, String), Refusal> {
        let answer = match &mut self.peer {
            Some(peer) if peer.is_same_page(offer) => peer.restart(offer, now),
            _ => self.sit_down(offer, now),
        };
        let Answer { sdp, media } = answer.map_err(refusal)?;
        let negotiated = negotiated(&media);
        self.media = Some(media);
        Ok((negotiated, sdp))
    }

    fn sit_down(&mut self, offer: &str, now: Duration) -> Result<Answer, webrtc::Refusal> {
        let (peer, answer) = Peer::accept(&self.host, &self.preference, offer, now)?;
        if let Some(mut old) = self.peer.replace(peer) {
            self.strangers += old.stats().strangers;
            old.close(now);
            let left = std::iter::from_fn(|| old.poll());
            let sent = left.filter(|output| matches!(output, Output::Transmit { .. }));
            self.farewells.extend(sent.take(FAREWELLS_MAX));
        }
        Ok(answer)
    }

    pub fn ufrag(&self) -> &str {
        self.peer.as_ref().map_or("", Peer::ufrag)
    }

    pub fn can_send(&self) -> bool {
        self.peer.as_ref().is_some_and(Peer::can_send)
    }

    /// The page has said goodbye, or its keys were wrong, and none has come after it.
    pub fn has_left(&self) -> bool {
        self.peer.as_ref().is_some_and(Peer::is_over)
    }

    /// When the peer was last heard, checks of ICE included.
    pub fn last_heard(&self) -> Option<Duration> {
        self.peer.as_ref()?.last_heard()
    }

    /// What a payload type means that comes.
    pub fn format(&self, pt: Pt) -> Option<Format> {
        let media = self.media.as_ref()?;
        let audio = media.formats.iter().find(|(known, _)| *known == pt.0);
        let events = media.event_pts.iter().find(|(known, _)| *known == pt.0);
        audio
            .map(|(_, format)| Format::Audio(codec(*format)))
            .or(events.map(|(_, clock_hz)| Format::Dtmf {
                clock_hz: *clock_hz,
            }))
    }

    pub fn receive(&mut self, proto: Proto, datagram: &[u8], from: SocketAddr, now: Duration) {
        if let Some(peer) = &mut self.peer {
            peer.receive(proto, datagram, from, now);
        }
    }

    pub fn send(&mut self, packet: Outgoing, now: Duration) {
        if let Some(peer) = &mut self.peer {
            peer.send(packet, now);
        }
    }

    pub fn tick(&mut self, now: Duration) {
        if let Some(peer) = &mut self.peer {
            peer.tick(now);
        }
    }

    pub fn close(&mut self, now: Duration) {
        if let Some(peer) = &mut self.peer {
            peer.close(now);
        }
    }

    /// The next of what has come about.
    pub fn poll(&mut self) -> Option<Output> {
        let farewell = self.farewells.pop();
        farewell.or_else(|| self.peer.as_mut()?.poll())
    }

    /// Strangers are of all its peers, the rest of the one that is there.
    pub fn stats(&self) -> webrtc::Stats {
        let mut stats = self
            .peer
            .as_ref()
            .map_or_else(Default::default, Peer::stats);
        stats.strangers += self.strangers;
        stats
    }
}

fn codec(format: webrtc::Format) -> Codec {
    match format {
        webrtc::Format::Opus => Codec::Opus,
        webrtc::Format::G722 => Codec::G722,
        webrtc::Format::Pcmu => Codec::Pcmu,
        webrtc::Format::Pcma => Codec::Pcma,
    }
}

fn refusal(refusal: webrtc::Refusal) -> Refusal {
    match refusal {
        webrtc::Refusal::NoAudio => Refusal::NoCommonCodec("the offer has no audio"),
        webrtc::Refusal::NoFormat => Refusal::NoCommonCodec("none of our codecs is in the offer"),
        webrtc::Refusal::NoFingerprint => {
            Refusal::Malformed("the offer has no DTLS fingerprint by SHA-256 for its audio")
        }
        webrtc::Refusal::NoIce => {
            Refusal::Malformed("the offer has no ICE credentials of a full agent")
        }
        webrtc::Refusal::TooLong => Refusal::Malformed("the offer is too long"),
        webrtc::Refusal::Malformed(how) => Refusal::Malformed(how),
    }
}

/// In the terms of a phone's leg; addresses mean nothing here.
fn negotiated(media: &webrtc::Negotiated) -> Negotiated {
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let opus = media.opus;
    let wishes = OpusWishes {
        max_bitrate_bps: opus.max_average_bitrate_bps,
        max_playback: match opus.max_playback_hz {
            Some(..=8_000) => Rate::Narrow,
            Some(..=16_000) => Rate::Wide,
            _ => Rate::Full,
        },
        fec: opus.fec,
        dtx: opus.dtx,
        ..OpusWishes::default()
    };
    Negotiated {
        codec: codec(media.format),
        pt: Pt(media.pt),
        opus: wishes,
        dtmf_pt: media.events.map(|(pt, _)| Pt(pt)),
        dtmf_clock_hz: media.events.map_or(8_000, |(_, clock_hz)| clock_hz),
        remote_rtp: nowhere,
        remote_rtcp: nowhere,
        rtcp_mux: true,
        direction: match (media.peer_receives, media.peer_sends) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        },
        security: Security::None,
    }
}

impl Leg {
    /// Takes a datagram that the leg's browser may have sent.
    pub fn receive_webrtc(
        &mut self,
        key: LegKey,
        (proto, datagram, from): (Proto, &[u8], SocketAddr),
        arrival: Duration,
        output: &mut output::Output,
    ) {
        if let Some(browser) = &mut self.browser {
            browser.receive(proto, datagram, from, arrival);
            self.attend_browser(key, output);
        }
    }

    /// Does what has come of the last call of the browser.
    pub(super) fn attend_browser(&mut self, key: LegKey, output: &mut output::Output) {
        while let Some(next) = self.browser.as_mut().and_then(|browser| browser.poll()) {
            match next {
                Output::Transmit { proto, to, bytes } => {
                    let port = Port::Webrtc(proto);
                    output
                        .packets
                        .push(key, port, to, |out| out.extend_from_slice(&bytes));
                }
                Output::Rtp(packet) => {
                    let header = Header {
                        marker: packet.marker,
                        pt: Pt(packet.pt),
                        seq: SeqNo(packet.seq),
                        timestamp: RtpTime(packet.timestamp),
                        ssrc: Ssrc(packet.ssrc),
                    };
                    self.receive_packet(&header, &packet.payload, packet.arrival);
                }
                Output::Loss(loss) => self.quality.report(f64::from(loss) * 100.0),
                Output::Connected => output.events.push(Event::LegConnected {
                    leg: self.id.clone(),
                }),
                // Its seat is kept for a while: see `watch_inactivity`.
                Output::Disconnected => {}
            }
        }
    }
}
