//! Offers as phones and switches send them: two were caught on the wire (baresip 1.0, linphone 5.1), the others have the
//! forms of their makers. Keys and fingerprints are made up.

use plenary_codec::Codec::{self, G722, Opus};
use plenary_media::rtp::Pt;
use plenary_media::sdp::{
    LocalMedia, Negotiated, Refusal, SdpSession, Security, SrtpPolicy, Terms,
};
use plenary_transport::dtls::{Fingerprint, Role};
use plenary_transport::srtp::Suite;

const OURS: &str = "sha-256 D0:67:92:AA:58:AA:16:BF:3D:AF:78:14:99:1E:48:F1:EE:D6:10:A5:58:0D:83:42:09:87:23:71:E9:7A:7D:9E";

fn session(srtp: SrtpPolicy) -> SdpSession {
    let local = LocalMedia {
        address: "203.0.113.5".parse().expect("an address"),
        rtp_port: 20_000,
        session_id: 77,
    };
    let terms = Terms {
        codecs: Codec::ALL.to_vec(),
        srtp,
        secret: [7; 32],
        fingerprint: Fingerprint::parse(OURS),
    };
    SdpSession::new(local, terms)
}

fn answer(offer: &str, srtp: SrtpPolicy) -> Result<(Negotiated, String), Refusal> {
    session(srtp).answer(&offer.replace('\n', "\r\n"))
}

const BARESIP: &str = "v=0
o=- 2820564194 57200763 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
a=tool:baresip 1.0.0
a=setup:actpass
a=fingerprint:SHA-256 66:46:60:27:F7:AA:ED:33:04:FA:D3:AC:73:B7:5B:4D:4A:62:AD:4D:41:A8:90:13:95:34:97:D0:3F:87:07:4F
m=audio 16110 UDP/TLS/RTP/SAVPF 96 9 0 101
a=rtpmap:96 opus/48000/2
a=fmtp:96 stereo=1;sprop-stereo=1
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=sendrecv
a=label:1
a=rtcp-rsize
a=ssrc:323109025 cname:sip:ann@192.0.2.1:16060
a=minptime:20
a=ptime:20
";

const LINPHONE: &str = "v=0
o=ann 242 1235 IN IP6 2001:db8::2
s=Talk
c=IN IP6 2001:db8::2
t=0 0
a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics
m=audio 16202 RTP/SAVP 96 97 98 0 8 18 99 100 101
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:97 speex/16000
a=fmtp:97 vbr=on
a=rtpmap:98 speex/8000
a=fmtp:98 vbr=on
a=fmtp:18 annexb=yes
a=rtpmap:99 telephone-event/48000
a=rtpmap:100 telephone-event/16000
a=rtpmap:101 telephone-event/8000
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:RQdhxaN7u9GwGyBCHEwYbgXdwQ21vhLp12LIGKZ3
a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:RFsAyGANTi39C30Bj0/F5IarbvJu5Xn0oNPd/Zng
a=crypto:3 AES_256_CM_HMAC_SHA1_80 inline:t/1Pq/t6nrugGGRrlRqQpW76bCKECidWvqkjtI06oevU0kkdBLYuxEBTRKDJGg==
a=rtcp-fb:* trr-int 5000
a=rtcp-fb:* ccm tmmbr
";

/// Best effort: keys in a clear profile.
const SNOM: &str = "v=0
o=root 1872375293 1872375293 IN IP4 192.0.2.1
s=call
c=IN IP4 192.0.2.1
t=0 0
m=audio 60214 RTP/AVP 9 0 8 3 99 112 18 101
a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:4jF3yIJ5Q0gBz6HCPd6jLzPmS2YLTu2WkmhFQOyW
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:3 GSM/8000
a=rtpmap:99 G726-32/8000
a=rtpmap:112 AAL2-G726-32/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv
";

/// Encryption or nothing, by two media lines: the first is the wish, the second what would do.
const YEALINK: &str = "v=0
o=- 20031 20031 IN IP4 192.0.2.1
s=SDP data
c=IN IP4 192.0.2.1
t=0 0
m=audio 11790 RTP/SAVP 0 8 18 9 101
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj
a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj
a=crypto:3 F8_128_HMAC_SHA1_80 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:9 G722/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv
m=audio 11792 RTP/AVP 0 8 18 9 101
a=rtpmap:101 telephone-event/8000
a=sendrecv
";

const POLYCOM: &str = "v=0
o=- 1464713416 1464713416 IN IP4 192.0.2.1
s=Polycom IP Phone
c=IN IP4 192.0.2.1
t=0 0
a=sendrecv
m=audio 2248 RTP/AVP 9 102 0 8 18 127
a=rtpmap:9 G722/8000
a=rtpmap:102 G7221/16000
a=fmtp:102 bitrate=32000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:127 telephone-event/8000
";

