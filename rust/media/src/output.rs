//! What the engine hands back: packets to send, events, recorded audio. The buffers are kept between ticks,
//! so that a tick allocates nothing once they have grown.

use std::net::SocketAddr;

use crate::legs::LegKey;
use crate::messages::Event;
use crate::recorder::Recorded;

/// Which of a leg's two sockets a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Rtp,
    Rtcp,
}

/// A packet to send; its bytes are in the [`Outbox`] it came from.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    pub leg: LegKey,
    pub port: Port,
    pub to: SocketAddr,
    start: u32,
    len: u32,
}

/// Packets to send, one after the other in one buffer.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    packets: Vec<Packet>,
}

impl Outbox {
    /// Appends the packet that `write` appends to the buffer; nothing if it appends nothing.
    pub fn push(
        &mut self,
        leg: LegKey,
        port: Port,
        to: SocketAddr,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        let len = self.bytes.len() - start;
        if len > 0 {
            self.packets.push(Packet {
                leg,
                port,
                to,
                start: start as u32,
                len: len as u32,
            });
        }
    }

    /// In the order in which they are to be sent.
    pub fn iter(&self) -> impl Iterator<Item = (&Packet, &[u8])> {
        self.packets.iter().map(|packet| {
            let start = packet.start as usize;
            (packet, &self.bytes[start..start + packet.len as usize])
        })
    }

    pub fn len(&self) -> usize {
        self.packets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }
}

/// All that a call of the engine brought about; whoever drives it takes and clears each part.
#[derive(Debug, Default)]
pub struct Output {
    pub packets: Outbox,
    pub events: Vec<Event>,
    pub recorded: Vec<Recorded>,
    /// Legs that are gone; their sockets may go once `packets` are sent.
    pub closed: Vec<LegKey>,
}
