//! What stays and what changes from one offer and answer of a leg to the next (RFC 3264 section 8): codecs, payload types,
//! keys; and what our own offers bring about.

use plenary_codec::Codec;
use plenary_media::rtp::Pt;
use plenary_media::sdp::{
    Format, LocalMedia, Negotiated, Refusal, SdpSession, Security, SrtpPolicy, Terms,
};
use plenary_transport::dtls::{Fingerprint, Role};
use proptest::prelude::*;

fn fingerprint(byte: u8) -> String {
    let bytes = vec![format!("{byte:02X}"); 32];
    format!("sha-256 {}", bytes.join(":"))
}

/// A leg whose keys and fingerprint are made of `seed`.
fn leg(srtp: SrtpPolicy, seed: u8) -> SdpSession {
    let local = LocalMedia {
        address: "203.0.113.5".parse().expect("an address"),
        rtp_port: 20_000,
        session_id: 77,
    };
    let terms = Terms {
        codecs: Codec::ALL.to_vec(),
        srtp,
        secret: [seed; 32],
        fingerprint: Fingerprint::parse(&fingerprint(seed)),
    };
    SdpSession::new(local, terms)
}

fn description(lines: &str) -> String {
    let head = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n";
    format!("{head}{lines}").replace('\n', "\r\n")
}

fn answer(leg: &mut SdpSession, lines: &str) -> Negotiated {
    leg.answer(&description(lines)).expect("can do").0
}

fn media_line(sdp: &str) -> &str {
    sdp.lines()
        .find(|line| line.starts_with("m=audio"))
        .expect("audio")
}

const OPUS: &str = "m=audio 4000 RTP/AVP 107 8 100 101\na=rtpmap:107 opus/48000/2\na=rtpmap:100 telephone-event/48000\n\
                    a=rtpmap:101 telephone-event/8000\n";

#[test]
fn a_phone_that_changes_its_codec_is_understood_before_and_after() {
    let mut leg = leg(SrtpPolicy::Never, 1);
    assert_eq!(answer(&mut leg, OPUS).codec, Codec::Opus);
    let changed = answer(
        &mut leg,
        "m=audio 4000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000\n",
    );
    assert_eq!(
        (changed.codec, changed.pt, changed.dtmf_clock_hz),
        (Codec::Pcma, Pt(8), 8_000)
    );
    let meanings = [
        (107, Some(Format::Audio(Codec::Opus))),
        (8, Some(Format::Audio(Codec::Pcma))),
        (100, Some(Format::Dtmf { clock_hz: 48_000 })),
        (13, Some(Format::ComfortNoise)),
        (55, None),
        (200, None),
    ];
    for (pt, meaning) in meanings {
        assert_eq!(leg.format(Pt(pt)), meaning, "{pt}");
    }
    assert_eq!(answer(&mut leg, OPUS).codec, Codec::Opus);
}

#[test]
fn red_is_understood_but_not_asked_for() {
    let mut leg = leg(SrtpPolicy::Never, 1);
    let offer = description("m=audio 4000 RTP/AVP 63 0\na=rtpmap:63 red/8000\na=fmtp:63 0/0\n");
    let (_, sdp) = leg.answer(&offer).expect("can do");
    assert_eq!(media_line(&sdp), "m=audio 20000 RTP/AVP 0");
    assert_eq!(leg.format(Pt(63)), Some(Format::Red));
}

