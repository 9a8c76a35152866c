//! RTP as it comes, and the buffer that it is played from.

use std::time::Duration;

use plenary_codec::{Codec, Frame};
use plenary_media::jitter::JitterBuffer;
use plenary_media::rtp::packet::{self, HEADER_LEN, Header};
use plenary_media::rtp::rtcp::{RtcpSession, Sent};
use plenary_media::rtp::source::{Place, Received, Source};
use plenary_media::rtp::{Pt, RtpTime, SeqNo, Ssrc};

use crate::script::Script;
use crate::sound::RATES;

/// Beyond it people talk into each other.
const WAIT_MAX_MS: u32 = 200;

/// Audio that a tick decodes or makes up at most, in milliseconds.
const WORK_MAX_MS: u64 = 420;

/// Packets at any places at any times: no panic, whole frames, and never more waiting than the ceiling.
pub fn jitter(data: &[u8]) {
    let mut script = Script(data);
    let mut codec = script.pick(&Codec::ALL);
    let mut buffer = JitterBuffer::new(codec, script.pick(&RATES));
    let mut source = Source::new();
    source.set_clock(codec.clock_hz());
    let (mut now, mut pulled, mut out) = (0_u64, 0_u64, Frame::default());
    let (mut seq, mut timestamp) = (0_u16, 0_u32);
    let mut last: &[u8] = &[0x2a; 160];
    script.steps(512, |script| {
        now += u64::from(script.byte() % 64);
        while pulled + 20 <= now {
            pulled += 20;
            pull(&mut buffer, pulled, &mut out);
        }
        let step = script.byte();
        match step % 8 {
            // The next packet, or one that is about to be.
            0..=3 => {
                seq = seq.wrapping_add(u16::from(step / 64));
                timestamp = timestamp.wrapping_add(u32::from(step / 64) * codec.frame_ticks());
            }
            4 => seq = seq.wrapping_add(1),
            5 => {
                seq = seq.wrapping_add_signed(i16::from(script.byte() as i8));
                timestamp = timestamp.wrapping_add_signed(i32::from(script.word() as i16));
            }
            6 => timestamp = script.double(),
            _ => (seq, timestamp) = (script.word(), script.double()),
        }
        if step & 8 == 0 {
            last = script.bytes();
        }
        let header = Header {
            marker: step & 16 != 0,
            pt: Pt(0),
            seq: SeqNo(seq),
            timestamp: RtpTime(timestamp),
            ssrc: Ssrc(u32::from(step & 32)),
        };
        let now_at = Duration::from_millis(now);
        let Received::Placed(place) = source.receive(&header, now_at) else {
            return;
        };
        match script.byte() {
            0..=15 => buffer.push_redundant(place, u32::from(script.word() >> 2), last),
            16..=31 => buffer.pause(now_at, place),
            32..=34 => {
                codec = script.pick(&Codec::ALL);
                buffer.set_codec(codec);
                source.set_clock(codec.clock_hz());
            }
            35..=37 => buffer.set_rate(script.pick(&RATES)),
            38..=39 => drop(buffer.farewell(&mut out)),
            _ => {}
        }
        buffer.push(now_at, place, last, header.marker);
    });
}

/// The same without what [`Source`] would keep away: places of any order.
pub fn places(data: &[u8]) {
    let mut script = Script(data);
    let codec = script.pick(&Codec::ALL);
    let mut buffer = JitterBuffer::new(codec, script.pick(&RATES));
    let (mut now, mut pulled, mut out) = (0_u64, 0_u64, Frame::default());
    let mut timestamp = 1_i64 << 40;
    script.steps(512, |script| {
        now += u64::from(script.byte() % 64);
        timestamp += i64::from(script.word() as i16);
        let place = Place {
            seq: u64::from(script.byte()),
            timestamp,
            new_stream: script.byte() % 16 == 1,
        };
        let at = Duration::from_millis(now);
        buffer.push(at, place, script.bytes(), script.byte() % 4 == 1);
        while pulled + 20 <= now {
            pulled += 20;
            pull(&mut buffer, pulled, &mut out);
        }
    });
}

/// A tick: neither is the delay above its ceiling, nor does it take more work than a tick may do and had begun.
fn pull(buffer: &mut JitterBuffer, at_ms: u64, out: &mut Frame) {
    let before = buffer.stats().worked_ms;
    buffer.pull(Duration::from_millis(at_ms), out);
    let stats = buffer.stats();
    let (waiting, worked) = (stats.buffer_ms, stats.worked_ms - before);
    assert!(waiting <= WAIT_MAX_MS, "{waiting} ms wait");
    assert!(worked <= WORK_MAX_MS, "{worked} ms decoded in a tick");
}

/// Any datagrams as RTP and as RTCP.
pub fn rtp(data: &[u8]) {
    let mut script = Script(data);
    let mut source = Source::new();
    let mut rtcp = RtcpSession::new(Ssrc(7), 3, Duration::ZERO);
    let mut now = Duration::ZERO;
    script.steps(256, |script| {
        now += Duration::from_millis(u64::from(script.byte()));
        let datagram = script.bytes();
        if let Ok((header, payload)) = packet::parse(datagram) {
            assert!(payload.len() + HEADER_LEN <= datagram.len());
            let mut written = [0; HEADER_LEN];
            header.write(&mut written);
            let read = packet::parse(&written).map(|(header, _)| header);
            assert_eq!(read, Ok(header));
            source.receive(&header, now);
        }
        if rtcp.receive(datagram, now).is_ok() && rtcp.due(now) {
            let sent = Sent {
                packets: script.double(),
                octets: script.double(),
                timestamp: RtpTime(script.double()),
            };
            let mut report = [0; _];
            let len = rtcp.report(now, sent, &mut source, &mut report);
            let mut peer = RtcpSession::new(Ssrc(8), 3, Duration::ZERO);
            assert!(peer.receive(&report[..len], now).is_ok());
        }
        let stats = source.stats();
        assert!(stats.received >= stats.reordered);
        source.report();
    });
}
