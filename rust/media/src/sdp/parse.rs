//! Reading SDP (RFC 8866): tolerant of what doesn't concern us, strict about what does, and bounded.

use core::net::IpAddr;

use plenary_codec::Codec;
use plenary_transport::dtls::Fingerprint;
use plenary_transport::sdes;

use super::formats::{Format, OpusWishes};
use super::security::{Profile, Setup};
use super::{Direction, Refusal};
use crate::rtp::Pt;

/// Longest description: four datagrams' worth, ten times what phones send.
pub const SDP_MAX: usize = 16 * 1_024;

/// Most lines of one.
pub const LINES_MAX: usize = 1_024;

/// Most media lines of one.
pub const MEDIA_MAX: usize = 64;

/// Formats of a media line that are looked at: there are only so many payload types.
const FORMATS_MAX: usize = 128;

/// A description, as far as it concerns us.
#[derive(Debug, Default)]
pub struct Description {
    /// Session id and version of the `o=` line.
    pub origin: Option<(u64, u64)>,
    pub address: Option<IpAddr>,
    pub direction: Option<Direction>,
    /// For all media that have none of their own.
    pub fingerprint: Option<Fingerprint>,
    pub unknown_fingerprint: bool,
    pub setup: Option<Setup>,
    pub ice: bool,
    pub media: Vec<Media>,
}

/// A media line and what stands under it.
#[derive(Debug, Default)]
pub struct Media {
    pub kind: String,
    pub port: u16,
    pub proto: String,
    pub formats: String,
    pub address: Option<IpAddr>,
    pub direction: Option<Direction>,
    pub rtcp_mux: bool,
    /// Port, and address if it isn't that of RTP (RFC 3605).
    pub rtcp: Option<(u16, Option<IpAddr>)>,
    /// The formats that we know, in the order of the media line, which is that of preference.
    pub known: Vec<(Pt, Format)>,
    pub opus: OpusWishes,
    /// `None` if it is none of ours.
    pub profile: Option<Profile>,
    /// What follows `a=crypto:`, the liked ones first.
    pub crypto: Vec<String>,
    /// The one with the strongest hash (RFC 8122 section 5).
    pub fingerprint: Option<Fingerprint>,
    /// There is one that we can't read.
    pub unknown_fingerprint: bool,
    pub setup: Option<Setup>,
    /// The peer can do ICE.
    pub ice: bool,
}

