//! Offers and answers as RFC 3264 and RFC 8866 say.

use plenary_codec::Codec;
use plenary_media::rtp::Pt;
use plenary_media::sdp::{
    Direction, Format, LocalMedia, Negotiated, OpusWishes, Refusal, SdpSession, Security,
    SrtpPolicy, Terms,
};
use proptest::prelude::*;

const G711: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

fn session_of(codecs: &[Codec], srtp: SrtpPolicy) -> SdpSession {
    let address = "203.0.113.5".parse().expect("an address");
    let local = LocalMedia {
        address,
        rtp_port: 20_000,
        session_id: 77,
    };
    let terms = Terms {
        codecs: codecs.to_vec(),
        srtp,
        secret: [7; 32],
        fingerprint: None,
    };
    SdpSession::new(local, terms)
}

/// One of G.711 in clear.
fn session() -> SdpSession {
    session_of(&G711, SrtpPolicy::Never)
}

/// An offer with these lines after its session part.
fn offer(lines: &str) -> String {
    let head = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n";
    format!("{head}{lines}").replace('\n', "\r\n")
}

const PHONE: &str = "m=audio 4000 RTP/AVP 9 8 0 101\na=rtpmap:9 G722/8000\na=rtpmap:8 PCMA/8000\n\
                     a=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=ptime:30\na=sendrecv\n";

fn answer(lines: &str) -> Result<(Negotiated, String), Refusal> {
    session().answer(&offer(lines))
}

fn negotiated(lines: &str) -> Negotiated {
    answer(lines).expect("an offer that we can do").0
}

#[test]
fn a_phone_s_offer_is_answered_with_one_codec_and_its_events() {
    let (negotiated, sdp) = answer(PHONE).expect("an offer that we can do");
    let expected = Negotiated {
        codec: Codec::Pcma,
        pt: Pt(8),
        opus: OpusWishes::default(),
        dtmf_pt: Some(Pt(101)),
        dtmf_clock_hz: 8_000,
        remote_rtp: "192.0.2.1:4000".parse().expect("an address"),
        remote_rtcp: "192.0.2.1:4001".parse().expect("an address"),
        rtcp_mux: false,
        direction: Direction::SendRecv,
        security: Security::None,
    };
    assert_eq!(negotiated, expected);
    let expected = "v=0\r\no=- 77 1 IN IP4 203.0.113.5\r\ns=-\r\nc=IN IP4 203.0.113.5\r\nt=0 0\r\n\
                    m=audio 20000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
                    a=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:60\r\na=sendrecv\r\n";
    assert_eq!(sdp, expected);
}

#[test]
fn static_payload_types_need_no_rtpmap_and_dynamic_ones_may_mean_g711() {
    let cases = [
        ("m=audio 4000 RTP/AVP 0\n", Codec::Pcmu, 0),
        ("m=audio 4000 RTP/AVP 18 8\n", Codec::Pcma, 8),
        (
            "m=audio 4000 RTP/AVP 97 0\na=rtpmap:97 pcma/8000/1\n",
            Codec::Pcma,
            97,
        ),
        (
            "m=audio 4000 RTP/AVP 97 0\na=rtpmap:97 PCMA/16000\n",
            Codec::Pcmu,
            0,
        ),
        (
            "m=audio 4000 RTP/AVP 97 0\na=rtpmap:97 PCMA/8000/2\n",
            Codec::Pcmu,
            0,
        ),
        (
            "m=audio 4000 RTP/AVP 0 8\na=rtpmap:0 L16/8000\n",
            Codec::Pcma,
            8,
        ),
    ];
    for (lines, codec, pt) in cases {
        let negotiated = negotiated(lines);
        assert_eq!(
            (negotiated.codec, negotiated.pt, negotiated.dtmf_pt),
            (codec, Pt(pt), None),
            "{lines}"
        );
    }
}

/// RFC 3264 section 6.1: the answer's direction mirrors the offer's; `c=0.0.0.0` is the hold of RFC 2543.
#[test]
fn directions_are_mirrored() {
    let cases = [
        ("a=sendrecv\n", "", Direction::SendRecv),
        ("a=sendonly\n", "", Direction::RecvOnly),
        ("a=recvonly\n", "", Direction::SendOnly),
        ("a=inactive\n", "", Direction::Inactive),
        ("", "a=sendonly\n", Direction::RecvOnly),
        ("a=recvonly\n", "a=sendonly\n", Direction::SendOnly),
        ("c=IN IP4 0.0.0.0\n", "", Direction::RecvOnly),
        ("c=IN IP4 0.0.0.0\na=recvonly\n", "", Direction::Inactive),
        ("c=IN IP6 ::\na=inactive\n", "", Direction::Inactive),
    ];
    for (media, general, direction) in cases {
        let (negotiated, sdp) =
            answer(&format!("{general}m=audio 4000 RTP/AVP 0\n{media}")).expect("can do");
        assert_eq!(negotiated.direction, direction, "{general} {media}");
        assert!(sdp.ends_with(&format!("a={}\r\n", direction.as_str())));
    }
}

