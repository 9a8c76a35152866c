//! Encryption of a phone's packets: none, SRTP with keys out of SDP (RFC 4568), or DTLS-SRTP without ICE (RFC 5763).
//!
//! A packet that proves authentic comes from the peer, wherever it was sent from: it moves the latch at once, which a
//! packet in clear may not. So a phone that changes its network goes on being heard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plenary_transport::demux::{self, Kind};
use plenary_transport::dtls::{Fingerprint, Identity};
use plenary_transport::sdes::{self, CryptoLine};
use plenary_transport::srtp::{Error, Session};

use super::Leg;
use super::handshake::{Channel, Terms};
use crate::legs::LegKey;
use crate::messages::{Event, LegKeys, TransportKind};
use crate::output::{Output, Port};
use crate::sdp::{Negotiated, Security};

/// How one phone's packets are protected.
#[derive(Debug, Default)]
pub enum Guard {
    #[default]
    Clear,
    Srtp(Box<Session>),
    Dtls(Box<Handshakes>),
}

/// Keys that are agreed on in the path of the media. While the terms stay, so do the keys (RFC 8842, section 5.1).
#[derive(Debug)]
pub struct Handshakes {
    terms: Terms,
    /// Nothing without a certificate of ours; SDP agrees on no DTLS then.
    rtp: Option<Channel>,
    /// Without rtcp-mux, which a later description may bring or take away.
    rtcp: Option<Channel>,
}

impl Handshakes {
    fn channel(&mut self, port: Port) -> Option<&mut Channel> {
        match (port, &mut self.rtcp) {
            (Port::Rtcp, Some(rtcp)) => Some(rtcp),
            _ => self.rtp.as_mut(),
        }
    }
}

/// Keys of handshakes that a peer has had with an engine before this one.
#[derive(Debug)]
pub struct Kept {
    remote: Fingerprint,
    rtp: Box<Session>,
    rtcp: Option<Box<Session>>,
}

impl Kept {
    /// Reads what [`Guard::keys`] has written; `None` if it can't be read.
    pub fn parse(keys: &LegKeys) -> Option<Kept> {
        let mut lines = keys.0.lines();
        let remote = Fingerprint::parse(lines.next()?)?;
        let mut master = || {
            let line = lines.next()?.strip_prefix("crypto:")?;
            sdes::parse(line).ok().map(|line| line.master)
        };
        let mut session = || Some(Box::new(Session::new(master()?, master()?)));
        Some(Kept {
            remote,
            rtp: session()?,
            rtcp: session(),
        })
    }
}

impl Guard {
    /// Does what an offer and its answer have agreed on; keys that stay the same go on.
    pub fn adopt(
        &mut self,
        media: &Negotiated,
        identity: Option<&Arc<Identity>>,
        kept: Option<Kept>,
        now: Duration,
    ) {
        match (media.security, &mut *self) {
            (Security::None, _) => *self = Guard::Clear,
            (Security::Sdes(agreed), Guard::Srtp(session)) => {
                session.rekey(agreed.local, agreed.remote);
            }
            (Security::Sdes(agreed), _) => {
                *self = Guard::Srtp(Box::new(Session::new(agreed.local, agreed.remote)));
            }
            (Security::Dtls { remote, role }, Guard::Dtls(known))
                if known.terms == (Terms { remote, role }) =>
            {
                if media.rtcp_mux {
                    known.rtcp = None;
                } else if known.rtcp.is_none() {
                    let channel = |it| Channel::new(known.terms, media.remote_rtcp, None, it, now);
                    known.rtcp = identity.map(|it| channel(it));
                }
            }
            (Security::Dtls { remote, role }, _) => {
                let terms = Terms { remote, role };
                let kept = kept.filter(|kept| kept.remote == remote);
                let (rtp, rtcp) = kept.map_or((None, None), |kept| (Some(kept.rtp), kept.rtcp));
                let channel = |to, keys| identity.map(|it| Channel::new(terms, to, keys, it, now));
                *self = Guard::Dtls(Box::new(Handshakes {
                    terms,
                    rtp: channel(media.remote_rtp, rtp),
                    rtcp: channel(media.remote_rtcp, rtcp).filter(|_| !media.rtcp_mux),
                }));
            }
        }
    }

    pub fn kind(&self) -> TransportKind {
        match self {
            Guard::Clear => TransportKind::Rtp,
            Guard::Srtp(_) => TransportKind::Srtp,
            Guard::Dtls(_) => TransportKind::Dtls,
        }
    }

    pub fn is_clear(&self) -> bool {
        matches!(self, Guard::Clear)
    }

    /// Whether there are keys, if they are needed.
    #[inline]
    pub fn is_ready(&self) -> bool {
        match self {
            Guard::Clear | Guard::Srtp(_) => true,
            Guard::Dtls(handshakes) => handshakes
                .rtp
                .as_ref()
                .is_some_and(|it| it.keys().is_some()),
        }
    }