/// RFC 3264 section 8.3.2: a number means the same in all our offers, and the peer's numbers are kept.
#[test]
fn our_offer_has_all_codecs_under_the_numbers_that_are_in_use() {
    let mut fresh = leg(SrtpPolicy::Never, 1);
    let sdp = fresh.offer();
    assert_eq!(media_line(&sdp), "m=audio 20000 RTP/AVP 111 9 0 8 101 110");
    assert!(sdp.contains("a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n"));
    assert!(sdp.contains("a=rtpmap:9 G722/8000\r\n") && !sdp.contains("crypto"));
    let mut later = leg(SrtpPolicy::Never, 1);
    answer(&mut later, OPUS);
    assert_eq!(
        media_line(&later.offer()),
        "m=audio 20000 RTP/AVP 107 9 0 8 101 100"
    );
    let mut taken = leg(SrtpPolicy::Never, 1);
    answer(
        &mut taken,
        "m=audio 4000 RTP/AVP 0 111\na=rtpmap:111 telephone-event/8000\n",
    );
    assert_eq!(
        media_line(&taken.offer()),
        "m=audio 20000 RTP/AVP 96 9 0 8 111 110"
    );
}

/// RFC 3264 section 7: the peer's number is what we send with, ours is what comes; its first is what it likes.
#[test]
fn an_answer_may_have_other_numbers_than_our_offer() {
    let mut leg = leg(SrtpPolicy::Never, 1);
    leg.offer();
    let answer = description(
        "m=audio 4000 RTP/AVP 120 9\na=rtpmap:120 opus/48000/2\na=fmtp:120 useinbandfec=1\n",
    );
    let negotiated = leg.accept(&answer).expect("can do");
    assert_eq!(
        (negotiated.codec, negotiated.pt, negotiated.opus.fec),
        (Codec::Opus, Pt(120), true)
    );
    assert_eq!(leg.format(Pt(111)), Some(Format::Audio(Codec::Opus)));
    assert_eq!(leg.format(Pt(120)), None);
}

/// The answer of a peer to our offer.
fn accept(leg: &mut SdpSession, profile: &str, lines: &str) -> Result<Negotiated, Refusal> {
    leg.accept(&description(&format!("m=audio 4000 {profile} 0\n{lines}")))
}

const KEY: &str = "AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

/// RFC 8643: keys in a clear profile may be ignored. Where they must not be, the profile says so.
#[test]
fn what_we_offer_of_encryption_is_what_the_policy_wants() {
    let mut never = leg(SrtpPolicy::Never, 1);
    let mut optional = leg(SrtpPolicy::Optional, 1);
    let mut required = leg(SrtpPolicy::Required, 1);
    let keys = |sdp: &str| sdp.matches("a=crypto:").count();
    let offers = [&mut never, &mut optional, &mut required].map(|leg| leg.offer());
    let found = offers
        .each_ref()
        .map(|sdp| (sdp.contains("RTP/SAVP"), keys(sdp)));
    assert_eq!(found, [(false, 0), (false, 4), (true, 4)]);
    let clear = accept(&mut optional, "RTP/AVP", "").expect("ignored");
    assert_eq!(clear.security, Security::None);
    assert_eq!(
        accept(&mut required, "RTP/AVP", "")
            .expect_err("clear")
            .reason(),
        "encryption_required"
    );
    assert_eq!(
        accept(&mut required, "RTP/SAVP", "")
            .expect_err("clear")
            .reason(),
        "encryption_required"
    );
    let foreign = format!("a=crypto:9 {KEY}\n");
    assert_eq!(
        accept(&mut required, "RTP/SAVP", &foreign)
            .expect_err("tag")
            .reason(),
        "malformed_sdp"
    );
    let good = accept(&mut required, "RTP/SAVP", &format!("a=crypto:3 {KEY}\n")).expect("ours");
    assert!(matches!(good.security, Security::Sdes(agreed) if agreed.tag == 3));
}

#[test]
fn two_of_us_have_the_keys_of_each_other() {
    let (mut ann, mut bob) = (leg(SrtpPolicy::Optional, 1), leg(SrtpPolicy::Required, 2));
    for _ in 0..3 {
        let (theirs, sdp) = bob.answer(&ann.offer()).expect("our own offer");
        let ours = ann.accept(&sdp).expect("our own answer");
        let (Security::Sdes(a), Security::Sdes(b)) = (ours.security, theirs.security) else {
            panic!("{ours:?} {theirs:?}");
        };
        assert_eq!((a.local, a.remote), (b.remote, b.local));
        std::mem::swap(&mut ann, &mut bob);
    }
}

