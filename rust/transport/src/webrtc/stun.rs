//! Which peer a first datagram is for: the USERNAME of an ICE check (RFC 8445, section 7.2.2) begins with the ufrag
//! of whom it asks. Nothing is verified here; that is the [`super::Peer`]'s.

/// Bytes of a STUN header (RFC 8489, section 5).
const HEADER: usize = 20;
const MAGIC: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
const BINDING_REQUEST: [u8; 2] = [0, 1];
const USERNAME: u16 = 6;
/// Attributes that are looked at; checks have about eight, the name among the first.
const ATTRIBUTES_MAX: usize = 16;

/// The ufrag of ours that a binding request names; `None` for every other datagram.
pub fn ufrag(datagram: &[u8]) -> Option<&str> {
    let (header, mut rest) = datagram.split_at_checked(HEADER)?;
    if header[..2] != BINDING_REQUEST || header[4..8] != MAGIC {
        return None;
    }
    for _ in 0..ATTRIBUTES_MAX {
        let (head, body) = rest.split_at_checked(4)?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = body.get(..length)?;
        if kind == USERNAME {
            return std::str::from_utf8(value).ok()?.split(':').next();
        }
        rest = body.get(length.next_multiple_of(4)..)?;
    }
    None
}
