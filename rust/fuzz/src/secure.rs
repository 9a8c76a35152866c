//! SRTP and DTLS between two ends of ours, and somebody in between.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use plenary_transport::dtls::{Endpoint, Greeting, Identity, Output, Role};
use plenary_transport::sdes::SUITES;
use plenary_transport::srtp::{Master, Session, Suite};
use plenary_transport::{demux, webrtc};

use crate::script::Script;

/// Packets that are kept to be delivered late, twice, or bent.
const KEPT_MAX: usize = 64;

/// A packet on its way.
struct Flying {
    is_rtcp: bool,
    clear: Vec<u8>,
    sealed: Vec<u8>,
    came: bool,
}

/// What a session lets in is what the other has sent, once, whatever is in between. Keys are of the whole input:
/// libFuzzer remembers what it has seen compared, and so the packets of another run, which were sealed well.
pub fn srtp(data: &[u8]) {
    let mut script = Script(data);
    let suite = script.pick(&SUITES);
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    let seed = hasher.finish().to_be_bytes();
    let (ann, bob) = (keys(suite, &seed), keys(suite, &[&seed[..], &[1]].concat()));
    let (mut ann, mut bob) = (Session::new(ann, bob), Session::new(bob, ann));
    let mut flying: Vec<Flying> = Vec::new();
    let (mut out, mut seq) = (Vec::new(), script.word());
    script.steps(256, |script| {
        let step = script.byte();
        if step % 4 == 0 {
            seq = seq.wrapping_add(u16::from(step / 64) + 1);
            let is_rtcp = step & 4 != 0;
            let mut clear = vec![if step & 8 == 0 { 0x80 } else { script.byte() }];
            clear.push(if is_rtcp { 201 } else { script.byte() });
            clear.extend(seq.to_be_bytes());
            clear.extend([0, 0, 0, step, 0, 0, 0, step & 16]);
            clear.extend(script.bytes());
            let mut sealed = Vec::new();
            let done = if is_rtcp {
                ann.protect_rtcp(&clear, &mut sealed)
            } else {
                ann.protect(&clear, &mut sealed)
            };
            assert!(sealed.len() <= clear.len() + 20 && done.is_ok() != sealed.is_empty());
            if done.is_ok() && flying.len() < KEPT_MAX {
                flying.push(Flying {
                    is_rtcp,
                    clear,
                    sealed,
                    came: false,
                });
            }
            return;
        }
        let mut open = |is_rtcp: bool, sealed: &[u8]| {
            let done = if is_rtcp {
                bob.unprotect_rtcp(sealed, &mut out)
            } else {
                bob.unprotect(sealed, &mut out)
            };
            done.is_ok().then(|| out.clone())
        };
        if step % 4 == 3 || flying.is_empty() {
            assert_eq!(open(step & 4 != 0, script.bytes()), None);
            return;
        }
        let which = usize::from(script.byte()) % flying.len();
        let packet = &mut flying[which];
        if step % 4 == 1 {
            if let Some(opened) = open(packet.is_rtcp, &packet.sealed) {
                assert!(!packet.came && opened == packet.clear);
                packet.came = true;
            }
        } else {
            let bent = script.bend(&packet.sealed);
            if bent != packet.sealed {
                assert_eq!(open(packet.is_rtcp != (step & 4 != 0), &bent), None);
            }
        }
    });
}

/// A key of one byte.
pub fn master(suite: Suite, seed: u8) -> Master {
    keys(suite, &[seed])
}

/// A key of some bytes, again and again.
fn keys(suite: Suite, seed: &[u8]) -> Master {
    let length = suite.key_len() + suite.salt_len();
    let bytes: Vec<u8> = seed.iter().copied().cycle().take(length).collect();
    Master::new(suite, &bytes).expect("as long as the suite wants")
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity::new().expect("OpenSSL works"))
}

/// One end of a handshake.
struct End {
    endpoint: Endpoint,
    said: Vec<Vec<u8>>,
    session: Option<Session>,
    ends: usize,
}

impl End {
    fn new(role: Role) -> End {
        let expected = identity().fingerprint();
        End {
            endpoint: Endpoint::new(identity(), role, expected, Duration::ZERO)
                .expect("OpenSSL can begin"),
            said: Vec::new(),
            session: None,
            ends: 0,
        }
    }

    fn poll(&mut self, now: Duration) {
        while let Some(output) = self.endpoint.poll(now) {
            match output {
                Output::Transmit(datagram) => self.said.push(datagram),
                Output::Connected(session) => {
                    self.session = Some(*session);
                    self.ends += 1;
                }
                Output::Failed(_) => self.ends += 1,
            }
        }
        assert!(self.ends <= 1);
    }
}

/// A handshake whose datagrams are lost, doubled, bent and made up: who gets keys has the same as the other, and who is
/// asked for a cookie gets no more than was sent in his name.
pub fn dtls(data: &[u8]) {
    let mut script = Script(data);
    let mut ends = [End::new(Role::Active), End::new(Role::Passive)];
    let mut now = Duration::ZERO;
    ends[0].poll(now);
    // How much of what each has said was delivered in order.
    let mut delivered = [0, 0];
    let ann = SocketAddr::from((Ipv4Addr::LOCALHOST, 4_000));
    let mut greeted = false;
    script.steps(96, |script| {
        let step = script.byte();
        let to = usize::from(step & 1);
        let from = 1 - to;
        let said = &ends[from].said;
        let old = (!said.is_empty()).then(|| &said[usize::from(step >> 3) % said.len()]);
        let datagram = match (step >> 1) & 3 {
            0 => {
                let next = said.get(delivered[from]).cloned();
                delivered[from] += usize::from(next.is_some());
                next
            }
            1 => old.cloned(),
            2 => old.map(|old| script.bend(old)),
            _ => Some(script.bytes().to_vec()),
        };
        if let Some(datagram) = datagram {
            let is_check = demux::kind(&datagram) == demux::Kind::Stun;
            assert!(is_check || webrtc::ufrag(&datagram).is_none());
            if to == 1 && !greeted {
                match identity().greet(&datagram, ann, now) {
                    Greeting::Ask(request) => {
                        assert!(request.len() <= datagram.len());
                        ends[1].said.push(request);
                    }
                    greeting => greeted = greeting == Greeting::Begin,
                }
            }
            if to == 0 || greeted {
                ends[to].endpoint.receive(&datagram);
            }
        }
        now += Duration::from_millis(u64::from(step >> 4) * 40);
        ends.iter_mut().for_each(|end| end.poll(now));
    });
    if let [Some(ann), Some(bob)] = ends.map(|end| end.session) {
        same_keys(ann, bob);
    }
}

fn same_keys(mut ann: Session, mut bob: Session) {
    let rtp = [0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7, 1, 2, 3];
    let (mut sealed, mut opened) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        assert_eq!(ann.protect(&rtp, &mut sealed), Ok(()));
        assert_eq!(bob.unprotect(&sealed, &mut opened), Ok(()));
        assert_eq!(opened, rtp);
        std::mem::swap(&mut ann, &mut bob);
    }
}