#[test]
fn addresses_and_ports_are_those_nearest_to_the_stream() {
    let cases = [
        ("", "192.0.2.1:4000", "192.0.2.1:4001"),
        (
            "c=IN IP4 198.51.100.9\n",
            "198.51.100.9:4000",
            "198.51.100.9:4001",
        ),
        (
            "c=IN IP6 2001:db8::7\n",
            "[2001:db8::7]:4000",
            "[2001:db8::7]:4001",
        ),
        ("a=rtcp:5555\n", "192.0.2.1:4000", "192.0.2.1:5555"),
        (
            "a=rtcp:5555 IN IP4 198.51.100.9\n",
            "192.0.2.1:4000",
            "198.51.100.9:5555",
        ),
        (
            "a=rtcp-mux\na=rtcp:5555\n",
            "192.0.2.1:4000",
            "192.0.2.1:4000",
        ),
    ];
    for (lines, rtp, rtcp) in cases {
        let negotiated = negotiated(&format!("m=audio 4000 RTP/AVP 0\n{lines}"));
        assert_eq!(
            (
                negotiated.remote_rtp.to_string(),
                negotiated.remote_rtcp.to_string()
            ),
            (rtp.into(), rtcp.into())
        );
    }
}

#[test]
fn rtcp_mux_is_answered_only_if_offered() {
    let (with, sdp) = answer("m=audio 4000 RTP/AVP 0\na=rtcp-mux\n").expect("can do");
    assert!(with.rtcp_mux && sdp.contains("a=rtcp-mux\r\n"));
    let (without, sdp) = answer("m=audio 4000 RTP/AVP 0\n").expect("can do");
    assert!(!without.rtcp_mux && !sdp.contains("rtcp-mux"));
}

/// RFC 3264 section 6: as many media lines as offered, in their order, those refused with port 0.
#[test]
fn other_streams_are_refused_in_their_places() {
    let (_, sdp) = answer(
        "m=video 5000 RTP/AVP 96\na=rtpmap:96 VP8/90000\nm=audio 4002 RTP/SAVP 0\nm=audio 4000 RTP/AVP 0\n\
         m=audio 4004 RTP/AVP 0\nm=image 5004 udptl t38\n",
    )
    .expect("can do");
    let media: Vec<_> = sdp.lines().filter(|line| line.starts_with("m=")).collect();
    let expected = [
        "m=video 0 RTP/AVP 96",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 20000 RTP/AVP 0",
        "m=audio 0 RTP/AVP 0",
        "m=image 0 udptl t38",
    ];
    assert_eq!(media, expected);
}

#[test]
fn what_we_cannot_do_is_refused_with_its_reason() {
    let cases = [
        ("", "no_common_codec"),
        ("m=video 4000 RTP/AVP 96\n", "no_common_codec"),
        ("m=audio 4000 RTP/AVP 9 18\n", "no_common_codec"),
        ("m=audio 0 RTP/AVP 0\n", "no_common_codec"),
        ("m=audio 4000 RTP/SAVP 0\n", "encryption_refused"),
        ("m=audio 4000 UDP/TLS/RTP/SAVPF 0\n", "encryption_refused"),
        ("m=audio 4000 RTP/AVP/x 0\n", "no_common_codec"),
        ("m=audio 70000 RTP/AVP 0\n", "malformed_sdp"),
        ("m=audio x RTP/AVP 0\n", "malformed_sdp"),
        ("m=audio 4000 RTP/AVP\n", "malformed_sdp"),
        (
            "m=audio 4000 RTP/AVP 0\nc=IN IP4 example.org\n",
            "malformed_sdp",
        ),
        (
            "m=audio 4000 RTP/AVP 0\nc=IN IP4 224.2.1.1/127\n",
            "malformed_sdp",
        ),
        ("m=audio 4000 RTP/AVP 0\na=rtcp:\n", "malformed_sdp"),
        ("m=audio 4000 RTP/AVP 0\nnonsense\n", "malformed_sdp"),
    ];
    for (lines, reason) in cases {
        let refusal = answer(lines).expect_err(lines);
        assert_eq!(refusal.reason(), reason, "{lines}");
        assert!(!refusal.to_string().is_empty());
    }
    for broken in ["", "o=- 1 1 IN IP4 192.0.2.1\r\n", "hello"] {
        assert_eq!(
            session().answer(broken).expect_err(broken).reason(),
            "malformed_sdp"
        );
    }
    assert_eq!(
        session()
            .answer("v=0\r\nm=audio 4000 RTP/AVP 0\r\n")
            .expect_err("no c=")
            .reason(),
        "malformed_sdp"
    );
}

#[test]
fn descriptions_beyond_the_limits_are_refused() {
    let lines = offer(&"a=x\n".repeat(1_020));
    let media = offer(&"m=audio 4000 RTP/AVP 0\n".repeat(65));
    let long = offer(&format!("a={}\n", "x".repeat(16_384)));
    for sdp in [lines, media, long] {
        assert_eq!(
            session().answer(&sdp).expect_err("too much").reason(),
            "malformed_sdp"
        );
    }
    assert!(
        session()
            .answer(&offer(&"m=audio 4000 RTP/AVP 0\n".repeat(64)))
            .is_ok()
    );
}

