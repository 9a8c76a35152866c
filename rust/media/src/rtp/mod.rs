//! RTP and RTCP (RFC 3550): packets, who sends them, and what is reported about them.
//!
//! A datagram visits [`latch`] (is it from our peer?), [`packet`] (what does it say?) and [`source`] (where in the
//! stream does it belong?); [`rtcp`] reports once every few seconds what the three have seen.

pub mod latch;
pub mod packet;
pub mod rtcp;
pub mod source;

use core::time::Duration;

/// Synchronisation source: who a stream is from (RFC 3550 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ssrc(pub u32);

/// Payload type, 0..=127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pt(pub u8);

/// Sequence number as it stands in the packet; wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeqNo(pub u16);

impl SeqNo {
    /// The number of the packet after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// RTP timestamp as it stands in the packet, in ticks of the codec's clock; wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RtpTime(pub u32);

/// Time since the engine's start in ticks of 1/8,000 s.
#[must_use]
pub fn ticks(time: Duration) -> i64 {
    ticks_of(time, 8_000)
}

/// Time since the engine's start in ticks of a clock.
#[must_use]
pub fn ticks_of(time: Duration, clock_hz: u32) -> i64 {
    let hz = i64::from(clock_hz);
    time.as_secs() as i64 * hz + i64::from(time.subsec_nanos()) * hz / 1_000_000_000
}
