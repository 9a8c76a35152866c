//! RTP and RTCP as RFC 3550 says, and a latch that can't be stolen.

use std::net::SocketAddr;
use std::time::Duration;

use plenary_media::rtp::latch::{LEARN_PACKETS, Latch, is_reachable};
use plenary_media::rtp::packet::{HEADER_LEN, Header, MAX_DATAGRAM, Malformed, parse};
use plenary_media::rtp::rtcp::{REPORT_LEN_MAX, RtcpSession, Sent, is_rtcp};
use plenary_media::rtp::source::{Place, Received, Source};
use plenary_media::rtp::{Pt, RtpTime, SeqNo, Ssrc};
use proptest::prelude::*;

fn header(seq: u16, timestamp: u32, ssrc: u32) -> Header {
    Header {
        marker: false,
        pt: Pt(0),
        seq: SeqNo(seq),
        timestamp: RtpTime(timestamp),
        ssrc: Ssrc(ssrc),
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

// --- packets ---

#[test]
fn csrcs_extension_and_padding_are_no_payload() {
    let mut datagram = vec![
        0x80 | 0x20 | 0x10 | 2,
        0x80 | 8,
        0,
        7,
        0,
        0,
        0,
        9,
        0,
        0,
        0,
        5,
    ];
    datagram.extend([1; 8]);
    datagram.extend([0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
    datagram.extend([42, 43, 0, 0, 3]);
    let (header, payload) = parse(&datagram).expect("well-formed");
    assert_eq!(payload, [42, 43]);
    let expected = Header {
        marker: true,
        pt: Pt(8),
        seq: SeqNo(7),
        timestamp: RtpTime(9),
        ssrc: Ssrc(5),
    };
    assert_eq!(header, expected);
}

#[test]
fn what_is_no_rtp_is_refused_with_its_reason() {
    let base = [0x80, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5];
    let with = |first: u8, rest: &[u8]| {
        let mut datagram = base.to_vec();
        datagram[0] = first;
        datagram.extend(rest);
        parse(&datagram).expect_err("malformed")
    };
    assert_eq!(
        parse(&base[..11]).expect_err("malformed"),
        Malformed::TooShort
    );
    assert_eq!(
        parse(&[0x80; MAX_DATAGRAM + 1]).expect_err("malformed"),
        Malformed::TooLong
    );
    assert_eq!(with(0x00, &[]), Malformed::Version);
    assert_eq!(with(0x81, &[0; 3]), Malformed::TooShort);
    assert_eq!(with(0x90, &[0; 3]), Malformed::TooShort);
    assert_eq!(with(0x90, &[0, 0, 0xff, 0xff, 1]), Malformed::TooShort);
    assert_eq!(with(0xa0, &[]), Malformed::Padding);
    assert_eq!(with(0xa0, &[0]), Malformed::Padding);
    assert_eq!(with(0xa0, &[1, 3]), Malformed::Padding);
}

proptest! {
    #[test]
    fn no_datagram_panics(datagram in prop::collection::vec(any::<u8>(), 0..1_600)) {
        let _ = parse(&datagram);
        let _ = RtcpSession::new(Ssrc(1), 2, ms(0)).receive(&datagram, ms(1));
    }

    #[test]
    fn no_rtcp_packet_panics(
        packets in prop::collection::vec((0x80..=0xbf_u8, 198..=208_u8, prop::collection::vec(any::<u8>(), 0..60)), 0..6),
        cut in 0..8_usize,
    ) {
        let mut datagram = Vec::new();
        for (first, kind, mut body) in packets {
            body.resize(body.len().next_multiple_of(4), 0);
            datagram.extend([first, kind, 0, (body.len() / 4) as u8]);
            datagram.extend(body);
        }
        datagram.truncate(datagram.len().saturating_sub(cut));
        let _ = RtcpSession::new(Ssrc(1), 2, ms(0)).receive(&datagram, ms(1));
    }

    #[test]
    fn a_header_survives_writing_and_parsing(
        marker: bool, pt in 0..128_u8, seq: u16, timestamp: u32, ssrc: u32,
        payload in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let header = Header { marker, pt: Pt(pt), seq: SeqNo(seq), timestamp: RtpTime(timestamp), ssrc: Ssrc(ssrc) };
        let mut head = [0; HEADER_LEN];
        header.write(&mut head);
        let datagram = [&head[..], &payload].concat();
        prop_assert_eq!(parse(&datagram), Ok((header, &payload[..])));
    }

    /// RFC 3550 A.1, A.3: whatever comes, the numbers stay possible.
    #[test]
    fn statistics_hold_whatever_comes(packets in prop::collection::vec((any::<u16>(), any::<u32>(), 0..3_u32), 0..300)) {
        let mut source = Source::new();
        let mut counted = 0;
        for (n, (seq, timestamp, ssrc)) in packets.iter().enumerate() {
            let received = source.receive(&header(*seq % 512, *timestamp, *ssrc), ms(n as u64 * 7));
            counted += u64::from(matches!(received, Received::Placed(_)));
        }
        prop_assert_eq!(source.stats().received, counted);
        let _ = source.report();
    }
}

#[test]
fn rtp_and_rtcp_on_one_port_are_told_apart() {
    // RFC 5761 section 4: payload types 64 to 95 are kept free for that.
    assert!(is_rtcp(&[0x80, 200]) && is_rtcp(&[0x80, 207]) && is_rtcp(&[0x80, 192]));
    assert!(!is_rtcp(&[0x80, 0]) && !is_rtcp(&[0x80, 0x80 | 101]) && !is_rtcp(&[0x80]));
}

// --- the source ---

fn place(received: Received) -> Place {
    match received {
        Received::Placed(place) => place,
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_and_timestamps_go_on_over_their_wrap() {
    let mut source = Source::new();
    let mut last = place(source.receive(&header(65_530, u32::MAX - 300, 1), ms(0)));
    assert!(last.new_stream);
    for n in 1..20_u16 {
        let at = header(
            65_530_u16.wrapping_add(n),
            (u32::MAX - 300).wrapping_add(u32::from(n) * 160),
            1,
        );
        let next = place(source.receive(&at, ms(u64::from(n) * 20)));
        assert_eq!(
            (next.seq, next.timestamp, next.new_stream),
            (last.seq + 1, last.timestamp + 160, false)
        );
        last = next;
    }
    assert_eq!(source.stats().lost, 0);
}

#[test]
fn losses_duplicates_and_reordering_are_counted_apart() {
    let mut source = Source::new();
    for seq in [10, 11, 13, 12, 13, 13, 17] {
        let _ = source.receive(
            &header(seq, u32::from(seq) * 160, 1),
            ms(u64::from(seq) * 20),
        );
    }
    let stats = source.stats();
    assert_eq!(
        (stats.received, stats.lost, stats.duplicate, stats.reordered),
        (5, 3, 2, 1)
    );
}

#[test]
fn a_restarted_sender_is_believed_after_two_packets() {
    let mut source = Source::new();
    for seq in 0..5 {
        let _ = source.receive(&header(seq, 0, 1), ms(0));
    }
    assert_eq!(
        source.receive(&header(40_000, 0, 1), ms(0)),
        Received::Probation
    );
    assert_eq!(
        source.receive(&header(5, 0, 1), ms(0)),
        Received::Placed(Place {
            seq: 65_541,
            timestamp: 1 << 32,
            new_stream: false
        })
    );
    assert_eq!(
        source.receive(&header(40_000, 0, 1), ms(0)),
        Received::Probation
    );
    assert!(place(source.receive(&header(40_001, 0, 1), ms(0))).new_stream);
    assert_eq!(source.stats().lost, 0);
}

#[test]
fn a_second_sender_takes_the_stream_only_when_the_first_is_gone() {
    let mut source = Source::new();
    let mut second = (700..).map(|seq| header(seq, 0, 2));
    for seq in 0..10 {
        let now = ms(20 * u64::from(seq));
        let first = source.receive(&header(seq, 0, 1), now);
        assert!(matches!(first, Received::Placed(_)));
        for header in second.by_ref().take(3) {
            assert_eq!(source.receive(&header, now), Received::Probation);
        }
    }
    let mut then = |at| source.receive(&second.next().expect("endless"), ms(at));
    assert_eq!(then(239), Received::Probation);
    assert!(place(then(240)).new_stream);
    assert_eq!(source.ssrc(), Some(Ssrc(2)));
}

#[test]
fn jitter_is_that_of_appendix_a_8() {
    let mut source = Source::new();
    let mut expected = 0.0_f64;
    for n in 0..200_u16 {
        let late = u64::from(n % 2) * 10;
        let _ = source.receive(
            &header(n, u32::from(n) * 160, 1),
            ms(u64::from(n) * 20 + late),
        );
        if n > 0 {
            expected += (80.0 - expected) / 16.0;
        }
    }
    assert!((f64::from(source.stats().jitter_ticks) - expected).abs() <= 1.0);
}

#[test]
fn a_report_tells_of_the_time_since_the_last() {
    let mut source = Source::new();
    assert_eq!(source.report(), None);
    for seq in (0..100).filter(|seq| seq % 4 != 1) {
        let _ = source.receive(&header(seq, 0, 1), ms(0));
    }
    let first = source.report().expect("packets have come");
    assert_eq!(
        (
            first.fraction_lost,
            first.cumulative_lost,
            first.highest_seq
        ),
        (64, 25, 65_536 + 99)
    );
    for seq in 100..200 {
        let _ = source.receive(&header(seq, 0, 1), ms(0));
    }
    let second = source.report().expect("packets have come");
    assert_eq!((second.fraction_lost, second.cumulative_lost), (0, 25));
}

// --- RTCP ---

#[test]
fn two_sessions_measure_their_round_trip() {
    let (mut ann, mut bob) = (
        RtcpSession::new(Ssrc(1), 1, ms(0)),
        RtcpSession::new(Ssrc(2), 2, ms(0)),
    );
    let (mut from_ann, mut from_bob) = (Source::new(), Source::new());
    let _ = from_ann.receive(&header(1, 0, 1), ms(10));
    let _ = from_bob.receive(&header(1, 0, 2), ms(10));
    let sent = Sent {
        packets: 7,
        octets: 1_120,
        timestamp: RtpTime(5),
    };
    let mut out = [0; REPORT_LEN_MAX];
    let len = ann.report(ms(2_000), sent, &mut from_bob, &mut out);
    bob.receive(&out[..len], ms(2_030)).expect("well-formed");
    let len = bob.report(ms(4_000), sent, &mut from_ann, &mut out);
    let heard = ann.receive(&out[..len], ms(4_045)).expect("well-formed");
    assert_eq!(heard.about_us.map(|block| block.ssrc), Some(Ssrc(1)));
    let trip = ann.round_trip().expect("measured");
    assert!(trip.abs_diff(ms(75)) < ms(1), "{trip:?}");
}

#[test]
fn a_report_is_sr_when_something_was_sent_else_rr_and_bye_comes_last() {
    let mut session = RtcpSession::new(Ssrc(0x0102_0304), 9, ms(0));
    let mut out = [0; REPORT_LEN_MAX];
    let sent = Sent {
        packets: 7,
        octets: 1_120,
        timestamp: RtpTime(5),
    };
    let len = session.report(ms(1_500), sent, &mut Source::new(), &mut out);
    assert_eq!((out[0], out[1], &out[4..8]), (0x80, 200, &[1, 2, 3, 4][..]));
    assert_eq!(out[8..16], [0, 0, 0, 1, 0x80, 0, 0, 0]);
    assert_eq!(out[28..30], [0x81, 202]);
    assert_eq!(len, 28 + 28);
    let len = session.bye(ms(3_000), sent, &mut Source::new(), &mut out);
    assert_eq!(
        (out[1], &out[len - 8..len]),
        (201, &[0x81, 203, 0, 1, 1, 2, 3, 4][..])
    );
    assert!(
        RtcpSession::new(Ssrc(5), 1, ms(0))
            .receive(&out[..len], ms(0))
            .expect("well-formed")
            .bye
    );
}

#[test]
fn reports_come_every_five_seconds_or_so_and_never_in_step() {
    let mut times = Vec::new();
    for seed in 0..20 {
        let mut session = RtcpSession::new(Ssrc(1), seed, ms(0));
        let mut reports = 0;
        for at in (0..500_000).step_by(20).map(ms) {
            if session.due(at) {
                let sent = Sent {
                    packets: 0,
                    octets: 0,
                    timestamp: RtpTime(0),
                };
                session.report(at, sent, &mut Source::new(), &mut [0; REPORT_LEN_MAX]);
                reports += 1;
                times.push(at);
            }
        }
        assert!((100..150).contains(&reports), "{reports}");
    }
    times.sort();
    times.dedup();
    assert!(times.len() > 1_500);
}

#[test]
fn unknown_packets_are_skipped_and_bad_lengths_refused() {
    let mut session = RtcpSession::new(Ssrc(1), 1, ms(0));
    let unknown = [0x80, 207, 0, 1, 9, 9, 9, 9, 0x81, 203, 0, 1, 0, 0, 0, 2];
    assert!(session.receive(&unknown, ms(0)).expect("well-formed").bye);
    assert_eq!(
        session.receive(&unknown[..14], ms(0)),
        Err(Malformed::TooShort)
    );
    assert_eq!(
        session.receive(&[0x81, 201, 0, 1, 0, 0, 0, 2], ms(0)),
        Err(Malformed::TooShort)
    );
    assert_eq!(
        session.receive(&[0x40, 201, 0, 0], ms(0)),
        Err(Malformed::Version)
    );
}

// --- the latch ---

const SIGNALLED: &str = "192.0.2.1:4000";
const BEHIND_NAT: &str = "198.51.100.7:31000";
const ATTACKER: &str = "203.0.113.66:666";

fn addr(address: &str) -> SocketAddr {
    address.parse().expect("an address")
}

fn latch() -> Latch {
    Latch::new(addr(SIGNALLED), addr("192.0.2.1:4001"))
}

/// How many of `count` packets in sequence, one every 20 ms beginning at `at`, from an address are let in.
fn admitted(latch: &mut Latch, source: &str, first_seq: u16, count: u16, at: Duration) -> usize {
    let due = |n: u16| at + ms(20) * u32::from(n);
    (0..count)
        .filter(|n| latch.admit(addr(source), &header(first_seq + n, 0, 1), due(*n)))
        .count()
}

#[test]
fn the_signalled_address_is_heard_at_once_and_nobody_else_ever_after() {
    let mut latch = latch();
    assert_eq!(admitted(&mut latch, SIGNALLED, 0, 1, ms(0)), 1);
    assert_eq!(admitted(&mut latch, ATTACKER, 0, 10_000, ms(0)), 0);
    assert_eq!(
        (latch.destination(), latch.strangers()),
        (addr(SIGNALLED), 10_000)
    );
    assert_eq!(admitted(&mut latch, SIGNALLED, 1, 10, ms(0)), 10);
}

#[test]
fn an_address_behind_a_nat_is_learned_from_packets_in_sequence() {
    let mut latch = latch();
    assert_eq!(
        admitted(&mut latch, BEHIND_NAT, 65, LEARN_PACKETS.into(), ms(0)),
        1
    );
    assert_eq!(latch.destination(), addr(BEHIND_NAT));
    assert_eq!(admitted(&mut latch, ATTACKER, 0, 10_000, ms(0)), 0);
    assert_eq!(latch.destination(), addr(BEHIND_NAT));
}

#[test]
fn the_signalled_address_takes_a_learned_one_s_place_and_keeps_it() {
    let mut latch = latch();
    admitted(&mut latch, ATTACKER, 0, 10, ms(0));
    assert_eq!(admitted(&mut latch, SIGNALLED, 0, 3, ms(0)), 3);
    assert_eq!(admitted(&mut latch, ATTACKER, 10, 10, ms(0)), 0);
    assert_eq!(latch.destination(), addr(SIGNALLED));
}

#[test]
fn packets_out_of_sequence_or_too_slow_teach_nothing() {
    let mut latch = latch();
    for n in 0..1_000_u16 {
        let now = ms(20) * u32::from(n);
        assert!(!latch.admit(addr(ATTACKER), &header(n.wrapping_mul(7_919), 0, 1), now));
        assert!(!latch.admit(addr(ATTACKER), &header(n, 0, u32::from(n)), now));
    }
    let slow = |n: u16| Duration::from_secs(u64::from(n) * 3);
    assert!((0..100).all(|n| !latch.admit(addr(BEHIND_NAT), &header(n, 0, 1), slow(n))));
    assert_eq!(latch.destination(), addr(SIGNALLED));
}

#[test]
fn a_burst_teaches_nothing_until_it_has_lasted_as_long_as_a_peer_s_packets() {
    let mut latch = latch();
    let micros = |n: u16| Duration::from_micros(u64::from(n) * 250);
    assert!((0..160).all(|n| !latch.admit(addr(ATTACKER), &header(n, 0, 1), micros(n))));
    assert_eq!(latch.destination(), addr(SIGNALLED));
    assert_eq!(admitted(&mut latch, BEHIND_NAT, 0, 10, ms(0)), 7);
    assert_eq!(latch.destination(), addr(BEHIND_NAT));
    assert_eq!(admitted(&mut latch, ATTACKER, 160, 100, ms(200)), 0);
}

#[test]
fn strangers_who_get_nowhere_make_place_for_the_peer() {
    let strangers = [
        "203.0.113.1:1",
        "203.0.113.2:1",
        "203.0.113.3:1",
        "203.0.113.4:1",
    ]
    .map(addr);
    // How often each of them sends, and the numbers that it gives its packets.
    type Numbers = fn(u16) -> u16;
    let cases: [(&str, u64, Numbers); 3] = [
        ("one packet a second", 1_000, |n| n * 2),
        ("a number left out each time", 20, |n| n * 2),
        (
            "a sequence broken off each time before it is long enough",
            20,
            |n| n + n / 3,
        ),
    ];
    for (name, every, seq) in cases {
        let mut latch = latch();
        let mut learned = None;
        for now in 0..2_000_u64 {
            if now % every == 0 {
                let n = (now / every) as u16;
                for stranger in strangers {
                    assert!(
                        !latch.admit(stranger, &header(seq(n), 0, 1), ms(now)),
                        "{name}"
                    );
                }
            }
            // The peer begins to send when all the places are taken.
            if now % 20 == 7
                && latch.admit(addr(BEHIND_NAT), &header((now / 20) as u16, 0, 1), ms(now))
            {
                learned.get_or_insert(now);
            }
        }
        assert!(learned.is_some_and(|at| at < 1_000), "{name}: {learned:?}");
        assert_eq!(latch.destination(), addr(BEHIND_NAT), "{name}");
    }
}

#[test]
fn a_spray_from_many_addresses_does_not_keep_the_peer_out_for_long() {
    let mut latch = latch();
    for n in 0..1_000_u16 {
        assert!(!latch.admit(
            SocketAddr::from(([203, 0, 113, 9], n + 1_024)),
            &header(0, 0, 1),
            ms(0)
        ));
    }
    assert_eq!(admitted(&mut latch, BEHIND_NAT, 0, 50, ms(201)), 47);
}

#[test]
fn only_sdp_with_another_address_starts_the_learning_anew() {
    let mut latch = latch();
    admitted(&mut latch, SIGNALLED, 0, 1, ms(0));
    latch.signal(addr(SIGNALLED), addr("192.0.2.1:4001"));
    assert_eq!(admitted(&mut latch, BEHIND_NAT, 0, 100, ms(0)), 0);
    latch.signal(addr("192.0.2.99:5000"), addr("192.0.2.99:5001"));
    assert_eq!(latch.destination(), addr("192.0.2.99:5000"));
    assert_eq!(admitted(&mut latch, BEHIND_NAT, 100, 10, ms(0)), 7);
}

#[test]
fn a_hold_opens_the_latch_for_nobody() {
    let mut latch = latch();
    admitted(&mut latch, BEHIND_NAT, 0, 10, ms(0));
    latch.signal(addr("0.0.0.0:4000"), addr("0.0.0.0:4001"));
    assert_eq!(admitted(&mut latch, ATTACKER, 0, 100, ms(0)), 0);
    latch.signal(addr(SIGNALLED), addr("192.0.2.1:4001"));
    assert_eq!(latch.destination(), addr(BEHIND_NAT));
}

#[test]
fn rtcp_follows_the_lock_and_never_makes_it() {
    let mut latch = latch();
    assert_eq!(latch.rtcp_destination(), addr("192.0.2.1:4001"));
    assert!(latch.admit_rtcp(addr("192.0.2.1:4001")));
    assert!(!latch.admit_rtcp(addr("198.51.100.7:31555")));
    admitted(&mut latch, BEHIND_NAT, 0, 10, ms(0));
    assert_eq!(latch.rtcp_destination(), addr("198.51.100.7:31001"));
    assert!(!latch.admit_rtcp(addr(ATTACKER)));
    assert!(latch.admit_rtcp(addr("198.51.100.7:31555")));
    assert_eq!(latch.rtcp_destination(), addr("198.51.100.7:31555"));
    assert!(!latch.admit_rtcp(addr("198.51.100.7:31556")));
}

#[test]
fn with_rtcp_mux_both_go_to_one_port() {
    let mut latch = Latch::new(addr(SIGNALLED), addr(SIGNALLED));
    admitted(&mut latch, BEHIND_NAT, 0, 10, ms(0));
    assert_eq!(latch.rtcp_destination(), addr(BEHIND_NAT));
}

#[test]
fn a_held_peer_s_address_is_not_reachable() {
    assert!(is_reachable(addr(SIGNALLED)));
    assert!(
        !is_reachable(addr("0.0.0.0:4000"))
            && !is_reachable(addr("[::]:4000"))
            && !is_reachable(addr("192.0.2.1:0"))
    );
}
