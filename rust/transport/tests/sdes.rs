//! `a=crypto` lines as RFC 4568 has them, and as phones write them.

use plenary_transport::sdes::{Agreed, CryptoLine, Keyring, SUITES, Unfit, parse};
use plenary_transport::srtp::{Session, Suite};
use proptest::prelude::*;

const KEY: &str = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

fn line(suite: &str, keys: &str, rest: &str) -> Result<CryptoLine, Unfit> {
    parse(&format!("1 {suite} {keys} {rest}"))
}

/// The examples of RFC 4568 sections 4.1 and 6.1, and lines that phones send.
#[test]
fn lines_are_read_as_far_as_we_can_do_what_they_ask() {
    let sha80 = "AES_CM_128_HMAC_SHA1_80";
    let gcm = "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw";
    let good = [
        (sha80, KEY, "", Suite::AesCm128HmacSha1_80),
        (
            "AES_CM_128_HMAC_SHA1_32",
            KEY,
            "",
            Suite::AesCm128HmacSha1_32,
        ),
        (
            "aes_cm_128_hmac_sha1_80",
            KEY,
            "",
            Suite::AesCm128HmacSha1_80,
        ),
        (
            sha80,
            &format!("{KEY}|2^20"),
            "",
            Suite::AesCm128HmacSha1_80,
        ),
        (
            sha80,
            &format!("{KEY}|1048576"),
            "WSH=128",
            Suite::AesCm128HmacSha1_80,
        ),
        (sha80, KEY, "KDR=0 -X=1", Suite::AesCm128HmacSha1_80),
        ("AEAD_AES_128_GCM", gcm, "", Suite::AeadAes128Gcm),
        (
            "AEAD_AES_128_GCM",
            &format!("{gcm}=="),
            "",
            Suite::AeadAes128Gcm,
        ),
    ];
    for (suite, keys, rest, expected) in good {
        let read = line(suite, keys, rest).expect(keys);
        assert_eq!((read.tag, read.master.suite()), (1, expected));
    }
    let bad = [
        (sha80, &format!("{KEY}|2^20|1:4")[..], "", Unfit::Mki),
        (sha80, &format!("{KEY}|1:4"), "", Unfit::Mki),
        (sha80, &format!("{KEY};{KEY}"), "", Unfit::Mki),
        (
            sha80,
            &format!("{KEY}|2^20"),
            "UNENCRYPTED_SRTP",
            Unfit::Parameter,
        ),
        (sha80, KEY, "UNENCRYPTED_SRTCP", Unfit::Parameter),
        (sha80, KEY, "UNAUTHENTICATED_SRTP", Unfit::Parameter),
        (sha80, KEY, "KDR=1", Unfit::Parameter),
        (sha80, KEY, "FEC_ORDER=FEC_SRTP", Unfit::Parameter),
        ("F8_128_HMAC_SHA1_80", KEY, "", Unfit::Suite),
        ("AES_256_CM_HMAC_SHA1_80", KEY, "", Unfit::Suite),
        ("AEAD_AES_128_GCM", KEY, "", Unfit::Malformed),
        (sha80, "inline:", "", Unfit::Malformed),
        (sha80, "inline:WVNf!!!!", "", Unfit::Malformed),
        (sha80, &KEY[..46], "", Unfit::Malformed),
        (sha80, &format!("{KEY}{KEY}"), "", Unfit::Malformed),
        (sha80, &format!("{KEY}|"), "", Unfit::Malformed),
        (sha80, "uri:https://example.org/key", "", Unfit::Malformed),
    ];
    for (suite, keys, rest, why) in bad {
        assert_eq!(line(suite, keys, rest), Err(why), "{suite} {keys} {rest}");
    }
    for broken in [
        "",
        "1",
        "1 AES_CM_128_HMAC_SHA1_80",
        "x AES_CM_128_HMAC_SHA1_80 inline:A",
    ] {
        assert_eq!(parse(broken), Err(Unfit::Malformed));
    }
    let tag = |tag: &str| parse(&format!("{tag} {sha80} {KEY}")).map(|line| line.tag);
    assert_eq!(tag("999999999"), Ok(999_999_999));
    assert_eq!(tag("9999999999"), Err(Unfit::Malformed));
    assert_eq!(tag("-1"), Err(Unfit::Malformed));
}

/// An exchange between two of us; both ends then understand each other.
fn exchange(
    ann: &mut Keyring,
    bob: &mut Keyring,
    before: Option<(Agreed, Agreed)>,
) -> (Agreed, Agreed) {
    let offered = ann.offer(before.map(|(ann, _)| ann.line()).as_slice());
    let texts: Vec<_> = offered.iter().map(|line| line.to_string()).collect();
    let values = texts.iter().filter_map(|text| text.strip_prefix("crypto:"));
    let theirs = bob
        .answer(values, before.as_ref().map(|(_, bob)| bob))
        .expect("an offer of ours");
    let answer = theirs.line().to_string();
    let answer = answer.strip_prefix("crypto:").expect("a line");
    (
        ann.accept(&offered, answer).expect("an answer of ours"),
        theirs,
    )
}

