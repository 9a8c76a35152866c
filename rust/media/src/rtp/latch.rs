//! Whose packets are let in, and where ours go: symmetric RTP (RFC 4961) that can't be stolen.
//!
//! Behind a NAT a peer's packets come from another address than its SDP says, so the address has to be learned. Who
//! learns from any packet hands the call to whoever sprays the port range ("RTP bleed"). Hence:
//!
//! ```text
//! state      packet from the signalled address   packet from another address
//! Learning   locks on it, at once                 dropped, until one address and SSRC has sent 4 or more in sequence
//!                                                 over 40 ms to 5 s, while nothing came from the signalled one:
//!                                                 locks on it
//! Learned    locks on it: SDP is worth more       dropped, unless it is the learned one
//! Signalled  accepted                             dropped, for ever
//! ```
//!
//! A packet that is encrypted and authentic needs none of this: it locks on its address whatever the state.
//!
//! We send to the signalled address until something else is learned. Only SDP starts the learning anew, by naming
//! another address. The 40 ms keep a burst that a stranger throws at the port from being quicker than any peer, and few
//! addresses are learned at one time, so that the state is bounded: one that gets nowhere makes place. An attacker thus gets at most nothing in once a packet of the peer has come, and is never sent to.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::packet::Header;
use super::{SeqNo, Ssrc};

/// Packets in sequence that an unknown address needs.
pub const LEARN_PACKETS: u8 = 4;

/// Time in which it needs them.
pub const LEARN_WINDOW: Duration = Duration::from_secs(5);

/// Time over which they are spread at least: four packets of a peer, 20 ms each, take 60 ms less what jitter takes.
pub const LEARN_SPREAD: Duration = Duration::from_millis(40);

/// Addresses that may be learned at one time; further ones are dropped until one of these has had its time.
const CANDIDATES_MAX: usize = 4;

/// Time without progress after which an address makes place for another: a few packets of 60 ms, the longest usual.
const CANDIDATE_PATIENCE: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Learning,
    Learned(SocketAddr),
    Signalled,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: SocketAddr,
    ssrc: Ssrc,
    expected: SeqNo,
    in_sequence: u8,
    /// When the first of these came.
    since: Duration,
    /// The longest sequence so far, up to `LEARN_PACKETS`: only a longer one is progress, or strangers could stay as
    /// long as they like.
    longest: u8,
    progressed: Duration,
}

impl Candidate {
    fn new(source: SocketAddr, header: &Header, now: Duration) -> Candidate {
        Candidate {
            source,
            ssrc: header.ssrc,
            expected: header.seq.next(),
            in_sequence: 1,
            since: now,
            longest: 1,
            progressed: now,
        }
    }

    /// Takes the next packet of this address; true once it has sent what a peer sends.
    fn hear(&mut self, header: &Header, now: Duration) -> bool {
        let lasted = now.saturating_sub(self.since);
        if lasted > LEARN_WINDOW || self.ssrc != header.ssrc || self.expected != header.seq {
            let Candidate {
                longest,
                progressed,
                ..
            } = *self;
            *self = Candidate {
                longest,
                progressed,
                ..Candidate::new(self.source, header, now)
            };
            return false;
        }
        self.expected = header.seq.next();
        self.in_sequence = LEARN_PACKETS.min(self.in_sequence + 1);
        if self.in_sequence > self.longest {
            self.longest = self.in_sequence;
            self.progressed = now;
        }
        self.in_sequence == LEARN_PACKETS && lasted >= LEARN_SPREAD
    }
}

/// The address of one leg's peer: one owner for the question who may speak and who is spoken to.
#[derive(Debug)]
pub struct Latch {
    rtp: SocketAddr,
    rtcp: SocketAddr,
    state: State,
    learned_rtcp: Option<SocketAddr>,
    candidates: [Option<Candidate>; CANDIDATES_MAX],
    strangers: u64,
}

impl Latch {
    /// Starts with the addresses that the peer's SDP names; the same twice for rtcp-mux.
    #[must_use]
    pub fn new(rtp: SocketAddr, rtcp: SocketAddr) -> Self {
        Self {
            rtp,
            rtcp,
            state: State::Learning,
            learned_rtcp: None,
            candidates: [None; CANDIDATES_MAX],
            strangers: 0,
        }
    }

