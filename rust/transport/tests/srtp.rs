//! SRTP between two ends as RFC 3711 and RFC 7714 say: what comes through, and what doesn't.

use plenary_transport::srtp::{Error, Master, STREAMS_MAX, Session, Suite};
use proptest::prelude::*;

const SUITES: [Suite; 4] = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
];

const SSRC: u32 = 0xcafe_babe;

fn master(suite: Suite, seed: u8) -> Master {
    let bytes: Vec<u8> = (0..46).map(|i| i ^ seed).collect();
    Master::new(suite, &bytes[..suite.key_len() + suite.salt_len()]).expect("as long as asked")
}

/// Two ends that know each other's keys.
fn pair(suite: Suite) -> (Session, Session) {
    let (ann, bob) = (master(suite, 1), master(suite, 2));
    (Session::new(ann, bob), Session::new(bob, ann))
}

fn rtp(ssrc: u32, seq: u16) -> Vec<u8> {
    let header = [
        &[0x80, 0][..],
        &seq.to_be_bytes(),
        &[0, 0, 0, 9],
        &ssrc.to_be_bytes(),
    ]
    .concat();
    [header, vec![0x5a; 160]].concat()
}

fn sender_report() -> Vec<u8> {
    [&[0x80, 200, 0, 6][..], &SSRC.to_be_bytes(), &[0x33; 20]].concat()
}

fn protect(session: &mut Session, rtp: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    session.protect(rtp, &mut out).expect("a packet of ours");
    out
}

fn unprotect(session: &mut Session, srtp: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    session.unprotect(srtp, &mut out).map(|()| out)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| byte.is_ascii_hexdigit())
        .collect();
    let byte = |pair: &[u8]| {
        let text = core::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(text, 16).expect("digits")
    };
    digits.chunks(2).map(byte).collect()
}

/// The packets that every implementation around libsrtp is tried with.
#[test]
fn packets_are_those_of_other_implementations() {
    let suite = Suite::AesCm128HmacSha1_80;
    let key = hex("e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6");
    let master = Master::new(suite, &key).expect("30 bytes");
    let mut session = Session::new(master, master);
    let clear = hex("800f1234 decafbad cafebabe abababab abababab abababab abababab");
    let sealed = hex(
        "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb",
    );
    assert_eq!(protect(&mut session, &clear), sealed);
    assert_eq!(unprotect(&mut session, &sealed), Ok(clear));
    let clear = hex("81c8000b cafebabe abababab abababab abababab abababab");
    let sealed = hex(
        "81c8000b cafebabe 7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798",
    );
    let mut out = Vec::new();
    assert_eq!(session.unprotect_rtcp(&sealed, &mut out), Ok(()));
    assert_eq!(out, clear);
    session.protect_rtcp(&clear, &mut out).expect("index 0");
    session.protect_rtcp(&clear, &mut out).expect("index 1");
    assert_eq!(out, sealed);
}

#[test]
fn what_is_sealed_by_one_end_is_opened_by_the_other() {
    let tags = [10, 4, 16, 16].into_iter().zip([14, 14, 20, 20]);
    for (suite, (rtp_tag, rtcp_tag)) in SUITES.into_iter().zip(tags) {
        let (mut ann, mut bob) = pair(suite);
        let sent = protect(&mut ann, &rtp(SSRC, 7));
        assert_eq!(sent.len(), 172 + rtp_tag, "{suite:?}");
        assert_eq!(sent[..12], rtp(SSRC, 7)[..12], "the header stays in clear");
        assert_eq!(unprotect(&mut bob, &sent), Ok(rtp(SSRC, 7)), "{suite:?}");
        let (mut sent, mut got) = (Vec::new(), Vec::new());
        ann.protect_rtcp(&sender_report(), &mut sent).expect("RTCP");
        assert_eq!(sent.len(), 28 + rtcp_tag, "{suite:?}");
        assert_eq!(bob.unprotect_rtcp(&sent, &mut got), Ok(()), "{suite:?}");
        assert_eq!(got, sender_report());
    }
}

#[test]
fn not_a_bit_can_be_changed() {
    for suite in SUITES {
        let (mut ann, mut bob) = pair(suite);
        let sent = protect(&mut ann, &rtp(SSRC, 7));
        for bit in 0..sent.len() * 8 {
            let mut forged = sent.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(unprotect(&mut bob, &forged).is_err(), "{suite:?} bit {bit}");
        }
        let (mut report, mut out) = (Vec::new(), vec![1]);
        ann.protect_rtcp(&sender_report(), &mut report)
            .expect("RTCP");
        for bit in 0..report.len() * 8 {
            let mut forged = report.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                bob.unprotect_rtcp(&forged, &mut out).is_err(),
                "{suite:?} bit {bit}"
            );
            assert!(out.is_empty());
        }
        assert!(
            unprotect(&mut bob, &sent).is_ok(),
            "forgeries leave no trace"
        );
    }
}

