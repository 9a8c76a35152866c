//! Writing SDP.

use std::fmt::{self, Write};

use super::formats::Format;
use super::parse::Media;
use super::security::Profile;
use super::{Direction, LocalMedia, PTIME_MS};
use crate::rtp::Pt;

/// A media line of the exchange, in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Audio,
    /// Media, profile and formats as the peer wrote them, for our refusal.
    Refused {
        media: String,
        proto: String,
        formats: String,
    },
}

impl Line {
    pub fn refused(media: &Media) -> Self {
        Self::Refused {
            media: media.kind.clone(),
            proto: media.proto.clone(),
            formats: media.formats.clone(),
        }
    }
}

/// What our audio line says.
pub struct Audio<'a> {
    pub profile: Profile,
    pub formats: &'a [(Pt, Format)],
    /// Lines of keys, or of DTLS.
    pub keys: String,
    pub rtcp_mux: bool,
    pub direction: Direction,
}

impl Audio<'_> {
    /// The whole description.
    pub fn description(&self, local: &LocalMedia, version: u64, lines: &[Line]) -> String {
        let LocalMedia {
            address,
            rtp_port,
            session_id,
        } = local;
        let family = if address.is_ipv4() { "IP4" } else { "IP6" };
        let mut out = format!(
            "v=0\r\no=- {session_id} {version} IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n"
        );
        for line in lines {
            // Writing to a String can't fail.
            let _ = match line {
                Line::Audio => self.write(*rtp_port, &mut out),
                Line::Refused {
                    media,
                    proto,
                    formats,
                } => write!(out, "m={media} 0 {proto} {formats}\r\n"),
            };
        }
        out
    }

    fn write(&self, port: u16, out: &mut String) -> fmt::Result {
        write!(out, "m=audio {port} {}", self.profile.as_str())?;
        for (Pt(pt), _) in self.formats {
            write!(out, " {pt}")?;
        }
        out.write_str("\r\n")?;
        for (pt, format) in self.formats {
            out.write_str(&format.lines(*pt))?;
        }
        write!(out, "a=ptime:{PTIME_MS}\r\na=maxptime:60\r\n")?;
        if self.rtcp_mux {
            out.write_str("a=rtcp-mux\r\n")?;
        }
        out.write_str(&self.keys)?;
        write!(out, "a={}\r\n", self.direction.as_str())
    }
}
