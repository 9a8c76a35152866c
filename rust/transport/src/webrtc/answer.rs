//! Our answer to a browser's offer: audio taken, everything else rejected, one candidate for UDP and one for TCP.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use super::offer::{AUDIO_LEVEL, Offer, Setup};
use super::{Format, Negotiated};

/// Priorities (RFC 8445, section 5.1.2; RFC 6544, section 4.2): host, UDP before passive TCP, component 1.
const UDP_PRIORITY: u32 = 126 << 24 | 65_535 << 8 | 255;
const TCP_PRIORITY: u32 = 126 << 24 | (4 << 13 | 8_191) << 8 | 255;

/// What an answer says of our side.
pub struct Local<'a> {
    pub session_id: u64,
    /// Counts our answers.
    pub version: u64,
    pub address: SocketAddr,
    pub ufrag: &'a str,
    pub pwd: &'a str,
    pub fingerprint: &'a [u8],
    pub ssrc: u32,
}

/// Writes the answer.
pub fn write(offer: &Offer, media: &Negotiated, local: &Local) -> String {
    let mut sdp = String::with_capacity(2_048);
    // A String takes everything that is written to it.
    let written = try_write(&mut sdp, offer, media, local);
    debug_assert!(written.is_ok());
    sdp
}

fn try_write(
    sdp: &mut String,
    offer: &Offer,
    media: &Negotiated,
    local: &Local,
) -> std::fmt::Result {
    let net = network(local.address.ip());
    let (id, version) = (local.session_id, local.version);
    write!(sdp, "v=0\r\no=- {id} {version} {net}\r\ns=-\r\nt=0 0\r\n")?;
    if let Some(mid) = &offer.lines[offer.audio].mid {
        write!(sdp, "a=group:BUNDLE {mid}\r\n")?;
    }
    sdp.push_str("a=ice-lite\r\na=msid-semantic: WMS *\r\n");
    for (number, line) in offer.lines.iter().enumerate() {
        if number == offer.audio {
            audio(sdp, offer, media, local)?;
        } else {
            let (kind, proto, formats) = (&line.kind, &line.proto, &line.formats);
            write!(
                sdp,
                "m={kind} 0 {proto} {formats}\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n"
            )?;
            if let Some(mid) = &line.mid {
                write!(sdp, "a=mid:{mid}\r\n")?;
            }
        }
    }
    Ok(())
}

fn audio(sdp: &mut String, offer: &Offer, media: &Negotiated, local: &Local) -> std::fmt::Result {
    let line = &offer.lines[offer.audio];
    let (address, port) = (local.address.ip(), local.address.port());
    write!(sdp, "m=audio {port} {}", line.proto)?;
    let pts = media.formats.iter().map(|(pt, _)| pt);
    for pt in pts.chain(media.event_pts.iter().map(|(pt, _)| pt)) {
        write!(sdp, " {pt}")?;
    }
    write!(sdp, "\r\nc={}\r\n", network(address))?;
    if let Some(mid) = &line.mid {
        write!(sdp, "a=mid:{mid}\r\n")?;
    }
    let (ufrag, pwd) = (local.ufrag, local.pwd);
    write!(
        sdp,
        "a=rtcp-mux\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n"
    )?;
    let hex: Vec<String> = local
        .fingerprint
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    write!(sdp, "a=fingerprint:sha-256 {}\r\n", hex.join(":"))?;
    let setup = match offer.setup {
        Setup::Actpass | Setup::Active => "passive",
        Setup::Passive => "active",
    };
    // The peer's receiving is our sending.
    let direction = match (media.peer_receives, media.peer_sends) {
        (true, true) => "sendrecv",
        (true, false) => "sendonly",
        (false, true) => "recvonly",
        (false, false) => "inactive",
    };
    write!(sdp, "a=setup:{setup}\r\na={direction}\r\n")?;
    write!(
        sdp,
        "a=candidate:1 1 udp {UDP_PRIORITY} {address} {port} typ host\r\n"
    )?;
    write!(
        sdp,
        "a=candidate:2 1 tcp {TCP_PRIORITY} {address} {port} typ host tcptype passive\r\n"
    )?;
    sdp.push_str("a=end-of-candidates\r\n");
    for (pt, format) in &media.formats {
        match format {
            Format::Opus => write!(
                sdp,
                "a=rtpmap:{pt} opus/48000/2\r\na=fmtp:{pt} minptime=10;useinbandfec=1;usedtx=1\r\n"
            )?,
            Format::G722 => write!(sdp, "a=rtpmap:{pt} G722/8000\r\n")?,
            Format::Pcmu => write!(sdp, "a=rtpmap:{pt} PCMU/8000\r\n")?,
            Format::Pcma => write!(sdp, "a=rtpmap:{pt} PCMA/8000\r\n")?,
        }
    }
    for (pt, clock) in &media.event_pts {
        write!(
            sdp,
            "a=rtpmap:{pt} telephone-event/{clock}\r\na=fmtp:{pt} 0-15\r\n"
        )?;
    }
    sdp.push_str("a=ptime:20\r\n");
    if let Some(id) = offer.level_extension {
        // We read it, and send none.
        write!(sdp, "a=extmap:{id}/recvonly {AUDIO_LEVEL}\r\n")?;
    }
    if media.peer_receives {
        let ssrc = local.ssrc;
        write!(sdp, "a=msid:plenary mix\r\na=ssrc:{ssrc} cname:plenary\r\n")?;
    }
    Ok(())
}

fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("IN IP4 {address}"),
        IpAddr::V6(address) => format!("IN IP6 {address}"),
    }
}
