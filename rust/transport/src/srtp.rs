//! SRTP and SRTCP (RFC 3711, RFC 7714): RTP of one leg encrypted, authenticated, and guarded against replay.
//!
//! A [`Session`] has a master key for each direction. Session keys are derived once (`cipher`); here is what changes with
//! every packet. RTP carries 16 bits of a 48-bit index: the sender counts the wraps (ROC), the receiver guesses them from
//! the highest index that was authentic. Nothing that a packet claims is kept before its tag was checked: a forger makes
//! no state, moves no window. A stream that is new to us may be older than our keys (its first packets were lost, or this
//! engine took over a call that has lasted hours): then its ROC isn't 0, and is looked for, some candidates a packet. It may
//! even begin with a recorded packet that somebody sends again, of a ROC long past. So the ROC of a stream that is known is
//! looked for too, above what we have, as soon as a packet doesn't fit.

mod cipher;

use std::fmt;

use cipher::{Cipher, IndexedPacket};

/// What RFC 4568 calls a crypto-suite and RFC 5764 a protection profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-128 in counter mode, HMAC-SHA1 cut to 80 bits.
    AesCm128HmacSha1_80,
    /// The same with 32 bits for RTP; RTCP keeps 80 (RFC 4568 section 6.2.2).
    AesCm128HmacSha1_32,
    /// AES-128 in Galois counter mode, a tag of 128 bits.
    AeadAes128Gcm,
    AeadAes256Gcm,
}

impl Suite {
    /// The name in `a=crypto` (RFC 4568, RFC 7714).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// Bytes of the master key.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Bytes of the master salt.
    #[must_use]
    pub fn salt_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }
}

/// Most bytes of master key and salt together: those of AES-256 and of counter mode.
pub const MASTER_MAX: usize = 46;

/// Master key and salt of one direction. Its `Debug` doesn't show them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Master {
    suite: Suite,
    bytes: [u8; MASTER_MAX],
}

impl Master {
    /// Takes the key and then the salt, as they stand in `inline:`. `None` if there are too few or too many bytes.
    #[must_use]
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Option<Self> {
        let mut bytes = [0; MASTER_MAX];
        let len = suite.key_len() + suite.salt_len();
        if key_and_salt.len() != len {
            return None;
        }
        bytes.get_mut(..len)?.copy_from_slice(key_and_salt);
        Some(Self { suite, bytes })
    }

    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.parts().0
    }

    #[must_use]
    pub fn salt(&self) -> &[u8] {
        self.parts().1
    }

    /// Key and salt, as [`Master::new`] takes them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let len = self.suite.key_len() + self.suite.salt_len();
        self.bytes.get(..len).unwrap_or_default()
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes().split_at(self.suite.key_len())
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Master({})", self.suite.name())
    }
}

/// Why a packet isn't protected or taken: its sender's fault, or a forger's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It can't hold header and tag.
    TooShort,
    /// Not RTP or RTCP of version 2.
    Malformed,
    /// The tag is wrong: another key, another sender, or damage.
    NotAuthentic,
    /// A packet that came before, or is too old to tell.
    Replayed,
    /// SRTCP in clear, which was never agreed.
    Unencrypted,
    /// Of ours: its number isn't ahead of the last. A second packet under one number would betray both.
    Reused,
    /// Of ours: 2^48 RTP or 2^31 RTCP packets, or [`STREAMS_MAX`] streams, have gone out under this key.
    KeyExhausted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "too short for SRTP",
            Self::Malformed => "not RTP or RTCP of version 2",
            Self::NotAuthentic => "the authentication tag is wrong",
            Self::Replayed => "came before, or is too old",
            Self::Unencrypted => "SRTCP that is not encrypted",
            Self::Reused => "a sequence number that isn't ahead of the last",
            Self::KeyExhausted => "the key has protected as much as it may",
        })
    }
}

impl std::error::Error for Error {}

/// Streams (SSRCs) of one key and direction. A leg has one and takes another when a phone makes a new one at a hold or
/// transfer. Of those received the one silent longest is forgotten; those sent are never, as their count guards the key.
pub const STREAMS_MAX: usize = 64;

