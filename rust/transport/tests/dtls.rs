//! DTLS-SRTP handshakes as RFC 5763 and RFC 5764 have them, over a wire in memory.

use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream, SslVerifyMode};
use openssl::x509::{X509, X509NameBuilder};
use plenary_transport::dtls::{
    DATAGRAMS_MAX, Endpoint, Error, Fingerprint, Greeting, HANDSHAKE_MAX, Identity, Output, Role,
};
use plenary_transport::srtp::{Session, Suite};
use proptest::prelude::*;

const START: Duration = Duration::ZERO;

/// One end of the wire, what it has to say, and how it ended.
struct End {
    endpoint: Endpoint,
    ended: Option<Result<Session, Error>>,
}

impl End {
    fn new(of: &Identity, role: Role, expects: Fingerprint) -> Self {
        let endpoint = Endpoint::new(of, role, expects, START).expect("OpenSSL can begin");
        let ended = None;
        Self { endpoint, ended }
    }

    fn says(&mut self, now: Duration) -> Vec<Vec<u8>> {
        let mut said = Vec::new();
        while let Some(output) = self.endpoint.poll(now) {
            match output {
                Output::Transmit(datagram) => said.push(datagram),
                Output::Connected(session) => self.ended = Some(Ok(*session)),
                Output::Failed(error) => self.ended = Some(Err(error)),
            }
        }
        said
    }

    fn hears(&mut self, datagrams: &[Vec<u8>]) {
        for datagram in datagrams {
            self.endpoint.receive(datagram);
        }
    }

    fn session(self) -> Session {
        self.ended.expect("an end").expect("keys")
    }
}

/// Carries datagrams between the two until neither has one more.
fn talk(ann: &mut End, bob: &mut End) {
    loop {
        let (from_ann, from_bob) = (ann.says(START), bob.says(START));
        if from_ann.is_empty() && from_bob.is_empty() {
            return;
        }
        ann.hears(&from_bob);
        bob.hears(&from_ann);
    }
}

fn identity() -> Identity {
    Identity::new().expect("OpenSSL works here")
}

#[test]
fn both_sides_get_the_keys_of_the_other() {
    let (a, b) = (identity(), identity());
    let mut ann = End::new(&a, Role::Active, b.fingerprint());
    let mut bob = End::new(&b, Role::Passive, a.fingerprint());
    talk(&mut ann, &mut bob);
    let (mut ann, mut bob) = (ann.session(), bob.session());
    let rtp = [&[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7][..], &[0x55; 160]].concat();
    let (mut sent, mut got) = (Vec::new(), Vec::new());
    ann.protect(&rtp, &mut sent).expect("a packet");
    bob.unprotect(&sent, &mut got).expect("authentic");
    assert_eq!(got, rtp);
    bob.protect(&rtp, &mut sent).expect("a packet");
    ann.unprotect(&sent, &mut got).expect("authentic");
    assert_eq!(got, rtp);
}

#[test]
fn a_certificate_that_sdp_did_not_name_gives_no_keys() {
    let (a, b, mallory) = (identity(), identity(), identity());
    let mut ann = End::new(&a, Role::Active, b.fingerprint());
    let mut other = End::new(&mallory, Role::Passive, a.fingerprint());
    talk(&mut ann, &mut other);
    assert!(matches!(ann.ended, Some(Err(Error::Fingerprint))));
}

#[test]
fn a_handshake_has_a_limit_of_time_and_of_datagrams() {
    let a = identity();
    let mut ann = End::new(&a, Role::Passive, a.fingerprint());
    ann.says(HANDSHAKE_MAX);
    assert!(ann.ended.is_none());
    ann.says(HANDSHAKE_MAX + Duration::from_secs(1));
    assert!(matches!(ann.ended, Some(Err(Error::TimedOut))));
    let mut bob = End::new(&a, Role::Passive, a.fingerprint());
    bob.hears(&vec![vec![22, 0, 0]; DATAGRAMS_MAX as usize]);
    bob.says(START);
    assert!(bob.ended.is_none(), "what is no DTLS is dropped");
    bob.hears(&[vec![22]]);
    bob.says(START);
    assert!(matches!(bob.ended, Some(Err(Error::TooMuch))));
}

#[test]
fn no_datagram_is_longer_than_the_mtu() {
    let (a, b) = (identity(), identity());
    let mut ann = End::new(&a, Role::Active, b.fingerprint());
    let mut bob = End::new(&b, Role::Passive, a.fingerprint());
    loop {
        let (from_ann, from_bob) = (ann.says(START), bob.says(START));
        if from_ann.is_empty() && from_bob.is_empty() {
            break;
        }
        assert!(
            from_ann
                .iter()
                .chain(&from_bob)
                .all(|datagram| datagram.len() <= 1_200)
        );
        ann.hears(&from_bob);
        bob.hears(&from_ann);
    }
    assert!(ann.ended.is_some() && bob.ended.is_some());
}

