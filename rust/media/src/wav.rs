//! The head of a WAV file: mono, 16 bits, little-endian.

use plenary_codec::Rate;

/// Length of the header that [`header`] makes.
pub const HEADER_LEN: usize = 44;

/// Most bytes of audio a file can hold: its sizes are 32 bits wide, with the header counted in one of them.
pub const DATA_MAX: u32 = u32::MAX - HEADER_LEN as u32;

/// The header of a file that holds `data_bytes` of audio at `rate` so far, at most [`DATA_MAX`].
#[must_use]
pub fn header(data_bytes: u32, rate: Rate) -> [u8; HEADER_LEN] {
    let data_bytes = data_bytes.min(DATA_MAX);
    let mut out = [0; HEADER_LEN];
    out[0..4].copy_from_slice(b"RIFF");
    out[4..8].copy_from_slice(&(data_bytes + 36).to_le_bytes());
    out[8..16].copy_from_slice(b"WAVEfmt ");
    out[16..20].copy_from_slice(&16_u32.to_le_bytes());
    out[20..22].copy_from_slice(&1_u16.to_le_bytes());
    out[22..24].copy_from_slice(&1_u16.to_le_bytes());
    out[24..28].copy_from_slice(&rate.hz().to_le_bytes());
    out[28..32].copy_from_slice(&(2 * rate.hz()).to_le_bytes());
    out[32..34].copy_from_slice(&2_u16.to_le_bytes());
    out[34..36].copy_from_slice(&16_u16.to_le_bytes());
    out[36..40].copy_from_slice(b"data");
    out[40..44].copy_from_slice(&data_bytes.to_le_bytes());
    out
}