/// A hold is no reason for new keys: an SRTP stream that began anew under an old one would repeat its key stream.
#[test]
fn keys_stay_from_one_exchange_to_the_next() {
    let mut leg = leg(SrtpPolicy::Optional, 1);
    let offer = format!("m=audio 4000 RTP/SAVP 0\na=crypto:5 {KEY}\n");
    let first = answer(&mut leg, &offer);
    let held = answer(&mut leg, &format!("{offer}a=sendonly\n"));
    assert_eq!(held.security, first.security);
    let ours = leg.offer();
    assert!(
        media_line(&ours).contains("RTP/SAVP"),
        "what was encrypted stays so"
    );
    let back =
        accept(&mut leg, "RTP/SAVP", &format!("a=crypto:5 {KEY}\n")).expect("the first line");
    assert_eq!(back.security, first.security);
    let rekeyed = answer(&mut leg, &offer.replace("WVNf", "AAAA"));
    let (Security::Sdes(old), Security::Sdes(new)) = (first.security, rekeyed.security) else {
        panic!("{rekeyed:?}");
    };
    assert!(old.local == new.local && old.remote != new.remote);
}

fn dtls_offer(of: u8, setup: &str) -> String {
    let of = fingerprint(of);
    format!("m=audio 4000 UDP/TLS/RTP/SAVP 0\na=fingerprint:{of}\na=setup:{setup}\n")
}

/// RFC 8842 section 5: the association stays unless somebody wants another.
#[test]
fn a_dtls_association_stays_as_long_as_its_fingerprint_does() {
    let mut leg = leg(SrtpPolicy::Required, 1);
    let first = answer(&mut leg, &dtls_offer(2, "passive"));
    assert!(matches!(
        first.security,
        Security::Dtls {
            role: Role::Active,
            ..
        }
    ));
    let held = answer(&mut leg, &dtls_offer(2, "actpass"));
    assert_eq!(held.security, first.security, "we stay active");
    let ours = leg.offer();
    assert!(media_line(&ours).contains("UDP/TLS/RTP/SAVP "));
    assert!(ours.contains(&format!(
        "a=fingerprint:{}\r\na=setup:active\r\n",
        fingerprint(1)
    )));
    let accept = |leg: &mut SdpSession, of, setup| leg.accept(&description(&dtls_offer(of, setup)));
    assert_eq!(
        accept(&mut leg, 2, "passive").expect("same").security,
        first.security
    );
    leg.offer();
    assert_ne!(
        accept(&mut leg, 3, "passive").expect("new").security,
        first.security
    );
}

/// A leg that takes up what another process has left, and its first offer.
fn resumed(last: &str) -> (SdpSession, String) {
    resumed_as(SrtpPolicy::Optional, last)
}

fn resumed_as(srtp: SrtpPolicy, last: &str) -> (SdpSession, String) {
    let local = LocalMedia {
        address: "203.0.113.9".parse().expect("an address"),
        rtp_port: 30_000,
        session_id: 78,
    };
    let terms = Terms {
        codecs: Codec::ALL.to_vec(),
        srtp,
        secret: [9; 32],
        fingerprint: Fingerprint::parse(&fingerprint(9)),
    };
    let mut leg = SdpSession::resume(local, terms, last);
    let offer = leg.offer();
    (leg, offer)
}

