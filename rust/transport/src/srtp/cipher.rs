//! The ciphers of SRTP under one master key: counter mode with HMAC-SHA1 (RFC 3711), and AES-GCM (RFC 7714).
//!
//! The bytes that leave, `[...]` encrypted and `{...}` authenticated:
//! ```text
//! counter mode  {header [payload]} tag         {8 bytes of header [rest] E|index} tag
//! GCM           {header [payload]} tag         {8 bytes of header [rest]} tag {E|index}
//! ```
//! The tag of RTP in counter mode covers the ROC too, which isn't sent.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use super::{Error, Master, RTCP_ENCRYPTED, Suite};

/// Bytes of an RTCP packet that are never encrypted.
const RTCP_HEADER: usize = 8;

/// Bytes of the word `E|index`.
const WORD: usize = 4;

/// Bytes of a tag of AES-GCM.
const GCM_TAG: usize = 16;

/// Bytes of SRTCP's tag in counter mode, whatever RTP's are.
const HMAC_RTCP_TAG: usize = 10;

/// Bytes of HMAC-SHA1's key.
const HMAC_KEY: usize = 20;

/// Which packet it is, of 2^48 for each SSRC, and where its payload begins.
#[derive(Clone, Copy, Debug)]
pub struct IndexedPacket {
    pub ssrc: u32,
    pub index: u64,
    pub header_len: usize,
}

/// Session keys, derived once: the key derivation rate is 0, as everyone's.
#[derive(Debug)]
pub struct Cipher {
    rtp: Keys,
    rtcp: Keys,
}

#[derive(Debug)]
enum Keys {
    Counter {
        key: Box<EncryptingKey>,
        salt: [u8; 14],
        hmac: Box<hmac::Key>,
        tag_len: usize,
    },
    Gcm {
        key: LessSafeKey,
        salt: [u8; 12],
    },
}

impl Cipher {
    pub fn new(master: &Master) -> Self {
        let tag_len = match master.suite() {
            Suite::AesCm128HmacSha1_32 => 4,
            _ => HMAC_RTCP_TAG,
        };
        Self {
            rtp: Keys::derive(master, 0, tag_len),
            rtcp: Keys::derive(master, 3, HMAC_RTCP_TAG),
        }
    }

    /// Encrypts the RTP packet in `packet` in place and adds the tag.
    pub fn seal_rtp(&self, which: &IndexedPacket, packet: &mut Vec<u8>) {
        let (header, payload) = packet.split_at_mut(which.header_len);
        match &self.rtp {
            Keys::Counter {
                key,
                salt,
                hmac,
                tag_len,
            } => {
                key_stream(key, counter(salt, which.ssrc, which.index), payload);
                let tag = sign(hmac, &[packet, &roc(which.index)]);
                packet.extend_from_slice(&tag[..*tag_len]);
            }
            Keys::Gcm { key, salt } => {
                let tag = gcm_seal(key, gcm_rtp_nonce(salt, which), header, payload);
                packet.extend_from_slice(&tag);
            }
        }
    }

    /// Checks the SRTP packet, then writes it to `out` in clear.
    pub fn open_rtp(
        &self,
        which: &IndexedPacket,
        srtp: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let end = srtp
            .len()
            .checked_sub(self.rtp.tag_len())
            .filter(|end| *end >= which.header_len)
            .ok_or(Error::TooShort)?;
        let (packet, tag) = srtp.split_at(end);
        if let Keys::Counter { hmac, .. } = &self.rtp {
            verify(hmac, &[packet, &roc(which.index)], tag)?;
        }
        out.extend_from_slice(packet);
        let (header, payload) = out.split_at_mut(which.header_len);
        match &self.rtp {
            Keys::Counter { key, salt, .. } => {
                key_stream(key, counter(salt, which.ssrc, which.index), payload);
                Ok(())
            }
            Keys::Gcm { key, salt } => {
                gcm_open(key, gcm_rtp_nonce(salt, which), header, payload, tag)
            }
        }
    }

