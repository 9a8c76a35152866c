//! Our certificate: self-signed, made anew by each process, known to peers by its fingerprint alone.

use core::time::Duration;
use std::fmt;
use std::net::SocketAddr;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    SslContext, SslContextRef, SslMethod, SslOptions, SslSessionCacheMode, SslVerifyMode,
    SslVersion,
};
use openssl::x509::{X509, X509NameBuilder};

use super::cookie::{Cookies, Greeting};
use super::fingerprint::{Fingerprint, Hash};
use super::{Error, PROFILES};

/// Forward secrecy and nothing weaker than what OpenSSL calls level 1: phones with RSA of 1,024 bits exist. Their
/// certificates vouch for nothing but the fingerprint, whose strength is that of the hash.
const CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:DHE+AESGCM:!aNULL:@SECLEVEL=1";

/// Valid from 2020 to 2049, so that no clock matters: nobody looks at it.
const VALID: [i64; 2] = [1_577_836_800, 2_493_072_000];

/// Key, certificate and what OpenSSL needs to use them. Dear to make (0.1 ms), cheap to share.
pub struct Identity {
    context: SslContext,
    fingerprint: Fingerprint,
    cookies: Cookies,
}

impl Identity {
    /// Makes a key pair (ECDSA, P-256) and its certificate out of OpenSSL's entropy.
    ///
    /// # Errors
    /// [`Error::Handshake`] if OpenSSL can't: no entropy, or its configuration on this machine forbids it.
    pub fn new() -> Result<Self, Error> {
        Self::make().map_err(|error| Error::Handshake(error.to_string()))
    }

    /// For `a=fingerprint`: SHA-256.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What to do with a datagram from an address that nothing is known of, as the passive side: before there is an
    /// [`Endpoint`](super::Endpoint) for it.
    #[must_use]
    pub fn greet(&self, datagram: &[u8], from: SocketAddr, now: Duration) -> Greeting {
        self.cookies.greet(datagram, from, now)
    }

    pub(super) fn context(&self) -> &SslContextRef {
        &self.context
    }

    fn make() -> Result<Self, ErrorStack> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let certificate = self_signed(&key)?;
        let fingerprint =
            Fingerprint::of(&certificate, Hash::Sha256).ok_or_else(ErrorStack::get)?;
        Ok(Self {
            context: context(&certificate, &key)?,
            fingerprint,
            cookies: Cookies::new()?,
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint)
    }
}

fn self_signed(key: &PKey<Private>) -> Result<X509, ErrorStack> {
    let mut serial = BigNum::new()?;
    serial.rand(64, MsbOption::MAYBE_ZERO, false)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "plenary")?;
    let name = name.build();
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_serial_number(&*serial.to_asn1_integer()?)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_not_before(&*Asn1Time::from_unix(VALID[0])?)?;
    certificate.set_not_after(&*Asn1Time::from_unix(VALID[1])?)?;
    certificate.set_pubkey(key)?;
    certificate.sign(key, MessageDigest::sha256())?;
    Ok(certificate.build())
}

fn context(certificate: &X509, key: &PKey<Private>) -> Result<SslContext, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::dtls())?;
    context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_cipher_list(CIPHERS)?;
    context.set_certificate(certificate)?;
    context.set_private_key(key)?;
    context.set_tlsext_use_srtp(PROFILES)?;
    // Any certificate, but there must be one: its fingerprint is compared when the handshake is through.
    context.set_verify_callback(
        SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
        |_, _| true,
    );
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_options(
        SslOptions::NO_QUERY_MTU
            | SslOptions::NO_TICKET
            | SslOptions::NO_COMPRESSION
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::COOKIE_EXCHANGE,
    );
    // Ours was good if there was one; who talks to an endpoint without a greeting is asked for any.
    context.set_cookie_generate_cb(|_, cookie| {
        cookie[0] = 0;
        Ok(1)
    });
    context.set_cookie_verify_cb(|_, _| true);
    Ok(context.build())
}
