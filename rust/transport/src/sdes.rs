//! Keys in SDP (RFC 4568): `a=crypto` lines, and the rules for offering and answering them.
//!
//! Each side names the key that it sends with. An offer has a line for each suite, the liked ones first; the answer takes
//! one, repeats its tag, and names a key of its own. A line that asks for what we don't do (MKI, several keys, session
//! parameters that change the packets) isn't broken, only not chosen. The keys travel in clear with the signalling: what
//! they are worth is what protects that.
//!
//! No entropy is drawn here: [`Keyring`] derives each key from a secret that is handed in.

use std::fmt;

use aws_lc_rs::hmac;

use crate::srtp::{MASTER_MAX, Master, Suite};

/// Lines of one media description that are looked at: phones send up to 8.
pub const LINES_MAX: usize = 16;

/// Longest line that is read: four times one with AES-256 and every parameter there is.
const LINE_MAX: usize = 512;

/// A line that we can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CryptoLine {
    /// 1 to 9 digits; unique among the lines of one media description.
    pub tag: u32,
    /// The key that the line's writer sends with.
    pub master: Master,
}

/// Why a line isn't one for us. Others beside it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It breaks RFC 4568.
    Malformed,
    /// A suite that we don't know, or aren't to use.
    Suite,
    /// A master key identifier, or several keys, which need it.
    Mki,
    /// A session parameter that changes the packets.
    Parameter,
}

/// Reads what follows `a=crypto:`.
///
/// # Errors
/// [`Unfit`]
pub fn parse(value: &str) -> Result<CryptoLine, Unfit> {
    if value.len() > LINE_MAX {
        return Err(Unfit::Malformed);
    }
    let mut words = value.split_ascii_whitespace();
    let (Some(tag), Some(suite), Some(keys)) = (words.next(), words.next(), words.next()) else {
        return Err(Unfit::Malformed);
    };
    if tag.len() > 9 || !tag.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Unfit::Malformed);
    }
    let tag = tag.parse().map_err(|_| Unfit::Malformed)?;
    let suite = SUITES
        .into_iter()
        .find(|known| known.name().eq_ignore_ascii_case(suite))
        .ok_or(Unfit::Suite)?;
    let master = key(suite, keys)?;
    if words.all(harmless) {
        Ok(CryptoLine { tag, master })
    } else {
        Err(Unfit::Parameter)
    }
}

/// All that we know, the one we like best first: GCM costs the least and its tag is the longest.
pub const SUITES: [Suite; 4] = [
    Suite::AeadAes256Gcm,
    Suite::AeadAes128Gcm,
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
];

/// `inline:<base64>[|lifetime][|MKI:length]`, and more of them after `;`.
fn key(suite: Suite, keys: &str) -> Result<Master, Unfit> {
    let (method, info) = keys.split_once(':').ok_or(Unfit::Malformed)?;
    if !method.eq_ignore_ascii_case("inline") {
        return Err(Unfit::Malformed);
    }
    if info.contains(';') {
        return Err(Unfit::Mki);
    }
    let mut parts = info.split('|');
    let mut bytes = [0; MASTER_MAX];
    let len = parts
        .next()
        .and_then(|text| decode(text, &mut bytes))
        .ok_or(Unfit::Malformed)?;
    for part in parts {
        if part.contains(':') {
            return Err(Unfit::Mki);
        }
        if !lifetime(part) {
            return Err(Unfit::Malformed);
        }
    }
    Master::new(suite, &bytes[..len]).ok_or(Unfit::Malformed)
}

/// A number of packets, maybe as a power of two. It binds whoever sends with the key: nothing for us to do.
fn lifetime(text: &str) -> bool {
    let digits = text.strip_prefix("2^").unwrap_or(text);
    !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Parameters that don't change what is sent: a hint for the replay window, the default of a number, and those that
/// their sender marks as dispensable by a dash (RFC 4568 sections 6.3 and 9.2).
fn harmless(parameter: &str) -> bool {
    let upper = parameter.to_ascii_uppercase();
    upper.starts_with('-') || upper.starts_with("WSH=") || upper == "KDR=0"
}

/// The line as it stands in SDP, without `a=`.
impl fmt::Display for CryptoLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tag, master } = self;
        write!(f, "crypto:{tag} {} inline:", master.suite().name())?;
        encode(master.bytes(), f)
    }
}

/// What both sides have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Of the line in the offer and in the answer.
    pub tag: u32,
    /// What we send with.
    pub local: Master,
    /// What the peer sends with. Its suite is that of `local`.
    pub remote: Master,
}