    /// Encrypts the RTCP packet in `packet` in place and adds tag and index.
    pub fn seal_rtcp(&self, ssrc: u32, index: u32, packet: &mut Vec<u8>) {
        let word = (RTCP_ENCRYPTED | index).to_be_bytes();
        let (header, rest) = packet.split_at_mut(RTCP_HEADER);
        match &self.rtcp {
            Keys::Counter {
                key,
                salt,
                hmac,
                tag_len,
            } => {
                key_stream(key, counter(salt, ssrc, u64::from(index)), rest);
                packet.extend_from_slice(&word);
                let tag = sign(hmac, &[packet]);
                packet.extend_from_slice(&tag[..*tag_len]);
            }
            Keys::Gcm { key, salt } => {
                let aad = gcm_rtcp_aad(header, word);
                let tag = gcm_seal(key, gcm_rtcp_nonce(salt, ssrc, index), &aad, rest);
                packet.extend_from_slice(&tag);
                packet.extend_from_slice(&word);
            }
        }
    }

    /// The word `E|index`, not yet authentic.
    pub fn rtcp_word(&self, srtcp: &[u8]) -> Result<u32, Error> {
        let after = match self.rtcp {
            Keys::Counter { tag_len, .. } => tag_len,
            Keys::Gcm { .. } => 0,
        };
        let rest = srtcp.get(RTCP_HEADER..).unwrap_or_default();
        if rest.len() < WORD + self.rtcp.tag_len() {
            return Err(Error::TooShort);
        }
        rest[..rest.len() - after]
            .last_chunk()
            .map(|word| u32::from_be_bytes(*word))
            .ok_or(Error::TooShort)
    }

    /// Checks the SRTCP packet, whose word has been read, then writes it to `out` in clear.
    pub fn open_rtcp(
        &self,
        ssrc: u32,
        index: u32,
        srtcp: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let end = srtcp
            .len()
            .checked_sub(WORD + self.rtcp.tag_len())
            .filter(|end| *end >= RTCP_HEADER)
            .ok_or(Error::TooShort)?;
        if let Keys::Counter { hmac, .. } = &self.rtcp {
            let (signed, tag) = srtcp.split_at(end + WORD);
            verify(hmac, &[signed], tag)?;
        }
        out.extend_from_slice(&srtcp[..end]);
        let (header, rest) = out.split_at_mut(RTCP_HEADER);
        match &self.rtcp {
            Keys::Counter { key, salt, .. } => {
                key_stream(key, counter(salt, ssrc, u64::from(index)), rest);
                Ok(())
            }
            Keys::Gcm { key, salt } => {
                let aad = gcm_rtcp_aad(header, (RTCP_ENCRYPTED | index).to_be_bytes());
                let nonce = gcm_rtcp_nonce(salt, ssrc, index);
                gcm_open(key, nonce, &aad, rest, &srtcp[end..end + GCM_TAG])
            }
        }
    }
}

impl Keys {
    /// The three session keys of RTP have the labels 0 to 2, those of RTCP 3 to 5 (RFC 3711 section 4.3.2).
    fn derive(master: &Master, first_label: u8, tag_len: usize) -> Self {
        let key_len = master.suite().key_len();
        let mut key = [0; 32];
        let key = &mut key[..key_len];
        prf(master, first_label, key);
        match master.suite() {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {
                let (mut auth, mut salt) = ([0; HMAC_KEY], [0; 14]);
                prf(master, first_label + 1, &mut auth);
                prf(master, first_label + 2, &mut salt);
                Self::Counter {
                    key: Box::new(counter_mode(key)),
                    salt,
                    hmac: Box::new(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &auth)),
                    tag_len,
                }
            }
            suite @ (Suite::AeadAes128Gcm | Suite::AeadAes256Gcm) => {
                let mut salt = [0; 12];
                prf(master, first_label + 2, &mut salt);
                let algorithm = match suite {
                    Suite::AeadAes256Gcm => &aead::AES_256_GCM,
                    _ => &aead::AES_128_GCM,
                };
                let key = UnboundKey::new(algorithm, key).expect("the key's length is the suite's");
                Self::Gcm {
                    key: LessSafeKey::new(key),
                    salt,
                }
            }
        }
    }

    fn tag_len(&self) -> usize {
        match self {
            Self::Counter { tag_len, .. } => *tag_len,
            Self::Gcm { .. } => GCM_TAG,
        }
    }
}

