//! Redundant audio (RFC 2198): a packet that carries earlier ones once more.

use crate::codec::Malformed;

/// Blocks of a packet that are looked at; senders use two or three.
pub const MAX_BLOCKS: usize = 8;

/// One block of a RED payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Payload type of the data.
    pub pt: u8,
    /// By how many RTP ticks it is older than the packet's timestamp; 0 for the last block, the primary one.
    pub timestamp_offset: u16,
    pub data: &'a [u8],
}

/// The blocks of a payload, oldest first as they stand there, the primary one last.
///
/// # Errors
/// If a header or a block reaches beyond the payload, or there are more than [`MAX_BLOCKS`].
pub fn parse(payload: &[u8]) -> Result<impl Iterator<Item = Block<'_>> + Clone, Malformed> {
    const LAST: u8 = 0x80;
    let mut headers = 0;
    let mut at = 0;
    let mut redundant = 0;
    loop {
        let first = *payload.get(at).ok_or(Malformed("RED header is cut off"))?;
        if first & LAST == 0 {
            break;
        }
        let header = payload
            .get(at..at + 4)
            .ok_or(Malformed("RED header is cut off"))?;
        redundant += block_length(header);
        headers += 1;
        at += 4;
        if headers == MAX_BLOCKS {
            return Err(Malformed("too many RED blocks"));
        }
    }
    let primary_pt = payload[at] & 0x7f;
    let data = &payload[at + 1..];
    if redundant > data.len() {
        return Err(Malformed("RED block is cut off"));
    }
    let mut rest = data;
    let earlier = payload[..at].chunks_exact(4).map(move |header| {
        let (data, after) = rest.split_at(block_length(header));
        rest = after;
        Block {
            pt: header[0] & 0x7f,
            timestamp_offset: u16::from_be_bytes([header[1], header[2]]) >> 2,
            data,
        }
    });
    Ok(earlier.chain(std::iter::once(Block {
        pt: primary_pt,
        timestamp_offset: 0,
        data: &data[redundant..],
    })))
}

fn block_length(header: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([header[2], header[3]]) & 0x3ff)
}