#[test]
fn fingerprints_are_read_as_they_are_written() {
    let ours = identity().fingerprint();
    assert_eq!(Fingerprint::parse(&ours.to_string()), Some(ours));
    let cases = [
        (
            "SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",
            true,
        ),
        (
            "sha-1 4a:ad:b9:b1:3f:82:18:3b:54:02:12:df:3e:5d:49:6b:19:e5:7c:ab",
            true,
        ),
        (
            "sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C",
            false,
        ),
        (
            "sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:AB",
            false,
        ),
        (
            "sha-1 +A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",
            false,
        ),
        (
            "sha-256 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",
            false,
        ),
        ("md5 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B", false),
        ("", false),
    ];
    for (value, good) in cases {
        assert_eq!(Fingerprint::parse(value).is_some(), good, "{value}");
    }
}

/// A wire for OpenSSL itself.
#[derive(Default)]
struct Wire {
    inbox: VecDeque<Vec<u8>>,
    outbox: Vec<Vec<u8>>,
}

impl Read for Wire {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let datagram = self.inbox.pop_front().ok_or(ErrorKind::WouldBlock)?;
        out[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.outbox.push(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A phone of another make: OpenSSL with an RSA certificate.
struct Phone {
    stream: SslStream<Wire>,
    fingerprint: Fingerprint,
}

impl Phone {
    fn new(role: Role, profiles: Option<&str>, shows_certificate: bool) -> Self {
        let key = PKey::from_rsa(Rsa::generate(2_048).expect("a key")).expect("a key");
        let mut name = X509NameBuilder::new().expect("a name");
        name.append_entry_by_text("CN", "phone").expect("a name");
        let name = name.build();
        let mut certificate = X509::builder().expect("memory");
        certificate.set_subject_name(&name).expect("a name");
        certificate.set_issuer_name(&name).expect("a name");
        certificate
            .set_not_before(&Asn1Time::from_unix(0).expect("a time"))
            .expect("set");
        certificate
            .set_not_after(&Asn1Time::from_unix(4_000_000_000).expect("a time"))
            .expect("set");
        certificate.set_pubkey(&key).expect("set");
        certificate
            .sign(&key, MessageDigest::sha256())
            .expect("signed");
        let certificate = certificate.build();
        let digest = certificate.digest(MessageDigest::sha1()).expect("a digest");
        let digest: Vec<_> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        let fingerprint = Fingerprint::parse(&format!("sha-1 {}", digest.join(":")));
        let mut context = SslContext::builder(SslMethod::dtls()).expect("memory");
        if shows_certificate || role == Role::Passive {
            context.set_certificate(&certificate).expect("set");
            context.set_private_key(&key).expect("set");
        }
        context.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
        if let Some(profiles) = profiles {
            context.set_tlsext_use_srtp(profiles).expect("set");
        }
        let mut ssl = Ssl::new(&context.build()).expect("memory");
        match role {
            Role::Active => ssl.set_connect_state(),
            Role::Passive => ssl.set_accept_state(),
        }
        Self {
            stream: SslStream::new(ssl, Wire::default()).expect("memory"),
            fingerprint: fingerprint.expect("a fingerprint"),
        }
    }

    /// How our end ends, `role` being ours.
    fn calls(
        profiles: Option<&str>,
        role: Role,
        shows_certificate: bool,
    ) -> Option<Result<Suite, Error>> {
        let theirs = match role {
            Role::Active => Role::Passive,
            Role::Passive => Role::Active,
        };
        let mut phone = Self::new(theirs, profiles, shows_certificate);
        let mut ours = End::new(&identity(), role, phone.fingerprint);
        for _ in 0..10 {
            phone.stream.get_mut().inbox.extend(ours.says(START));
            let _ = phone.stream.do_handshake();
            ours.hears(&std::mem::take(&mut phone.stream.get_mut().outbox));
        }
        ours.ended.map(|ended| ended.map(|session| session.suite()))
    }
}

#[test]
fn phones_with_rsa_certificates_are_understood_in_both_roles() {
    let profile = "SRTP_AES128_CM_SHA1_80";
    for role in [Role::Active, Role::Passive] {
        let suite = Phone::calls(Some(profile), role, true);
        assert_eq!(suite, Some(Ok(Suite::AesCm128HmacSha1_80)), "{role:?}");
    }
}

#[test]
fn the_best_profile_of_both_is_taken_and_without_one_there_are_no_keys() {
    let (sha32, gcm128) = ("SRTP_AES128_CM_SHA1_32", "SRTP_AEAD_AES_128_GCM");
    let cases = [
        (Some(sha32.to_owned()), Ok(Suite::AesCm128HmacSha1_32)),
        (Some(format!("{sha32}:{gcm128}")), Ok(Suite::AeadAes128Gcm)),
        (None, Err(Error::NoProfile)),
    ];
    for (profiles, expected) in cases {
        let ended = Phone::calls(profiles.as_deref(), Role::Passive, true);
        assert_eq!(ended, Some(expected), "{profiles:?}");
    }
}

#[test]
fn who_shows_no_certificate_gets_no_keys() {
    let ended = Phone::calls(Some("SRTP_AES128_CM_SHA1_80"), Role::Passive, false);
    assert!(matches!(ended, Some(Err(Error::Handshake(_)))), "{ended:?}");
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

impl Phone {
    /// A first message.
    fn hello() -> Vec<u8> {
        let us = identity();
        let mut phone = End::new(&us, Role::Active, us.fingerprint());
        phone.says(START).remove(0)
    }

    /// What it says next.
    fn says(&mut self) -> Vec<Vec<u8>> {
        let _ = self.stream.do_handshake();
        std::mem::take(&mut self.stream.get_mut().outbox)
    }

    /// Its first message again, with the cookie that it was asked for.
    fn is_asked(&mut self, of: &Identity, from: SocketAddr) -> Vec<u8> {
        let hello = self.says().remove(0);
        let Greeting::Ask(request) = of.greet(&hello, from, START) else {
            panic!("a first message has no cookie");
        };
        self.stream.get_mut().inbox.push_back(request);
        self.says().remove(0)
    }
}

/// The records of a datagram: epoch and number.
fn records(mut datagram: &[u8]) -> Vec<(u16, u64)> {
    let mut records = Vec::new();
    while let Some((header, rest)) = datagram.split_at_checked(13) {
        let number = header[5..11].iter();
        let number = number.fold(0, |number, byte| number << 8 | u64::from(*byte));
        records.push((u16::from_be_bytes([header[3], header[4]]), number));
        datagram = &rest[usize::from(u16::from_be_bytes([header[11], header[12]]))..];
    }
    records
}

/// RFC 6347, section 4.2.1: also the numbers of our records, whatever those of the client have come to.
#[test]
fn a_handshake_goes_on_from_the_cookie_that_was_asked_for_before_it() {
    for lost in [0_u8, 40] {
        let us = identity();
        let mut phone = Phone::new(Role::Active, Some("SRTP_AES128_CM_SHA1_80"), true);
        let mut hello = phone.is_asked(&us, at(1));
        assert_eq!(us.greet(&hello, at(1), START), Greeting::Begin);
        hello[10] += lost;
        let mut ours = End::new(&us, Role::Passive, phone.fingerprint);
        ours.hears(&[hello]);
        let mut numbers = Vec::new();
        for _ in 0..4 {
            let said = ours.says(START);
            numbers.extend(said.iter().flat_map(|datagram| records(datagram)));
            phone.stream.get_mut().inbox.extend(said);
            ours.hears(&phone.says());
        }
        ours.session();
        let plain = numbers.iter().filter(|(epoch, _)| *epoch == 0);
        let first = 1 + u64::from(lost);
        let consecutive = (first..).map(|number| (0, number));
        assert!(
            plain.copied().eq(consecutive.take(numbers.len() - 1)),
            "{numbers:?}"
        );
        assert_eq!(numbers.last(), Some(&(1, 0)));
    }
}

#[test]
fn a_cookie_is_good_for_one_client_at_one_address_for_a_while() {
    let us = identity();
    let profile = Some("SRTP_AES128_CM_SHA1_80");
    let mut phone = Phone::new(Role::Active, profile, true);
    let hello = phone.is_asked(&us, at(1));
    let good = |of: &Identity, hello: &[u8], from, after_s| {
        let greeting = of.greet(hello, from, Duration::from_secs(after_s));
        greeting == Greeting::Begin
    };
    assert!(good(&us, &hello, at(1), 59));
    assert!(!good(&us, &hello, at(1), 120));
    assert!(!good(&us, &hello, at(2), 0));
    assert!(!good(&identity(), &hello, at(1), 0));
    // The client's random numbers, and the cookie.
    for byte in [27, 61, 92] {
        let mut other = hello.clone();
        other[byte] ^= 1;
        assert!(!good(&us, &other, at(1), 0), "{byte}");
    }
}

proptest! {
    /// A stranger may put anybody's address into his packets.
    #[test]
    fn nobody_gets_more_than_was_sent_in_his_name(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        at_byte in 0..100_usize,
        length in 0..300_usize,
    ) {
        let us = identity();
        let mut hello = Phone::hello();
        let changed = hello.iter_mut().skip(at_byte).zip(&bytes);
        changed.for_each(|(byte, other)| *byte = *other);
        hello.truncate(length);
        for datagram in [&hello, &bytes] {
            match us.greet(datagram, at(1), START) {
                Greeting::Ask(request) => prop_assert!(request.len() <= datagram.len()),
                greeting => prop_assert_eq!(greeting, Greeting::Nothing),
            }
            let mut ours = End::new(&us, Role::Passive, us.fingerprint());
            ours.hears(std::slice::from_ref(datagram));
            ours.says(START);
        }
    }
}
