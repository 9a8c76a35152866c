//! DTLS takes its turn: a record of a handshake costs as much as two hundred packets (signatures, key exchange: 0.1 ms),
//! and after an outage hundreds of pages and phones come back at once. A few records are taken in each sub-tick, the
//! others wait for those that follow; media and checks pass them.
//!
//! Legs take turns, and each has a short queue of its own: whoever floods his leg waits longer, and nobody else does.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use plenary_media::legs::LegKey;
use plenary_media::output::Port;

/// Records taken in one sub-tick, a fifth of it; of a handshake's four or so this makes hundreds of pages a second.
const PER_READ: usize = 4;
/// Records of one leg that wait: a flight of a handshake in small pieces. Peers send again what is lost.
const PER_LEG: usize = 8;
/// Records that wait, of at most 1,500 bytes: those of a thousand pages, or of five hundred that flood.
const WAITING_MAX: usize = 4_096;
/// Type, version, epoch, number and length (RFC 6347, section 4.1).
const RECORD_HEADER: usize = 13;
/// The shortest of DTLS 1.3: two bytes of header, 16 of ciphertext (RFC 9147, section 4.2.3).
const SHORT_RECORD: usize = 18;

/// A datagram that has come: for whom, how, from where and when.
#[derive(Clone, Copy)]
pub struct Came<'a> {
    pub leg: LegKey,
    pub port: Port,
    pub datagram: &'a [u8],
    pub from: SocketAddr,
    pub arrival: Duration,
}

#[derive(Debug)]
struct Waiting {
    port: Port,
    from: SocketAddr,
    arrival: Duration,
    datagram: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Handshakes {
    /// Never empty queues.
    waiting: HashMap<LegKey, VecDeque<Waiting>>,
    /// Whose turn it is next.
    turns: VecDeque<LegKey>,
    /// Records in all queues.
    count: usize,
    left: usize,
    /// Records that found no room, and what only begins as one.
    pub lost: u64,
}

impl Handshakes {
    /// Begins a sub-tick: hands over those whose turn it is.
    pub fn begin(&mut self, mut each: impl FnMut(Came)) {
        self.left = PER_READ;
        while self.left > 0
            && let Some(leg) = self.turns.pop_front()
        {
            let Some(queue) = self.waiting.get_mut(&leg) else {
                continue;
            };
            let next = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&leg);
            } else {
                self.turns.push_back(leg);
            }
            let Some(next) = next else {
                continue;
            };
            self.left -= 1;
            self.count -= 1;
            each(Came {
                leg,
                port: next.port,
                datagram: &next.datagram,
                from: next.from,
                arrival: next.arrival,
            });
        }
    }

    /// Whether a datagram may be handed over now; otherwise it waits or is lost.
    pub fn admit(&mut self, came: &Came) -> bool {
        let is_dtls = matches!(came.datagram.first(), Some(20..=63));
        if !is_dtls {
            return true;
        }
        if !is_record(came.datagram) {
            self.lost += 1;
            return false;
        }
        if self.left > 0 && self.count == 0 {
            self.left -= 1;
            return true;
        }
        let waits = self.waiting.get(&came.leg).map_or(0, VecDeque::len);
        if waits >= PER_LEG || self.count >= WAITING_MAX {
            self.lost += 1;
            return false;
        }
        if waits == 0 {
            self.turns.push_back(came.leg);
        }
        self.count += 1;
        self.waiting
            .entry(came.leg)
            .or_default()
            .push_back(Waiting {
                port: came.port,
                from: came.from,
                arrival: came.arrival,
                datagram: came.datagram.to_vec(),
            });
        false
    }
}

/// By its first bytes: a whole record of DTLS 1.2 or before, which has version 254.x, or one of DTLS 1.3 whose header may
/// leave out nearly all (RFC 9147, section 4).
fn is_record(datagram: &[u8]) -> bool {
    match datagram {
        [20..32, 254, ..] if datagram.len() > RECORD_HEADER => {
            let length = u16::from_be_bytes([datagram[11], datagram[12]]);
            RECORD_HEADER + usize::from(length) <= datagram.len()
        }
        [32..64, ..] => datagram.len() >= SHORT_RECORD,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of one byte.
    fn record(content: u8) -> [u8; 14] {
        [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, content]
    }

    fn came(leg: u64, datagram: &[u8]) -> Came<'_> {
        Came {
            leg: LegKey::from_u64(leg),
            port: Port::Rtp,
            datagram,
            from: SocketAddr::from(([192, 0, 2, 1], 1)),
            arrival: Duration::ZERO,
        }
    }

    /// What one sub-tick takes of those that wait: leg and content.
    fn turn(handshakes: &mut Handshakes) -> Vec<(u64, u8)> {
        let mut taken = Vec::new();
        handshakes.begin(|came| taken.push((came.leg.to_u64(), came.datagram[13])));
        taken
    }

    #[test]
    fn records_wait_for_their_turn_in_order_and_nothing_else_does() {
        let mut handshakes = Handshakes::default();
        assert_eq!(turn(&mut handshakes), []);
        let at_once = (1..=9).filter(|content| handshakes.admit(&came(1, &record(*content))));
        assert_eq!(at_once.collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(handshakes.admit(&came(1, &[128, 0])) && handshakes.admit(&came(1, &[0, 1])));
        assert_eq!(turn(&mut handshakes), [(1, 5), (1, 6), (1, 7), (1, 8)]);
        assert_eq!(turn(&mut handshakes), [(1, 9)]);
        assert_eq!(turn(&mut handshakes), []);
        assert_eq!(handshakes.lost, 0);
    }

    #[test]
    fn who_floods_loses_his_own_records_and_delays_nobody() {
        let mut handshakes = Handshakes::default();
        handshakes.begin(|_| panic!("nothing waits"));
        for _ in 0..1_000 {
            handshakes.admit(&came(1, &record(0)));
        }
        assert_eq!(handshakes.lost, (1_000 - PER_READ - PER_LEG) as u64);
        for leg in 2..=4 {
            assert!(!handshakes.admit(&came(leg, &record(7))));
        }
        assert_eq!(turn(&mut handshakes), [(1, 0), (2, 7), (3, 7), (4, 7)]);
    }

    #[test]
    fn what_only_begins_as_a_record_is_lost() {
        let mut handshakes = Handshakes::default();
        handshakes.begin(|_| panic!("nothing waits"));
        let mut longer = record(1);
        longer[12] = 2;
        let mut other = record(1);
        other[1] = 3;
        for rubbish in [
            &[22][..],
            &[22; 200],
            &[63; 17],
            &record(1)[..13],
            &longer,
            &other,
        ] {
            assert!(!handshakes.admit(&came(1, rubbish)));
        }
        assert_eq!(handshakes.lost, 6);
        assert!(handshakes.admit(&came(1, &record(1))) && handshakes.admit(&came(1, &[63; 18])));
    }

    #[test]
    fn all_that_wait_are_bounded() {
        let mut handshakes = Handshakes::default();
        let legs = (WAITING_MAX / PER_LEG) as u64 + 1;
        for leg in 0..legs {
            for content in 0..PER_LEG as u8 {
                assert!(!handshakes.admit(&came(leg, &record(content))));
            }
        }
        assert_eq!(handshakes.lost, PER_LEG as u64);
        while !turn(&mut handshakes).is_empty() {}
        assert!(handshakes.waiting.is_empty() && handshakes.count == 0);
    }
}
