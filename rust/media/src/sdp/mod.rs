//! SDP offer and answer (RFC 8866, RFC 3264) for the one audio stream of a SIP leg.
//!
//! [`SdpSession`] holds a leg's side of the exchange from its first description to its last. `parse` reads what came
//! into what matters here, `formats` knows payload types, `security` the keys; the exchange decides. The first audio
//! stream that we can do is taken, all others are refused with port 0 and keep their place in every later description,
//! as RFC 3264 section 8 wants.
//!
//! An answer names one codec: the one that stands first in our list, not in the peer's. Phones come with G.711 at the
//! head, and a caller who could be heard in full would be heard through a telephone; only between the two laws of G.711
//! theirs counts. An offer names all; there the peer has the choice, and what heads its answer is sent.

mod formats;
mod parse;
mod security;
mod write;

use core::net::{IpAddr, SocketAddr};
use std::fmt;

use plenary_codec::Codec;
use plenary_transport::dtls::Fingerprint;

use crate::rtp::{Pt, Ssrc};
use formats::PayloadTypes;
pub use formats::{Format, OpusWishes};
use parse::{Description, Media};
use security::{Guard, Profile};
pub use security::{Security, SrtpPolicy};
use write::{Audio, Line};

/// What one side may do with the stream (RFC 3264 section 5.1); here always ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    /// As in SDP and in events: "sendrecv", "sendonly", "recvonly", "inactive".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// Our end of the stream: RTP at `rtp_port`, RTCP at the port above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// The public address.
    pub address: IpAddr,
    pub rtp_port: u16,
    /// For the `o=` line; unique to the leg.
    pub session_id: u64,
}

/// What a leg takes part with.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The one we like best first.
    pub codecs: Vec<Codec>,
    pub srtp: SrtpPolicy,
    /// Random, of this leg alone: what its keys are made of.
    pub secret: [u8; 32],
    /// Of this process' certificate; without it there is no DTLS-SRTP.
    pub fingerprint: Option<Fingerprint>,
}

/// What both sides have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// What we send. What comes may be of any [`Format`] that [`SdpSession::format`] tells.
    pub codec: Codec,
    /// Payload type that we send.
    pub pt: Pt,
    /// How the peer likes its Opus, if that is the codec.
    pub opus: OpusWishes,
    /// Payload type of telephone-event that we send, if the peer takes it.
    pub dtmf_pt: Option<Pt>,
    /// Ticks a second of the events that we send: the codec's clock if the peer has it (RFC 4733 section 2.1).
    pub dtmf_clock_hz: u32,
    pub remote_rtp: SocketAddr,
    /// The same as `remote_rtp` with rtcp-mux.
    pub remote_rtcp: SocketAddr,
    pub rtcp_mux: bool,
    /// Ours.
    pub direction: Direction,
    pub security: Security,
}

