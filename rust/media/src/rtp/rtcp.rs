//! RTCP (RFC 3550 section 6): what we report to the peer and learn from its reports.

use core::time::Duration;

use super::packet::Malformed;
use super::source::Source;
use super::{RtpTime, Ssrc};

/// Room that a compound packet of ours needs at most.
pub const REPORT_LEN_MAX: usize = 192;

/// One report block of an SR or RR (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    /// Lost since the last report, in 1/256 of those expected.
    pub fraction_lost: u8,
    /// 24 bits, signed.
    pub cumulative_lost: i32,
    pub highest_seq: u32,
    pub jitter_ticks: u32,
    pub last_sr: u32,
    /// In 1/65,536 s.
    pub delay_since_last_sr: u32,
}

/// What we have sent, for the sender's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub packets: u32,
    pub octets: u32,
    /// The timestamp that a packet sent just now would carry.
    pub timestamp: RtpTime,
}

/// Whether a datagram on a port shared by both is RTCP (RFC 5761 section 4).
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram.get(1), Some(192..=223))
}

/// One leg's RTCP: when to report, what the peer says of us.
#[derive(Debug)]
pub struct RtcpSession {}

/// What a peer's compound packet told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The peer leaves (its call ends by SIP, not by this).
    pub bye: bool,
}

impl RtcpSession {
    /// `ssrc` is ours; `seed` spreads the times of reports, so that legs don't report in step.
    #[must_use]
    pub fn new(ssrc: Ssrc, seed: u64, now: Duration) -> Self {
        let _ = (ssrc, seed, now);
        Self {}
    }

    /// Whether a report is due at `now`; cheap, asked at every tick.
    #[must_use]
    pub fn due(&self, now: Duration) -> bool {
        let _ = now;
        false
    }

    /// Writes SR (or RR if nothing was `sent` since the last report) and SDES into `out`, gives its length, and sets the
    /// time of the next.
    pub fn report(
        &mut self,
        now: Duration,
        sent: Sent,
        source: &mut Source,
        out: &mut [u8; REPORT_LEN_MAX],
    ) -> usize {
        let _ = (now, sent, source, out);
        0
    }

    /// The last report with BYE, when the leg closes.
    pub fn bye(
        &mut self,
        now: Duration,
        sent: Sent,
        source: &mut Source,
        out: &mut [u8; REPORT_LEN_MAX],
    ) -> usize {
        let _ = (now, sent, source, out);
        0
    }

    /// Takes a compound packet of the peer.
    ///
    /// # Errors
    /// [`Malformed`] if a length or the version doesn't hold; nothing of the packet counts then.
    pub fn receive(&mut self, datagram: &[u8], now: Duration) -> Result<Heard, Malformed> {
        let _ = (datagram, now);
        Ok(Heard::default())
    }

    /// Round trip of the last report that told one (RFC 3550 section 6.4.1).
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        None
    }
}
