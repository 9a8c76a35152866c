//! What a browser offers (RFC 8829, RFC 9429), as far as it concerns one audio stream: tolerant of what doesn't,
//! strict about what does, and bounded.
//!
//! Candidates are not read: an ICE-lite agent answers the checks of whoever knows its password, from wherever they
//! come. So names that only a browser's own network resolves (mDNS) need no care.

use super::{Format, OpusWishes, Refusal};

/// Longest offer: several times that of a browser with cameras and screens.
pub const OFFER_MAX: usize = 64 * 1_024;
/// Most lines of one: as above.
const LINES_MAX: usize = 2_048;
/// Most media lines of one.
const MEDIA_MAX: usize = 64;
/// Longest `a=mid` that is repeated in an answer; browsers count from 0.
const MID_MAX: usize = 64;
/// Formats of a media line that are looked at: there are only so many payload types.
const FORMATS_MAX: usize = 128;
/// Sources of one stream that are looked at; browsers name one.
const SSRCS_MAX: usize = 4;
/// Audio codecs and telephone-event clocks that are remembered of a media line.
const CHOICES_MAX: usize = 8;
/// The audio level of RFC 6464.
pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/// A media line, to be repeated in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub kind: String,
    pub proto: String,
    pub formats: String,
    pub mid: Option<String>,
}

/// Which side opens the DTLS connection (RFC 5763, section 5), as the peer has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    Actpass,
    Active,
    Passive,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The second word of `o=`: a peer connection keeps it for its life.
    pub session_id: String,
    pub ufrag: String,
    pub pwd: String,
    /// SHA-256 of the peer's certificate.
    pub fingerprint: [u8; 32],
    pub setup: Setup,
    pub lines: Vec<Line>,
    /// Which of `lines` is the audio that we take.
    pub audio: usize,
    pub sends: bool,
    pub receives: bool,
    /// In the order of the media line.
    pub formats: Vec<(u8, Format)>,
    /// Payload type and clock rate of telephone events.
    pub events: Vec<(u8, u32)>,
    pub opus: OpusWishes,
    /// The number of the header extension of RFC 6464.
    pub level_extension: Option<u8>,
    pub ssrcs: Vec<u32>,
}

struct Section<'a> {
    media: &'a str,
    attributes: Vec<&'a str>,
}

impl<'a> Section<'a> {
    /// The value of the first `a=<name>:` line.
    fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).next()
    }

    fn values<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'a str> + 'b {
        self.attributes.iter().filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            (key == name).then(|| value.trim())
        })
    }

    fn has(&self, flag: &str) -> bool {
        self.attributes.contains(&flag)
    }

    fn mid(&self) -> Option<String> {
        self.value("mid").map(str::to_owned)
    }
}

impl Offer {
    /// Reads an offer.
    ///
    /// # Errors
    /// What keeps us from answering it.
    pub fn parse(sdp: &str) -> Result<Offer, Refusal> {
        let (session_id, session, sections) = sections(sdp)?;
        let mut lines = Vec::new();
        for section in &sections {
            lines.push(line(section)?);
        }
        let is_offered = |section: &Section, line: &Line| {
            let port = section.media.split_ascii_whitespace().nth(1);
            // A line that waits for the others of its bundle has port 0 as well (RFC 9143, section 6).
            line.kind == "audio" && (port != Some("0") || section.has("bundle-only"))
        };
        let audio = sections
            .iter()
            .zip(&lines)
            .position(|(section, line)| is_offered(section, line))
            .ok_or(Refusal::NoAudio)?;
        let section = &sections[audio];
        if !lines[audio].proto.ends_with("TLS/RTP/SAVPF") {
            return Err(Refusal::NoFingerprint);
        }
        if session.has("ice-lite") {
            return Err(Refusal::NoIce);
        }
        let either = |name: &'static str| section.value(name).or_else(|| session.value(name));
        let (ufrag, pwd) = either("ice-ufrag")
            .zip(either("ice-pwd"))
            .filter(|(ufrag, pwd)| is_ice(ufrag, 4) && is_ice(pwd, 22))
            .ok_or(Refusal::NoIce)?;
        let fingerprint = section
            .values("fingerprint")
            .chain(session.values("fingerprint"))
            .find_map(fingerprint)
            .ok_or(Refusal::NoFingerprint)?;
        let setup = match either("setup") {
            Some("actpass") | None => Setup::Actpass,
            Some("active") => Setup::Active,
            Some("passive") => Setup::Passive,
            Some(_) => return Err(Refusal::Malformed("its a=setup is unknown")),
        };
        let (formats, events) = formats(section, &lines[audio].formats);
        let opus = formats.iter().find(|(_, format)| *format == Format::Opus);
        let wishes = opus.map_or_else(OpusWishes::default, |(pt, _)| opus_wishes(section, *pt));
        let (sends, receives) = direction(section, &session);
        Ok(Offer {
            session_id,
            ufrag: ufrag.to_owned(),
            pwd: pwd.to_owned(),
            fingerprint,
            setup,
            lines,
            audio,
            sends,
            receives,
            events,
            opus: wishes,
            level_extension: section.values("extmap").find_map(level_extension),
            ssrcs: ssrcs(section),
            formats,
        })
    }
}

