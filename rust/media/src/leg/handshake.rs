//! DTLS-SRTP of one phone: who may begin a handshake, and whose keys count.
//!
//! A phone may be behind a NAT, so that its handshake comes from an address that nobody has named; and anybody can send
//! the first message of one. Hence each address that begins, and has shown that it is its own (a cookie, RFC 6347,
//! section 4.2.1), has a handshake of its own, a few at one time, and the first to show the certificate that SDP has
//! named is the phone. Without rtcp-mux RTCP has a port, a handshake and keys of its own (RFC 5764, section 4.2).
//!
//! A handshake costs as much as two hundred packets, so that few begin, and one stranger can't keep the phone out: within
//! [`PATIENCE`] each IP address may begin one, and all but the one that SDP has named together one less than there may be.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use plenary_transport::dtls::{Endpoint, Fingerprint, Greeting, Identity, Output, Role};
use plenary_transport::srtp::Session;

use crate::rtp::latch::is_reachable;

/// Handshakes that may begin within [`PATIENCE`], whatever becomes of them; and addresses that may have one at one time.
const ATTEMPTS_MAX: usize = 4;

/// A handshake whose first packets are lost takes three seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// As long as this a phone whose keys are kept may begin a handshake: it would with its answer, and repeats itself for less
/// (30 s is the limit of a whole one). Later only strangers would.
const RENEWAL: Duration = Duration::from_secs(30);

/// What SDP has agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub remote: Fingerprint,
    pub role: Role,
}

/// A port of ours and one of theirs.
#[derive(Debug)]
pub struct Channel {
    terms: Terms,
    /// As SDP has it.
    signalled: SocketAddr,
    attempts: Vec<Attempt>,
    /// When and from where those have begun that count.
    begun: Vec<(Duration, IpAddr)>,
    /// Who is to be asked for a cookie, and how.
    asked: Option<(SocketAddr, Vec<u8>)>,
    keys: Option<Box<Session>>,
    /// Nobody has shaken hands here yet: the keys, if there are any, are those of an engine before this one, and the peer
    /// may make new ones.
    fresh: bool,
    since: Duration,
}

#[derive(Debug)]
struct Attempt {
    with: SocketAddr,
    endpoint: Endpoint,
}

impl Channel {
    /// Begins the handshake if that is our role.
    pub fn new(
        terms: Terms,
        signalled: SocketAddr,
        keys: Option<Box<Session>>,
        identity: &Identity,
        now: Duration,
    ) -> Channel {
        let mut channel = Channel {
            terms,
            signalled,
            attempts: Vec::new(),
            begun: Vec::new(),
            asked: None,
            keys,
            fresh: true,
            since: now,
        };
        if terms.role == Role::Active {
            channel.attempt(signalled, identity, now);
        }
        channel
    }

    pub fn keys(&self) -> Option<&Session> {
        self.keys.as_deref()
    }

    pub fn keys_mut(&mut self) -> Option<&mut Session> {
        self.keys.as_deref_mut()
    }

    /// Whether those who begin a handshake are answered. `heard`: something of the peer was authentic, so that kept keys
    /// are those that it has.
    fn is_open(&self, heard: bool, now: Duration) -> bool {
        let settled = heard && self.keys.is_some() && now.saturating_sub(self.since) >= RENEWAL;
        self.terms.role == Role::Passive && self.fresh && !settled
    }

    /// Takes a datagram of DTLS; false if it is a stranger's. `heard`: whether anything of the peer was authentic.
    pub fn receive(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        identity: &Identity,
        heard: bool,
        now: Duration,
    ) -> bool {
        let known = |attempt: &Attempt| attempt.with == from;
        if !self.attempts.iter().any(known) && self.is_open(heard, now) {
            match identity.greet(datagram, from, now) {
                Greeting::Ask(request) if is_reachable(from) => {
                    self.asked = Some((from, request));
                    return true;
                }
                Greeting::Begin => self.attempt(from, identity, now),
                _ => {}
            }
        }
        match self.attempts.iter_mut().find(|attempt| known(attempt)) {
            Some(attempt) => attempt.endpoint.receive(datagram),
            None => return false,
        }
        true
    }

    /// Begins a handshake, if there may be one more.
    fn attempt(&mut self, with: SocketAddr, identity: &Identity, now: Duration) {
        let phone = self.signalled.ip();
        self.begun
            .retain(|(since, _)| now.saturating_sub(*since) < PATIENCE);
        let of = |ip: IpAddr| self.begun.iter().filter(move |(_, begun)| *begun == ip);
        let others = self.begun.len() - of(phone).count();
        let is_full = with.ip() != phone && others >= ATTEMPTS_MAX - 1;
        if !is_reachable(with) || of(with.ip()).count() > 0 || is_full {
            return;
        }
        if self.attempts.len() >= ATTEMPTS_MAX {
            // The oldest comes first.
            let is_other = |attempt: &Attempt| attempt.with.ip() != phone;
            let oldest = self.attempts.iter().position(is_other).unwrap_or(0);
            self.attempts.remove(oldest);
        }
        let Terms { remote, role } = self.terms;
        self.begun.push((now, with.ip()));
        // If OpenSSL can't even begin, nothing is ever heard.
        if let Ok(endpoint) = Endpoint::new(identity, role, remote, now) {
            self.attempts.push(Attempt { with, endpoint });
        }
    }

    /// Hands what is to be sent to `send`; once, when there are keys, the address that has proved to be the phone's.
    pub fn poll(
        &mut self,
        now: Duration,
        mut send: impl FnMut(SocketAddr, &[u8]),
    ) -> Option<SocketAddr> {
        if let Some((to, request)) = self.asked.take() {
            send(to, &request);
        }
        let mut through = None;
        self.attempts.retain_mut(|attempt| {
            while let Some(output) = attempt.endpoint.poll(now) {
                match output {
                    Output::Transmit(datagram) => send(attempt.with, &datagram),
                    Output::Connected(session) => {
                        through.get_or_insert((attempt.with, session));
                    }
                    // A stranger's, or the phone's after all, which may begin again like everybody.
                    Output::Failed(_) => return false,
                }
            }
            true
        });
        let (with, session) = through?;
        // This one stays, to repeat its last words if they were lost.
        self.attempts.retain(|attempt| attempt.with == with);
        (self.keys, self.fresh) = (Some(session), false);
        Some(with)
    }
}
