//! What str0m gets to know of an offer: formats, candidates, and an offer of one stream.

use std::net::SocketAddr;
use std::time::Duration;

use str0m::config::{DtlsCert, DtlsVersion};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, Pt};
use str0m::net::TcpType;
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Candidate, RtcConfig};

use super::offer::{AUDIO_LEVEL, Offer, Setup};
use super::{Format, Host, Negotiated};

/// Sender and receiver reports: often enough for a round trip that is shown to people.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// Packets that wait for the next poll, which is at once.
const SEND_BUFFER: usize = 4;
/// The media id of the one stream, between str0m and us; the peer's own stands in answers only.
pub const MID: &str = "0";

/// The formats that both can do, ours by preference.
pub fn agree(offer: &Offer, preference: &[Format]) -> Option<Negotiated> {
    let find = |wanted: &Format| {
        let mut offered = offer.formats.iter();
        offered.find(|(_, format)| format == wanted).copied()
    };
    let mut formats: Vec<(u8, Format)> = Vec::new();
    for found in preference.iter().filter_map(find) {
        if !formats.contains(&found) {
            formats.push(found);
        }
    }
    let (pt, format) = *formats.first()?;
    let clock = match format {
        Format::Opus => 48_000,
        Format::G722 | Format::Pcmu | Format::Pcma => 8_000,
    };
    let mut events = offer.events.iter();
    let fitting = events.find(|(_, rate)| *rate == clock);
    Some(Negotiated {
        format,
        pt,
        formats,
        events: fitting.or(offer.events.first()).copied(),
        event_pts: offer.events.clone(),
        peer_receives: offer.receives,
        peer_sends: offer.sends,
        opus: offer.opus,
    })
}

pub fn configure(host: &Host, agreed: &Negotiated, level_extension: Option<u8>) -> RtcConfig {
    let mut extensions = ExtensionMap::empty();
    if let Some(id) = level_extension {
        extensions.set(id, Extension::AudioLevel);
    }
    let mut config = RtcConfig::new()
        .set_ice_lite(true)
        .set_rtp_mode(true)
        .set_dtls_version(DtlsVersion::Auto)
        .set_dtls_cert(DtlsCert::clone(&host.identity.0))
        .set_extension_map(extensions)
        .set_rtcp_report_interval_audio(REPORT_INTERVAL)
        .set_stats_interval(Some(REPORT_INTERVAL))
        .set_send_buffer_audio(SEND_BUFFER)
        .clear_codecs();
    let codecs = config.codec_config();
    let plain = FormatParams::default();
    for (pt, format) in &agreed.formats {
        let pt = Pt::new_with_value(*pt);
        match format {
            Format::Opus => {
                codecs.add_config(
                    pt,
                    None,
                    Codec::Opus,
                    Frequency::FORTY_EIGHT_KHZ,
                    Some(2),
                    plain,
                );
            }
            Format::G722 => codecs.enable_g722(true, false),
            Format::Pcmu => codecs.enable_pcmu(true, false),
            Format::Pcma => codecs.enable_pcma(true, false),
        }
    }
    for (pt, clock) in &agreed.event_pts {
        let clock = match clock {
            48_000 => Frequency::FORTY_EIGHT_KHZ,
            _ => Frequency::EIGHT_KHZ,
        };
        codecs.add_config(
            Pt::new_with_value(*pt),
            None,
            Codec::Tele,
            clock,
            None,
            plain,
        );
    }
    config
}

pub fn candidates(address: SocketAddr) -> impl Iterator<Item = Candidate> {
    let udp = Candidate::host(address, "udp").ok();
    let tcp = Candidate::builder().tcp().host(address);
    let tcp = tcp.tcptype(TcpType::Passive).build().ok();
    udp.into_iter().chain(tcp)
}

/// The peer's offer as str0m gets it: one stream, of which we know every line.
pub fn compose(offer: &Offer, agreed: &Negotiated) -> String {
    let (id, ufrag, pwd) = (1, &offer.ufrag, &offer.pwd);
    let setup = match offer.setup {
        Setup::Actpass => "actpass",
        Setup::Active => "active",
        Setup::Passive => "passive",
    };
    let hex: Vec<String> = offer
        .fingerprint
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let (mut pts, mut maps) = (String::new(), String::new());
    let formats = agreed.formats.iter().map(|(pt, format)| {
        let name = match format {
            Format::Opus => "opus/48000/2",
            Format::G722 => "G722/8000",
            Format::Pcmu => "PCMU/8000",
            Format::Pcma => "PCMA/8000",
        };
        (*pt, name.to_owned())
    });
    let events = agreed.event_pts.iter();
    let events = events.map(|(pt, clock)| (*pt, format!("telephone-event/{clock}")));
    for (pt, name) in formats.chain(events) {
        pts += &format!(" {pt}");
        maps += &format!("a=rtpmap:{pt} {name}\r\n");
    }
    let extension = offer.level_extension.map_or_else(String::new, |id| {
        format!("a=extmap:{id} {}\r\n", AUDIO_LEVEL)
    });
    let fingerprint = hex.join(":");
    format!(
        "v=0\r\no=- {id} {id} IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {MID}\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF{pts}\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=mid:{MID}\r\n\
         a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=fingerprint:sha-256 {fingerprint}\r\n\
         a=setup:{setup}\r\na=sendrecv\r\n{extension}{maps}"
    )
}