/// The session's id, its attributes, and the media lines with theirs.
fn sections(sdp: &str) -> Result<(String, Section<'_>, Vec<Section<'_>>), Refusal> {
    if sdp.len() > OFFER_MAX {
        return Err(Refusal::TooLong);
    }
    if !sdp.starts_with("v=0") {
        return Err(Refusal::Malformed("it doesn't begin with v=0"));
    }
    let (mut session_id, mut all) = (String::new(), vec![]);
    let mut current = Section {
        media: "",
        attributes: vec![],
    };
    for (number, line) in sdp.lines().enumerate() {
        if number >= LINES_MAX {
            return Err(Refusal::TooLong);
        }
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        match line.split_once('=') {
            Some(("m", media)) => {
                let fresh = Section {
                    media,
                    attributes: vec![],
                };
                all.push(std::mem::replace(&mut current, fresh));
                if all.len() > MEDIA_MAX {
                    return Err(Refusal::TooLong);
                }
            }
            Some(("a", attribute)) => current.attributes.push(attribute),
            Some(("o", origin)) => {
                let id = origin.split_ascii_whitespace().nth(1);
                session_id = id.unwrap_or_default().to_owned();
            }
            Some(_) => {}
            None => return Err(Refusal::Malformed("it has a line without =")),
        }
    }
    all.push(current);
    let session = all.remove(0);
    Ok((session_id, session, all))
}

