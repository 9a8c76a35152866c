//! Whether a stream is encrypted, and how the two sides come by the keys.
//!
//! Profiles say what must be: `RTP/SAVP` and `UDP/TLS/RTP/SAVP` are encrypted or refused. In `RTP/AVP` keys are an offer
//! that may be ignored (opportunistic SRTP, RFC 8643, which phones had long before). DTLS goes before SDES if both are
//! there, as that RFC wants: its keys never pass through the signalling.

use std::slice;

use plenary_transport::dtls::{Fingerprint, Role};
use plenary_transport::sdes::{self, Agreed, CryptoLine, Keyring, Unfit};

use super::Refusal;
use super::parse::{Description, Media};

/// What a leg wants of encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpPolicy {
    Never,
    /// Wherever the peer can.
    Optional,
    /// No stream in clear.
    Required,
}

/// How the stream is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    None,
    /// Keys of `a=crypto`. In a later exchange a key may be the same as before: its direction goes on.
    Sdes(Agreed),
    /// Keys come by a handshake with the certificate of this fingerprint, in this role of ours. The same as before: the
    /// handshake that was made still counts (RFC 8842 section 5.1).
    Dtls {
        remote: Fingerprint,
        role: Role,
    },
}

/// The part of a media line between port and formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Profile {
    /// Clear packets are against it.
    pub encrypted: bool,
    pub dtls: bool,
    /// RFC 4585: earlier RTCP. Answered, not used.
    pub feedback: bool,
}

impl Profile {
    pub fn parse(proto: &str) -> Option<Self> {
        let (dtls, rest) = match proto.strip_prefix("UDP/TLS/") {
            Some(rest) => (true, rest),
            None => (false, proto),
        };
        let (encrypted, feedback) = match rest {
            "RTP/AVP" => (false, false),
            "RTP/AVPF" => (false, true),
            "RTP/SAVP" => (true, false),
            "RTP/SAVPF" => (true, true),
            _ => return None,
        };
        (encrypted || !dtls).then_some(Self {
            encrypted,
            dtls,
            feedback,
        })
    }

    /// As on the media line.
    pub fn as_str(self) -> &'static str {
        match (self.dtls, self.encrypted, self.feedback) {
            (true, _, false) => "UDP/TLS/RTP/SAVP",
            (true, _, true) => "UDP/TLS/RTP/SAVPF",
            (false, true, false) => "RTP/SAVP",
            (false, true, true) => "RTP/SAVPF",
            (false, false, false) => "RTP/AVP",
            (false, false, true) => "RTP/AVPF",
        }
    }
}

/// `a=setup` (RFC 4145).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    Active,
    Passive,
    ActPass,
    HoldConn,
}

impl Setup {
    pub fn parse(value: &str) -> Option<Self> {
        match value.trim() {
            "active" => Some(Self::Active),
            "passive" => Some(Self::Passive),
            "actpass" => Some(Self::ActPass),
            "holdconn" => Some(Self::HoldConn),
            _ => None,
        }
    }
}

/// Chooses the keys of one leg, and remembers what is offered and in force.
#[derive(Debug)]
pub(super) struct Guard {
    policy: SrtpPolicy,
    keyring: Keyring,
    fingerprint: Option<Fingerprint>,
    offered: Vec<CryptoLine>,
    /// What a process before this one has said last. No longer than to the end of our first exchange: a key that was given
    /// up must not come into use again.
    kept: Vec<CryptoLine>,
    /// What stood in our last offer. Without keys in force it is offered only to a peer that had it before: none of those
    /// that were tried take it beside `a=crypto`, or in a clear profile.
    dtls: bool,
}

impl Guard {
    pub fn new(policy: SrtpPolicy, secret: &[u8; 32], fingerprint: Option<Fingerprint>) -> Self {
        Self {
            policy,
            keyring: Keyring::new(secret),
            fingerprint,
            offered: Vec::new(),
            kept: Vec::new(),
            dtls: false,
        }
    }

    /// Goes on from what a process before this one has said of its stream. If there were keys in it, or there should have
    /// been, they were allowed to this call, whatever the policy is now: the peer keeps them.
    pub fn resume(&mut self, said: &Media) {
        let encrypted = said.profile.is_some_and(|profile| profile.encrypted);
        let keyed = !said.crypto.is_empty() || said.fingerprint.is_some();
        if self.policy == SrtpPolicy::Never && (encrypted || keyed) {
            self.policy = SrtpPolicy::Optional;
        }
        self.dtls = said.fingerprint.is_some() && self.fingerprint.is_some();
        let lines = said.crypto.iter().filter_map(|line| sdes::parse(line).ok());
        self.kept = lines.collect();
    }

