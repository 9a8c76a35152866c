//! What a datagram on a media port is, by its first byte (RFC 7983 section 7).

/// The protocols that share a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Stun,
    Dtls,
    /// RTP or RTCP, encrypted or not; RFC 5761 tells the two apart.
    Media,
    /// ZRTP, TURN channels, what nobody has named, and nothing at all.
    Other,
}

/// Looks at the first byte.
#[must_use]
pub fn kind(datagram: &[u8]) -> Kind {
    match datagram.first() {
        Some(0..=3) => Kind::Stun,
        Some(20..=63) => Kind::Dtls,
        Some(128..=191) => Kind::Media,
        _ => Kind::Other,
    }
}

/// Whether a packet of [`Kind::Media`] is RTCP: its second byte is a packet type of 192 to 223 (RFC 5761 section 4).
#[must_use]
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet.get(1), Some(192..=223))
}