const ASTERISK: &str = "v=0
o=- 1137219168 1137219168 IN IP4 192.0.2.1
s=Asterisk
c=IN IP4 192.0.2.1
t=0 0
m=audio 18236 RTP/AVP 107 9 8 0 110 101 13
a=rtpmap:107 opus/48000/2
a=fmtp:107 maxplaybackrate=16000;maxaveragebitrate=24000;useinbandfec=1;cbr=1
a=rtpmap:9 G722/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:110 telephone-event/48000
a=fmtp:110 0-16
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=rtpmap:13 CN/8000
a=ptime:20
a=maxptime:60
a=sendrecv
";

const FREESWITCH: &str = "v=0
o=FreeSWITCH 1696946233 1696946234 IN IP4 192.0.2.1
s=FreeSWITCH
c=IN IP4 192.0.2.1
t=0 0
m=audio 22390 RTP/SAVP 102 9 0 8 103 101
a=rtpmap:102 opus/48000/2
a=fmtp:102 useinbandfec=1; maxaveragebitrate=30000; maxplaybackrate=48000; usedtx=1; ptime=20; minptime=10; maxptime=40
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:103 telephone-event/48000
a=fmtp:103 0-16
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=crypto:1 AEAD_AES_256_GCM_8 inline:m/K8d2vbi5qvvnrhCXOSaDqjPOd8Bw4Z5cNEZZl4rvO9aYp22LZTQJpMyIk=
a=crypto:2 AEAD_AES_256_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis=
a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj
a=rtcp:22391 IN IP4 192.0.2.1
a=ptime:20
";

/// From a page by SIP over WebSocket.
const CHROME: &str = "v=0
o=- 4962303333179871722 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0
a=msid-semantic: WMS 7a44
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:hiQ2
a=ice-pwd:mkGt0sDQz8X4Y4sX1dHVXDm8
a=ice-options:trickle
a=fingerprint:sha-256 BD:36:A4:60:79:D1:5C:EB:69:A5:E8:4D:91:C7:41:EA:AB:F0:06:70:70:39:92:CF:57:C2:8A:D5:D6:B2:D1:B6
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
";

/// What stands in the end: how the keys come, as words.
fn security(negotiated: &Negotiated) -> String {
    match negotiated.security {
        Security::None => "clear".to_owned(),
        Security::Sdes(agreed) => format!("SDES {} {}", agreed.tag, agreed.local.suite().name()),
        Security::Dtls { role, .. } => format!("DTLS {}", role.as_str()),
    }
}

#[test]
fn each_is_answered_with_its_best_codec_and_its_own_way_of_keys() {
    let sha80 = Suite::AesCm128HmacSha1_80.name();
    let sha32 = Suite::AesCm128HmacSha1_32.name();
    let gcm = Suite::AeadAes256Gcm.name();
    let cases = [
        (
            BARESIP,
            Opus,
            96,
            Some((101, 8_000)),
            "UDP/TLS/RTP/SAVPF",
            "DTLS passive".to_owned(),
        ),
        (
            LINPHONE,
            Opus,
            96,
            Some((99, 48_000)),
            "RTP/SAVP",
            format!("SDES 1 {sha80}"),
        ),
        (
            SNOM,
            G722,
            9,
            Some((101, 8_000)),
            "RTP/AVP",
            format!("SDES 1 {sha32}"),
        ),
        (
            YEALINK,
            G722,
            9,
            Some((101, 8_000)),
            "RTP/SAVP",
            format!("SDES 1 {sha80}"),
        ),
        (
            POLYCOM,
            G722,
            9,
            Some((127, 8_000)),
            "RTP/AVP",
            "clear".to_owned(),
        ),
        (
            ASTERISK,
            Opus,
            107,
            Some((110, 48_000)),
            "RTP/AVP",
            "clear".to_owned(),
        ),
        (
            FREESWITCH,
            Opus,
            102,
            Some((103, 48_000)),
            "RTP/SAVP",
            format!("SDES 2 {gcm}"),
        ),
    ];
    for (offer, codec, pt, events, profile, keys) in cases {
        let (negotiated, sdp) = answer(offer, SrtpPolicy::Optional).expect(offer);
        assert_eq!(
            (negotiated.codec, negotiated.pt),
            (codec, Pt(pt)),
            "{offer}"
        );
        let dtmf = negotiated
            .dtmf_pt
            .map(|pt| (pt.0, negotiated.dtmf_clock_hz));
        assert_eq!(dtmf, events, "{offer}");
        assert_eq!(security(&negotiated), keys, "{offer}");
        let formats = dtmf.map_or(format!("{pt}"), |(dtmf, _)| format!("{pt} {dtmf}"));
        let line = format!("\r\nm=audio 20000 {profile} {formats}\r\n");
        assert!(sdp.contains(&line), "{sdp}");
        let again = answer(
            &sdp.replace("setup:passive", "setup:actpass"),
            SrtpPolicy::Optional,
        );
        assert_eq!(again.expect("our own words").0.codec, codec, "{sdp}");
    }
}