/// RFC 3711 section 3.4: the E bit is as authentic as the rest. A packet that says it isn't encrypted is none of ours.
#[test]
fn rtcp_in_clear_is_refused() {
    for suite in SUITES {
        let (_, mut bob) = pair(suite);
        let mut out = Vec::new();
        let clear = [&sender_report()[..], &[0; 20]].concat();
        assert_eq!(
            bob.unprotect_rtcp(&clear, &mut out),
            Err(Error::Unencrypted)
        );
    }
}

#[test]
fn a_packet_is_taken_once_in_any_order_within_the_window() {
    let (mut ann, mut bob) = pair(Suite::AeadAes128Gcm);
    let sent: Vec<_> = (0..200)
        .map(|seq| protect(&mut ann, &rtp(SSRC, seq)))
        .collect();
    for seq in [0, 150, 149, 23, 151, 100] {
        assert!(unprotect(&mut bob, &sent[seq]).is_ok(), "{seq}");
        assert_eq!(
            unprotect(&mut bob, &sent[seq]),
            Err(Error::Replayed),
            "{seq}"
        );
    }
    assert_eq!(
        unprotect(&mut bob, &sent[22]),
        Err(Error::Replayed),
        "too old"
    );
}

/// RFC 3711 section 3.3.1, over several wraps: each second packet comes before the first, and most don't come.
#[test]
fn sequence_numbers_wrap_for_hours() {
    for suite in SUITES {
        let (mut ann, mut bob) = pair(suite);
        for n in 0..150_000u32 {
            let seq = (65_500 + 2 * n) as u16;
            let first = protect(&mut ann, &rtp(SSRC, seq));
            let second = protect(&mut ann, &rtp(SSRC, seq.wrapping_add(1)));
            if n.is_multiple_of(997) || !(40..65_500).contains(&seq) {
                assert!(unprotect(&mut bob, &second).is_ok(), "{suite:?} {n}");
                assert!(unprotect(&mut bob, &first).is_ok(), "{suite:?} {n}");
            }
        }
    }
}

/// Its first packets were lost, or it is older than we: the ROC is looked for.
#[test]
fn a_stream_that_has_wrapped_before_we_hear_it_is_found_soon() {
    for (wraps, packets) in [(0, 1), (1, 1), (2, 2), (40, 40)] {
        let (mut ann, mut bob) = pair(Suite::AesCm128HmacSha1_80);
        for step in 0..=wraps * 4 {
            protect(&mut ann, &rtp(SSRC, (step * 16_384) as u16));
        }
        let heard = (1..=packets)
            .map(|seq| protect(&mut ann, &rtp(SSRC, seq)))
            .position(|sent| unprotect(&mut bob, &sent).is_ok());
        assert_eq!(heard, Some(usize::from(packets) - 1), "{wraps} wraps");
        let next = protect(&mut ann, &rtp(SSRC, packets + 1));
        assert!(unprotect(&mut bob, &next).is_ok());
    }
}

/// After the death of an engine the next one has the keys and no replay list: whoever has recorded the call may be first.
#[test]
fn a_stream_first_heard_by_a_packet_of_long_ago_is_found_again() {
    for suite in SUITES {
        for (recorded, wraps) in [(100, 1), (20_000, 1), (40_000, 2), (60_000, 3), (9, 40)] {
            let (mut ann, mut bob) = pair(suite);
            let old = protect(&mut ann, &rtp(SSRC, recorded));
            for step in u32::from(recorded) / 16_384 + 1..=wraps * 4 {
                protect(&mut ann, &rtp(SSRC, (step * 16_384) as u16));
            }
            assert!(unprotect(&mut bob, &old).is_ok());
            let forged = [&old[..12], &[0; 32]].concat();
            assert!(unprotect(&mut bob, &forged).is_err());
            let heard = (1..=65)
                .map(|seq| protect(&mut ann, &rtp(SSRC, seq)))
                .position(|sent| unprotect(&mut bob, &sent).is_ok());
            assert!(heard.is_some(), "{suite:?}: {recorded}, {wraps} wraps on");
            let next = protect(&mut ann, &rtp(SSRC, 66));
            assert!(unprotect(&mut bob, &next).is_ok());
            assert!(unprotect(&mut bob, &old).is_err(), "once, and never again");
            assert_eq!(unprotect(&mut bob, &next), Err(Error::Replayed));
        }
    }
}

