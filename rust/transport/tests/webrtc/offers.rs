//! Offers of browsers and of others, and what comes of them.

use std::time::Duration;

use plenary_transport::webrtc::{Answer, Format, Peer, Refusal, ufrag};
use proptest::prelude::*;

use crate::network::{ALL, Network, address, host};
use plenary_transport::webrtc::Proto;

const CHROMIUM: &str = include_str!("chromium.sdp");
const FIREFOX: &str = include_str!("firefox.sdp");

fn accept(offer: &str) -> Result<Answer, Refusal> {
    Peer::accept(&host(), &ALL, offer, Duration::ZERO).map(|(_, answer)| answer)
}

#[test]
fn chromium_gets_opus_and_its_events_and_neither_red_nor_comfort_noise() {
    let answer = accept(CHROMIUM).expect("an answer");
    let media = &answer.media;
    assert_eq!(
        (media.format, media.pt, media.events),
        (Format::Opus, 111, Some((110, 48_000)))
    );
    assert_eq!(media.event_pts, [(110, 48_000), (126, 8_000)]);
    assert!(
        answer
            .sdp
            .contains("m=audio 4000 UDP/TLS/RTP/SAVPF 111 9 0 8 110 126\r\n")
    );
    assert!(media.opus.fec && !media.opus.stereo);
    for line in [
        "a=setup:passive\r\n",
        "a=sendrecv\r\n",
        "a=ice-lite\r\n",
        "a=extmap:1/recvonly urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n",
        " udp 2130706431 192.0.2.1 4000 typ host\r\n",
        " 192.0.2.1 4000 typ host tcptype passive\r\n",
    ] {
        assert!(answer.sdp.contains(line), "{line} in {}", answer.sdp);
    }
}

#[test]
fn firefox_gets_opus_and_its_only_events() {
    let media = accept(FIREFOX).expect("an answer").media;
    assert_eq!(
        (media.format, media.pt, media.events),
        (Format::Opus, 109, Some((101, 8_000)))
    );
    let wishes = (media.opus.max_playback_hz, media.opus.stereo);
    assert_eq!(wishes, (Some(48_000), true));
}

#[test]
fn our_preference_decides_among_what_is_offered() {
    let liked = [Format::Pcma, Format::Opus];
    let (_, answer) = Peer::accept(&host(), &liked, CHROMIUM, Duration::ZERO).expect("an answer");
    assert_eq!(
        answer.media.formats,
        [(8, Format::Pcma), (111, Format::Opus)]
    );
    assert_eq!(answer.media.events, Some((126, 8_000)));
    let none = Peer::accept(&host(), &[], CHROMIUM, Duration::ZERO);
    assert_eq!(none.err(), Some(Refusal::NoFormat));
}

#[test]
fn video_and_data_are_rejected_in_their_places() {
    let (head, audio) = CHROMIUM.split_once("m=audio").expect("audio");
    let video = "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:v\r\na=rtpmap:96 VP8/90000\r\n";
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\n";
    let answer = accept(&format!("{head}{video}m=audio{audio}{data}")).expect("an answer");
    let lines: Vec<_> = answer
        .sdp
        .lines()
        .filter(|line| line.starts_with("m="))
        .collect();
    assert_eq!(lines[0], "m=video 0 UDP/TLS/RTP/SAVPF 96 97");
    assert_eq!(lines[2], "m=application 0 UDP/DTLS/SCTP webrtc-datachannel");
    assert!(answer.sdp.contains("a=group:BUNDLE 0\r\n") && answer.sdp.contains("a=mid:v\r\n"));
}

#[test]
fn who_only_listens_is_only_sent_to() {
    let cases = [
        ("recvonly", "a=sendonly\r\n", (false, true)),
        ("sendonly", "a=recvonly\r\n", (true, false)),
        ("inactive", "a=inactive\r\n", (false, false)),
    ];
    for (offered, answered, expected) in cases {
        let offer = CHROMIUM.replace("a=sendrecv", &format!("a={offered}"));
        let answer = accept(&offer).expect("an answer");
        assert!(answer.sdp.contains(answered), "{offered}");
        assert_eq!(
            (answer.media.peer_sends, answer.media.peer_receives),
            expected
        );
    }
}