/// Packets back that are told from replays: 2.5 s, twice the deepest jitter buffer; RFC 3711 asks for 64 at least.
const WINDOW: u64 = u128::BITS as u64;

/// Wraps of 16 bits that a new stream may have behind it, or one that is known before it: 22 minutes each at 50 packets/s,
/// 23 hours in all. At one candidate a packet, besides the likeliest, it is found after 1.3 s at most.
const ROC_CANDIDATES: u64 = 64;

/// SRTP of one leg, both directions.
#[derive(Debug)]
pub struct Session {
    local: Master,
    remote: Master,
    sender: Sender,
    receiver: Receiver,
}

impl Session {
    /// `local` is for what we send, `remote` for what comes.
    #[must_use]
    pub fn new(local: Master, remote: Master) -> Self {
        Self {
            local,
            remote,
            sender: Sender::new(&local),
            receiver: Receiver::new(&remote),
        }
    }

    /// New keys after a re-INVITE. A direction whose key stays goes on; the other begins anew, and with ROC 0.
    pub fn rekey(&mut self, local: Master, remote: Master) {
        if self.local != local {
            self.local = local;
            self.sender = Sender::new(&local);
        }
        if self.remote != remote {
            self.remote = remote;
            self.receiver = Receiver::new(&remote);
        }
    }

    /// The keys of what we send and of what comes.
    #[must_use]
    pub fn masters(&self) -> (Master, Master) {
        (self.local, self.remote)
    }

    /// The suite that we send with.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.local.suite
    }

    /// Encrypts an RTP packet of ours; `out` is replaced and becomes at most 16 bytes longer.
    ///
    /// # Errors
    /// `TooShort`, `Malformed`, `Reused`, `KeyExhausted`; then `out` is empty.
    pub fn protect(&mut self, rtp: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        out.clear();
        self.sender.protect(rtp, out)
    }

    /// Checks and decrypts an SRTP packet into `out`, which is replaced.
    ///
    /// # Errors
    /// `TooShort`, `Malformed`, `NotAuthentic`, `Replayed`; then `out` is empty and nothing has changed.
    pub fn unprotect(&mut self, srtp: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        out.clear();
        self.receiver
            .unprotect(srtp, out)
            .inspect_err(|_| out.clear())
    }

    /// Encrypts a compound RTCP packet of ours; `out` is replaced and becomes at most 20 bytes longer.
    ///
    /// # Errors
    /// `TooShort`, `Malformed`, `KeyExhausted`; then `out` is empty.
    pub fn protect_rtcp(&mut self, rtcp: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        out.clear();
        self.sender.protect_rtcp(rtcp, out)
    }

    /// Checks and decrypts an SRTCP packet into `out`, which is replaced.
    ///
    /// # Errors
    /// As [`Session::unprotect`], and `Unencrypted`.
    pub fn unprotect_rtcp(&mut self, srtcp: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        out.clear();
        self.receiver
            .unprotect_rtcp(srtcp, out)
            .inspect_err(|_| out.clear())
    }
}

/// What we send under one master key.
#[derive(Debug)]
struct Sender {
    cipher: Cipher,
    /// SSRC and the index of its last packet.
    streams: Vec<(u32, u64)>,
    /// Of the next SRTCP packet. One count for all streams: a number is never used twice, which is all that is asked.
    rtcp_index: u32,
}

impl Sender {
    fn new(master: &Master) -> Self {
        Self {
            cipher: Cipher::new(master),
            streams: Vec::new(),
            rtcp_index: 0,
        }
    }