#[test]
fn our_offer_is_one_that_we_would_take_and_its_answer_is_in_force() {
    let (mut ann, mut bob) = (session(), session());
    let sdp = ann.offer();
    assert!(sdp.contains("m=audio 20000 RTP/AVP 0 8 101\r\n") && sdp.contains("a=rtcp-mux\r\n"));
    let (theirs, answer) = bob.answer(&sdp).expect("we take our own offer");
    let ours = ann.accept(&answer).expect("and our own answer");
    assert_eq!(
        (ours.codec, ours.dtmf_pt, ours.rtcp_mux, ours.direction),
        (theirs.codec, theirs.dtmf_pt, true, Direction::SendRecv)
    );
    assert_eq!(ann.negotiated(), Some(&ours));
    assert_eq!(ann.accept(&answer), Err(Refusal::WrongState));
}

/// RFC 3264 section 6.1: what goes to a side goes under the numbers that it has named.
#[test]
fn events_may_have_another_number_in_each_direction() {
    let mut session = session();
    session.offer();
    let answer = offer("m=audio 4000 RTP/AVP 0 96\na=rtpmap:96 telephone-event/8000\n");
    let negotiated = session.accept(&answer).expect("can do");
    assert_eq!(negotiated.dtmf_pt, Some(Pt(96)));
    let events = Format::Dtmf { clock_hz: 8_000 };
    assert_eq!(session.format(Pt(101)), Some(events), "as we have named it");
    assert!(session.offer().contains("RTP/AVP 0 8 101\r\n"));
}

#[test]
fn a_bad_answer_leaves_the_offer_open_and_what_was_agreed_in_force() {
    let mut session = session();
    let (before, _) = session.answer(&offer(PHONE)).expect("can do");
    session.offer();
    for bad in [
        "",
        "m=audio 4000 RTP/AVP 18\n",
        "m=audio 0 RTP/AVP 0\n",
        "m=video 4000 RTP/AVP 0\n",
    ] {
        assert!(session.accept(&offer(bad)).is_err());
    }
    assert_eq!(session.negotiated(), Some(&before));
    assert!(session.accept(&offer("m=audio 4000 RTP/AVP 0\n")).is_ok());
}

/// RFC 3264 section 8: versions count up, media lines keep their number and order.
#[test]
fn later_offers_keep_the_form_of_the_first_and_count_up() {
    let mut session = session();
    let (_, first) = session
        .answer(&offer(&format!("m=video 5000 RTP/AVP 96\n{PHONE}")))
        .expect("can do");
    let second = session.offer();
    assert!(first.contains("o=- 77 1 ") && second.contains("o=- 77 2 "));
    let media: Vec<_> = second
        .lines()
        .filter(|line| line.starts_with("m="))
        .collect();
    assert_eq!(
        media,
        ["m=video 0 RTP/AVP 96", "m=audio 20000 RTP/AVP 0 8 101"]
    );
    let held = session
        .accept(&offer(
            "m=video 0 RTP/AVP 96\nm=audio 4000 RTP/AVP 0\na=recvonly\n",
        ))
        .expect("can do");
    assert_eq!(held.direction, Direction::SendOnly);
}

#[test]
fn a_refused_line_can_bring_nothing_of_its_own_into_our_answer() {
    let sdp = offer("m=audio 4000 RTP/AVP 0\nm=video 5000 RTP/AVP 96\u{7f}\u{1}x\n");
    assert_eq!(
        session()
            .answer(&sdp)
            .expect_err("control characters")
            .reason(),
        "malformed_sdp"
    );
}

proptest! {
    #[test]
    fn no_text_panics(sdp in "\\PC{0,400}") {
        let _ = session().answer(&sdp);
    }

    #[test]
    fn no_lines_panic_and_what_we_answer_can_be_read(
        lines in prop::collection::vec(
            prop_oneof![
                Just("m=audio 4000 RTP/AVP 0 8 101".to_owned()), Just("m=video 1/2 RTP/AVP 96".to_owned()),
                Just("a=rtpmap:0 PCMA/8000".to_owned()), Just("c=IN IP6 ::1".to_owned()), Just("a=rtcp-mux".to_owned()),
                "[macb]=[ -~]{0,30}", "a=(rtpmap|ptime|rtcp|maxptime):[ -~]{0,12}", "m=audio [0-9]{1,6} RTP/AVP [0-9 ]{0,20}",
            ], 0..30),
    ) {
        if let Ok((theirs, sdp)) = session().answer(&offer(&(lines.join("\n") + "\n"))) {
            let (again, _) = session().answer(&sdp).expect("our own words");
            prop_assert_eq!(again.codec, theirs.codec);
            prop_assert!(theirs.remote_rtp.port() != 0);
        }
    }
}
