//! RTCP (RFC 3550 section 6): what we report to the peer and learn from its reports.
//!
//! A leg has one peer, so the interval of section 6.3 is the least one, 5 s, spread as there demanded. The NTP
//! timestamps we send count from the engine's start (section 6.4.1 allows it): the peer returns them, nobody else
//! reads them. Reports that don't begin with SR or RR are taken too (RFC 5506).

use core::time::Duration;

use super::packet::{MAX_DATAGRAM, Malformed};
use super::source::Source;
use super::{RtpTime, Ssrc};

/// Room that a compound packet of ours needs at most: SR with one block, SDES, BYE.
pub const REPORT_LEN_MAX: usize = 88;

/// Time between reports, on average (RFC 3550 section 6.2: the least; two participants never need more).
const INTERVAL: Duration = Duration::from_secs(5);

/// Round trips beyond this are clocks gone wrong, or lies.
const ROUND_TRIP_MAX: u32 = 30 << 16;

const SR: u8 = 200;
const RR: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;
const BLOCK_LEN: usize = 24;
const CNAME: u8 = 1;
const CNAME_LEN: u8 = 16;

/// One report block of an SR or RR (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: Ssrc,
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

/// What a peer's compound packet told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The peer leaves (its call ends by SIP, not by this).
    pub bye: bool,
    /// What the peer says about the stream that we send.
    pub about_us: Option<ReportBlock>,
}

/// One leg's RTCP: when to report, what the peer says of us.
#[derive(Debug)]
pub struct RtcpSession {
    ssrc: Ssrc,
    cname: [u8; CNAME_LEN as usize],
    random: u64,
    next_report: Duration,
    reported_packets: u32,
    /// Middle 32 bits of the peer's last NTP timestamp, and when it came.
    last_sr: Option<(u32, Duration)>,
    round_trip: Option<Duration>,
}

impl RtcpSession {
    /// `ssrc` is ours; `seed` spreads the times of reports, so that legs don't report in step, and names us (RFC 7022).
    #[must_use]
    pub fn new(ssrc: Ssrc, seed: u64, now: Duration) -> Self {
        let mut session = Self {
            ssrc,
            cname: [0; CNAME_LEN as usize],
            random: seed,
            next_report: now,
            reported_packets: 0,
            last_sr: None,
            round_trip: None,
        };
        let name = session.draw();
        for (i, digit) in session.cname.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(name >> (4 * i) & 15) as usize];
        }
        // The first comes after half the time (RFC 3550 section 6.2).
        session.schedule(now, INTERVAL / 2);
        session
    }

    /// Whether a report is due at `now`; cheap, asked at every tick.
    #[must_use]
    pub fn due(&self, now: Duration) -> bool {
        now >= self.next_report
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
        self.schedule(now, INTERVAL);
        self.write(now, sent, source, out, false)
    }

    /// The last report with BYE, when the leg closes.
    pub fn bye(
        &mut self,
        now: Duration,
        sent: Sent,
        source: &mut Source,
        out: &mut [u8; REPORT_LEN_MAX],
    ) -> usize {
        self.write(now, sent, source, out, true)
    }

    /// Takes a compound packet of the peer. Packets in it of unknown types are skipped.
    ///
    /// # Errors
    /// [`Malformed`] if a length or the version doesn't hold; nothing of the packet counts then.
    pub fn receive(&mut self, datagram: &[u8], now: Duration) -> Result<Heard, Malformed> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(Malformed::TooLong);
        }
        let mut heard = Heard::default();
        let mut sender_report = None;
        let mut rest = datagram;
        while !rest.is_empty() {
            let (packet, after) = split(rest)?;
            rest = after;
            let blocks = match packet.kind {
                // SSRC, NTP timestamp of 8 octets, RTP timestamp, two counters; then the blocks.
                SR => {
                    let ntp = packet.body.get(4..12).ok_or(Malformed::TooShort)?;
                    sender_report = Some(u32_at(ntp, 2).ok_or(Malformed::TooShort)?);
                    packet.body.get(24..).ok_or(Malformed::TooShort)?
                }
                RR => packet.body.get(4..).ok_or(Malformed::TooShort)?,
                BYE => {
                    heard.bye = true;
                    continue;
                }
                _ => continue,
            };
            if blocks.len() < packet.count * BLOCK_LEN {
                return Err(Malformed::TooShort);
            }
            let mut blocks = blocks
                .chunks_exact(BLOCK_LEN)
                .take(packet.count)
                .filter_map(ReportBlock::read);
            heard.about_us = blocks
                .find(|block| block.ssrc == self.ssrc)
                .or(heard.about_us);
        }
        if let Some(middle) = sender_report {
            self.last_sr = Some((middle, now));
        }
        if let Some(block) = heard.about_us.filter(|block| block.last_sr != 0) {
            let trip = middle_of_ntp(now)
                .wrapping_sub(block.last_sr)
                .wrapping_sub(block.delay_since_last_sr);
            if trip <= ROUND_TRIP_MAX {
                self.round_trip = Some(Duration::from_micros((u64::from(trip) * 1_000_000) >> 16));
            }
        }
        Ok(heard)
    }

    /// Round trip of the last report that told one (RFC 3550 section 6.4.1).
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    fn write(
        &mut self,
        now: Duration,
        sent: Sent,
        source: &mut Source,
        out: &mut [u8; REPORT_LEN_MAX],
        bye: bool,
    ) -> usize {
        let block = source.report().map(|block| self.stamp(block, now));
        let mut writer = Writer { out, len: 0 };
        let count = u8::from(block.is_some());
        let block_words = if block.is_some() { 6 } else { 0 };
        if sent.packets == self.reported_packets {
            writer.head(count, RR, 1 + block_words);
            writer.word(self.ssrc.0);
        } else {
            writer.head(count, SR, 6 + block_words);
            writer.word(self.ssrc.0);
            let ntp = ntp(now);
            writer.word((ntp >> 32) as u32);
            writer.word(ntp as u32);
            writer.word(sent.timestamp.0);
            writer.word(sent.packets);
            writer.word(sent.octets);
        }
        self.reported_packets = sent.packets;
        if let Some(block) = block {
            block.write(&mut writer);
        }
        // SSRC, then CNAME: type, length, 16 octets; two of zero end the list on a word.
        writer.head(1, SDES, 6);
        writer.word(self.ssrc.0);
        writer.bytes(&[CNAME, CNAME_LEN]);
        writer.bytes(&self.cname);
        writer.bytes(&[0, 0]);
        if bye {
            writer.head(1, BYE, 1);
            writer.word(self.ssrc.0);
        }
        writer.len
    }

    fn stamp(&self, block: ReportBlock, now: Duration) -> ReportBlock {
        let Some((last_sr, at)) = self.last_sr else {
            return block;
        };
        let delay = ntp(now.saturating_sub(at)) >> 16;
        ReportBlock {
            last_sr,
            delay_since_last_sr: delay.min(u64::from(u32::MAX)) as u32,
            ..block
        }
    }

    /// Between half and one and a half of the interval, divided by e - 3/2 as section 6.3.1 wants.
    fn schedule(&mut self, now: Duration, interval: Duration) {
        let part = (self.draw() >> 40) as f64 / (1_u64 << 24) as f64;
        self.next_report = now + interval.mul_f64((0.5 + part) / 1.218_28);
    }

    fn draw(&mut self) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