/// RFC 3264 section 8: for the peer it is the same session, whichever process of ours speaks.
#[test]
fn a_new_process_goes_on_in_the_form_of_the_old() {
    let mut before = leg(SrtpPolicy::Optional, 1);
    let (_, last) = before
        .answer(&description(&format!("m=video 5000 RTP/AVP 96\n{OPUS}")))
        .expect("can do");
    let (_, offer) = resumed(&last);
    assert!(offer.contains("o=- 77 2 IN IP4 203.0.113.9\r\n"));
    let lines: Vec<_> = offer
        .lines()
        .filter(|line| line.starts_with("m="))
        .collect();
    assert_eq!(
        lines,
        [
            "m=video 0 RTP/AVP 96",
            "m=audio 30000 RTP/AVP 107 9 0 8 101 100"
        ]
    );
    for unreadable in ["", "v=0\r\nm=video 0 RTP/AVP 96\r\n"] {
        assert_eq!(
            media_line(&resumed(unreadable).1),
            "m=audio 30000 RTP/AVP 111 9 0 8 101 110"
        );
    }
}

#[test]
fn what_was_encrypted_is_offered_so_by_a_new_process() {
    let mut before = leg(SrtpPolicy::Optional, 1);
    let (_, sdes) = before
        .answer(&description(&format!(
            "m=audio 4000 RTP/SAVP 0\na=crypto:5 {KEY}\n"
        )))
        .expect("can do");
    let (_, offer) = resumed(&sdes);
    assert!(media_line(&offer).contains("RTP/SAVP") && offer.matches("a=crypto:").count() == 4);
    assert_eq!(crypto(&offer).next(), crypto(&sdes).next());
    let (_, dtls) = before
        .answer(&description(&dtls_offer(2, "actpass")))
        .expect("can do");
    let (mut leg, offer) = resumed(&dtls);
    assert!(media_line(&offer).contains("UDP/TLS/RTP/SAVP "));
    assert!(offer.contains(&format!(
        "a=fingerprint:{}\r\na=setup:actpass\r\n",
        fingerprint(9)
    )));
    // `actpass`: baresip.
    for setup in ["active", "actpass"] {
        let answer = description(&dtls_offer(2, setup));
        let security = leg.accept(&answer).expect("can do").security;
        assert!(matches!(
            security,
            Security::Dtls {
                role: Role::Passive,
                ..
            }
        ));
        leg.offer();
    }
}

/// The listener of a call may be gone when it is taken up, and another be in its place.
#[test]
fn what_was_encrypted_stays_so_where_no_encryption_is_wanted_now() {
    let mut before = leg(SrtpPolicy::Optional, 1);
    let mut said = |lines: &str| before.answer(&description(lines)).expect("can do").1;
    for profile in ["RTP/SAVP", "RTP/AVP"] {
        let last = said(&format!("m=audio 4000 {profile} 0\na=crypto:5 {KEY}\n"));
        let (mut leg, offer) = resumed_as(SrtpPolicy::Never, &last);
        assert_eq!(crypto(&offer).next(), crypto(&last).next());
        let answer = format!("m=audio 4000 {profile} 0\na=crypto:5 {KEY}\n");
        let security = leg.accept(&description(&answer)).expect("keys").security;
        assert!(matches!(security, Security::Sdes(_)));
    }
    let dtls = said(&dtls_offer(2, "actpass"));
    let (_, offer) = resumed_as(SrtpPolicy::Never, &dtls);
    assert!(offer.contains("UDP/TLS/RTP/SAVP ") && offer.contains("a=fingerprint:"));
    let (_, offer) = resumed_as(SrtpPolicy::Never, &said("m=audio 4000 RTP/AVP 0\n"));
    assert!(media_line(&offer).contains("RTP/AVP ") && crypto(&offer).count() == 0);
}

fn crypto(sdp: &str) -> impl Iterator<Item = &str> {
    sdp.lines().filter(|line| line.starts_with("a=crypto:"))
}

