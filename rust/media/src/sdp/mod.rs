//! SDP offer and answer (RFC 8866, RFC 3264) for one stream of G.711 audio.

use core::net::{IpAddr, SocketAddr};
use std::fmt;

use crate::codec::Codec;
use crate::rtp::Pt;

/// What one side may do with the stream (RFC 3264 section 5.1); here always ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    /// As in SDP and in events: "sendrecv", "sendonly", "recvonly", "inactive".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// Our end of the stream: RTP at `rtp_port`, RTCP at the port above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// The public address.
    pub address: IpAddr,
    pub rtp_port: u16,
    /// For the `o=` line; unique to the leg.
    pub session_id: u64,
}

/// What both sides have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    pub codec: Codec,
    /// Payload type of the codec, the same in both directions.
    pub pt: Pt,
    /// Payload type of telephone-event that we send, if the peer takes it.
    pub dtmf_pt: Option<Pt>,
    /// Payload type of telephone-event that the peer sends to us.
    pub dtmf_receive_pt: Option<Pt>,
    pub remote_rtp: SocketAddr,
    /// The same as `remote_rtp` with rtcp-mux.
    pub remote_rtcp: SocketAddr,
    pub rtcp_mux: bool,
    /// Ours.
    pub direction: Direction,
    /// Milliseconds of audio in a packet that the peer wishes to get, 10 to 60.
    pub ptime_ms: u8,
}

/// Why a description isn't taken: the peer's fault, unless it says otherwise. What was agreed before stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It breaks RFC 8866, or a limit of ours.
    Malformed(&'static str),
    /// Nothing in it that we can do.
    NoCommonCodec(&'static str),
    /// An answer without an offer of ours, or an offer while ours is open: the caller's fault.
    WrongState,
}

impl Refusal {
    /// The reason as in `leg_refused`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_sdp",
            Self::NoCommonCodec(_) => "no_common_codec",
            Self::WrongState => "wrong_state",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(detail) | Self::NoCommonCodec(detail) => f.write_str(detail),
            Self::WrongState => f.write_str("no offer of ours is waiting for an answer"),
        }
    }
}

impl std::error::Error for Refusal {}

/// The offers and answers of one leg, from its first to its last.
#[derive(Debug)]
pub struct SdpSession {
    local: LocalMedia,
}

impl SdpSession {
    #[must_use]
    pub fn new(local: LocalMedia) -> Self {
        Self { local }
    }

    /// Takes an offer of the peer, the first or a later one, and answers it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn answer(&mut self, offer: &str) -> Result<(Negotiated, String), Refusal> {
        let _ = offer;
        Err(Refusal::WrongState)
    }

    /// Makes an offer, the first or a later one. A later call replaces an offer that was never answered.
    pub fn offer(&mut self) -> String {
        let _ = self.local;
        String::new()
    }

    /// Takes the peer's answer to the last offer.
    ///
    /// # Errors
    /// [`Refusal`]; after `Malformed` or `NoCommonCodec` the offer is still open.
    pub fn accept(&mut self, answer: &str) -> Result<Negotiated, Refusal> {
        let _ = answer;
        Err(Refusal::WrongState)
    }

    /// What is in force.
    #[must_use]
    pub fn negotiated(&self) -> Option<&Negotiated> {
        None
    }
}