struct Packet<'a> {
    count: usize,
    kind: u8,
    body: &'a [u8],
}

/// The first packet of a compound one, and what follows it.
fn split(datagram: &[u8]) -> Result<(Packet<'_>, &[u8]), Malformed> {
    let (&[first, kind, high, low], rest) = datagram
        .split_first_chunk::<4>()
        .ok_or(Malformed::TooShort)?;
    if first >> 6 != 2 {
        return Err(Malformed::Version);
    }
    let len = usize::from(u16::from_be_bytes([high, low])) * 4;
    let (body, after) = rest.split_at_checked(len).ok_or(Malformed::TooShort)?;
    Ok((
        Packet {
            count: usize::from(first & 0x1f),
            kind,
            body,
        },
        after,
    ))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|word| u32::from_be_bytes(*word))
}

/// 32 bits of seconds, 32 of their fraction.
fn ntp(time: Duration) -> u64 {
    (time.as_secs() << 32) | ((u64::from(time.subsec_nanos()) << 32) / 1_000_000_000)
}

fn middle_of_ntp(time: Duration) -> u32 {
    (ntp(time) >> 16) as u32
}

impl ReportBlock {
    fn read(block: &[u8]) -> Option<Self> {
        let lost = u32_at(block, 4)?;
        Some(Self {
            ssrc: Ssrc(u32_at(block, 0)?),
            fraction_lost: (lost >> 24) as u8,
            // The shifts carry the sign of 24 bits.
            cumulative_lost: (lost << 8) as i32 >> 8,
            highest_seq: u32_at(block, 8)?,
            jitter_ticks: u32_at(block, 12)?,
            last_sr: u32_at(block, 16)?,
            delay_since_last_sr: u32_at(block, 20)?,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.word(self.ssrc.0);
        writer.word(u32::from(self.fraction_lost) << 24 | self.cumulative_lost as u32 & 0xff_ffff);
        writer.word(self.highest_seq);
        writer.word(self.jitter_ticks);
        writer.word(self.last_sr);
        writer.word(self.delay_since_last_sr);
    }
}

/// Appends to the buffer, whose length is that of the longest report.
struct Writer<'a> {
    out: &'a mut [u8; REPORT_LEN_MAX],
    len: usize,
}

impl Writer<'_> {
    /// `words` of 32 bits follow this head.
    fn head(&mut self, count: u8, kind: u8, words: u16) {
        let [high, low] = words.to_be_bytes();
        self.bytes(&[2 << 6 | count, kind, high, low]);
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}
