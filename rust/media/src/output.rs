//! What the engine hands back: packets to send, events, recorded audio. The buffers are kept between ticks,
//! so that a tick allocates nothing once they have grown.

use std::net::SocketAddr;
use std::ops::Range;

use plenary_transport::webrtc::Proto;

use plenary_codec::{Frame, MAX_PAYLOAD};

use crate::engine::PHASES;
use crate::legs::LegKey;
use crate::messages::Event;
use crate::recorder::Recorded;
use crate::stopwatch::Stopwatch;

/// Which of a leg's sockets a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Rtp,
    Rtcp,
    /// A browser's, which it shares with others.
    Webrtc(Proto),
}

/// A packet to send; its bytes are in the [`Outbox`] it came from.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    pub leg: LegKey,
    pub port: Port,
    pub to: SocketAddr,
    /// Many others get the same sound: it is to be sent over the time until their next.
    pub spread: bool,
    start: u32,
    len: u32,
}

/// Packets to send, one after the other in one buffer.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    packets: Vec<Packet>,
    /// What is shared from now on is to be spread.
    spreads: bool,
    spread: usize,
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
                spread: false,
                start: start as u32,
                len: len as u32,
            });
        }
    }

    /// Appends a packet of another outbox.
    pub fn copy(&mut self, packet: &Packet, bytes: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        self.packets.push(Packet { start, ..*packet });
        self.spread += usize::from(packet.spread);
    }

    /// Whether what is shared from now on is shared by so many that it is to be sent over the time until their next tick.
    pub fn spread(&mut self, spreads: bool) {
        self.spreads = spreads;
    }

    /// What was pushed last for a leg, and nothing for others after it, is what others get as well.
    pub fn share(&mut self, leg: LegKey) {
        if !self.spreads {
            return;
        }
        for packet in self.packets.iter_mut().rev() {
            if packet.leg != leg {
                break;
            }
            self.spread += usize::from(!packet.spread);
            packet.spread = true;
        }
    }

    /// Whether any are to be spread.
    pub fn has_spread(&self) -> bool {
        self.spread > 0
    }

    /// In the order in which they are to be sent.
    pub fn iter(&self) -> impl Iterator<Item = (&Packet, &[u8])> + Clone {
        self.range(0..self.packets.len())
    }

    /// Some of them, by their number.
    pub fn range(&self, numbers: Range<usize>) -> impl Iterator<Item = (&Packet, &[u8])> + Clone {
        self.packets[numbers].iter().map(|packet| {
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
        self.spread = 0;
    }
}

/// What the codecs have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames of voices that were decoded.
    pub decodes: u64,
    /// Frames that were encoded.
    pub encodes: u64,
    /// Frames that were sent without being encoded once more.
    pub shared_encodes: u64,
}

/// Legs that are encoded for alone until they may follow a stream. When hundreds come at once, as after a restart, most
/// of them wait for their first packet: to encode for all of them would take longer than a tick has, and never end.
#[derive(Debug, Default)]
pub struct Crowd {
    /// In each of the last sub-ticks.
    counts: [u32; PHASES],
    phase: usize,
}

/// Of these, in 20 ms: 5 ms of work, and 400 newcomers a second.
const CROWD_MAX: u32 = 32;

impl Crowd {
    pub fn begin(&mut self, phase: usize) {
        self.phase = phase;
        self.counts[phase] = 0;
    }

    /// One more; `false` if he is fresh and has to wait. Who has begun goes on.
    pub fn admit(&mut self, fresh: bool) -> bool {
        let admitted = !fresh || self.counts.iter().sum::<u32>() < CROWD_MAX;
        self.counts[self.phase] += u32::from(admitted);
        admitted
    }
}

/// Where a packet is made of what one leg alone hears.
#[derive(Debug)]
pub struct Bench {
    pub pcm: Frame,
    pub coded: [u8; MAX_PAYLOAD],
}

impl Default for Bench {
    fn default() -> Bench {
        Bench {
            pcm: Frame::default(),
            coded: [0; MAX_PAYLOAD],
        }
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
    /// Browsers' legs that have a new ufrag. The first is in [`crate::engine::Engine::ufrag_of`].
    pub ufrags: Vec<(LegKey, String)>,
    /// Phones' legs that have agreed on something anew, and whether RTCP has no port of its own now (RFC 5761).
    pub muxed: Vec<(LegKey, bool)>,
    pub counts: Counts,
    /// Not an output, but at hand wherever packets are made: the complexity of Opus that the engine has time for.
    pub effort: u8,
    /// Likewise: room for packets on their way through encryption.
    pub plain: Vec<u8>,
    pub sealed: Vec<u8>,
    /// Likewise.
    pub crowd: Crowd,
    /// Likewise: room for a frame on its way to a packet.
    pub bench: Option<Box<Bench>>,
    /// Likewise.
    pub stopwatch: Option<Stopwatch>,
}
