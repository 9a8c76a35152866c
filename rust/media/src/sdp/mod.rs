//! SDP offer and answer (RFC 8866, RFC 3264) for one stream of G.711 audio.
//!
//! [`SdpSession`] holds a leg's side of the exchange from its first description to its last. [`parse`] reads what came
//! into what matters here; the exchange decides. The first audio stream we can do is taken, all others are refused with
//! port 0 and keep their place in every later description, as RFC 3264 section 8 wants. Encrypted profiles are refused:
//! an RTP/SAVP offer answered in clear would betray the caller.

mod parse;

use core::net::{IpAddr, SocketAddr};
use std::fmt::{self, Write};

use crate::codec::Codec;
use crate::rtp::Pt;
use parse::{Description, Media};

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

/// What both sides have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    pub codec: Codec,
    /// Payload type of the codec, the same in both directions.
    pub pt: Pt,
    /// Payload type of telephone-event that we send, if the peer takes it.
    pub dtmf_pt: Option<Pt>,
    /// Payload type of telephone-event that the peer sends to us.
    pub dtmf_receive_pt: Option<Pt>,
    pub remote_rtp: SocketAddr,
    /// The same as `remote_rtp` with rtcp-mux.
    pub remote_rtcp: SocketAddr,
    pub rtcp_mux: bool,
    /// Ours.
    pub direction: Direction,
    /// Milliseconds of audio in a packet that the peer wishes to get, 10 to 60.
    pub ptime_ms: u8,
}

/// Why a description isn't taken: the peer's fault, unless it says otherwise. What was agreed before stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It breaks RFC 8866, or a limit of ours.
    Malformed(&'static str),
    /// Nothing in it that we can do.
    NoCommonCodec(&'static str),
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
            Self::WrongState => "wrong_state",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(detail) | Self::NoCommonCodec(detail) => f.write_str(detail),
            Self::WrongState => f.write_str("no offer of ours is waiting for an answer"),
        }
    }
}

impl std::error::Error for Refusal {}

/// The payload type of telephone-event in our offers.
const DTMF_PT: Pt = Pt(101);

/// What we send in a packet, in milliseconds.
const PTIME_MS: u8 = 20;

/// A media line of the exchange, in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Audio,
    /// Media, profile and formats as the peer wrote them, for our refusal.
    Refused {
        media: String,
        proto: String,
        formats: String,
    },
}

/// The offers and answers of one leg, from its first to its last.
#[derive(Debug)]
pub struct SdpSession {
    local: LocalMedia,
    version: u64,
    lines: Vec<Line>,
    offer_open: bool,
    negotiated: Option<Negotiated>,
}

impl SdpSession {
    #[must_use]
    pub fn new(local: LocalMedia) -> Self {
        Self {
            local,
            version: 0,
            lines: vec![Line::Audio],
            offer_open: false,
            negotiated: None,
        }
    }

    /// Takes an offer of the peer, the first or a later one, and answers it. An open offer of ours is given up.
    ///
    /// # Errors
    /// [`Refusal`]; what was in force stays.
    pub fn answer(&mut self, offer: &str) -> Result<(Negotiated, String), Refusal> {
        let offer = parse::parse(offer)?;
        let chosen = choose(&offer)?;
        let media = &offer.media[chosen];
        let negotiated = negotiate(&offer, media)?;
        self.lines = offer
            .media
            .iter()
            .enumerate()
            .map(|(i, media)| {
                if i == chosen {
                    Line::Audio
                } else {
                    refused(media)
                }
            })
            .collect();
        self.offer_open = false;
        self.negotiated = Some(negotiated);
        let formats = Formats {
            codecs: &[(negotiated.pt, negotiated.codec)],
            dtmf: negotiated.dtmf_pt,
            rtcp_mux: negotiated.rtcp_mux,
            direction: negotiated.direction,
        };
        Ok((negotiated, self.write(&formats)))
    }

    /// Makes an offer, the first or a later one. A later call replaces an offer that was never answered.
    pub fn offer(&mut self) -> String {
        self.offer_open = true;
        let both = [Codec::Pcmu, Codec::Pcma].map(|codec| (codec.static_pt(), codec));
        let dtmf = self
            .negotiated
            .and_then(|negotiated| negotiated.dtmf_receive_pt)
            .unwrap_or(DTMF_PT);
        let formats = Formats {
            codecs: &both,
            dtmf: Some(dtmf),
            rtcp_mux: true,
            direction: Direction::SendRecv,
        };
        self.write(&formats)
    }