#[test]
fn both_sides_end_with_the_keys_of_the_other() {
    let (mut ann, mut bob) = (Keyring::new(&[1; 32]), Keyring::new(&[2; 32]));
    let (ours, theirs) = exchange(&mut ann, &mut bob, None);
    assert_eq!(
        (ours.local, ours.remote, ours.tag),
        (theirs.remote, theirs.local, theirs.tag)
    );
    assert_ne!(ours.local, ours.remote);
    let (mut a, mut b) = (
        Session::new(ours.local, ours.remote),
        Session::new(theirs.local, theirs.remote),
    );
    let (rtp, mut sealed, mut opened) = ([[0x80; 12]; 4].concat(), Vec::new(), Vec::new());
    a.protect(&rtp, &mut sealed).expect("a packet");
    assert_eq!(b.unprotect(&sealed, &mut opened), Ok(()));
    assert_eq!(opened, rtp);
}

/// RFC 4568 section 5.1.2: the offerer has sorted them; those we can't do are passed over.
#[test]
fn the_first_line_that_we_can_do_is_taken_with_its_tag() {
    let mut keyring = Keyring::new(&[1; 32]);
    let lines = [
        format!("1 AES_256_CM_HMAC_SHA1_80 {KEY}"),
        format!("2 AES_CM_128_HMAC_SHA1_80 {KEY}|2^20|1:4"),
        format!("7 AES_CM_128_HMAC_SHA1_32 {KEY}"),
        format!("8 AES_CM_128_HMAC_SHA1_80 {KEY}"),
    ];
    let agreed = keyring
        .answer(lines.iter().map(String::as_str), None)
        .expect("a line");
    assert_eq!(
        (agreed.tag, agreed.local.suite()),
        (7, Suite::AesCm128HmacSha1_32)
    );
    let none: [&str; 0] = [];
    assert_eq!(keyring.answer(none, None), Err(None));
    let unfit = lines[..2].iter().map(String::as_str);
    assert_eq!(keyring.answer(unfit, None), Err(Some(Unfit::Mki)));
}

#[test]
fn our_offer_has_every_suite_once_under_a_tag_and_key_of_its_own() {
    let mut keyring = Keyring::new(&[1; 32]);
    let offered = keyring.offer(&[]);
    let suites: Vec<_> = offered.iter().map(|line| line.master.suite()).collect();
    assert_eq!(suites, SUITES);
    for (i, line) in offered.iter().enumerate() {
        for other in &offered[..i] {
            assert!(line.tag != other.tag && line.master.key() != other.master.key());
        }
    }
}

#[test]
fn an_answer_that_takes_what_was_not_offered_is_refused() {
    let mut keyring = Keyring::new(&[1; 32]);
    let offered = keyring.offer(&[]);
    let answers = [
        format!("9 AES_CM_128_HMAC_SHA1_80 {KEY}"),
        format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}"),
        format!("3 AES_CM_128_HMAC_SHA1_80 {KEY}|1:1"),
    ];
    for answer in answers {
        assert!(keyring.accept(&offered, &answer).is_err(), "{answer}");
    }
    let good = format!("3 AES_CM_128_HMAC_SHA1_80 {KEY}");
    assert!(keyring.accept(&offered, &good).is_ok());
}

/// A hold isn't a reason to begin anew; a change of suite is, and never with a key that was in use.
#[test]
fn our_key_stays_as_long_as_its_suite_does() {
    let (mut ann, mut bob) = (Keyring::new(&[1; 32]), Keyring::new(&[2; 32]));
    let first = exchange(&mut ann, &mut bob, None);
    assert_eq!(exchange(&mut ann, &mut bob, Some(first)), first);
    let (other, same) = (
        format!("5 AES_CM_128_HMAC_SHA1_80 {KEY}"),
        format!("6 AEAD_AES_256_GCM inline:{}", "A".repeat(59)),
    );
    let second = bob.answer([&other[..]], Some(&first.1)).expect("a line");
    let third = bob.answer([&same[..]], Some(&second)).expect("a line");
    assert_eq!(third.local.suite(), first.1.local.suite());
    assert_ne!(third.local, first.1.local);
    let after_clear = bob.answer([&same[..]], None).expect("a line");
    assert_ne!(after_clear.local, third.local);
    let (once, again) = (bob.offer(&[third.line()]), bob.offer(&[third.line()]));
    assert_eq!(once[0], again[0]);
    assert!(once[1..].iter().all(|line| !again.contains(line)));
}

proptest! {
    #[test]
    fn no_line_panics(value in "\\PC{0,200}") {
        let _ = parse(&value);
    }

    #[test]
    fn nearly_right_lines_do_not_panic(
        tag in "[0-9]{0,12}", suite in 0usize..4, key in "[A-Za-z0-9+/=|:;^]{0,80}", rest in "[ -~]{0,20}",
    ) {
        if let Ok(line) = parse(&format!("{tag} {} inline:{key} {rest}", SUITES[suite].name())) {
            let written = line.to_string();
            prop_assert_eq!(parse(written.strip_prefix("crypto:").expect("a line")), Ok(line));
        }
    }
}
