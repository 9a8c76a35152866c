//! Where in its stream a packet belongs, and what was lost on the way (RFC 3550 section 6.4.1, appendices A.1, A.3, A.8).
//!
//! The first packet that the latch lets in begins the stream. Packets of another SSRC, or with a sequence number far
//! off, are on probation: two in sequence, with none of the present stream between them, begin a new stream; those of
//! another SSRC only once the present one is [`GONE`]. So of two senders who talk at once the first is heard.
//!
//! Unlike appendix A.3, duplicates are not counted as received: they would hide losses.

use core::time::Duration;

use super::packet::Header;
use super::{RtpTime, SeqNo, Ssrc, rtcp::ReportBlock, ticks_of};

/// A step forward by this many numbers or more is not loss (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3_000;

/// A step back by this many numbers or more is not reordering (RFC 3550 A.1).
const MAX_MISORDER: u16 = 100;

/// A change of transit time that is a clock that was set, not jitter, in seconds.
const CLOCK_JUMP_S: i64 = 1;

/// A stream of which nothing has come for so long gives way to another SSRC: three packets of 20 ms.
const GONE: Duration = Duration::from_millis(60);

/// The clock of most codecs.
const CLOCK_HZ: u32 = 8_000;

/// What [`Source::receive`] makes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It counts, and belongs at this place.
    Placed(Place),
    /// It was there before.
    Duplicate,
    /// From another SSRC, or far from its place; one that follows it in sequence may count.
    Probation,
}

/// A packet's place in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Sequence number, extended so that it never wraps.
    pub seq: u64,
    /// Timestamp in ticks of the codec's clock, extended so that it never wraps.
    pub timestamp: i64,
    /// Neither number has anything to do with those before: first packet, new SSRC, or a sender that has restarted.
    pub new_stream: bool,
}

/// What has happened to a leg's incoming stream since its beginning; all SSRCs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptionStats {
    pub received: u64,
    /// Expected and not come (so far).
    pub lost: u64,
    pub duplicate: u64,
    pub reordered: u64,
    /// Interarrival jitter of RFC 3550 A.8, in ticks of the codec's clock.
    pub jitter_ticks: u32,
}

/// Reception of one peer's RTP.
#[derive(Debug)]
pub struct Source {
    clock_hz: u32,
    stream: Option<Stream>,
    /// Who is on probation, and the number that would end it.
    probation: Option<(Ssrc, SeqNo)>,
    /// Of streams that are over, and what is counted whatever the stream.
    past: ReceptionStats,
}

#[derive(Debug)]
struct Stream {
    clock_hz: u32,
    ssrc: Ssrc,
    /// Arrival of the last packet.
    heard: Duration,
    first_seq: u64,
    highest_seq: u64,
    /// Which of the numbers up to the highest have come: bit n is `highest_seq - n`.
    seen: u128,
    received: u64,
    timestamp: i64,
    transit: i64,
    /// 16 times the jitter.
    jitter: u64,
    reported_expected: u64,
    reported_received: u64,
}

impl Default for Source {
    fn default() -> Self {
        Self::new()
    }
}

