//! Where in its stream a packet belongs, and what was lost on the way (RFC 3550 section 6.4.1, appendices A.1, A.3, A.8).

use core::time::Duration;

use super::packet::Header;
use super::{SeqNo, Ssrc, rtcp::ReportBlock};

/// What [`Source::receive`] makes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It counts, and belongs at this place.
    Placed(Place),
    /// It was there before.
    Duplicate,
    /// From another SSRC, or far from its place; counts once a second one follows in sequence.
    Probation,
}

/// A packet's place in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Sequence number, extended so that it never wraps.
    pub seq: u64,
    /// Timestamp in ticks of 1/8,000 s, extended so that it never wraps.
    pub timestamp: i64,
    /// Neither number has anything to do with those before: first packet, new SSRC, or a sender that has restarted.
    pub new_stream: bool,
}

/// What has happened to a leg's incoming stream since its beginning; all SSRCs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptionStats {
    pub received: u64,
    /// Expected and never come; negative never, duplicates don't count against it.
    pub lost: u64,
    pub duplicate: u64,
    pub reordered: u64,
    /// Interarrival jitter of RFC 3550 A.8, in ticks of 1/8,000 s.
    pub jitter_ticks: u32,
}

/// Reception of one peer's RTP.
#[derive(Debug)]
pub struct Source {}

impl Default for Source {
    fn default() -> Self {
        Self::new()
    }
}

impl Source {
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// Accounts for one admitted packet that arrived at `now`.
    pub fn receive(&mut self, header: &Header, now: Duration) -> Received {
        let _ = (header, now);
        Received::Probation
    }

    /// The SSRC that is being received.
    #[must_use]
    pub fn ssrc(&self) -> Option<Ssrc> {
        None
    }

    #[must_use]
    pub fn stats(&self) -> ReceptionStats {
        ReceptionStats::default()
    }

    /// The report on this source since the last one (RFC 3550 A.3), without LSR and DLSR; `None` before the first packet.
    pub fn report(&mut self) -> Option<ReportBlock> {
        let _ = SeqNo(0);
        None
    }
}
