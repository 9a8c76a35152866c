//! The packets of a large room, spread over the time until its next tick.
//!
//! A room's tick makes packets for all its members at once. To send those of thousands takes longer than a sub-tick, and
//! the rooms of the next phases would be late. So what many listeners share is sent in as many parts as there are
//! sub-ticks, a listener always in the same one as long as nobody comes or goes: that delays him by up to 17.5 ms, but
//! does not make his packets jitter. Phones' packets are paced by the thread's post, browsers' by the thread itself.

use std::collections::VecDeque;
use std::ops::Range;

use plenary_media::engine::PHASES;
use plenary_media::legs::LegKey;
use plenary_media::output::{Outbox, Packet};

#[derive(Debug)]
struct Batch {
    packets: Outbox,
    /// Into how many parts the rest is divided; `None`: it is sent whole once all before it is.
    parts_left: Option<usize>,
    /// What is being sent; what comes after it waits.
    part: Range<usize>,
}

impl Batch {
    fn is_done(&self) -> bool {
        self.part.end == self.packets.len()
    }

    fn packets(&self, range: Range<usize>) -> impl Iterator<Item = (&Packet, &[u8])> + Clone {
        let whole = self.parts_left.is_none();
        let packets = self.packets.range(range);
        packets.filter(move |(packet, _)| packet.spread || whole)
    }
}

/// What waits to be sent.
#[derive(Debug, Default)]
pub struct Pacer {
    /// The oldest first, which is also done first.
    batches: VecDeque<Batch>,
}

impl Pacer {
    /// Takes packets, of which those that are to be spread are sent in parts from the next on.
    pub fn take(&mut self, packets: Outbox) {
        self.push(packets, Some(PHASES));
    }

    /// Takes packets that must not be sent before what was taken so far, nor after what is taken from now on.
    pub fn take_after_all(&mut self, packets: Outbox) {
        self.push(packets, None);
    }

    fn push(&mut self, packets: Outbox, parts_left: Option<usize>) {
        self.batches.push_back(Batch {
            packets,
            parts_left,
            part: 0..0,
        });
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The next part is due. What comes after packets that wait for all before them waits as well, and then makes up for it.
    pub fn turn(&mut self) {
        let (mut nothing_before, mut whole_waits) = (true, false);
        for batch in &mut self.batches {
            let rest = batch.packets.len() - batch.part.end;
            let len = match &mut batch.parts_left {
                Some(parts_left) => {
                    let len = rest.div_ceil((*parts_left).max(1));
                    *parts_left = parts_left.saturating_sub(1);
                    if whole_waits { 0 } else { len }
                }
                None if nothing_before => rest,
                None => 0,
            };
            batch.part = batch.part.end..batch.part.end + len;
            nothing_before &= batch.is_done();
            whole_waits |= batch.parts_left.is_none() && !batch.is_done();
        }
    }

    /// What is to be sent in this part.
    pub fn due(&self) -> impl Iterator<Item = (&Packet, &[u8])> + Clone {
        let batches = self.batches.iter();
        batches.flat_map(|batch| batch.packets(batch.part.clone()))
    }

    /// What was due is sent; gives the outboxes that are done, emptied.
    pub fn sent(&mut self) -> impl Iterator<Item = Outbox> {
        for batch in &mut self.batches {
            batch.part = batch.part.end..batch.part.end;
        }
        let done = self.batches.iter().take_while(|batch| batch.is_done());
        let done = done.count();
        self.batches.drain(..done).map(|mut batch| {
            batch.packets.clear();
            batch.packets
        })
    }

    /// What waits for one leg, which is about to go to another thread.
    pub fn waiting(&self, leg: LegKey) -> impl Iterator<Item = (&Packet, &[u8])> + Clone {
        self.batches.iter().flat_map(move |batch| {
            let rest = batch.packets(batch.part.end..batch.packets.len());
            rest.filter(move |(packet, _)| packet.leg == leg)
        })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use plenary_media::output::Port;
    use std::net::SocketAddr;

    const TO: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

    /// Packets of legs 0.., of which each tenth is a talker's.
    pub fn tick(legs: u64) -> Outbox {
        let mut packets = Outbox::default();
        packets.spread(true);
        for number in 0..legs {
            let leg = LegKey::from_u64(number);
            packets.push(leg, Port::Rtp, TO, |to| to.extend(number.to_be_bytes()));
            if number % 10 > 0 {
                packets.share(leg);
            }
        }
        packets
    }

    fn legs<'a>(packets: impl Iterator<Item = (&'a Packet, &'a [u8])>) -> Vec<u64> {
        let number = |(packet, bytes): (&Packet, &[u8])| {
            assert_eq!(bytes, packet.leg.to_u64().to_be_bytes());
            packet.leg.to_u64()
        };
        packets.map(number).collect()
    }

    fn part(pacer: &mut Pacer) -> Vec<u64> {
        pacer.turn();
        let part = legs(pacer.due());
        pacer.sent().count();
        part
    }

    #[test]
    fn a_large_room_is_sent_over_eight_sub_ticks_and_everyone_once() {
        let mut pacer = Pacer::default();
        for _ in 0..3 {
            pacer.take(tick(8_000));
            let parts: Vec<Vec<u64>> = (0..PHASES).map(|_| part(&mut pacer)).collect();
            assert!(parts.iter().all(|part| part.len() == 900));
            let all = parts.concat().into_iter();
            assert!(all.eq((0..8_000).filter(|leg| leg % 10 > 0)));
            assert!(pacer.is_empty());
        }
    }

    #[test]
    fn two_large_rooms_share_the_sub_ticks() {
        let mut pacer = Pacer::default();
        pacer.take(tick(8_000));
        let before = part(&mut pacer).len();
        pacer.take(tick(4_000));
        assert_eq!((before, part(&mut pacer).len()), (900, 1_350));
    }

    #[test]
    fn what_must_not_overtake_is_sent_whole_between_what_was_before_it_and_what_comes_after() {
        let mut pacer = Pacer::default();
        pacer.take(tick(8_000));
        part(&mut pacer);
        pacer.take_after_all(tick(10));
        pacer.take(tick(80));
        for _ in 1..PHASES - 1 {
            assert_eq!(part(&mut pacer).len(), 900);
        }
        let last = part(&mut pacer);
        assert!(last[899] == 7_999 && last[900..910].iter().copied().eq(0..10));
        // In two parts of the eight, as it was kept for six.
        assert_eq!((last[910..].len(), part(&mut pacer).len()), (36, 36));
        assert!(pacer.is_empty());
    }

    #[test]
    fn what_waits_for_a_leg_that_moves_to_another_thread_is_at_hand() {
        let mut pacer = Pacer::default();
        pacer.take(tick(8_000));
        part(&mut pacer);
        assert_eq!(legs(pacer.waiting(LegKey::from_u64(7_999))), [7_999]);
        assert_eq!(pacer.waiting(LegKey::from_u64(1)).count(), 0);
    }
}