/// Why a description isn't taken: the peer's fault, unless it says otherwise. What was agreed before stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It breaks RFC 8866, or a limit of ours.
    Malformed(&'static str),
    /// Nothing in it that we can do.
    NoCommonCodec(&'static str),
    /// We want encrypted media, and it has none that we can do.
    EncryptionRequired(&'static str),
    /// It wants encrypted media, and we don't, or not as it does.
    EncryptionRefused(&'static str),
    /// An answer without an offer of ours, or an offer while ours is open: the caller's fault.
    WrongState,
}

impl Refusal {
    /// The reason as in `leg_refused`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_sdp",
            Self::NoCommonCodec(_) => "no_common_codec",
            Self::EncryptionRequired(_) => "encryption_required",
            Self::EncryptionRefused(_) => "encryption_refused",
            Self::WrongState => "wrong_state",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(detail)
            | Self::NoCommonCodec(detail)
            | Self::EncryptionRequired(detail)
            | Self::EncryptionRefused(detail) => f.write_str(detail),
            Self::WrongState => f.write_str("no offer of ours is waiting for an answer"),
        }
    }
}

impl std::error::Error for Refusal {}

/// What we send in a packet, in milliseconds. What a peer would like to get is a wish (RFC 8866 section 6.4); a packet
/// each tick is what the mix makes.
const PTIME_MS: u8 = 20;

/// The offers and answers of one leg, from its first to its last.
#[derive(Debug)]
pub struct SdpSession {
    local: LocalMedia,
    codecs: Vec<Codec>,
    guard: Guard,
    profile: Profile,
    receives: PayloadTypes,
    version: u64,
    /// The version before our first.
    began: u64,
    lines: Vec<Line>,
    offer_open: bool,
    negotiated: Option<Negotiated>,
}

/// A media line that we can do.
struct Fit {
    place: usize,
    profile: Profile,
    negotiated: Negotiated,
}

impl SdpSession {
    #[must_use]
    pub fn new(local: LocalMedia, terms: Terms) -> Self {
        Self {
            local,
            guard: Guard::new(terms.srtp, &terms.secret, terms.fingerprint),
            codecs: terms.codecs,
            profile: Profile::default(),
            receives: PayloadTypes::new(),
            version: 0,
            began: 0,
            lines: vec![Line::Audio],
            offer_open: false,
            negotiated: None,
        }
    }

    /// Goes on where another process has ended: `last` is the last description that it made. Our next offer then has the
    /// media lines, payload types, profile and keys that the peer knows, and the version after the last (RFC 3264 section
    /// 8). Our certificate is another: whether a new handshake is made is for the peer to say. What can't be read in `last`
    /// is as in a new session.
    #[must_use]
    pub fn resume(local: LocalMedia, terms: Terms, last: &str) -> Self {
        let mut session = Self::new(local, terms);
        let Ok(last) = parse::parse(last) else {
            return session;
        };
        let ours = |media: &Media| media.kind == "audio" && media.port != 0;
        let Some(place) = last.media.iter().position(ours) else {
            return session;
        };
        let audio = &last.media[place];
        if let Some((id, version)) = last.origin {
            (session.local.session_id, session.version) = (id, version);
            session.began = version;
        }
        session.lines = last.media.iter().map(Line::refused).collect();
        session.lines[place] = Line::Audio;
        session.profile = audio.profile.unwrap_or_default();
        for (pt, format) in &audio.known {
            session.receives.set(*pt, *format);
        }
        session.guard.resume(audio);
        session
    }

    /// What we send with as long as this process speaks: no process before or after it that has said anything in this
    /// session sends with the same. So keys may outlive a process: no two packets are encrypted with the same key stream,
    /// which depends on key, SSRC and number (RFC 3711, section 9.1).
    #[must_use]
    pub fn ssrc(&self) -> Ssrc {
        Ssrc((self.local.session_id as u32).wrapping_add(self.began as u32))
    }

    /// Takes an offer of the peer, the first or a later one, and answers it. An open offer of ours is given up.
    ///
    /// # Errors
    /// [`Refusal`]; what was in force stays.
    pub fn answer(&mut self, offer: &str) -> Result<(Negotiated, String), Refusal> {
        let offer = parse::parse(offer)?;
        let Fit {
            place: chosen,
            profile,
            negotiated,
        } = self.choose(&offer)?;
        let line = |(place, media): (usize, &Media)| {
            if place == chosen {
                Line::Audio
            } else {
                Line::refused(media)
            }
        };
        self.lines = offer.media.iter().enumerate().map(line).collect();
        self.offer_open = false;
        self.profile = profile;
        let mut formats = vec![(negotiated.pt, Format::Audio(negotiated.codec))];
        let clock_hz = negotiated.dtmf_clock_hz;
        formats.extend(negotiated.dtmf_pt.map(|pt| (pt, Format::Dtmf { clock_hz })));
        // What stands in the offer may come before our answer has reached the peer; what we leave out is understood too.
        for (pt, format) in &offer.media[chosen].known {
            self.receives.set(*pt, *format);
        }
        self.negotiated = Some(negotiated);
        let audio = Audio {
            profile,
            formats: &formats,
            keys: self.guard.lines(negotiated.security),
            rtcp_mux: negotiated.rtcp_mux,
            direction: negotiated.direction,
        };
        Ok((negotiated, self.describe(&audio)))
    }

    /// Makes an offer, the first or a later one. A later call replaces an offer that was never answered.
    pub fn offer(&mut self) -> String {
        self.offer_open = true;
        let mut formats: Vec<_> = self.codecs.iter().copied().map(Format::Audio).collect();
        // Events at the clock of each codec (RFC 4733 section 2.1), that of most phones first.
        let clock = |hz| self.codecs.iter().any(|codec| codec.clock_hz() == hz);
        let clocks = [8_000, 48_000].into_iter().filter(|hz| clock(*hz));
        formats.extend(clocks.map(|clock_hz| Format::Dtmf { clock_hz }));
        let number = |format| (self.receives.number(format), format);
        let formats: Vec<_> = formats.into_iter().map(number).collect();
        let (profile, keys) = self.guard.offer(self.profile, self.security());
        let audio = Audio {
            profile,
            formats: &formats,
            keys,
            rtcp_mux: true,
            direction: Direction::SendRecv,
        };
        self.describe(&audio)
    }

    /// Takes the peer's answer to the last offer.
    ///
    /// # Errors
    /// [`Refusal`]; the offer is still open, unless it was `WrongState`.
    pub fn accept(&mut self, answer: &str) -> Result<Negotiated, Refusal> {
        if !self.offer_open {
            return Err(Refusal::WrongState);
        }
        let answer = parse::parse(answer)?;
        let place = self
            .lines
            .iter()
            .position(|line| *line == Line::Audio)
            .unwrap_or(0);
        let media = answer
            .media
            .get(place)
            .ok_or(Refusal::Malformed("the answer lacks our media line"))?;
        let profile = usable(&answer, media)?;
        let liked = media.known.iter().find_map(|known| self.audio(known));
        let security = self.guard.accept(&answer, media, self.security())?;
        let negotiated = negotiate(&answer, media, liked, security)?;
        self.offer_open = false;
        self.profile = profile;
        self.negotiated = Some(negotiated);
        Ok(negotiated)
    }

    /// What is in force.
    #[must_use]
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// What a payload type means that comes: of what is in force and of all that was before it, as what was sent before
    /// a change of codec comes after it (RFC 3264 section 8.3.2).
    #[must_use]
    pub fn format(&self, pt: Pt) -> Option<Format> {
        self.receives.get(pt)
    }

    /// The codec of a format, if it is one of ours.
    fn audio(&self, (pt, format): &(Pt, Format)) -> Option<(Pt, Codec)> {
        match format {
            Format::Audio(codec) if self.codecs.contains(codec) => Some((*pt, *codec)),
            _ => None,
        }
    }

    /// The two laws of G.711 sound the same: between them the peer has the choice.
    fn rank(&self, codec: Codec) -> Option<usize> {
        let mut ours = self.codecs.iter();
        ours.position(|ours| ours.rate() == codec.rate())
    }

    fn security(&self) -> Security {
        self.negotiated
            .map_or(Security::None, |negotiated| negotiated.security)
    }

    /// The first media line of an offer that we can do; else why the last audio is none.
    fn choose(&mut self, offer: &Description) -> Result<Fit, Refusal> {
        let mut refusal = Refusal::NoCommonCodec("there is no audio in it");
        for (place, media) in offer.media.iter().enumerate() {
            match self.fit(offer, media) {
                Ok((profile, negotiated)) => {
                    return Ok(Fit {
                        place,
                        profile,
                        negotiated,
                    });
                }
                Err(why) if media.kind == "audio" => refusal = why,
                Err(_) => {}
            }
        }
        Err(refusal)
    }

    fn fit(
        &mut self,
        offer: &Description,
        media: &Media,
    ) -> Result<(Profile, Negotiated), Refusal> {
        let profile = usable(offer, media)?;
        let ours = media.known.iter().filter_map(|known| self.audio(known));
        let liked = ours.min_by_key(|(_, codec)| self.rank(*codec));
        let in_force = self.security();
        let security = self.guard.answer(offer, media, profile, in_force)?;
        Ok((profile, negotiate(offer, media, liked, security)?))
    }

    /// Each description has a version of its own, so that none is taken for unchanged (RFC 3264 section 8).
    fn describe(&mut self, audio: &Audio<'_>) -> String {
        self.version = self.version.saturating_add(1);
        audio.description(&self.local, self.version, &self.lines)
    }
}

/// The profile of a media line, unless that line is none for us.
fn usable(description: &Description, media: &Media) -> Result<Profile, Refusal> {
    let address = media.address.or(description.address);
    let nowhere = media.port == 9 && address.is_some_and(|address| address.is_unspecified());
    let why = if media.kind != "audio" {
        "the media line is not audio"
    } else if media.port == 0 {
        "the audio stream is switched off (port 0)"
    } else if nowhere && (media.ice || description.ice) {
        "the peer can only be reached by ICE, which SIP legs don't do"
    } else {
        let unknown = "the media line is neither RTP nor SRTP by a profile that we know";
        return media.profile.ok_or(Refusal::NoCommonCodec(unknown));
    };
    Err(Refusal::NoCommonCodec(why))
}

fn negotiate(
    description: &Description,
    media: &Media,
    codec: Option<(Pt, Codec)>,
    security: Security,
) -> Result<Negotiated, Refusal> {
    let (pt, codec) = codec.ok_or(Refusal::NoCommonCodec(
        "none of our codecs is among the formats",
    ))?;
    let address = media
        .address
        .or(description.address)
        .ok_or(Refusal::Malformed("no c= line for the audio"))?;
    let remote_rtp = SocketAddr::new(address, media.port);
    let remote_rtcp = if media.rtcp_mux {
        remote_rtp
    } else {
        let (port, host) = media.rtcp.unwrap_or((media.port.saturating_add(1), None));
        SocketAddr::new(host.unwrap_or(address), port)
    };
    let theirs = media
        .direction
        .or(description.direction)
        .unwrap_or(Direction::SendRecv);
    let mut direction = match theirs {
        Direction::SendOnly => Direction::RecvOnly,
        Direction::RecvOnly => Direction::SendOnly,
        both => both,
    };
    // Hold in the manner of RFC 2543: nothing can be sent there.
    if address.is_unspecified() {
        direction = if direction.receives() {
            Direction::RecvOnly
        } else {
            Direction::Inactive
        };
    }
    let dtmf = events(media, codec.clock_hz());
    Ok(Negotiated {
        codec,
        pt,
        opus: media.opus,
        dtmf_pt: dtmf.map(|(pt, _)| pt),
        dtmf_clock_hz: dtmf.map_or(codec.clock_hz(), |(_, clock_hz)| clock_hz),
        remote_rtp,
        remote_rtcp,
        rtcp_mux: media.rtcp_mux,
        direction,
        security,
    })
}

/// The events of a media line at this clock; else the first: many phones have Opus with events at 8,000 Hz only.
fn events(media: &Media, clock_hz: u32) -> Option<(Pt, u32)> {
    let mut all = media.known.iter().filter_map(|(pt, format)| match format {
        Format::Dtmf { clock_hz } => Some((*pt, *clock_hz)),
        _ => None,
    });
    let first = all.next()?;
    let matching = |(_, clock): &(Pt, u32)| *clock == clock_hz;
    Some(
        Some(first)
            .filter(matching)
            .or_else(|| all.find(matching))
            .unwrap_or(first),
    )
}
