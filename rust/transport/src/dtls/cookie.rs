//! Who begins a handshake has to show first that it gets what is sent to its address (RFC 6347, section 4.2.1).
//!
//! ```text
//! ClientHello ▶ greet ─ Ask ──▶ HelloVerifyRequest: the cookie         nothing is kept
//! ClientHello, with the cookie ▶ greet ─ Begin ──▶ an Endpoint takes it, and all that follows
//! ```
//!
//! So a stranger who puts false addresses into his packets costs us a hash for each of them, no handshake, and whoever has
//! those addresses gets no more bytes than he has sent. OpenSSL asks for cookies itself, but only once it keeps a
//! handshake for the one who is asked; what it has missed of ours is made up for by [`before`].

use core::time::Duration;
use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::hmac;
use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;

/// Content type, version, epoch, sequence number, length (RFC 6347, section 4.1).
pub const RECORD_HEADER: usize = 13;
/// Type, length, number, offset and length of the fragment (RFC 6347, section 4.2.2).
const MESSAGE_HEADER: usize = 12;
const RANDOM: usize = 32;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;
/// Versions are one's complements: HelloVerifyRequest always has that of 1.0 (section 4.2.1).
const DTLS_1_0: [u8; 2] = [254, 255];

/// How often one client may be asked: once more than usual, for a NAT that has given it a new port meanwhile.
const ASKED_MAX: u16 = 2;

/// Cookies of this and of the last period are good: longer than any client goes on, and too short to collect them.
const PERIOD_S: u64 = 60;

/// What a datagram deserves of an address that nothing is known of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// To be sent there; nothing else needs to be remembered.
    Ask(Vec<u8>),
    /// The sender gets what is sent there: an [`Endpoint`](super::Endpoint) may take it.
    Begin,
    /// It begins no handshake.
    Nothing,
}

/// The key that cookies are made with.
pub struct Cookies(hmac::Key);

impl Cookies {
    pub fn new() -> Result<Self, ErrorStack> {
        let mut secret = [0; 32];
        rand_bytes(&mut secret)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    pub fn greet(&self, datagram: &[u8], from: SocketAddr, now: Duration) -> Greeting {
        let Some(hello) = ClientHello::parse(datagram) else {
            return Greeting::Nothing;
        };
        let period = now.as_secs() / PERIOD_S;
        let is_good = |period| {
            let claim = claim(&hello, from, period);
            hmac::verify(&self.0, &claim, hello.cookie).is_ok()
        };
        if is_good(period) || period.checked_sub(1).is_some_and(is_good) {
            return Greeting::Begin;
        }
        if hello.number >= ASKED_MAX {
            return Greeting::Nothing;
        }
        let cookie = hmac::sign(&self.0, &claim(&hello, from, period));
        Greeting::Ask(request(&hello, cookie.as_ref()))
    }
}

/// What a cookie vouches for.
fn claim(hello: &ClientHello, from: SocketAddr, period: u64) -> Vec<u8> {
    let mut claim = hello.random.to_vec();
    claim.extend(period.to_be_bytes());
    claim.extend(from.port().to_be_bytes());
    match from.ip() {
        IpAddr::V4(ip) => claim.extend(ip.octets()),
        IpAddr::V6(ip) => claim.extend(ip.octets()),
    }
    claim
}

/// The beginning of a client's first message.
struct ClientHello<'a> {
    /// Of the record, which is of epoch 0.
    sequence: &'a [u8],
    /// Of the message: how often the client was asked before.
    number: u16,
    random: &'a [u8],
    cookie: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// Reads as far as the cookie. `None` if it is anything else, or a later fragment.
    fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (record, rest) = datagram.split_at_checked(RECORD_HEADER)?;
        let length = usize::from(u16::from_be_bytes([record[11], record[12]]));
        let (message, body) = rest.get(..length)?.split_at_checked(MESSAGE_HEADER)?;
        let begins = matches!(record, [HANDSHAKE, 254, _, 0, 0, ..]);
        if !begins || message[0] != CLIENT_HELLO || message[6..9] != [0; 3] {
            return None;
        }
        let (random, rest) = body.get(2..)?.split_at_checked(RANDOM)?;
        let (session, rest) = rest.split_first()?;
        let (cookie, rest) = rest.get(usize::from(*session)..)?.split_first()?;
        Some(Self {
            sequence: &record[5..11],
            number: u16::from_be_bytes([message[4], message[5]]),
            random,
            cookie: rest.get(..usize::from(*cookie))?,
        })
    }
}

/// A handshake message in a record of its own; both are short.
fn record(sequence: &[u8], kind: u8, number: u16, body: &[u8]) -> Vec<u8> {
    let length = [0, 0, body.len() as u8];
    let mut record = vec![HANDSHAKE];
    record.extend(DTLS_1_0);
    record.extend([0, 0]);
    record.extend(sequence);
    record.extend([0, (MESSAGE_HEADER + body.len()) as u8, kind]);
    record.extend(length);
    record.extend(number.to_be_bytes());
    record.extend([0, 0, 0]);
    record.extend(length);
    record.extend(body);
    record
}

/// A HelloVerifyRequest, numbered as what it answers.
fn request(hello: &ClientHello, cookie: &[u8]) -> Vec<u8> {
    let mut body = DTLS_1_0.to_vec();
    body.push(cookie.len() as u8);
    body.extend(cookie);
    record(hello.sequence, HELLO_VERIFY_REQUEST, hello.number, &body)
}

/// What OpenSSL has to be told before the first datagram of a client that was asked for a cookie already: the messages
/// that we have answered in its place. And the number that its first record must have, to follow on ours (RFC 6347,
/// section 4.2.1).
pub fn before(datagram: &[u8]) -> (Vec<Vec<u8>>, u64) {
    let Some(hello) = ClientHello::parse(datagram) else {
        return (Vec::new(), 0);
    };
    let mut empty = DTLS_1_0.to_vec();
    empty.extend([0; RANDOM]);
    // No session, no cookie; one suite (TLS_EMPTY_RENEGOTIATION_INFO_SCSV), no compression.
    empty.extend([0, 0, 0, 2, 0, 255, 1, 0]);
    let asked = hello.number.min(ASKED_MAX);
    let messages = (0..asked).map(|number| {
        let sequence = [0, 0, 0, 0, 0, number as u8];
        record(&sequence, CLIENT_HELLO, number, &empty)
    });
    (messages.collect(), number_of(hello.sequence))
}

/// Of a record: 48 bits.
pub fn number_of(sequence: &[u8]) -> u64 {
    let digits = sequence.iter();
    digits.fold(0, |number, byte| number << 8 | u64::from(*byte))
}
