//! The head of a WAV file: mono, 8 kHz, 16 bits, little-endian.

/// Length of the header that [`header`] makes.
pub const HEADER_LEN: usize = 44;

/// Most bytes of audio a file can hold: its sizes are 32 bits wide, with the header counted in one of them.
pub const DATA_MAX: u32 = u32::MAX - HEADER_LEN as u32;

/// The header of a file that holds `data_bytes` of audio so far, at most [`DATA_MAX`].
#[must_use]
pub fn header(data_bytes: u32) -> [u8; HEADER_LEN] {
    let data_bytes = data_bytes.min(DATA_MAX);
    let mut out = [0; HEADER_LEN];
    out[0..4].copy_from_slice(b"RIFF");
    out[4..8].copy_from_slice(&(data_bytes + 36).to_le_bytes());
    out[8..16].copy_from_slice(b"WAVEfmt ");
    out[16..20].copy_from_slice(&16_u32.to_le_bytes());
    out[20..22].copy_from_slice(&1_u16.to_le_bytes());
    out[22..24].copy_from_slice(&1_u16.to_le_bytes());
    out[24..28].copy_from_slice(&8_000_u32.to_le_bytes());
    out[28..32].copy_from_slice(&16_000_u32.to_le_bytes());
    out[32..34].copy_from_slice(&2_u16.to_le_bytes());
    out[34..36].copy_from_slice(&16_u16.to_le_bytes());
    out[36..40].copy_from_slice(b"data");
    out[40..44].copy_from_slice(&data_bytes.to_le_bytes());
    out
}

/// Why a file can't be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// No RIFF/WAVE file, or cut off within its header.
    NotWav,
    /// Not mono, 8 kHz, 16 bits.
    OtherFormat,
}

/// Where the audio of a file lies that is to be appended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// Of its first byte, from the start of the file.
    pub offset: u64,
    /// What the header says; a crash may have left more or less.
    pub bytes: u32,
}

/// Finds the audio from the first bytes of a file (4 KiB are enough for any sane one).
///
/// # Errors
/// [`NotOurs`].
pub fn parse(head: &[u8]) -> Result<Data, NotOurs> {
    if head.get(0..4) != Some(b"RIFF") || head.get(8..12) != Some(b"WAVE") {
        return Err(NotOurs::NotWav);
    }
    let mut at = 12;
    let mut format_known = false;
    // Each step goes on by 8 bytes at least, so this ends with the head.
    loop {
        let name = head.get(at..at + 4).ok_or(NotOurs::NotWav)?;
        let size = u32_at(head, at + 4).ok_or(NotOurs::NotWav)?;
        let body = at + 8;
        match name {
            b"fmt " => {
                // PCM, one channel, and the rate.
                let is_ours = head.get(body..body + 4) == Some(&[1, 0, 1, 0])
                    && u32_at(head, body + 4) == Some(8_000)
                    && head.get(body + 14..body + 16) == Some(&[16, 0]);
                if !is_ours {
                    return Err(NotOurs::OtherFormat);
                }
                format_known = true;
            }
            b"data" if format_known => {
                return Ok(Data {
                    offset: body as u64,
                    bytes: size,
                });
            }
            _ => {}
        }
        // Chunks begin at even places.
        let next = body as u64 + u64::from(size) + u64::from(size & 1);
        at = usize::try_from(next)
            .ok()
            .filter(|next| *next < head.len())
            .ok_or(NotOurs::NotWav)?;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|word| u32::from_le_bytes(*word))
}