/// AES-CM PRF (RFC 3711 section 4.3.3); shorter salts are filled up with zeros (RFC 7714 section 11).
fn prf(master: &Master, label: u8, out: &mut [u8]) {
    let mut iv = [0; 16];
    let salt = master.salt();
    iv[..salt.len()].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    key_stream(&counter_mode(master.key()), iv, out);
}

fn counter_mode(key: &[u8]) -> EncryptingKey {
    let algorithm = match key.len() {
        32 => &cipher::AES_256,
        _ => &cipher::AES_128,
    };
    UnboundCipherKey::new(algorithm, key)
        .and_then(EncryptingKey::ctr)
        .expect("the key's length is the suite's")
}

/// RFC 3711 section 4.1.1. SRTCP's index is 31 bits of the same.
fn counter(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[4..8].copy_from_slice(&ssrc.to_be_bytes());
    iv[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
    for (iv, salt) in iv.iter_mut().zip(salt) {
        *iv ^= salt;
    }
    iv
}

fn key_stream(key: &EncryptingKey, iv: [u8; 16], data: &mut [u8]) {
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(data, context)
        .expect("counter mode takes any length");
}

fn roc(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

fn sign(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 20] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let mut tag = [0; 20];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

fn verify(key: &hmac::Key, parts: &[&[u8]], tag: &[u8]) -> Result<(), Error> {
    let whole = sign(key, parts);
    verify_slices_are_equal(&whole[..tag.len().min(whole.len())], tag)
        .map_err(|_| Error::NotAuthentic)
}

/// RFC 7714 section 8.1.
fn gcm_rtp_nonce(salt: &[u8; 12], which: &IndexedPacket) -> [u8; 12] {
    let mut nonce = *salt;
    mask(&mut nonce[2..6], &which.ssrc.to_be_bytes());
    mask(&mut nonce[6..12], &which.index.to_be_bytes()[2..]);
    nonce
}

/// RFC 7714 section 9.1.
fn gcm_rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> [u8; 12] {
    let mut nonce = *salt;
    mask(&mut nonce[2..6], &ssrc.to_be_bytes());
    mask(&mut nonce[8..12], &index.to_be_bytes());
    nonce
}

fn mask(bytes: &mut [u8], with: &[u8]) {
    for (byte, with) in bytes.iter_mut().zip(with) {
        *byte ^= with;
    }
}

/// RFC 7714 section 9.2: the first 8 bytes and the word.
fn gcm_rtcp_aad(header: &[u8], word: [u8; WORD]) -> [u8; RTCP_HEADER + WORD] {
    let mut aad = [0; RTCP_HEADER + WORD];
    aad[..RTCP_HEADER].copy_from_slice(&header[..RTCP_HEADER]);
    aad[RTCP_HEADER..].copy_from_slice(&word);
    aad
}

fn gcm_seal(key: &LessSafeKey, nonce: [u8; 12], aad: &[u8], data: &mut [u8]) -> [u8; GCM_TAG] {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let sealed = key
        .seal_in_place_separate_tag(nonce, Aad::from(aad), data)
        .expect("a packet is shorter than 64 GiB");
    let mut tag = [0; GCM_TAG];
    tag.copy_from_slice(sealed.as_ref());
    tag
}

fn gcm_open(
    key: &LessSafeKey,
    nonce: [u8; 12],
    aad: &[u8],
    data: &mut [u8],
    tag: &[u8],
) -> Result<(), Error> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, data)
        .map(|_| ())
        .map_err(|_| Error::NotAuthentic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<_> = text
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect()
    }

    /// RFC 3711 appendix B.3.
    #[test]
    fn session_keys_are_derived_as_in_rfc_3711() {
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
        let master = Master::new(Suite::AesCm128HmacSha1_80, &key).expect("30 bytes");
        let cases = [
            (0, "C61E7A93744F39EE10734AFE3FF7A087"),
            (1, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"),
            (2, "30CBBC08863D8C85D49DB34A9AE1"),
        ];
        for (label, expected) in cases {
            let expected = hex(expected);
            let mut derived = vec![0; expected.len()];
            prf(&master, label, &mut derived);
            assert_eq!(derived, expected, "label {label}");
        }
    }

    /// RFC 3711 appendix B.2.
    #[test]
    fn the_key_stream_is_that_of_rfc_3711() {
        let key = counter_mode(&hex("2B7E151628AED2A6ABF7158809CF4F3C"));
        let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
        let salt = salt.first_chunk().expect("14 bytes");
        let mut stream = [0; 0xff02 * 16];
        key_stream(&key, counter(salt, 0, 0), &mut stream);
        let cases = [
            (0, "E03EAD0935C95E80E166B16DD92B4EB4"),
            (1, "D23513162B02D0F72A43A2FE4A5F97AB"),
            (2, "41E95B3BB0A2E8DD477901E4FCA894C0"),
            (0xfeff, "EC8CDF7398607CB0F2D21675EA9EA1E4"),
            (0xff00, "362B7C3C6773516318A077D7FC5073AE"),
            (0xff01, "6A2CC3787889374FBEB4C81B17BA6C44"),
        ];
        for (block, expected) in cases {
            assert_eq!(stream[block * 16..][..16], hex(expected), "block {block:x}");
        }
    }

    const RTP: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 \
                       696e2070 61727465 73207472 6573";

    const RTCP: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef \
                        deadbeef deadbeef deadbeef deadbeef";

    /// Session keys as RFC 7714 has them: it derives none.
    fn gcm(algorithm: &'static aead::Algorithm) -> Cipher {
        let bytes: Vec<u8> = (0..32).collect();
        let keys = || {
            let key =
                UnboundKey::new(algorithm, &bytes[..algorithm.key_len()]).expect("its length");
            let (key, salt) = (LessSafeKey::new(key), *b"Quid pro quo");
            Keys::Gcm { key, salt }
        };
        let (rtp, rtcp) = (keys(), keys());
        Cipher { rtp, rtcp }
    }

    /// RFC 7714 sections 16.1 and 16.2.
    #[test]
    fn rtp_in_gcm_is_that_of_rfc_7714() {
        let cases = [
            (
                &aead::AES_128_GCM,
                "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a \
                 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
            ),
            (
                &aead::AES_256_GCM,
                "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 \
                 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
            ),
        ];
        let (ssrc, index, header_len) = (0x5501_a0b2, 0xf17b, 12);
        let which = IndexedPacket {
            ssrc,
            index,
            header_len,
        };
        for (algorithm, sealed) in cases {
            let cipher = gcm(algorithm);
            let mut packet = hex(RTP);
            cipher.seal_rtp(&which, &mut packet);
            assert_eq!(packet, hex(sealed));
            let mut opened = Vec::new();
            assert_eq!(cipher.open_rtp(&which, &packet, &mut opened), Ok(()));
            assert_eq!(opened, hex(RTP));
        }
    }

    /// RFC 7714 sections 17.1 and 17.2.
    #[test]
    fn rtcp_in_gcm_is_that_of_rfc_7714() {
        let cases = [
            (
                &aead::AES_128_GCM,
                "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda \
                 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
            ),
            (
                &aead::AES_256_GCM,
                "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be \
                 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
            ),
        ];
        for (algorithm, sealed) in cases {
            let cipher = gcm(algorithm);
            let mut packet = hex(RTCP);
            cipher.seal_rtcp(0x4d61_7273, 0x5d4, &mut packet);
            assert_eq!(packet, hex(sealed));
            assert_eq!(cipher.rtcp_word(&packet), Ok(0x8000_05d4));
            let mut opened = Vec::new();
            let result = cipher.open_rtcp(0x4d61_7273, 0x5d4, &packet, &mut opened);
            assert_eq!(result, Ok(()));
            assert_eq!(opened, hex(RTCP));
        }
    }
}
