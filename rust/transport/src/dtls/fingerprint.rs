//! Fingerprints of certificates, as in `a=fingerprint` (RFC 8122 section 5).

use std::fmt;

use openssl::hash::MessageDigest;
use openssl::x509::X509Ref;

/// Hash functions of a fingerprint, the weakest first. MD5 and MD2 are forbidden; SHA-1 some phones still write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    const ALL: [Self; 5] = [
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
    ];

    /// As in SDP.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    fn digest(self) -> MessageDigest {
        match self {
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha224 => MessageDigest::sha224(),
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }
}

/// The longest digest.
const DIGEST_MAX: usize = 64;

/// The hash of a certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    hash: Hash,
    digest: [u8; DIGEST_MAX],
}

impl Fingerprint {
    /// Reads what follows `a=fingerprint:`. `None` if it is broken, or of a hash that we don't know.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (name, hex) = value.trim().split_once(' ')?;
        let hash = Hash::ALL
            .into_iter()
            .find(|hash| hash.name().eq_ignore_ascii_case(name))?;
        let mut digest = [0; DIGEST_MAX];
        let len = hash.digest().size();
        let mut pairs = hex.trim().split(':');
        for byte in digest.get_mut(..len)? {
            let pair = pairs.next().filter(|pair| pair.len() == 2)?;
            let hex = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(pair, 16).ok().filter(|_| hex)?;
        }
        pairs.next().is_none().then_some(Self { hash, digest })
    }

    /// That of a certificate.
    pub(super) fn of(certificate: &X509Ref, hash: Hash) -> Option<Self> {
        let bytes = certificate.digest(hash.digest()).ok()?;
        let mut digest = [0; DIGEST_MAX];
        digest.get_mut(..bytes.len())?.copy_from_slice(&bytes);
        Some(Self { hash, digest })
    }

    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }
}

/// As in SDP: `sha-256 4A:AD:...`.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.name())?;
        for (i, byte) in self.digest[..self.hash.digest().size()].iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
