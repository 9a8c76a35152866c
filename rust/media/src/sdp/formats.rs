//! Payload types and what they mean: `a=rtpmap` (RFC 8866), the static ones of RFC 3551, and `a=fmtp` of Opus (RFC 7587).

use plenary_codec::{Codec, Rate};

use crate::rtp::Pt;

/// What a payload type means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Audio(Codec),
    /// telephone-event (RFC 4733) at this clock.
    Dtmf {
        clock_hz: u32,
    },
    /// RFC 3389.
    ComfortNoise,
    /// RFC 2198, around another format.
    Red,
}

impl Format {
    /// Reads the encoding of an `a=rtpmap`: `opus/48000/2`. `None` if it is none of ours.
    pub(super) fn parse(encoding: &str) -> Option<Self> {
        let mut parts = encoding.trim().splitn(3, '/');
        let (name, clock, channels) = (parts.next()?, parts.next()?, parts.next());
        let clock_hz: u32 = clock.parse().ok()?;
        let mono = matches!(channels, None | Some("1"));
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if let Some(codec) = Codec::from_name(name) {
            let fits = match codec {
                // Two channels are of the form (RFC 7587 section 7); some leave them out.
                Codec::Opus => matches!(channels, None | Some("1" | "2")),
                _ => mono,
            };
            return (fits && clock_hz == codec.clock_hz()).then_some(Self::Audio(codec));
        }
        if is("telephone-event") && mono && [8_000, 16_000, 48_000].contains(&clock_hz) {
            Some(Self::Dtmf { clock_hz })
        } else if is("CN") && mono {
            Some(Self::ComfortNoise)
        } else if is("red") {
            Some(Self::Red)
        } else {
            None
        }
    }

    /// What a type means that no `a=rtpmap` explains (RFC 3551 section 6).
    pub(super) fn of_static(pt: Pt) -> Option<Self> {
        let audio = Codec::ALL
            .into_iter()
            .find(|codec| codec.static_pt() == Some(pt.0));
        match (audio, pt) {
            (Some(codec), _) => Some(Self::Audio(codec)),
            (None, Pt(13)) => Some(Self::ComfortNoise),
            (None, _) => None,
        }
    }

    /// The encoding for `a=rtpmap`.
    fn encoding(self) -> String {
        match self {
            Self::Audio(codec) if codec.sdp_channels() == 1 => {
                format!("{}/{}", codec.name(), codec.clock_hz())
            }
            Self::Audio(codec) => {
                let channels = codec.sdp_channels();
                format!("{}/{}/{channels}", codec.name(), codec.clock_hz())
            }
            Self::Dtmf { clock_hz } => format!("telephone-event/{clock_hz}"),
            Self::ComfortNoise => "CN/8000".to_owned(),
            Self::Red => "red/8000".to_owned(),
        }
    }

    /// What we ask of who sends it. Opus: forward error correction, which our jitter buffer uses; the rest of RFC 7587
    /// is as we like it by default (48 kHz, mono, variable rate, no DTX: what is silent must sound like its room).
    fn parameters(self) -> Option<&'static str> {
        match self {
            Self::Audio(Codec::Opus) => Some("useinbandfec=1"),
            Self::Dtmf { .. } => Some("0-16"),
            _ => None,
        }
    }

    /// Its lines under the media line.
    pub(super) fn lines(self, Pt(pt): Pt) -> String {
        let mut lines = format!("a=rtpmap:{pt} {}\r\n", self.encoding());
        if let Some(parameters) = self.parameters() {
            lines += &format!("a=fmtp:{pt} {parameters}\r\n");
        }
        lines
    }

    /// The number in our offers, if it is free.
    fn usual_pt(self) -> Pt {
        Pt(match self {
            Self::Audio(Codec::Pcmu) => 0,
            Self::Audio(Codec::Pcma) => 8,
            Self::Audio(Codec::G722) => 9,
            Self::Audio(Codec::Opus) => 111,
            Self::Dtmf { clock_hz: 48_000 } => 110,
            Self::Dtmf { .. } => 101,
            Self::ComfortNoise => 13,
            Self::Red => 121,
        })
    }
}

/// What the payload types mean that come to us, from the first description of a leg to its last. A number once agreed
/// keeps its meaning (RFC 3264 section 8.3.2): packets that a phone sent before its re-INVITE come after it.
#[derive(Debug)]
pub(super) struct PayloadTypes {
    meaning: [Option<Format>; 128],
}

impl PayloadTypes {
    pub fn new() -> Self {
        Self {
            meaning: core::array::from_fn(|pt| Format::of_static(Pt(pt as u8))),
        }
    }

    pub fn get(&self, pt: Pt) -> Option<Format> {
        self.meaning.get(usize::from(pt.0)).copied().flatten()
    }

    pub fn set(&mut self, pt: Pt, format: Format) {
        if let Some(meaning) = self.meaning.get_mut(usize::from(pt.0)) {
            *meaning = Some(format);
        }
    }

    /// The number under which we take a format: the one it has, its usual one, or the first that is free.
    pub fn number(&mut self, format: Format) -> Pt {
        let all = || (0..128).map(Pt);
        let free = |pt: &Pt| self.get(*pt).is_none();
        let pt = all()
            .find(|pt| self.get(*pt) == Some(format))
            .or_else(|| Some(format.usual_pt()).filter(free))
            .or_else(|| all().skip(96).find(free))
            .unwrap_or_else(|| format.usual_pt());
        self.set(pt, format);
        pt
    }
}

/// What a peer wishes of the Opus that it gets (RFC 7587 section 6.1). What it says of its own sending needs no heed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusWishes {
    /// The highest rate that it can play.
    pub max_playback: Rate,
    /// 6,000 to 510,000.
    pub max_bitrate_bps: Option<u32>,
    /// It uses in-band FEC.
    pub fec: bool,
    /// It likes packets to stop in silence.
    pub dtx: bool,
    pub cbr: bool,
}

impl Default for OpusWishes {
    fn default() -> Self {
        Self {
            max_playback: Rate::Full,
            max_bitrate_bps: None,
            fec: false,
            dtx: false,
            cbr: false,
        }
    }
}

impl OpusWishes {
    /// Reads the parameters of an `a=fmtp`; what can't be read is as if it weren't there.
    pub(super) fn parse(parameters: &str) -> Self {
        let mut wishes = Self::default();
        for parameter in parameters.split(';') {
            let Some((name, value)) = parameter.split_once('=') else {
                continue;
            };
            let Ok(value) = value.trim().parse::<u32>() else {
                continue;
            };
            match name.trim().to_ascii_lowercase().as_str() {
                "maxplaybackrate" => {
                    wishes.max_playback = match value {
                        0..=8_000 => Rate::Narrow,
                        8_001..=16_000 => Rate::Wide,
                        _ => Rate::Full,
                    };
                }
                "maxaveragebitrate" => {
                    wishes.max_bitrate_bps = Some(value.clamp(6_000, 510_000));
                }
                "useinbandfec" => wishes.fec = value == 1,
                "usedtx" => wishes.dtx = value == 1,
                "cbr" => wishes.cbr = value == 1,
                _ => {}
            }
        }
        wishes
    }
}