    /// The security of our answer to a media line.
    pub fn answer(
        &mut self,
        offer: &Description,
        media: &Media,
        profile: Profile,
        in_force: Security,
    ) -> Result<Security, Refusal> {
        self.dtls = false;
        self.kept.clear();
        if self.policy == SrtpPolicy::Never {
            return if profile.encrypted {
                Err(Refusal::EncryptionRefused(
                    "the peer wants encrypted media, which are switched off here",
                ))
            } else {
                Ok(Security::None)
            };
        }
        let setup = media.setup.or(offer.setup).unwrap_or(Setup::Active);
        let dtls = self.dtls(offer, media, setup, in_force);
        let why = match dtls {
            Ok(Some(security)) => return Ok(security),
            Err(why) if profile.dtls => Some(why),
            Ok(None) if profile.dtls => Some("the offer of DTLS-SRTP lacks a fingerprint"),
            _ => {
                let lines = media.crypto.iter().map(String::as_str);
                match self.keyring.answer(lines, sdes(in_force).as_ref()) {
                    Ok(agreed) => return Ok(Security::Sdes(agreed)),
                    Err(unfit) => unfit.map(words),
                }
            }
        };
        if profile.encrypted {
            let why = why.unwrap_or("the offer of encrypted media has no keys");
            Err(Refusal::EncryptionRefused(why))
        } else if self.policy == SrtpPolicy::Required {
            let why = why.unwrap_or("only encrypted media are taken, and the offer has no keys");
            Err(Refusal::EncryptionRequired(why))
        } else {
            Ok(Security::None)
        }
    }

    /// Profile and lines of our next offer.
    pub fn offer(&mut self, profile: Profile, in_force: Security) -> (Profile, String) {
        self.offered.clear();
        if self.policy == SrtpPolicy::Never {
            return (profile, String::new());
        }
        match in_force {
            Security::Dtls { role, .. } => {
                self.dtls = true;
                return (profile, self.dtls_lines(role.as_str()));
            }
            Security::None if self.dtls => return (profile, self.dtls_lines("actpass")),
            _ => self.dtls = false,
        }
        let profile = Profile {
            encrypted: profile.encrypted || self.policy == SrtpPolicy::Required,
            ..profile
        };
        let in_force = sdes(in_force).map(|agreed| agreed.line());
        let kept = in_force.as_ref().map_or(&self.kept[..], slice::from_ref);
        self.offered = self.keyring.offer(kept);
        let lines = self.offered.iter().map(|line| format!("a={line}\r\n"));
        (profile, lines.collect())
    }

    /// What the peer's answer makes of our offer.
    pub fn accept(
        &mut self,
        answer: &Description,
        media: &Media,
        in_force: Security,
    ) -> Result<Security, Refusal> {
        if self.dtls {
            // RFC 4145 section 4.1: who says nothing in an answer is passive.
            let setup = media.setup.or(answer.setup).unwrap_or(Setup::Passive);
            return match self.dtls(answer, media, setup, in_force) {
                // `actpass`, which no answer may have, is what some answer who mean to go on as before.
                Ok(Some(security)) => Ok(security),
                _ => Err(Refusal::Malformed(
                    "an answer to DTLS-SRTP without fingerprint or role",
                )),
            };
        }
        self.kept.clear();
        match media.crypto.first() {
            Some(line) if !self.offered.is_empty() => self
                .keyring
                .accept(&self.offered, line)
                .map(Security::Sdes)
                .map_err(|_| Refusal::Malformed("the answer's a=crypto is none that was offered")),
            _ if self.policy == SrtpPolicy::Required => Err(Refusal::EncryptionRequired(
                "only encrypted media are taken, and the answer has no keys",
            )),
            _ if media.profile.is_some_and(|profile| profile.encrypted) => Err(Refusal::Malformed(
                "an answer of encrypted media without keys",
            )),
            _ => Ok(Security::None),
        }
    }

    /// The lines of our answer.
    pub fn lines(&self, security: Security) -> String {
        match security {
            Security::Sdes(agreed) => format!("a={}\r\n", agreed.line()),
            Security::Dtls { role, .. } => self.dtls_lines(role.as_str()),
            Security::None => String::new(),
        }
    }

    fn dtls_lines(&self, setup: &str) -> String {
        let fingerprint = self
            .fingerprint
            .map_or(String::new(), |own| own.to_string());
        format!("a=fingerprint:{fingerprint}\r\na=setup:{setup}\r\n")
    }

    /// `None` if no DTLS is offered. Where we may choose we wait for the peer: it is behind the NAT, not we.
    fn dtls(
        &self,
        description: &Description,
        media: &Media,
        setup: Setup,
        in_force: Security,
    ) -> Result<Option<Security>, &'static str> {
        let unreadable = media.unknown_fingerprint || description.unknown_fingerprint;
        let Some(remote) = media.fingerprint.or(description.fingerprint) else {
            return if unreadable {
                Err("the fingerprint can't be read, or is of a hash that isn't taken")
            } else {
                Ok(None)
            };
        };
        if self.fingerprint.is_none() {
            return Err("DTLS-SRTP is not to be had here");
        }
        let role = match (setup, in_force) {
            (Setup::HoldConn, _) => return Err("a=setup:holdconn gives no connection"),
            (Setup::ActPass, Security::Dtls { remote: same, role }) if same == remote => role,
            (Setup::ActPass | Setup::Active, _) => Role::Passive,
            (Setup::Passive, _) => Role::Active,
        };
        Ok(Some(Security::Dtls { remote, role }))
    }
}

fn sdes(security: Security) -> Option<Agreed> {
    match security {
        Security::Sdes(agreed) => Some(agreed),
        _ => None,
    }
}

fn words(unfit: Unfit) -> &'static str {
    match unfit {
        Unfit::Malformed => "the a=crypto lines can't be read",
        Unfit::Suite => "none of the crypto-suites in a=crypto is known",
        Unfit::Mki => "a=crypto with an MKI or several keys is not taken",
        Unfit::Parameter => "a=crypto with parameters that change the packets is not taken",
    }
}
