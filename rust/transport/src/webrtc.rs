//! One browser: ICE, DTLS and SRTP of its audio stream (RFC 8829, 8445, 5764), by str0m in RTP mode, without sockets
//! and without a clock.
//!
//! ```text
//! offer ▶ accept ──▶ answer                    datagram ▶ receive ─┐         ┌▶ Transmit ▶ the peer
//!         restart ─▶ answer                    RTP ▶ send ─────────┼▶ poll ──┼▶ Rtp ▶ the leg
//!                                              time ▶ tick ────────┘         └▶ Connected, Disconnected
//! ```
//!
//! We are an ICE-lite agent with a public address: we make no checks of our own, but answer those of the peer, who
//! decides which way packets take. A peer that vanishes is seen by nothing but its silence ([`Peer::last_heard`]).
//! It comes back by an ICE restart: an offer of the same peer connection with new ICE credentials
//! ([`Peer::restart`]). A page that was loaded anew has a new certificate and needs a new [`Peer`].
//!
//! Offers are read and answers written here (`offer`, `answer`), so that no peer reaches str0m's own SDP code: that
//! gets an offer of one stream that we have composed.
//!
//! str0m wants every mutation to be followed by polling it dry; `Peer::drain` is the only place that polls, and every
//! mutation ends in it. Media is sent at once (bandwidth estimation, and with it str0m's pacer, is off); NACKs are never
//! asked for and never answered: by the time they help, the frame has been heard. RTCP is str0m's alone.

mod answer;
mod offer;
mod peer;
mod setup;
mod stun;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use str0m::config::DtlsCert;

pub use offer::OFFER_MAX;
pub use peer::Peer;
pub use stun::ufrag;

/// The certificate that all peers of this process are shown; self-signed, ECDSA P-256.
#[derive(Clone)]
pub struct Identity(Arc<DtlsCert>);

impl Identity {
    /// A fresh certificate; `None` if the system gives no random numbers.
    pub fn new() -> Option<Identity> {
        let provider = str0m::crypto::from_feature_flags();
        let certificate = provider.dtls_provider.generate_certificate()?;
        Some(Identity(Arc::new(certificate)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// Our side of all peers on one port.
#[derive(Clone, Debug)]
pub struct Host {
    pub identity: Identity,
    /// The candidate, for UDP and for TCP: what peers can reach us at.
    pub address: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proto {
    Udp,
    /// Framed by RFC 4571 on the wire; connections are told apart by the peer's address.
    Tcp,
}

/// An audio format that browsers can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Opus,
    G722,
    Pcmu,
    Pcma,
}

/// What the peer would like to get of Opus (RFC 7587, section 6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpusWishes {
    pub max_average_bitrate_bps: Option<u32>,
    pub max_playback_hz: Option<u32>,
    pub fec: bool,
    pub dtx: bool,
    pub stereo: bool,
}

/// What offer and answer agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// What we send, and as which payload type.
    pub format: Format,
    pub pt: u8,
    /// All that the peer may send, the first is `format`.
    pub formats: Vec<(u8, Format)>,
    /// Payload type and clock rate of the telephone events that we send: those with the clock of `format` if there are.
    pub events: Option<(u8, u32)>,
    /// Of those that the peer may send.
    pub event_pts: Vec<(u8, u32)>,
    pub peer_receives: bool,
    pub peer_sends: bool,
    pub opus: OpusWishes,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub sdp: String,
    pub media: Negotiated,
}

/// Why an offer has no answer; all of them are the peer's doing. Displayed as a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Longer than [`OFFER_MAX`], or too many lines.
    TooLong,
    Malformed(&'static str),
    /// No audio, or only a rejected one.
    NoAudio,
    /// No DTLS, or a certificate that is not named by its SHA-256.
    NoFingerprint,
    /// No ICE credentials, or an ICE-lite agent like us: nobody would make checks.
    NoIce,
    /// No format that we can do.
    NoFormat,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooLong => f.write_str("the offer is too long"),
            Refusal::Malformed(how) => write!(f, "the offer can't be read: {how}"),
            Refusal::NoAudio => f.write_str("the offer has no audio"),
            Refusal::NoFingerprint => {
                f.write_str("the offer has no DTLS fingerprint by SHA-256 for its audio")
            }
            Refusal::NoIce => f.write_str("the offer has no ICE credentials of a full agent"),
            Refusal::NoFormat => f.write_str("the offer has no audio format of ours"),
        }
    }
}

impl std::error::Error for Refusal {}

/// A packet to send.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub pt: u8,
    pub seq: u16,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: &'a [u8],
}

/// A packet of the peer; it is authentic, and of a payload type that was agreed on.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub ssrc: u32,
    pub seq: u16,
    pub timestamp: u32,
    pub pt: u8,
    pub marker: bool,
    pub payload: Arc<[u8]>,
    pub arrival: Duration,
    /// Level (0 dBov down to -127) and voice activity by the peer's own account (RFC 6464).
    pub level: Option<(i8, bool)>,
}

/// What has come about.
#[derive(Debug)]
pub enum Output {
    Transmit {
        proto: Proto,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    Rtp(Incoming),
    /// Part of our packets that the peer has not got since its last report, 0 to 1.
    Loss(f32),
    /// Packets go both ways: the first time, and after each ICE restart.
    Connected,
    /// The peer has said goodbye, or its certificate or handshake is wrong. Silence is not told here.
    Disconnected,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    pub round_trip: Option<Duration>,
    /// Datagrams that were nothing, or of nobody.
    pub strangers: u64,
    /// Outputs that were lost because nobody fetched them.
    pub dropped: u64,
}