impl Agreed {
    /// The line of ours.
    #[must_use]
    pub fn line(&self) -> CryptoLine {
        CryptoLine {
            tag: self.tag,
            master: self.local,
        }
    }
}

/// The keys that one leg sends with, all made out of a secret of its own.
#[derive(Debug)]
pub struct Keyring {
    secret: hmac::Key,
    /// Goes up with every offer and every new key: none is given out twice, as a key stream may be used but once.
    generation: u32,
}

impl Keyring {
    /// `secret`: random, of this leg alone.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self {
            secret: hmac::Key::new(hmac::HMAC_SHA512, secret),
            generation: 0,
        }
    }

    /// The lines of an offer. Those that are `kept` have their tags and keys and stand at the head, so that a peer that
    /// takes one of them again goes on without a gap.
    #[must_use]
    pub fn offer(&mut self, kept: &[CryptoLine]) -> Vec<CryptoLine> {
        self.generation += 1;
        let mut lines = kept.to_vec();
        let free = (1..).filter(|tag| kept.iter().all(|line| line.tag != *tag));
        let others = SUITES
            .into_iter()
            .filter(|suite| kept.iter().all(|line| line.master.suite() != *suite));
        lines.extend(others.zip(free).map(|(suite, tag)| CryptoLine {
            tag,
            master: self.master(suite),
        }));
        lines
    }

    /// Takes the first line of an offer that we can do; the offerer has sorted them (RFC 4568 section 5.1.2). Our key
    /// stays if its suite does: then only the direction whose key is new begins anew.
    ///
    /// # Errors
    /// Why the best of the lines is unfit, if none is fit; `None` if there is none at all.
    pub fn answer<'a>(
        &mut self,
        offered: impl IntoIterator<Item = &'a str>,
        in_force: Option<&Agreed>,
    ) -> Result<Agreed, Option<Unfit>> {
        let mut unfit = None;
        for value in offered.into_iter().take(LINES_MAX) {
            match parse(value) {
                Ok(CryptoLine { tag, master }) => {
                    let local = self.successor(master.suite(), in_force);
                    return Ok(Agreed {
                        tag,
                        local,
                        remote: master,
                    });
                }
                // A suite that nobody has heard of says less than what is wrong with one that we know.
                Err(why) if matches!(unfit, None | Some(Unfit::Suite)) => unfit = Some(why),
                Err(_) => {}
            }
        }
        Err(unfit)
    }

    /// Takes the answer's line, which must be one of those that we have `offered`.
    ///
    /// # Errors
    /// [`Unfit`]; `Malformed` too if its tag or suite is none that we have offered.
    pub fn accept(&self, offered: &[CryptoLine], answer: &str) -> Result<Agreed, Unfit> {
        let line = parse(answer)?;
        let ours = offered
            .iter()
            .find(|ours| ours.tag == line.tag && ours.master.suite() == line.master.suite())
            .ok_or(Unfit::Malformed)?;
        Ok(Agreed {
            tag: line.tag,
            local: ours.master,
            remote: line.master,
        })
    }

    fn successor(&mut self, suite: Suite, in_force: Option<&Agreed>) -> Master {
        match in_force {
            Some(agreed) if agreed.local.suite() == suite => agreed.local,
            _ => {
                self.generation += 1;
                self.master(suite)
            }
        }
    }

    fn master(&self, suite: Suite) -> Master {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(suite.name().as_bytes());
        context.update(&self.generation.to_be_bytes());
        let bytes = context.sign();
        let len = suite.key_len() + suite.salt_len();
        Master::new(suite, &bytes.as_ref()[..len])
            .expect("HMAC-SHA512 is longer than any key and salt")
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 (RFC 4648), padded.
fn encode(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use fmt::Write;
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .enumerate()
            .fold(0, |bits, (i, byte)| bits | u32::from(*byte) << (16 - 8 * i));
        for i in 0..4 {
            let six = (bits >> (18 - 6 * i) & 63) as usize;
            f.write_char(if i <= chunk.len() {
                char::from(BASE64[six])
            } else {
                '='
            })?;
        }
    }
    Ok(())
}

/// The number of bytes; padding may be missing, as some leave it out. `None` if it isn't base64 or too long.
fn decode(text: &str, out: &mut [u8; MASTER_MAX]) -> Option<usize> {
    let text = text.trim_end_matches('=');
    let mut len = 0;
    let (mut bits, mut held) = (0u32, 0);
    for byte in text.bytes() {
        let six = BASE64.iter().position(|known| *known == byte)?;
        bits = bits << 6 | u32::try_from(six).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            *out.get_mut(len)? = (bits >> held) as u8;
            len += 1;
        }
    }
    (text.len() % 4 != 1).then_some(len)
}
