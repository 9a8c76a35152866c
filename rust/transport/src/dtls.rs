//! DTLS-SRTP without ICE (RFC 5763, RFC 5764), for phones: keys agreed on in the media's own path.
//!
//! Both sides show self-signed certificates; what proves them is that SDP names their fingerprints. [`Identity`] is ours,
//! one for the process, and [`Identity::greet`] tells who may begin. An [`Endpoint`] is one handshake: it eats datagrams and `now`, and [`Endpoint::poll`] gives
//! datagrams to send and at last an [`srtp::Session`](crate::srtp::Session). Keys exist only after the fingerprint fits.
//!
//! OpenSSL does the protocol over a pipe in memory, as its peers here bring RSA certificates that str0m's DTLS doesn't
//! read. Its retransmission timer runs on a clock of its own, which it can't be given: `poll` only gives it the
//! occasion to look, ten times a second. The limit of the whole handshake goes by `now`.

mod cookie;
mod fingerprint;
mod identity;
mod pipe;

use core::time::Duration;
use std::fmt;

use openssl::srtp::SrtpProfileId;
use openssl::ssl::{ErrorCode, Ssl, SslStream};

pub use cookie::Greeting;
pub use fingerprint::{Fingerprint, Hash};
pub use identity::Identity;
use pipe::Pipe;

use crate::srtp::{Master, Session, Suite};

/// How long a handshake may take: as long as the first RTP packet of a phone may.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(30);

/// Datagrams that are read during a handshake; one without loss has 2 to 8.
pub const DATAGRAMS_MAX: u32 = 256;

/// Bytes of a datagram that we send: fits through every tunnel of today, as WebRTC's stacks have it.
const MTU: u32 = 1_200;

/// How often OpenSSL may look at its timer; the timer's steps are of a second and more.
const LOOK: Duration = Duration::from_millis(100);

/// Who begins (RFC 4145 in the words of RFC 5763): the active side is DTLS's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Active,
    Passive,
}