#[test]
fn what_a_phone_wishes_of_its_opus_is_kept() {
    let wishes = |offer| answer(offer, SrtpPolicy::Optional).expect(offer).0.opus;
    let (asterisk, freeswitch) = (wishes(ASTERISK), wishes(FREESWITCH));
    assert_eq!(asterisk.max_playback, plenary_codec::Rate::Wide);
    assert_eq!(
        (asterisk.max_bitrate_bps, asterisk.fec, asterisk.cbr),
        (Some(24_000), true, true)
    );
    assert_eq!(
        (freeswitch.max_bitrate_bps, freeswitch.dtx),
        (Some(30_000), true)
    );
    assert!(!wishes(BARESIP).fec && wishes(LINPHONE).fec);
}

#[test]
fn each_policy_meets_each_kind_of_offer() {
    use SrtpPolicy::{Never, Optional, Required};
    let cases = [
        (POLYCOM, Never, "clear"),
        (POLYCOM, Optional, "clear"),
        (POLYCOM, Required, "encryption_required"),
        (SNOM, Never, "clear"),
        (SNOM, Optional, "SDES 1 AES_CM_128_HMAC_SHA1_32"),
        (SNOM, Required, "SDES 1 AES_CM_128_HMAC_SHA1_32"),
        (LINPHONE, Never, "encryption_refused"),
        (LINPHONE, Required, "SDES 1 AES_CM_128_HMAC_SHA1_80"),
        (YEALINK, Never, "clear"),
        (BARESIP, Never, "encryption_refused"),
        (BARESIP, Required, "DTLS passive"),
        (CHROME, Optional, "no_common_codec"),
    ];
    for (offer, policy, expected) in cases {
        let outcome = match answer(offer, policy) {
            Ok((negotiated, sdp)) => {
                assert_eq!(sdp.contains("a=crypto:"), expected.starts_with("SDES"));
                assert_eq!(sdp.contains("a=fingerprint:"), expected.starts_with("DTLS"));
                security(&negotiated)
            }
            Err(refusal) => refusal.reason().to_owned(),
        };
        assert_eq!(outcome, expected, "{policy:?} {offer}");
    }
}

/// A browser behind a gateway that does ICE for it has an address that can be reached.
#[test]
fn who_can_do_without_ice_is_answered_without() {
    let offer = CHROME
        .replace("m=audio 9 ", "m=audio 40000 ")
        .replace("c=IN IP4 0.0.0.0", "c=IN IP4 192.0.2.1");
    let (negotiated, sdp) = answer(&offer, SrtpPolicy::Optional).expect("can be reached");
    assert_eq!(security(&negotiated), "DTLS passive");
    assert!(sdp.contains("m=audio 20000 UDP/TLS/RTP/SAVPF 111 110\r\n") && !sdp.contains("ice-"));
}

/// RFC 4145 section 4, RFC 5763 section 5. Who lets us choose begins himself: he is behind the NAT.
#[test]
fn roles_are_those_that_the_peer_leaves_us() {
    let cases = [
        ("actpass", Some(Role::Passive)),
        ("active", Some(Role::Passive)),
        ("passive", Some(Role::Active)),
        ("holdconn", None),
    ];
    for (theirs, role) in cases {
        let offer = BARESIP.replace("setup:actpass", &format!("setup:{theirs}"));
        match (answer(&offer, SrtpPolicy::Optional), role) {
            (Ok((negotiated, sdp)), Some(role)) => {
                assert_eq!(security(&negotiated), format!("DTLS {}", role.as_str()));
                assert!(sdp.contains(&format!("a={OURS_LINE}\r\na=setup:{}\r\n", role.as_str())));
            }
            (outcome, _) => assert_eq!(outcome.expect_err(theirs).reason(), "encryption_refused"),
        }
    }
}

const OURS_LINE: &str = "fingerprint:sha-256 D0:67:92:AA:58:AA:16:BF:3D:AF:78:14:99:1E:48:F1:EE:D6:10:A5:58:0D:83:42:09:87:23:71:E9:7A:7D:9E";

#[test]
fn keys_that_we_cannot_use_are_refused_and_said_why() {
    let mki = LINPHONE
        .replace("GKZ3", "GKZ3|2^20|1:4")
        .replace("/Zng", "/Zng|1:4");
    let cases = [
        (mki.clone(), "MKI"),
        (LINPHONE.replace("AES_CM_128", "F8_128"), "crypto-suites"),
        (LINPHONE.replace("a=crypto", "a=x"), "no keys"),
        (
            BARESIP.replace("a=fingerprint:SHA-256", "a=fingerprint:MD5"),
            "fingerprint",
        ),
        (BARESIP.replace("a=fingerprint", "a=x"), "fingerprint"),
    ];
    for (offer, word) in cases {
        let refusal = answer(&offer, SrtpPolicy::Optional).expect_err(word);
        assert_eq!(refusal.reason(), "encryption_refused", "{word}");
        assert!(refusal.to_string().contains(word), "{refusal}");
    }
    let best_effort = mki.replace("RTP/SAVP", "RTP/AVP");
    let (negotiated, sdp) = answer(&best_effort, SrtpPolicy::Optional).expect("in clear");
    assert!(negotiated.security == Security::None && !sdp.contains("crypto"));
}