    fn protect(&mut self, rtp: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let header = Header::read(rtp)?;
        let place = self
            .streams
            .iter()
            .position(|(ssrc, _)| *ssrc == header.ssrc);
        let index = match place {
            Some(place) => {
                let last = self.streams[place].1;
                let index = near(last, header.seq, 0).ok_or(Error::KeyExhausted)?;
                if index <= last {
                    return Err(Error::Reused);
                }
                self.streams[place].1 = index;
                index
            }
            None if self.streams.len() == STREAMS_MAX => return Err(Error::KeyExhausted),
            None => {
                let index = u64::from(header.seq);
                self.streams.push((header.ssrc, index));
                index
            }
        };
        out.extend_from_slice(rtp);
        self.cipher.seal_rtp(&header.packet(index), out);
        Ok(())
    }

    fn protect_rtcp(&mut self, rtcp: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let ssrc = rtcp_ssrc(rtcp)?;
        let index = self.rtcp_index;
        if index >= RTCP_ENCRYPTED {
            return Err(Error::KeyExhausted);
        }
        self.rtcp_index += 1;
        out.extend_from_slice(rtcp);
        self.cipher.seal_rtcp(ssrc, index, out);
        Ok(())
    }
}

/// What comes under one master key.
#[derive(Debug)]
struct Receiver {
    cipher: Cipher,
    /// The one heard last comes first.
    rtp: Vec<Heard>,
    rtcp: Vec<Heard>,
    /// The ROC, above 0 or the nearest one, that the next packet is tried with if that fails.
    roc_candidate: u64,
}

impl Receiver {
    fn new(master: &Master) -> Self {
        Self {
            cipher: Cipher::new(master),
            rtp: Vec::new(),
            rtcp: Vec::new(),
            roc_candidate: 1,
        }
    }

    fn unprotect(&mut self, srtp: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let header = Header::read(srtp)?;
        if let Some(place) = find(&self.rtp, header.ssrc) {
            let index = match self.open_near(place, &header, srtp, out) {
                Ok(index) => index,
                Err(error) => self.open_ahead(place, &header, srtp, out).ok_or(error)?,
            };
            self.rtp[place].take(index);
            self.rtp[..=place].rotate_right(1);
            return Ok(());
        }
        let index = self.open_new(&header, srtp, out)?;
        keep(&mut self.rtp, Heard::new(header.ssrc, index));
        Ok(())
    }