    /// Takes the peer's answer to the last offer.
    ///
    /// # Errors
    /// [`Refusal`]; after `Malformed` or `NoCommonCodec` the offer is still open.
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
        if let Some(reason) = unfit(media) {
            return Err(Refusal::NoCommonCodec(reason));
        }
        // Each side is sent events under the number that it has named itself.
        let dtmf_receive_pt = Some(self.offered_dtmf());
        let negotiated = Negotiated {
            dtmf_receive_pt,
            ..negotiate(&answer, media)?
        };
        self.offer_open = false;
        self.negotiated = Some(negotiated);
        Ok(negotiated)
    }

    /// What is in force.
    #[must_use]
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// Once agreed, a payload type keeps its meaning (RFC 3264 section 8.3.2).
    fn offered_dtmf(&self) -> Pt {
        self.negotiated
            .and_then(|negotiated| negotiated.dtmf_receive_pt)
            .unwrap_or(DTMF_PT)
    }

    /// Each description has a version of its own, so that none is taken for unchanged (RFC 3264 section 8).
    fn write(&mut self, formats: &Formats<'_>) -> String {
        self.version += 1;
        let LocalMedia {
            address,
            rtp_port,
            session_id,
        } = self.local;
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        let version = self.version;
        let mut out = format!(
            "v=0\r\no=- {session_id} {version} IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n"
        );
        for line in &self.lines {
            // Writing to a String can't fail.
            let _ = match line {
                Line::Audio => formats.write(rtp_port, &mut out),
                Line::Refused {
                    media,
                    proto,
                    formats,
                } => write!(out, "m={media} 0 {proto} {formats}\r\n"),
            };
        }
        out
    }
}

/// What our audio line says.
struct Formats<'a> {
    codecs: &'a [(Pt, Codec)],
    dtmf: Option<Pt>,
    rtcp_mux: bool,
    direction: Direction,
}

impl Formats<'_> {
    fn write(&self, port: u16, out: &mut String) -> fmt::Result {
        write!(out, "m=audio {port} RTP/AVP")?;
        for (pt, _) in self.codecs {
            write!(out, " {}", pt.0)?;
        }
        if let Some(pt) = self.dtmf {
            write!(out, " {}", pt.0)?;
        }
        out.write_str("\r\n")?;
        for (pt, codec) in self.codecs {
            write!(out, "a=rtpmap:{} {}/8000\r\n", pt.0, codec.name())?;
        }
        if let Some(Pt(pt)) = self.dtmf {
            write!(
                out,
                "a=rtpmap:{pt} telephone-event/8000\r\na=fmtp:{pt} 0-16\r\n"
            )?;
        }
        write!(out, "a=ptime:{PTIME_MS}\r\na=maxptime:60\r\n")?;
        if self.rtcp_mux {
            out.write_str("a=rtcp-mux\r\n")?;
        }
        write!(out, "a={}\r\n", self.direction.as_str())
    }
}

fn refused(media: &Media) -> Line {
    Line::Refused {
        media: media.kind.clone(),
        proto: media.proto.clone(),
        formats: media.formats.clone(),
    }
}

/// Which media line of an offer we take.
fn choose(offer: &Description) -> Result<usize, Refusal> {
    let mut reason = "there is no audio in it";
    for (i, media) in offer.media.iter().enumerate() {
        match unfit(media) {
            None => return Ok(i),
            Some(unfit) if media.kind == "audio" => reason = unfit,
            Some(_) => {}
        }
    }
    Err(Refusal::NoCommonCodec(reason))
}

/// Why a media line is none for us.
fn unfit(media: &Media) -> Option<&'static str> {
    if media.kind != "audio" {
        Some("the media line is not audio")
    } else if media.port == 0 {
        Some("the audio stream is switched off (port 0)")
    } else if media.proto != "RTP/AVP" {
        Some("only plain RTP/AVP is taken: neither encrypted media nor feedback profiles")
    } else if media.codec.is_none() {
        Some("neither PCMU nor PCMA is among the formats")
    } else {
        None
    }
}

fn negotiate(description: &Description, media: &Media) -> Result<Negotiated, Refusal> {
    let (pt, codec) = media.codec.ok_or(Refusal::NoCommonCodec(
        "neither PCMU nor PCMA is among the formats",
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
    let ptime_ms = media.ptime_ms.or(description.ptime_ms).unwrap_or(PTIME_MS);
    let ptime_ms = ptime_ms.min(media.maxptime_ms.unwrap_or(u8::MAX));
    Ok(Negotiated {
        codec,
        pt,
        dtmf_pt: media.dtmf,
        dtmf_receive_pt: media.dtmf,
        remote_rtp,
        remote_rtcp,
        rtcp_mux: media.rtcp_mux,
        direction,
        ptime_ms: ptime_ms.clamp(10, 60),
    })
}
