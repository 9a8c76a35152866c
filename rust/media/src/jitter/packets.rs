//! What has come and waits, still coded, in the order of its timestamps.

use std::collections::VecDeque;

/// Packets that wait at most: half a second in packets of 10 ms, and some that are shorter still.
const PACKETS_MAX: usize = 64;

/// Audio between the oldest and the newest packet at most, in units of 1/48,000 s (512 ms): more than twice of what may
/// be delayed, so a burst after a stall is sorted before the oldest of it is given up.
pub const SPAN_MAX: i64 = 24_576;

/// One coded packet.
#[derive(Debug, Default)]
pub struct Packet {
    /// Timestamp of its first sample, in units of 1/48,000 s.
    pub start: i64,
    /// Duration in the same units.
    pub len: i64,
    /// Extended sequence number; a redundant block has none.
    pub seq: Option<u64>,
    /// When it came, in the same units.
    pub arrival: i64,
    pub payload: Vec<u8>,
}

impl Packet {
    pub fn end(&self) -> i64 {
        self.start + self.len
    }
}

/// Coded packets by media time. Buffers of payloads are used again.
#[derive(Debug, Default)]
pub struct Packets {
    waiting: VecDeque<Packet>,
    spare: Vec<Packet>,
}

impl Packets {
    /// Takes a packet, unless there is one at its place. What came itself replaces what came of it as redundancy.
    pub fn insert(&mut self, packet: Packet, payload: &[u8]) {
        let place = self
            .waiting
            .iter()
            .rposition(|other| other.start <= packet.start)
            .map_or(0, |before| before + 1);
        if place > 0 && self.waiting[place - 1].start == packet.start {
            let there = &mut self.waiting[place - 1];
            if there.seq.is_none() && packet.seq.is_some() {
                let mut kept = core::mem::take(&mut there.payload);
                kept.clear();
                kept.extend_from_slice(payload);
                *there = Packet {
                    payload: kept,
                    ..packet
                };
            }
            return;
        }
        let mut kept = self.spare.pop().unwrap_or_default().payload;
        kept.clear();
        kept.extend_from_slice(payload);
        let packet = Packet {
            payload: kept,
            ..packet
        };
        self.waiting.insert(place, packet);
    }

    pub fn front(&self) -> Option<&Packet> {
        self.waiting.front()
    }

    /// Whether there are so many, or so long a time of them, that the oldest has to go.
    pub fn is_full(&self) -> bool {
        match (self.waiting.front(), self.waiting.back()) {
            (Some(first), Some(last)) => {
                self.waiting.len() > PACKETS_MAX || last.end() - first.start > SPAN_MAX
            }
            _ => false,
        }
    }

    /// Takes the oldest out; it is to be given back by [`Packets::recycle`].
    pub fn pop(&mut self) -> Option<Packet> {
        self.waiting.pop_front()
    }

    pub fn recycle(&mut self, packet: Packet) {
        self.spare.push(packet);
    }

    pub fn drop_front(&mut self) {
        self.spare.extend(self.waiting.pop_front());
    }

    pub fn clear(&mut self) {
        self.spare.extend(self.waiting.drain(..));
    }

    /// Bytes that were allocated.
    pub fn memory(&self) -> usize {
        let packets = self.waiting.iter().chain(&self.spare);
        (self.waiting.capacity() + self.spare.capacity()) * size_of::<Packet>()
            + packets
                .map(|packet| packet.payload.capacity())
                .sum::<usize>()
    }
}