/// One number, one packet: else the key stream of both is known.
#[test]
fn we_never_use_a_number_twice() {
    let (mut ann, _) = pair(Suite::AesCm128HmacSha1_80);
    let mut out = Vec::new();
    protect(&mut ann, &rtp(SSRC, 100));
    for seq in [100, 99, 100 - 50] {
        assert_eq!(ann.protect(&rtp(SSRC, seq), &mut out), Err(Error::Reused));
        assert!(out.is_empty());
    }
    protect(&mut ann, &rtp(SSRC, 101));
    protect(&mut ann, &rtp(SSRC + 1, 100));
}

#[test]
fn streams_are_bounded_and_only_authentic_ones_count() {
    let (mut ann, mut bob) = pair(Suite::AeadAes128Gcm);
    let first = protect(&mut ann, &rtp(0, 1));
    assert!(unprotect(&mut bob, &first).is_ok());
    for ssrc in 1..1_000 {
        let forged = [rtp(ssrc, 1), vec![0; 16]].concat();
        assert_eq!(unprotect(&mut bob, &forged), Err(Error::NotAuthentic));
    }
    assert_eq!(
        unprotect(&mut bob, &first),
        Err(Error::Replayed),
        "still known"
    );
    for ssrc in 1..STREAMS_MAX as u32 {
        let sent = protect(&mut ann, &rtp(ssrc, 1));
        assert!(unprotect(&mut bob, &sent).is_ok());
    }
    let mut out = Vec::new();
    let one_more = rtp(STREAMS_MAX as u32, 1);
    assert_eq!(ann.protect(&one_more, &mut out), Err(Error::KeyExhausted));
}

/// A key that a re-INVITE leaves alone goes on, a new one begins anew.
#[test]
fn after_a_rekey_only_the_new_key_counts() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut ann, mut bob) = pair(suite);
    let old = protect(&mut ann, &rtp(SSRC, 1));
    let to_ann = protect(&mut bob, &rtp(SSRC, 1));
    assert!(unprotect(&mut ann, &to_ann).is_ok());
    ann.rekey(master(suite, 3), master(suite, 2));
    bob.rekey(master(suite, 2), master(suite, 3));
    assert_eq!(unprotect(&mut bob, &old), Err(Error::NotAuthentic));
    let new = protect(&mut ann, &rtp(SSRC, 1));
    assert!(unprotect(&mut bob, &new).is_ok());
    assert_eq!(unprotect(&mut ann, &to_ann), Err(Error::Replayed));
}

#[test]
fn keys_are_as_long_as_their_suite_and_are_not_shown() {
    for suite in SUITES {
        let len = suite.key_len() + suite.salt_len();
        for wrong in [0, len - 1, len + 1] {
            assert_eq!(Master::new(suite, &vec![0; wrong]), None);
        }
        let master = master(suite, 0x77);
        assert_eq!([master.key(), master.salt()].concat(), master.bytes());
        assert_eq!(format!("{master:?}"), format!("Master({})", suite.name()));
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_or_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..64), suite in 0usize..4) {
        let (_, mut bob) = pair(SUITES[suite]);
        let mut out = Vec::new();
        prop_assert!(bob.unprotect(&bytes, &mut out).is_err());
        prop_assert!(bob.unprotect_rtcp(&bytes, &mut out).is_err());
    }

    #[test]
    fn any_packet_comes_back_as_it_was(
        csrcs in 0u8..16, extension in prop::option::of(0u8..8), payload in prop::collection::vec(any::<u8>(), 0..300),
        seq: u16, suite in 0usize..4,
    ) {
        let mut packet = rtp(SSRC, seq);
        packet.truncate(12);
        packet[0] |= csrcs | if extension.is_some() { 0x10 } else { 0 };
        packet.extend(vec![1; 4 * usize::from(csrcs)]);
        if let Some(words) = extension {
            packet.extend([0xbe, 0xde, 0, words]);
            packet.extend(vec![2; 4 * usize::from(words)]);
        }
        packet.extend(payload);
        let (mut ann, mut bob) = pair(SUITES[suite]);
        let sent = protect(&mut ann, &packet);
        prop_assert_eq!(unprotect(&mut bob, &sent), Ok(packet));
    }
}