fn line(section: &Section) -> Result<Line, Refusal> {
    let mut words = section.media.split_ascii_whitespace();
    let (Some(kind), Some(_port), Some(proto)) = (words.next(), words.next(), words.next()) else {
        return Err(Refusal::Malformed("it has a media line that is too short"));
    };
    let formats: Vec<&str> = words.collect();
    let mid = section.mid();
    let is_token = |mid: &String| {
        (1..=MID_MAX).contains(&mid.len()) && mid.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if formats.is_empty() || !mid.iter().all(is_token) {
        return Err(Refusal::Malformed(
            "it has a media line without formats, or a bad a=mid",
        ));
    }
    Ok(Line {
        kind: kind.to_owned(),
        proto: proto.to_owned(),
        formats: formats.join(" "),
        mid,
    })
}

/// `ice-char`s of RFC 8839, section 5.4.
fn is_ice(text: &str, least: usize) -> bool {
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    (least..=256).contains(&text.len()) && text.bytes().all(is_char)
}

/// `a=fingerprint` (RFC 8122); other hashes than SHA-256 are passed over.
fn fingerprint(value: &str) -> Option<[u8; 32]> {
    let (hash, digits) = value.split_once(' ')?;
    if !hash.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut bytes = [0; 32];
    let mut pairs = digits.trim().split(':');
    for byte in &mut bytes {
        let pair = pairs.next().filter(|pair| pair.len() == 2)?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(bytes)
}

/// Whether the peer sends and receives.
fn direction(section: &Section, session: &Section) -> (bool, bool) {
    for level in [section, session] {
        for attribute in &level.attributes {
            match *attribute {
                "sendrecv" => return (true, true),
                "sendonly" => return (true, false),
                "recvonly" => return (false, true),
                "inactive" => return (false, false),
                _ => {}
            }
        }
    }
    (true, true)
}

type Formats = (Vec<(u8, Format)>, Vec<(u8, u32)>);

fn formats(section: &Section, listed: &str) -> Formats {
    let (mut formats, mut events) = (Vec::new(), Vec::new());
    let mut seen = [false; 128];
    for word in listed.split(' ').take(FORMATS_MAX) {
        let Some(pt) = word.parse::<u8>().ok().filter(|pt| *pt < 128) else {
            continue;
        };
        if std::mem::replace(&mut seen[usize::from(pt)], true) {
            continue;
        }
        let map = section
            .values("rtpmap")
            .find_map(|value| value.strip_prefix(word)?.strip_prefix(' '));
        let map = map.map(|map| map.trim().to_ascii_lowercase());
        let format = match (pt, map.as_deref()) {
            (0, None | Some("pcmu/8000" | "pcmu/8000/1")) => Some(Format::Pcmu),
            (8, None | Some("pcma/8000" | "pcma/8000/1")) => Some(Format::Pcma),
            (9, None | Some("g722/8000" | "g722/8000/1")) => Some(Format::G722),
            (35.., Some("opus/48000/2")) => Some(Format::Opus),
            _ => None,
        };
        let is_new = |format: &Format| formats.iter().all(|(_, known)| known != format);
        if let Some(format) = format.filter(is_new) {
            formats.push((pt, format));
        }
        let clock = match map.as_deref() {
            Some("telephone-event/48000") => 48_000,
            Some("telephone-event/8000") => 8_000,
            _ => continue,
        };
        if pt >= 35 && events.len() < CHOICES_MAX && events.iter().all(|(_, known)| *known != clock)
        {
            events.push((pt, clock));
        }
    }
    (formats, events)
}

/// What the peer would like to get of Opus (RFC 7587, section 6.1).
fn opus_wishes(section: &Section, pt: u8) -> OpusWishes {
    let prefix = pt.to_string();
    let parameters = section
        .values("fmtp")
        .find_map(|value| value.strip_prefix(prefix.as_str())?.strip_prefix(' '));
    let mut wishes = OpusWishes::default();
    for parameter in parameters.unwrap_or_default().split(';').take(FORMATS_MAX) {
        let Some((name, value)) = parameter.trim().split_once('=') else {
            continue;
        };
        let number = value.trim().parse::<u32>().ok();
        match name {
            "maxaveragebitrate" => {
                wishes.max_average_bitrate_bps = number.filter(|bps| *bps >= 6_000);
            }
            "maxplaybackrate" => wishes.max_playback_hz = number.filter(|rate| *rate >= 8_000),
            "useinbandfec" => wishes.fec = number == Some(1),
            "usedtx" => wishes.dtx = number == Some(1),
            "stereo" => wishes.stereo = number == Some(1),
            _ => {}
        }
    }
    wishes
}

fn level_extension(value: &str) -> Option<u8> {
    let (id, uri) = value.split_once(' ')?;
    let id = id.split('/').next()?.parse().ok()?;
    let uri = uri.split_ascii_whitespace().next()?;
    // 15 is reserved by RFC 8285; greater ones need the two-byte form.
    (uri == AUDIO_LEVEL && (1..=14).contains(&id)).then_some(id)
}

fn ssrcs(section: &Section) -> Vec<u32> {
    let mut found = Vec::new();
    for value in section.values("ssrc") {
        let ssrc = value.split(' ').next().and_then(|ssrc| ssrc.parse().ok());
        if let Some(ssrc) = ssrc
            && ssrc != 0
            && found.len() < SSRCS_MAX
            && !found.contains(&ssrc)
        {
            found.push(ssrc);
        }
    }
    found
}