/// Reads a description.
///
/// # Errors
/// [`Refusal::Malformed`] if it exceeds a limit, lacks its first line or a media line can't be read.
pub fn parse(sdp: &str) -> Result<Description, Refusal> {
    if sdp.len() > SDP_MAX {
        return Err(Refusal::Malformed("longer than 16 KiB"));
    }
    if !sdp.starts_with("v=0") {
        return Err(Refusal::Malformed("it doesn't begin with v=0"));
    }
    let mut description = Description::default();
    let mut maps = Maps::default();
    for (i, line) in sdp.lines().enumerate() {
        if i >= LINES_MAX {
            return Err(Refusal::Malformed("more than 1,024 lines"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .ok_or(Refusal::Malformed("a line without ="))?;
        match (key, description.media.last_mut()) {
            ("m", last) => {
                if let Some(last) = last {
                    maps.apply(last);
                }
                maps = Maps::default();
                if description.media.len() == MEDIA_MAX {
                    return Err(Refusal::Malformed("more than 64 media lines"));
                }
                description.media.push(media_line(value)?);
            }
            ("o", None) => description.origin = origin(value),
            ("c", Some(media)) => media.address = Some(connection(value)?),
            ("c", None) => description.address = Some(connection(value)?),
            ("a", Some(media)) => media_attribute(value, media, &mut maps)?,
            ("a", None) => session_attribute(value, &mut description),
            _ => {}
        }
    }
    if let Some(last) = description.media.last_mut() {
        maps.apply(last);
    }
    Ok(description)
}

/// What `a=rtpmap` and `a=fmtp` say of the payload types of one media line.
#[derive(Debug)]
struct Maps {
    meaning: [Meaning; 128],
    /// Of the first `a=fmtp` that a type has.
    parameters: [Option<OpusWishes>; 128],
}

#[derive(Clone, Copy, Debug)]
enum Meaning {
    Unmapped,
    Known(Format),
    Other,
}

impl Default for Maps {
    fn default() -> Self {
        Self {
            meaning: [Meaning::Unmapped; 128],
            parameters: [None; 128],
        }
    }
}

impl Maps {
    fn read(&mut self, value: &str) {
        let Some((pt, encoding)) = numbered(value) else {
            return;
        };
        if let Some(meaning) = self.meaning.get_mut(pt) {
            *meaning = Format::parse(encoding).map_or(Meaning::Other, Meaning::Known);
        }
    }

    fn read_parameters(&mut self, value: &str) {
        let Some((pt, parameters)) = numbered(value) else {
            return;
        };
        if let Some(slot) = self.parameters.get_mut(pt) {
            slot.get_or_insert_with(|| OpusWishes::parse(parameters));
        }
    }

    fn apply(&self, media: &mut Media) {
        if media.kind != "audio" {
            return;
        }
        let numbers = media.formats.split_ascii_whitespace().take(FORMATS_MAX);
        for pt in numbers.filter_map(|format| format.parse::<u8>().ok()) {
            // Unmapped, the static types mean what RFC 3551 says.
            let format = match self.meaning.get(usize::from(pt)) {
                Some(Meaning::Known(format)) => Some(*format),
                Some(Meaning::Unmapped) => Format::of_static(Pt(pt)),
                Some(Meaning::Other) | None => None,
            };
            let opus = Format::Audio(Codec::Opus);
            if format == Some(opus) && media.known.iter().all(|(_, known)| *known != opus) {
                let wishes = self.parameters.get(usize::from(pt)).copied().flatten();
                media.opus = wishes.unwrap_or_default();
            }
            media.known.extend(format.map(|format| (Pt(pt), format)));
        }
    }
}

/// `96 what of it`
fn numbered(value: &str) -> Option<(usize, &str)> {
    let (pt, rest) = value.split_once(' ')?;
    Some((pt.parse().ok()?, rest))
}

fn media_line(value: &str) -> Result<Media, Refusal> {
    const BROKEN: Refusal = Refusal::Malformed("a media line that can't be read");
    let mut parts = value.splitn(4, ' ');
    let (Some(kind), Some(port), Some(proto), Some(formats)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(BROKEN);
    };
    // "port/number of ports"; the number is for layered media.
    let port = port
        .split('/')
        .next()
        .unwrap_or(port)
        .parse()
        .map_err(|_| BROKEN)?;
    let printable = |part: &str| part.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    let whole = |part: &str| !part.is_empty() && printable(part);
    if !whole(kind) || !whole(proto) || formats.trim().is_empty() || !printable(formats) {
        return Err(BROKEN);
    }
    Ok(Media {
        kind: kind.to_owned(),
        port,
        proto: proto.to_owned(),
        profile: Profile::parse(proto),
        formats: formats.trim().to_owned(),
        ..Media::default()
    })
}

/// `- 77 1 IN IP4 192.0.2.1`. Nothing depends on a peer's.
fn origin(value: &str) -> Option<(u64, u64)> {
    let mut parts = value.split_ascii_whitespace().skip(1);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// `IN IP4 192.0.2.1`, with a TTL or a number of addresses after a slash for multicast.
fn connection(value: &str) -> Result<IpAddr, Refusal> {
    let mut parts = value.split_ascii_whitespace();
    match (parts.next(), parts.next(), parts.next()) {
        (Some("IN"), Some("IP4" | "IP6"), Some(address)) => {
            let address: IpAddr = address
                .split('/')
                .next()
                .and_then(|address| address.parse().ok())
                .ok_or(Refusal::Malformed("a c= line without an IP address"))?;
            if address.is_multicast() {
                return Err(Refusal::Malformed("a c= line with a multicast address"));
            }
            Ok(address)
        }
        _ => Err(Refusal::Malformed("a c= line that can't be read")),
    }
}

fn session_attribute(value: &str, description: &mut Description) {
    if let Some(value) = value.strip_prefix("fingerprint:") {
        let Description {
            fingerprint,
            unknown_fingerprint,
            ..
        } = description;
        take_fingerprint(value, fingerprint, unknown_fingerprint);
    } else if let Some(setup) = value.strip_prefix("setup:") {
        description.setup = Setup::parse(setup);
    } else if value.starts_with("ice-ufrag:") {
        description.ice = true;
    } else {
        description.direction = direction(value).or(description.direction);
    }
}

fn take_fingerprint(value: &str, best: &mut Option<Fingerprint>, unknown: &mut bool) {
    match Fingerprint::parse(value) {
        Some(new) if best.is_none_or(|best| best.hash() < new.hash()) => *best = Some(new),
        Some(_) => {}
        None => *unknown = true,
    }
}

fn media_attribute(value: &str, media: &mut Media, maps: &mut Maps) -> Result<(), Refusal> {
    if let Some(map) = value.strip_prefix("rtpmap:") {
        maps.read(map);
    } else if let Some(parameters) = value.strip_prefix("fmtp:") {
        maps.read_parameters(parameters);
    } else if let Some(line) = value.strip_prefix("crypto:") {
        if media.crypto.len() < sdes::LINES_MAX {
            media.crypto.push(line.to_owned());
        }
    } else if let Some(value) = value.strip_prefix("fingerprint:") {
        let (fingerprint, unknown) = (&mut media.fingerprint, &mut media.unknown_fingerprint);
        take_fingerprint(value, fingerprint, unknown);
    } else if let Some(setup) = value.strip_prefix("setup:") {
        media.setup = Setup::parse(setup);
    } else if value.starts_with("ice-ufrag:") {
        media.ice = true;
    } else if value == "rtcp-mux" {
        media.rtcp_mux = true;
    } else if let Some(rtcp) = value.strip_prefix("rtcp:") {
        let (port, rest) = rtcp.split_once(' ').unwrap_or((rtcp, ""));
        let port = port
            .parse()
            .map_err(|_| Refusal::Malformed("a=rtcp without a port"))?;
        media.rtcp = Some((port, connection(rest).ok()));
    } else {
        media.direction = direction(value).or(media.direction);
    }
    Ok(())
}

fn direction(value: &str) -> Option<Direction> {
    match value {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    }
}
