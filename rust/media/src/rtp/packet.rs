//! The RTP packet (RFC 3550 section 5.1): twelve octets of header, then CSRCs, an extension, the payload, padding.

use super::{Pt, RtpTime, SeqNo, Ssrc};

/// Longest datagram that is looked at: an Ethernet MTU. No audio packet of ours or of a peer comes near.
pub const MAX_DATAGRAM: usize = 1_500;

/// Octets of a header without CSRCs and extension, the only kind that is written here.
pub const HEADER_LEN: usize = 12;

const VERSION: u8 = 2;

/// The fixed header, without what only mixers and extensions add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub marker: bool,
    pub pt: Pt,
    pub seq: SeqNo,
    pub timestamp: RtpTime,
    pub ssrc: Ssrc,
}

/// Why a datagram is no RTP packet: always the sender's fault, counted and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than its own header says.
    TooShort,
    /// Longer than [`MAX_DATAGRAM`].
    TooLong,
    /// Not version 2: STUN, DTLS, or noise.
    Version,
    /// The padding count is zero or longer than the payload.
    Padding,
}

/// Splits a datagram into its header and its payload, which excludes CSRCs, extension and padding.
///
/// # Errors
/// [`Malformed`] if a length or the version doesn't hold; the payload may be empty.
pub fn parse(datagram: &[u8]) -> Result<(Header, &[u8]), Malformed> {
    if datagram.len() > MAX_DATAGRAM {
        return Err(Malformed::TooLong);
    }
    let (fixed, mut rest) = datagram
        .split_first_chunk::<HEADER_LEN>()
        .ok_or(Malformed::TooShort)?;
    let [first, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *fixed;
    if first >> 6 != VERSION {
        return Err(Malformed::Version);
    }
    let csrcs = usize::from(first & 0x0f) * 4;
    rest = rest.get(csrcs..).ok_or(Malformed::TooShort)?;
    if first & 0x10 != 0 {
        let (&[_, _, words_high, words_low], after) =
            rest.split_first_chunk::<4>().ok_or(Malformed::TooShort)?;
        let words = usize::from(u16::from_be_bytes([words_high, words_low]));
        rest = after.get(words * 4..).ok_or(Malformed::TooShort)?;
    }
    if first & 0x20 != 0 {
        let padding = usize::from(*rest.last().ok_or(Malformed::Padding)?);
        if padding == 0 || padding > rest.len() {
            return Err(Malformed::Padding);
        }
        rest = &rest[..rest.len() - padding];
    }
    let header = Header {
        marker: second & 0x80 != 0,
        pt: Pt(second & 0x7f),
        seq: SeqNo(u16::from_be_bytes([s0, s1])),
        timestamp: RtpTime(u32::from_be_bytes([t0, t1, t2, t3])),
        ssrc: Ssrc(u32::from_be_bytes([i0, i1, i2, i3])),
    };
    Ok((header, rest))
}

impl Header {
    /// Writes the twelve octets; the payload follows them in the caller's buffer.
    pub fn write(&self, out: &mut [u8; HEADER_LEN]) {
        out[0] = VERSION << 6;
        out[1] = u8::from(self.marker) << 7 | self.pt.0 & 0x7f;
        out[2..4].copy_from_slice(&self.seq.0.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.0.to_be_bytes());
    }
}