    /// The keys that handshakes have given: fingerprint of the peer's certificate, then ours and the peer's of RTP, and
    /// those of RTCP if it has its own.
    pub fn keys(&self) -> Option<LegKeys> {
        let Guard::Dtls(handshakes) = self else {
            return None;
        };
        let rtp = handshakes.rtp.as_ref()?.keys()?;
        let rtcp = handshakes.rtcp.as_ref().and_then(Channel::keys);
        let mut lines = handshakes.terms.remote.to_string();
        let sessions = [Some(rtp), rtcp].into_iter().flatten();
        for master in sessions.map(Session::masters).flat_map(<[_; 2]>::from) {
            let line = CryptoLine { tag: 1, master };
            lines.extend(["\n", &line.to_string()]);
        }
        Some(LegKeys(lines))
    }

    /// The keys of what goes through a port, if there are any.
    pub fn session(&mut self, port: Port) -> Option<&mut Session> {
        match self {
            Guard::Clear => None,
            Guard::Srtp(session) => Some(session),
            Guard::Dtls(handshakes) => handshakes.channel(port)?.keys_mut(),
        }
    }
}

impl Leg {
    /// Takes a datagram of a peer whose packets are encrypted.
    pub(super) fn receive_guarded(
        &mut self,
        key: LegKey,
        datagram: &[u8],
        from: SocketAddr,
        arrival: Duration,
        output: &mut Output,
    ) {
        match demux::kind(datagram) {
            Kind::Dtls => self.shake_hands(key, Port::Rtp, datagram, from, arrival, output),
            Kind::Media if demux::is_rtcp(datagram) => {
                self.receive_sealed_report(Port::Rtp, datagram, arrival, output);
            }
            Kind::Media => {
                let Some(session) = self.guard.session(Port::Rtp) else {
                    return;
                };
                match session.unprotect(datagram, &mut output.plain) {
                    Ok(()) => {
                        if let Some(latch) = &mut self.latch {
                            latch.prove(from);
                        }
                        self.receive_plain(&output.plain, arrival);
                    }
                    Err(error) => self.count_forgery(error),
                }
            }
            // Some phones look for us so, as if we did ICE.
            Kind::Stun => {}
            Kind::Other => self.malformed += 1,
        }
    }

    /// Takes a datagram from the RTCP port of a peer whose packets are encrypted.
    pub(super) fn receive_guarded_rtcp(
        &mut self,
        key: LegKey,
        datagram: &[u8],
        from: SocketAddr,
        arrival: Duration,
        output: &mut Output,
    ) {
        if demux::kind(datagram) == Kind::Dtls {
            return self.shake_hands(key, Port::Rtcp, datagram, from, arrival, output);
        }
        if self.receive_sealed_report(Port::Rtcp, datagram, arrival, output)
            && let Some(latch) = &mut self.latch
        {
            // Behind a NAT the port is learned from what comes.
            let _ = latch.admit_rtcp(from);
        }
    }

    /// True if it is authentic.
    fn receive_sealed_report(
        &mut self,
        port: Port,
        datagram: &[u8],
        arrival: Duration,
        output: &mut Output,
    ) -> bool {
        let Some(session) = self.guard.session(port) else {
            return false;
        };
        match session.unprotect_rtcp(datagram, &mut output.plain) {
            Ok(()) => self.receive_report(&output.plain, arrival),
            Err(error) => {
                self.count_forgery(error);
                return false;
            }
        }
        true
    }

    /// A packet could not be decrypted.
    pub(super) fn count_forgery(&mut self, error: Error) {
        match error {
            Error::NotAuthentic | Error::Unencrypted => self.forged += 1,
            // It came before, and was counted then.
            Error::Replayed => {}
            _ => self.malformed += 1,
        }
    }

    fn shake_hands(
        &mut self,
        key: LegKey,
        port: Port,
        datagram: &[u8],
        from: SocketAddr,
        now: Duration,
        output: &mut Output,
    ) {
        let Guard::Dtls(handshakes) = &mut self.guard else {
            return;
        };
        if let (Some(channel), Some(identity)) = (handshakes.channel(port), &self.identity)
            && !channel.receive(datagram, from, identity, self.any_packet, now)
        {
            self.forged += 1;
        }
        self.go_on_shaking(key, now, output);
    }

    /// Does what is due of handshakes.
    pub(super) fn go_on_shaking(&mut self, key: LegKey, now: Duration, output: &mut Output) {
        let (Guard::Dtls(handshakes), Some(latch)) = (&mut self.guard, &mut self.latch) else {
            return;
        };
        let Handshakes { rtp, rtcp, .. } = &mut **handshakes;
        let mut poll = |port, channel: &mut Option<Channel>| {
            let packets = &mut output.packets;
            channel.as_mut()?.poll(now, |to, datagram| {
                let write = |bytes: &mut Vec<u8>| bytes.extend_from_slice(datagram);
                packets.push(key, port, to, write);
            })
        };
        let rtcp = poll(Port::Rtcp, rtcp);
        let rtp = poll(Port::Rtp, rtp);
        if let Some(proven) = rtp {
            latch.prove(proven);
            output.events.push(Event::LegConnected {
                leg: self.id.clone(),
            });
        }
        if let (Some(_), Some(keys)) = (rtp.or(rtcp), self.guard.keys()) {
            let leg = self.id.clone();
            output.events.push(Event::LegKeyed { leg, keys });
        }
    }
}