impl Role {
    /// As in `a=setup`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
        }
    }
}

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The peer's certificate isn't the one that its SDP has named: somebody is in between.
    Fingerprint,
    /// No protection profile that both can do, or the peer doesn't do SRTP.
    NoProfile,
    /// It took longer than [`HANDSHAKE_MAX`].
    TimedOut,
    /// More than [`DATAGRAMS_MAX`] came.
    TooMuch,
    /// What OpenSSL says: mostly that the peer has broken it off.
    Handshake(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint => f.write_str("the peer's certificate is not the one in its SDP"),
            Self::NoProfile => f.write_str("no SRTP profile in common"),
            Self::TimedOut => f.write_str("the handshake took more than 30 s"),
            Self::TooMuch => f.write_str("the handshake took more than 256 datagrams"),
            Self::Handshake(why) => write!(f, "the handshake failed: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// What [`Endpoint::poll`] gives.
#[derive(Debug)]
pub enum Output {
    /// To be sent to where the peer's media comes from.
    Transmit(Vec<u8>),
    /// Once: the handshake is through. The endpoint stays, to repeat its last words to a peer that has lost them.
    Connected(Box<Session>),
    /// Once: there will be no keys.
    Failed(Error),
}

/// One handshake with one peer.
#[derive(Debug)]
pub struct Endpoint {
    stream: SslStream<Pipe>,
    role: Role,
    remote: Fingerprint,
    state: State,
    received: u32,
    started: Duration,
    look_at: Duration,
}

#[derive(Debug)]
enum State {
    Handshake,
    /// Through, or failed, and not yet told.
    Ended(Result<Box<Session>, Error>),
    Connected,
    Failed,
}

impl Endpoint {
    /// `remote` as the peer's SDP has it. The active side sends first, at the first poll.
    ///
    /// # Errors
    /// [`Error::Handshake`] if OpenSSL can't begin: memory, or its configuration on this machine.
    pub fn new(
        identity: &Identity,
        role: Role,
        remote: Fingerprint,
        now: Duration,
    ) -> Result<Self, Error> {
        let begin = || {
            let mut ssl = Ssl::new(identity.context())?;
            match role {
                Role::Active => ssl.set_connect_state(),
                Role::Passive => ssl.set_accept_state(),
            }
            ssl.set_mtu(MTU)?;
            SslStream::new(ssl, Pipe::default())
        };
        let stream = begin().map_err(|error| Error::Handshake(error.to_string()))?;
        Ok(Self {
            stream,
            role,
            remote,
            state: State::Handshake,
            received: 0,
            started: now,
            look_at: now,
        })
    }

    /// Takes a datagram of [`Kind::Dtls`](crate::demux::Kind::Dtls). Those that are none are dropped, as RFC 6347 wants.
    pub fn receive(&mut self, datagram: &[u8]) {
        if self.received == 0 && self.role == Role::Passive {
            self.catch_up(datagram);
        }
        self.received = self.received.saturating_add(1);
        match self.state {
            State::Handshake if self.received > DATAGRAMS_MAX => self.fail(Error::TooMuch),
            State::Handshake => {
                self.stream.get_mut().deliver(datagram);
                self.drive();
            }
            State::Connected if self.received <= DATAGRAMS_MAX => {
                self.stream.get_mut().deliver(datagram);
                // Who repeats his last flight has lost ours: reading repeats it. Nothing else is of interest.
                let _ = self.stream.ssl_read(&mut [0; 64]);
            }
            _ => {}
        }
    }

    /// What there is to do; `None` if nothing for now. To be called until then, after [`Endpoint::receive`] and at
    /// [`Endpoint::timeout`].
    pub fn poll(&mut self, now: Duration) -> Option<Output> {
        if matches!(self.state, State::Handshake) && now >= self.look_at {
            self.look_at = now + LOOK;
            if now.saturating_sub(self.started) > HANDSHAKE_MAX {
                self.fail(Error::TimedOut);
            } else {
                self.drive();
            }
        }
        if let Some(datagram) = self.stream.get_mut().collect() {
            return Some(Output::Transmit(datagram));
        }
        if !matches!(self.state, State::Ended(_)) {
            return None;
        }
        match std::mem::replace(&mut self.state, State::Connected) {
            State::Ended(Ok(session)) => Some(Output::Connected(session)),
            State::Ended(Err(error)) => {
                self.state = State::Failed;
                Some(Output::Failed(error))
            }
            state => {
                self.state = state;
                None
            }
        }
    }

    /// When to poll though nothing has come.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        matches!(self.state, State::Handshake).then_some(self.look_at)
    }

    /// Brings OpenSSL to where the client is who sends this first.
    fn catch_up(&mut self, first: &[u8]) {
        let (messages, number) = cookie::before(first);
        let count = messages.len() as u64;
        for message in messages {
            self.stream.get_mut().deliver(&message);
            self.drive();
        }
        self.stream.get_mut().go_on(count, number);
    }

    fn drive(&mut self) {
        match self.stream.do_handshake() {
            Ok(()) => self.state = State::Ended(self.keys().map(Box::new)),
            Err(error) if error.code() == ErrorCode::WANT_READ => {}
            Err(error) => self.fail(Error::Handshake(error.to_string())),
        }
    }

    fn fail(&mut self, error: Error) {
        self.state = State::Ended(Err(error));
    }

    /// RFC 5764 section 4.2: the exporter gives both keys, then both salts, the client's first.
    fn keys(&self) -> Result<Session, Error> {
        let ssl = self.stream.ssl();
        let shown = ssl.peer_certificate().ok_or(Error::Fingerprint)?;
        let matches = Fingerprint::of(&shown, self.remote.hash())
            .is_some_and(|fingerprint| fingerprint == self.remote);
        if !matches {
            return Err(Error::Fingerprint);
        }
        let suite = ssl
            .selected_srtp_profile()
            .and_then(|profile| suite(profile.id()))
            .ok_or(Error::NoProfile)?;
        let (key, salt) = (suite.key_len(), suite.salt_len());
        let mut material = vec![0; 2 * (key + salt)];
        ssl.export_keying_material(&mut material, "EXTRACTOR-dtls_srtp", None)
            .map_err(|error| Error::Handshake(error.to_string()))?;
        let (keys, salts) = material.split_at(2 * key);
        let master = |of: usize| {
            let bytes = [
                &keys[of * key..(of + 1) * key],
                &salts[of * salt..(of + 1) * salt],
            ]
            .concat();
            Master::new(suite, &bytes).ok_or(Error::NoProfile)
        };
        let (client, server) = (master(0)?, master(1)?);
        Ok(match self.role {
            Role::Active => Session::new(client, server),
            Role::Passive => Session::new(server, client),
        })
    }
}

/// What we offer and take, in the words of OpenSSL; the first is liked best.
const PROFILES: &str =
    "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80:SRTP_AES128_CM_SHA1_32";

fn suite(profile: SrtpProfileId) -> Option<Suite> {
    Some(match profile {
        SrtpProfileId::SRTP_AES128_CM_SHA1_80 => Suite::AesCm128HmacSha1_80,
        SrtpProfileId::SRTP_AES128_CM_SHA1_32 => Suite::AesCm128HmacSha1_32,
        SrtpProfileId::SRTP_AEAD_AES_128_GCM => Suite::AeadAes128Gcm,
        SrtpProfileId::SRTP_AEAD_AES_256_GCM => Suite::AeadAes256Gcm,
        _ => return None,
    })
}