#[test]
fn candidates_with_names_of_the_browsers_own_network_do_no_harm() {
    let mdns =
        "a=candidate:1 1 udp 2113937151 2a8c7f5e-0000-4f4e-9c6e-7a6c1d2e3f4a.local 5 typ host";
    assert!(accept(&format!("{CHROMIUM}{mdns}\r\n")).is_ok());
}

#[test]
fn what_can_not_be_answered_is_refused_with_its_reason() {
    let without = |start: &str| {
        let lines = CHROMIUM.lines().filter(|line| !line.starts_with(start));
        lines.collect::<Vec<_>>().join("\r\n")
    };
    let cases = [
        (without("m=audio"), Refusal::NoAudio),
        (CHROMIUM.replace("m=audio 9", "m=audio 0"), Refusal::NoAudio),
        (without("a=fingerprint"), Refusal::NoFingerprint),
        (CHROMIUM.replace("sha-256", "sha-1"), Refusal::NoFingerprint),
        (
            CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
            Refusal::NoFingerprint,
        ),
        (without("a=ice-pwd"), Refusal::NoIce),
        (CHROMIUM.replace("s=-", "s=-\r\na=ice-lite"), Refusal::NoIce),
        (CHROMIUM.replace("111 63 9 0 8", "63"), Refusal::NoFormat),
        ("x".repeat(70_000), Refusal::TooLong),
        (
            "m=video 9 x y\r\n"
                .repeat(65)
                .replacen("m=", "v=0\r\nm=", 1),
            Refusal::TooLong,
        ),
    ];
    for (offer, expected) in cases {
        assert_eq!(accept(&offer).err(), Some(expected), "{offer}");
    }
    for broken in ["", "v=0", "v=0\r\nm=audio\r\n", "v=0\r\nnonsense\r\n"] {
        assert!(accept(broken).is_err(), "{broken:?}");
    }
}

fn bent(offer: &str, at: usize, len: usize, bytes: &[u8]) -> String {
    let mut raw = offer.as_bytes().to_vec();
    let at = at % raw.len();
    let end = (at + len).min(raw.len());
    raw.splice(at..end, bytes.iter().copied());
    String::from_utf8_lossy(&raw).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_offer_does_harm(
        at in 0usize..4_000,
        len in 0usize..80,
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        from in prop::sample::select(vec![CHROMIUM, FIREFOX]),
    ) {
        if let Ok(answer) = accept(&bent(from, at, len, &bytes)) {
            prop_assert!(answer.sdp.len() < 200_000 && answer.sdp.ends_with("\r\n"));
        }
    }

    #[test]
    fn lines_in_any_order_and_number_do_no_harm(
        picks in proptest::collection::vec(0usize..40, 0..120),
    ) {
        let lines: Vec<_> = CHROMIUM.lines().collect();
        let mixed = picks.iter().map(|pick| lines[pick % lines.len()]);
        let offer = std::iter::once("v=0").chain(mixed).collect::<Vec<_>>().join("\r\n");
        drop(accept(&offer));
    }

    #[test]
    fn any_bytes_have_a_ufrag_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(name) = ufrag(&bytes) {
            prop_assert!(name.len() <= bytes.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// What came from the browser, bent, from where it comes from: checks, DTLS, SRTP.
    #[test]
    fn no_datagram_does_harm(
        bends in proptest::collection::vec(
            (any::<prop::sample::Index>(), 0usize..1_500, 0usize..8,
             proptest::collection::vec(any::<u8>(), 0..8)),
            200,
        ),
        raw in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 100),
    ) {
        let mut network = Network::answered(Proto::Udp);
        network.run(Duration::from_millis(100));
        let home = address(crate::network::HOME);
        for (which, at, len, bytes) in bends {
            network.run(Duration::from_millis(5));
            network.say(111, 0, &[7; 30]);
            let seen = &network.seen;
            let Some(datagram) = (!seen.is_empty()).then(|| which.get(seen)) else { continue };
            let mut bent = datagram.clone();
            let at = at % bent.len();
            let end = (at + len).min(bent.len());
            bent.splice(at..end, bytes);
            network.peer.receive(Proto::Udp, &bent, home, network.now);
        }
        for datagram in raw {
            network.peer.receive(Proto::Udp, &datagram, home, network.now);
        }
        prop_assert_eq!(network.peer.stats().dropped, 0);
    }
}