    /// The peer's SDP came again: learns anew if it names another address, changes nothing else. An address that can't
    /// be reached is a hold, not a move: it would open the learning to anybody.
    pub fn signal(&mut self, rtp: SocketAddr, rtcp: SocketAddr) {
        if !is_reachable(rtp) {
            return;
        }
        if rtp != self.rtp {
            self.state = State::Learning;
            self.candidates = [None; CANDIDATES_MAX];
            self.learned_rtcp = None;
        }
        if rtcp != self.rtcp {
            self.learned_rtcp = None;
        }
        self.rtp = rtp;
        self.rtcp = rtcp;
    }

    /// Whether an RTP packet may enter; a stranger's is counted.
    #[must_use]
    pub fn admit(&mut self, source: SocketAddr, header: &Header, now: Duration) -> bool {
        let admitted = if source == self.rtp {
            if self.state != State::Signalled {
                self.state = State::Signalled;
                self.learned_rtcp = None;
            }
            true
        } else {
            match self.state {
                State::Signalled => false,
                State::Learned(learned) => source == learned,
                State::Learning => self.learn(source, header, now),
            }
        };
        self.strangers += u64::from(!admitted);
        admitted
    }

    /// A packet from there has proved to be the peer's, as only he could have encrypted it.
    pub fn prove(&mut self, source: SocketAddr) {
        let state = if source == self.rtp {
            State::Signalled
        } else {
            State::Learned(source)
        };
        if state != self.state {
            self.state = state;
            self.candidates = [None; CANDIDATES_MAX];
            self.learned_rtcp = None;
        }
    }

    /// The address that SDP names.
    #[must_use]
    pub fn signalled(&self) -> SocketAddr {
        self.rtp
    }

    /// Whether an RTCP packet may enter. RTCP never decides the lock; behind a NAT its port is learned from the first
    /// packet of the host that RTP has locked on.
    #[must_use]
    pub fn admit_rtcp(&mut self, source: SocketAddr) -> bool {
        if source == self.rtcp_destination() {
            return true;
        }
        let admitted = match self.state {
            State::Learned(rtp) if self.learned_rtcp.is_none() && source.ip() == rtp.ip() => {
                self.learned_rtcp = Some(source);
                true
            }
            _ => false,
        };
        self.strangers += u64::from(!admitted);
        admitted
    }

    /// Where RTP goes.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        match self.state {
            State::Learned(source) => source,
            State::Learning | State::Signalled => self.rtp,
        }
    }

    /// Where RTCP goes: as signalled, or with a learned peer to its RTP port (rtcp-mux), else the port above.
    #[must_use]
    pub fn rtcp_destination(&self) -> SocketAddr {
        match (self.state, self.learned_rtcp) {
            (State::Learned(_), Some(learned)) => learned,
            (State::Learned(rtp), None) if self.rtcp == self.rtp => rtp,
            (State::Learned(rtp), None) => SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1)),
            (State::Learning | State::Signalled, _) => self.rtcp,
        }
    }

    /// Packets dropped for where they came from.
    #[must_use]
    pub fn strangers(&self) -> u64 {
        self.strangers
    }

    fn learn(&mut self, source: SocketAddr, header: &Header, now: Duration) -> bool {
        let mut candidates = self.candidates.iter_mut().flatten();
        if let Some(candidate) = candidates.find(|candidate| candidate.source == source) {
            let learned = candidate.hear(header, now);
            if learned {
                self.state = State::Learned(source);
                self.candidates = [None; CANDIDATES_MAX];
            }
            return learned;
        }
        // A free place comes first in this order, then the one of whom progress was seen longest ago.
        let progressed = |slot: &&mut Option<Candidate>| slot.map(|candidate| candidate.progressed);
        if let Some(slot) = self.candidates.iter_mut().min_by_key(progressed)
            && slot.is_none_or(|candidate| {
                now.saturating_sub(candidate.progressed) > CANDIDATE_PATIENCE
            })
        {
            *slot = Some(Candidate::new(source, header, now));
        }
        false
    }
}

/// Whether an address can be sent to at all: not the unspecified one of an old-style hold, and with a port.
#[must_use]
pub fn is_reachable(address: SocketAddr) -> bool {
    let unspecified = match address.ip() {
        IpAddr::V4(ip) => ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    !unspecified && address.port() != 0
}
