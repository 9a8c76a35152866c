//! Session descriptions. An input is text: descriptions one after the other, each below a line `offer` (answered) or
//! `answer` (to an offer of ours).

use std::time::Duration;

use plenary_codec::Codec;
use plenary_media::sdp::{LocalMedia, Refusal, SdpSession, SrtpPolicy, Terms};
use plenary_transport::dtls::Fingerprint;
use plenary_transport::sdes::{self, Agreed, Keyring};
use plenary_transport::webrtc::{Answer, OFFER_MAX, Peer};

use crate::network::{ALL, host};

/// Descriptions in one input; each costs a whole exchange.
const EXCHANGES_MAX: usize = 8;

/// Whether each is an offer, and the description.
fn exchanges(text: &str) -> Vec<(bool, String)> {
    let mut exchanges: Vec<(bool, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        let kind = line.trim_end();
        if matches!(kind, "offer" | "answer") && exchanges.len() < EXCHANGES_MAX {
            exchanges.push((kind == "offer", String::new()));
        } else if let Some((_, description)) = exchanges.last_mut() {
            description.push_str(line);
        } else {
            exchanges.push((true, line.to_owned()));
        }
    }
    exchanges
}

/// A leg of a phone that is offered and answered whatever it may be: what we say is proper SDP.
pub fn phone(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let policies = [
        SrtpPolicy::Never,
        SrtpPolicy::Optional,
        SrtpPolicy::Required,
    ];
    for policy in policies {
        let mut session = session(policy);
        for (is_offer, description) in exchanges(&text) {
            if is_offer {
                if let Ok((_, answer)) = session.answer(&description) {
                    is_proper(&answer, lines(&description, "m="));
                }
            } else {
                is_proper(&session.offer(), 0);
                let _ = session.accept(&description);
            }
        }
    }
}

fn session(srtp: SrtpPolicy) -> SdpSession {
    let local = LocalMedia {
        address: [203, 0, 113, 5].into(),
        rtp_port: 20_000,
        session_id: 77,
    };
    let fingerprint = vec!["5A"; 32].join(":");
    let terms = Terms {
        codecs: Codec::ALL.to_vec(),
        srtp,
        secret: [1; 32],
        fingerprint: Fingerprint::parse(&format!("sha-256 {fingerprint}")),
    };
    SdpSession::new(local, terms)
}

/// Nothing that the peer has written has made a line of its own; `media`: lines that there must be, if it is known.
fn is_proper(sdp: &str, media: usize) {
    has_lines(sdp);
    assert!(media == 0 || lines(sdp, "m=") == media, "{sdp}");
    // A leg of ours understands it; that it may not like it is another thing.
    let understood = session(SrtpPolicy::Optional).answer(sdp);
    assert!(
        !matches!(understood, Err(Refusal::Malformed(_))),
        "{understood:?}: {sdp}"
    );
}

/// Each line is one (RFC 8866 section 5).
fn has_lines(sdp: &str) {
    for line in sdp.split_terminator("\r\n") {
        let kind = line.as_bytes().first_chunk::<2>();
        let is_line =
            kind.is_some_and(|[kind, equals]| b"vosctma".contains(kind) && *equals == b'=');
        assert!(is_line && !line.contains(['\r', '\n']), "{line:?} in {sdp}");
    }
    assert!(sdp.ends_with("\r\n"));
}

fn lines(sdp: &str, start: &str) -> usize {
    sdp.lines().filter(|line| line.starts_with(start)).count()
}

/// Offers of browsers, the first and later ones: what we answer is proper SDP to a browser.
pub fn browser(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut peer: Option<Peer> = None;
    for (_, offer) in exchanges(&text) {
        let answered = match &mut peer {
            Some(peer) if peer.is_same_page(&offer) => peer.restart(&offer, Duration::ZERO),
            _ => Peer::accept(&host(), &ALL, &offer, Duration::ZERO).map(|(accepted, answer)| {
                peer = Some(accepted);
                answer
            }),
        };
        if let Ok(Answer { sdp, media }) = answered {
            assert!(sdp.len() < 4 * OFFER_MAX);
            assert!(media.formats.iter().all(|(pt, _)| *pt < 128));
            assert_eq!(lines(&sdp, "m="), lines(&offer, "m="), "{sdp}");
            has_lines(&sdp);
        }
    }
}

/// `a=crypto` lines: what can be read is read again as it is written, and has keys.
pub fn crypto(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(line) = sdes::parse(&text) {
        let written = line.to_string();
        let value = written.strip_prefix("crypto:").unwrap_or_default();
        assert_eq!(sdes::parse(value), Ok(line));
    }
    let mut keys = Keyring::new(&[1; 32]);
    let mut agreed: Option<Agreed> = None;
    for value in text.lines().take(2 * EXCHANGES_MAX) {
        let offered = keys.offer(agreed.map(|agreed| agreed.line()).as_slice());
        let taken = keys.accept(&offered, value).ok();
        agreed = taken
            .or_else(|| keys.answer([value], agreed.as_ref()).ok())
            .or(agreed);
        if let Some(agreed) = agreed {
            assert_eq!(agreed.local.suite(), agreed.remote.suite());
        }
    }
}