impl Source {
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock_hz: CLOCK_HZ,
            stream: None,
            probation: None,
            past: ReceptionStats::default(),
        }
    }

    #[must_use]
    pub fn clock_hz(&self) -> u32 {
        self.clock_hz
    }

    /// Timestamps run at another clock from now on: the jitter is measured anew.
    pub fn set_clock(&mut self, clock_hz: u32) {
        if clock_hz != self.clock_hz {
            self.clock_hz = clock_hz;
            if let Some(stream) = &mut self.stream {
                (stream.clock_hz, stream.jitter) = (clock_hz, 0);
            }
        }
    }

    /// Accounts for one admitted packet that arrived at `now`.
    pub fn receive(&mut self, header: &Header, now: Duration) -> Received {
        if let Some(stream) = self
            .stream
            .as_mut()
            .filter(|stream| stream.ssrc == header.ssrc)
        {
            let ahead = header.seq.0.wrapping_sub(stream.highest_seq as u16);
            let behind = ahead.wrapping_neg();
            if behind < MAX_MISORDER {
                let bit = 1_u128 << behind;
                if stream.seen & bit != 0 {
                    self.past.duplicate += 1;
                    return Received::Duplicate;
                }
                let seq = stream.highest_seq - u64::from(behind);
                if seq < stream.first_seq {
                    stream.first_seq = seq;
                }
                stream.seen |= bit;
                self.past.reordered += 1;
                self.probation = None;
                return Received::Placed(stream.place(header, seq, now, false));
            }
            if ahead < MAX_DROPOUT {
                let seq = stream.highest_seq + u64::from(ahead);
                stream.seen = stream.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
                stream.highest_seq = seq;
                self.probation = None;
                return Received::Placed(stream.place(header, seq, now, true));
            }
        }
        if let Some(stream) = &self.stream {
            let goes_on = self.probation == Some((header.ssrc, header.seq));
            let is_gone = now.saturating_sub(stream.heard) >= GONE;
            if !goes_on || (stream.ssrc != header.ssrc && !is_gone) {
                self.probation = Some((header.ssrc, header.seq.next()));
                return Received::Probation;
            }
        }
        Received::Placed(self.begin(header, now))
    }

    /// The SSRC that is being received.
    #[must_use]
    pub fn ssrc(&self) -> Option<Ssrc> {
        self.stream.as_ref().map(|stream| stream.ssrc)
    }

    #[must_use]
    pub fn stats(&self) -> ReceptionStats {
        let mut stats = self.past;
        if let Some(stream) = &self.stream {
            stats.received += stream.received;
            stats.lost += stream.lost();
            stats.jitter_ticks = stream.jitter_ticks();
        }
        stats
    }

    /// The report on this source since the last one (RFC 3550 A.3), without LSR and DLSR; `None` before the first packet.
    pub fn report(&mut self) -> Option<ReportBlock> {
        let stream = self.stream.as_mut()?;
        let expected = stream.expected() - stream.reported_expected;
        let received = stream.received - stream.reported_received;
        stream.reported_expected = stream.expected();
        stream.reported_received = stream.received;
        let lost = expected.saturating_sub(received);
        Some(ReportBlock {
            ssrc: stream.ssrc,
            fraction_lost: (lost * 256).checked_div(expected).unwrap_or(0).min(255) as u8,
            cumulative_lost: stream.lost().min(0x7f_ffff) as i32,
            highest_seq: stream.highest_seq as u32,
            jitter_ticks: stream.jitter_ticks(),
            last_sr: 0,
            delay_since_last_sr: 0,
        })
    }

    fn begin(&mut self, header: &Header, now: Duration) -> Place {
        if let Some(stream) = &self.stream {
            self.past.received += stream.received;
            self.past.lost += stream.lost();
        }
        self.probation = None;
        // One wrap ahead of the first number, so that reordered ones may come before it.
        let seq = u64::from(header.seq.0) + 0x1_0000;
        let timestamp = i64::from(header.timestamp.0) + (1 << 32);
        let stream = self.stream.insert(Stream {
            clock_hz: self.clock_hz,
            ssrc: header.ssrc,
            heard: now,
            first_seq: seq,
            highest_seq: seq,
            seen: 1,
            received: 1,
            timestamp,
            transit: ticks_of(now, self.clock_hz) - timestamp,
            jitter: 0,
            reported_expected: 0,
            reported_received: 0,
        });
        Place {
            seq,
            timestamp: stream.timestamp,
            new_stream: true,
        }
    }
}

impl Stream {
    fn place(&mut self, header: &Header, seq: u64, now: Duration, newest: bool) -> Place {
        self.received += 1;
        self.heard = self.heard.max(now);
        let timestamp = self.timestamp + i64::from(extend(self.timestamp, header.timestamp));
        let transit = ticks_of(now, self.clock_hz) - timestamp;
        let change = (transit - self.transit).abs();
        // Packets of one event share a timestamp (RFC 4733): the time between them is no jitter.
        if timestamp != self.timestamp && change < CLOCK_JUMP_S * i64::from(self.clock_hz) {
            self.jitter = self.jitter + change as u64 - ((self.jitter + 8) >> 4);
        }
        if newest {
            self.timestamp = timestamp;
            self.transit = transit;
        }
        Place {
            seq,
            timestamp,
            new_stream: false,
        }
    }

    fn expected(&self) -> u64 {
        self.highest_seq - self.first_seq + 1
    }

    fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    fn jitter_ticks(&self) -> u32 {
        (self.jitter >> 4) as u32
    }
}

/// How far a timestamp lies from the last one, by the shorter way round.
fn extend(last: i64, timestamp: RtpTime) -> i32 {
    timestamp.0.wrapping_sub(last as u32) as i32
}