    fn open_near(
        &self,
        place: usize,
        header: &Header,
        srtp: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<u64, Error> {
        let heard = &self.rtp[place];
        let index = near(heard.highest, header.seq, 0).ok_or(Error::Replayed)?;
        heard.check(index)?;
        self.cipher.open_rtp(&header.packet(index), srtp, out)?;
        Ok(index)
    }

    /// The index of a packet that is far ahead of its stream, found by trial. Forged ones cost this trial more.
    fn open_ahead(
        &mut self,
        place: usize,
        header: &Header,
        srtp: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        let wraps = self.next_candidate();
        let index = near(self.rtp[place].highest, header.seq, wraps)?;
        out.clear();
        let opened = self.cipher.open_rtp(&header.packet(index), srtp, out);
        opened.ok()?;
        self.roc_candidate = 1;
        Some(index)
    }

    /// The index of a stream's first packet, found by trial.
    fn open_new(&mut self, header: &Header, srtp: &[u8], out: &mut Vec<u8>) -> Result<u64, Error> {
        let mut failed = Error::NotAuthentic;
        for roc in [0, self.next_candidate()] {
            let index = roc << 16 | u64::from(header.seq);
            out.clear();
            match self.cipher.open_rtp(&header.packet(index), srtp, out) {
                Ok(()) => {
                    self.roc_candidate = 1;
                    return Ok(index);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn next_candidate(&mut self) -> u64 {
        let candidate = self.roc_candidate;
        self.roc_candidate = candidate % ROC_CANDIDATES + 1;
        candidate
    }

    fn unprotect_rtcp(&mut self, srtcp: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let ssrc = rtcp_ssrc(srtcp)?;
        let word = self.cipher.rtcp_word(srtcp)?;
        if word & RTCP_ENCRYPTED == 0 {
            return Err(Error::Unencrypted);
        }
        let index = word & !RTCP_ENCRYPTED;
        let place = find(&self.rtcp, ssrc);
        if let Some(place) = place {
            self.rtcp[place].check(u64::from(index))?;
        }
        self.cipher.open_rtcp(ssrc, index, srtcp, out)?;
        match place {
            Some(place) => {
                self.rtcp[place].take(u64::from(index));
                self.rtcp[..=place].rotate_right(1);
            }
            None => keep(&mut self.rtcp, Heard::new(ssrc, u64::from(index))),
        }
        Ok(())
    }
}

/// The replay list of one stream (RFC 3711 section 3.3.2).
#[derive(Debug)]
struct Heard {
    ssrc: u32,
    highest: u64,
    /// Bit n: the index n below the highest has come.
    seen: u128,
}

impl Heard {
    fn new(ssrc: u32, index: u64) -> Self {
        Self {
            ssrc,
            highest: index,
            seen: 1,
        }
    }

    fn check(&self, index: u64) -> Result<(), Error> {
        let back = self.highest.saturating_sub(index);
        let new = index > self.highest || (back < WINDOW && self.seen >> back & 1 == 0);
        new.then_some(()).ok_or(Error::Replayed)
    }

    fn take(&mut self, index: u64) {
        if index > self.highest {
            let ahead = index - self.highest;
            self.seen = if ahead < WINDOW {
                self.seen << ahead | 1
            } else {
                1
            };
            self.highest = index;
        } else if self.highest - index < WINDOW {
            self.seen |= 1 << (self.highest - index);
        }
    }
}

fn find(streams: &[Heard], ssrc: u32) -> Option<usize> {
    streams.iter().position(|heard| heard.ssrc == ssrc)
}

fn keep(streams: &mut Vec<Heard>, heard: Heard) {
    streams.truncate(STREAMS_MAX - 1);
    streams.insert(0, heard);
}

/// The index nearest to `last` whose lower 16 bits are `seq` (RFC 3711 section 3.3.1), or that so many wraps above it.
/// `None` before 0 and from 2^48 on.
fn near(last: u64, seq: u16, wraps: u64) -> Option<u64> {
    let ahead = seq.wrapping_sub(last as u16) as i16;
    (last + (wraps << 16))
        .checked_add_signed(i64::from(ahead))
        .filter(|index| index >> 48 == 0)
}

/// E: the packet is encrypted; the other 31 bits are the index (RFC 3711 section 3.4).
const RTCP_ENCRYPTED: u32 = 1 << 31;

/// What SRTP reads of an RTP header.
#[derive(Clone, Copy, Debug)]
struct Header {
    seq: u16,
    ssrc: u32,
    /// Bytes up to the payload, the extension included.
    len: usize,
}

impl Header {
    fn read(rtp: &[u8]) -> Result<Self, Error> {
        let &[flags, _, seq0, seq1, _, _, _, _, s0, s1, s2, s3, ..] = rtp else {
            return Err(Error::TooShort);
        };
        if flags >> 6 != 2 {
            return Err(Error::Malformed);
        }
        let mut len = 12 + 4 * usize::from(flags & 0x0f);
        if flags & 0x10 != 0 {
            let Some(&[_, _, words0, words1]) = rtp.get(len..len + 4) else {
                return Err(Error::TooShort);
            };
            len += 4 + 4 * usize::from(u16::from_be_bytes([words0, words1]));
        }
        if rtp.len() < len {
            return Err(Error::TooShort);
        }
        Ok(Self {
            seq: u16::from_be_bytes([seq0, seq1]),
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            len,
        })
    }

    fn packet(&self, index: u64) -> IndexedPacket {
        IndexedPacket {
            ssrc: self.ssrc,
            index,
            header_len: self.len,
        }
    }
}

fn rtcp_ssrc(rtcp: &[u8]) -> Result<u32, Error> {
    let &[flags, _, _, _, s0, s1, s2, s3, ..] = rtcp else {
        return Err(Error::TooShort);
    };
    if flags >> 6 != 2 {
        return Err(Error::Malformed);
    }
    Ok(u32::from_be_bytes([s0, s1, s2, s3]))
}