/// A peer may have taken any of them, and some take none but the one that they have.
#[test]
fn a_new_process_offers_all_keys_that_the_old_one_has_offered_until_one_is_taken() {
    let first = leg(SrtpPolicy::Optional, 1).offer();
    let (mut leg, second) = resumed(&first);
    assert!(crypto(&second).eq(crypto(&first)));
    assert!(crypto(&leg.offer()).eq(crypto(&first)), "not answered yet");
    accept(&mut leg, "RTP/SAVP", &format!("a=crypto:3 {KEY}\n")).expect("ours");
    let third = leg.offer();
    assert_eq!(crypto(&third).next(), crypto(&first).nth(2));
    assert!(crypto(&third).skip(1).all(|line| !first.contains(line)));
}

/// RFC 3711 section 9.1: under one key no two packets have both SSRC and number in common.
#[test]
fn no_process_sends_with_the_ssrc_of_one_before_it() {
    let before = leg(SrtpPolicy::Optional, 1);
    let (mut ssrcs, mut last) = (vec![before.ssrc()], { before }.offer());
    for _ in 0..5 {
        let (mut leg, _) = resumed(&last);
        assert!(!ssrcs.contains(&leg.ssrc()));
        ssrcs.push(leg.ssrc());
        last = leg.offer();
        assert_eq!(
            leg.ssrc(),
            *ssrcs.last().expect("one"),
            "as long as it speaks"
        );
    }
}

#[test]
fn without_a_certificate_there_is_no_dtls() {
    let mut leg = {
        let local = LocalMedia {
            address: "203.0.113.5".parse().expect("an address"),
            rtp_port: 20_000,
            session_id: 77,
        };
        let terms = Terms {
            codecs: Codec::ALL.to_vec(),
            srtp: SrtpPolicy::Optional,
            secret: [1; 32],
            fingerprint: None,
        };
        SdpSession::new(local, terms)
    };
    let refusal = leg
        .answer(&description(&dtls_offer(2, "actpass")))
        .expect_err("no certificate");
    assert_eq!(refusal.reason(), "encryption_refused");
}

proptest! {
    /// Whatever comes, our answer is one that the peer of our kind takes, with the same security.
    #[test]
    fn no_lines_panic_and_what_we_answer_can_be_read(
        lines in prop::collection::vec(
            prop_oneof![
                Just("m=audio 4000 RTP/SAVP 111 9 0 101".to_owned()), Just("m=audio 4000 UDP/TLS/RTP/SAVPF 0 111".to_owned()),
                Just("m=audio 4000 RTP/AVP 96 0".to_owned()), Just(format!("a=crypto:1 {KEY}")), Just("a=setup:actpass".to_owned()),
                Just(format!("a=fingerprint:{}", fingerprint(4))), Just("a=rtpmap:96 opus/48000/2".to_owned()),
                "a=(crypto|fmtp|fingerprint|setup|rtpmap):[ -~]{0,40}", "a=fmtp:96 [a-z=;0-9]{0,40}",
            ], 0..20),
        policy in prop_oneof![Just(SrtpPolicy::Never), Just(SrtpPolicy::Optional), Just(SrtpPolicy::Required)],
    ) {
        let mut leg = leg(policy, 1);
        if let Ok((negotiated, sdp)) = leg.answer(&description(&(lines.join("\n") + "\n"))) {
            let peer = SrtpPolicy::Optional;
            let (again, _) = self::leg(peer, 2).answer(&sdp).expect("our own words");
            prop_assert_eq!(again.codec, negotiated.codec);
            let kind = |security| match security { Security::None => 0, Security::Sdes(_) => 1, Security::Dtls { .. } => 2 };
            prop_assert_eq!(kind(again.security), kind(negotiated.security));
            prop_assert!(policy != SrtpPolicy::Required || negotiated.security != Security::None);
            prop_assert!(policy != SrtpPolicy::Never || negotiated.security == Security::None);
        }
        let _ = resumed(&leg.offer());
        let _ = resumed(&description(&(lines.join("\n") + "\n")));
        let _ = leg.accept(&description(&(lines.join("\n") + "\n")));
    }
}
