//! What the legs of a media thread send and receive through: a phone's leg one or two sockets of its own, browsers' legs
//! the thread's gate, or that of the thread on which they were opened. What many share is sent over the time of a tick.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use plenary_media::engine::Engine;
use plenary_media::legs::LegKey;
use plenary_media::messages::Id;
use plenary_media::output::{Outbox, Port};
use plenary_transport::demux;
use plenary_transport::webrtc::Host;

use crate::handshakes::{Came, Handshakes};
use crate::jobs::Outlet;
use crate::pacing::Pacer;
use crate::ports::Sockets;
use crate::post::Post;
use crate::sys::{self, Epoll};
use crate::webrtc::{Counts, Gate};

#[derive(Debug)]
struct Seat {
    key: LegKey,
    leg: Id,
    outlet: Outlet,
}

pub struct Seats {
    /// By the leg's slot.
    seats: Vec<Option<Seat>>,
    epoll: Epoll,
    receiver: sys::Receiver,
    /// Tokens of sockets that had more than was read of them.
    unread: Vec<u64>,
    /// What browsers come through, if any may.
    gate: Option<Gate>,
    /// Of phones and browsers.
    handshakes: Handshakes,
    /// What browsers of large rooms are still to get, and all others without a post.
    pacer: Pacer,
    /// While there is a large room with phones.
    post: Option<Post>,
    /// Sub-ticks since it last had something new to send.
    post_unused: u32,
    /// Packets that found no socket, or that a post which is gone has lost.
    unsent: u64,
    spare: Vec<Outbox>,
}

/// Sub-ticks without a large room after which its post ends (10 s): the next in the same hall finds it still there.
const POST_UNUSED_MAX: u32 = 4_000;

fn token(key: LegKey, port: Port) -> u64 {
    (key.slot() as u64) << 1 | u64::from(port == Port::Rtcp)
}

fn each_of(sockets: &Sockets) -> impl Iterator<Item = (BorrowedFd<'_>, Port)> {
    let rtcp = sockets.rtcp.as_ref();
    let rtcp = rtcp.map(|socket| (socket.as_fd(), Port::Rtcp));
    std::iter::once((sockets.rtp.as_fd(), Port::Rtp)).chain(rtcp)
}

fn outlet(seats: &[Option<Seat>], key: LegKey) -> Option<&Outlet> {
    let seat = seats.get(key.slot())?.as_ref();
    seat.filter(|seat| seat.key == key).map(|seat| &seat.outlet)
}

fn hand_over(engine: &mut Engine, came: Came) {
    let (leg, datagram, from, at) = (came.leg, came.datagram, came.from, came.arrival);
    match came.port {
        Port::Rtp => engine.receive(leg, datagram, from, at),
        Port::Rtcp => engine.receive_rtcp(leg, datagram, from, at),
        Port::Webrtc(proto) => engine.receive_webrtc(leg, proto, datagram, from, at),
    }
}

impl Seats {
    pub fn new(gate: Option<Gate>) -> io::Result<Seats> {
        Ok(Seats {
            seats: Vec::new(),
            epoll: Epoll::new()?,
            receiver: sys::Receiver::default(),
            unread: Vec::new(),
            gate,
            handshakes: Handshakes::default(),
            pacer: Pacer::default(),
            post: None,
            post_unused: 0,
            unsent: 0,
            spare: Vec::new(),
        })
    }

    /// Our side of browsers that are opened here; `None`: there is no gate.
    pub fn host(&self) -> Option<&Host> {
        self.gate.as_ref().map(Gate::host)
    }

    /// Nothing can come that has to be forwarded to another thread.
    pub fn is_idle(&self) -> bool {
        self.gate.as_ref().is_none_or(Gate::is_idle)
    }

    pub fn counts(&self) -> Counts {
        let mut counts = self
            .gate
            .as_ref()
            .map_or_else(Counts::default, Gate::counts);
        counts.lost += self.handshakes.lost;
        counts
    }

    /// Packets of large rooms that there was no time to send, and reports whose socket can't be opened.
    pub fn unsent(&self) -> u64 {
        self.unsent + self.post.as_ref().map_or(0, Post::lost)
    }

    // Legs

    /// Seats a browser's leg that was opened here.
    pub fn admit(&mut self, key: LegKey, leg: Id, ufrag: &str) {
        if let Some(gate) = &mut self.gate {
            let ticket = gate.admit(key, ufrag);
            self.seat(key, leg, Outlet::Gate(ticket));
        }
    }

    /// Seats a leg with what it brings from another thread, or a phone's leg with its sockets.
    pub fn put(&mut self, key: LegKey, leg: Id, outlet: Outlet) {
        match &outlet {
            Outlet::Sockets(sockets) => {
                for (socket, port) in each_of(sockets) {
                    // Without it the leg is deaf, which its inactivity then tells; the system is out of memory.
                    drop(self.epoll.add(socket, token(key, port)));
                }
            }
            Outlet::Gate(ticket) => {
                if let Some(gate) = &mut self.gate {
                    gate.receive_leg(*ticket, key);
                }
            }
        }
        self.seat(key, leg, outlet);
    }

    fn seat(&mut self, key: LegKey, leg: Id, outlet: Outlet) {
        if self.seats.len() <= key.slot() {
            self.seats.resize_with(key.slot() + 1, || None);
        }
        let seat = self.seats[key.slot()].replace(Seat { key, leg, outlet });
        assert!(seat.is_none(), "two legs have one slot");
    }

    /// Takes a leg out of its seat, for another thread, and sends what waits for it.
    pub fn take(&mut self, key: LegKey) -> Option<Outlet> {
        let mut waiting = Outbox::default();
        for (packet, bytes) in self.pacer.waiting(key) {
            waiting.copy(packet, bytes);
        }
        self.send(&waiting);
        let outlet = self.seats[key.slot()]
            .take_if(|seat| seat.key == key)?
            .outlet;
        match &outlet {
            Outlet::Sockets(sockets) => {
                if let Some(post) = &mut self.post {
                    post.part(key, true);
                }
                for (socket, _) in each_of(sockets) {
                    self.epoll.remove(socket);
                }
            }
            Outlet::Gate(ticket) => {
                if let Some(gate) = &mut self.gate {
                    gate.part(*ticket);
                }
            }
        }
        Some(outlet)
    }

    /// A phone's leg has agreed on whether RTCP goes through the port of RTP.
    pub fn mux(&mut self, key: LegKey, muxed: bool) {
        if let Some(Some(seat)) = self.seats.get_mut(key.slot())
            && seat.key == key
            && let Outlet::Sockets(sockets) = &mut seat.outlet
            && sockets.rtcp.is_none() != muxed
        {
            sockets.mux(muxed);
            if let Some(rtcp) = &sockets.rtcp {
                // As above.
                drop(self.epoll.add(rtcp.as_fd(), token(key, Port::Rtcp)));
            }
        }
    }

    /// A browser's leg has a new ufrag.
    pub fn rename(&mut self, key: LegKey, ufrag: String) {
        if let Some(Some(seat)) = self.seats.get(key.slot())
            && seat.key == key
            && let (Outlet::Gate(ticket), Some(gate)) = (&seat.outlet, &mut self.gate)
        {
            gate.rename(*ticket, ufrag);
        }
    }

    /// A leg is gone: its name, and the port that is free now.
    pub fn close(&mut self, key: LegKey) -> Option<(Id, Option<u16>)> {
        let seat = self.seats[key.slot()].take_if(|seat| seat.key == key)?;
        match &seat.outlet {
            Outlet::Sockets(sockets) => {
                if let Some(post) = &mut self.post
                    && post.part(key, false)
                {
                    // It stays open until the post has heard of it.
                    self.epoll.remove(sockets.rtp.as_fd());
                }
            }
            Outlet::Gate(ticket) => {
                if let Some(gate) = &mut self.gate {
                    gate.close(*ticket);
                }
            }
        }
        Some((seat.leg, seat.outlet.port()))
    }

    // Datagrams

    /// Hands the engine what has come by `now`.
    pub fn read(&mut self, engine: &mut Engine, now: Duration) {
        // Datagrams are stamped with the wall clock, which may be set at any time.
        let wall = sys::realtime();
        let Seats {
            seats,
            epoll,
            receiver,
            unread,
            gate,
            handshakes,
            ..
        } = self;
        handshakes.begin(|came| hand_over(engine, came));
        let mut each = |came: Came| {
            if handshakes.admit(&came) {
                hand_over(engine, came);
            }
        };
        let mut read = |token: u64| {
            let Some(Some(seat)) = seats.get((token >> 1) as usize) else {
                return true;
            };
            let Outlet::Sockets(sockets) = &seat.outlet else {
                return true;
            };
            let (socket, port) = match (token & 1, &sockets.rtcp) {
                (0, _) => (sockets.rtp.as_fd(), Port::Rtp),
                (_, Some(rtcp)) => (rtcp.as_fd(), Port::Rtcp),
                (_, None) => return true,
            };
            receiver.drain(socket, |datagram, from, arrival| {
                let arrival = now.saturating_sub(sys::age(wall, arrival));
                each(Came {
                    leg: seat.key,
                    port,
                    datagram,
                    from,
                    arrival,
                });
            })
        };
        unread.retain(|token| !read(*token));
        epoll.ready(|token| {
            // A socket is reported once for what came; what is left in it has to be remembered.
            if !read(token) && !unread.contains(&token) {
                unread.push(token);
            }
        });
        if let Some(gate) = gate {
            gate.read(now, wall, each);
        }
    }

    /// Begins to send what a tick has left to be spread; the next part of all that is goes with what is sent next.
    pub fn pace(&mut self, packets: &mut Outbox) {
        if packets.has_spread() {
            self.post_unused = 0;
            self.spread(packets);
        } else if self.post.is_some() {
            self.post_unused += 1;
            self.end_post();
        }
        self.pacer.turn();
    }

    /// Once no room has needed it for long, and nothing of anybody's waits in it.
    fn end_post(&mut self) {
        let unused = self.post_unused > POST_UNUSED_MAX;
        if let Some(post) = self.post.take_if(|post| unused && post.is_idle()) {
            self.unsent += post.lost();
            post.end();
        }
    }

    fn spread(&mut self, packets: &mut Outbox) {
        if self.post.is_none() {
            // The system has no thread left: then this one sends them.
            self.post = Post::open().ok();
        }
        let own = self.post.as_ref().map(Post::spare).unwrap_or_default();
        let all = std::mem::replace(packets, own);
        let mut paced = self.spare.pop().unwrap_or_default();
        for (packet, bytes) in all.iter() {
            match (packet.spread, packet.port) {
                (true, Port::Rtp) if self.post.is_some() => {}
                (true, _) => paced.copy(packet, bytes),
                (false, _) => packets.copy(packet, bytes),
            }
        }
        self.pacer.take(paced);
        if let Some(post) = &mut self.post {
            let seats = &self.seats;
            post.spread(all, sys::monotonic(), |leg| match outlet(seats, leg) {
                Some(Outlet::Sockets(sockets)) => Some(&sockets.rtp),
                _ => None,
            });
        }
    }

    /// Sends packets of legs here. One that the system does not take is lost as any other may be.
    pub fn send(&mut self, packets: &Outbox) {
        for leg in self.send_due(packets) {
            // A report each few seconds is often enough to try.
            self.unsent += 1;
            self.mux(leg, false);
        }
        self.spare.extend(self.pacer.sent());
    }

    /// Gives the legs of reports that lack their socket.
    fn send_due(&mut self, packets: &Outbox) -> Vec<LegKey> {
        let seats = &self.seats;
        let packets = packets.iter().chain(self.pacer.due());
        let posted = self.post.as_ref().map_or(0, Post::done);
        let mut for_browsers = false;
        let mut closed = Vec::new();
        for (packet, bytes) in packets.clone() {
            if let Port::Webrtc(_) = packet.port {
                for_browsers = true;
                continue;
            }
            let Some(Outlet::Sockets(sockets)) = outlet(seats, packet.leg) else {
                continue;
            };
            if packet.port == Port::Rtp {
                match &mut self.post {
                    // Only sound has an order, and reports tell the time by when they come.
                    Some(post) if post.holds(packet.leg, posted) && !demux::is_rtcp(bytes) => {
                        post.chase(packet, bytes);
                    }
                    _ => drop(sockets.rtp.send_to(bytes, packet.to)),
                }
            } else if let Some(rtcp) = &sockets.rtcp {
                drop(rtcp.send_to(bytes, packet.to));
            } else if sockets.lacks_rtcp() {
                closed.push(packet.leg);
            }
        }
        if let Some(post) = &mut self.post
            && post.has_chase()
        {
            post.send_chase(sys::monotonic());
        }
        if let Some(gate) = &mut self.gate
            && (for_browsers || gate.is_slow())
        {
            let datagrams = packets.filter_map(|(packet, bytes)| {
                let (Port::Webrtc(proto), Some(Outlet::Gate(ticket))) =
                    (packet.port, outlet(seats, packet.leg))
                else {
                    return None;
                };
                Some((*ticket, proto, packet.to, bytes))
            });
            gate.send(datagrams);
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Ports;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

    /// A phone's leg and the phone.
    struct Line {
        seats: Seats,
        key: LegKey,
        phone: UdpSocket,
    }

    impl Line {
        fn new(port: u16) -> Line {
            let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let mut ports = Ports::new(loopback, port, port + 1, 0).expect("a range");
            let sockets = ports.open().expect("a pair");
            let (key, leg) = (LegKey::from_u64(0), Id::new("leg").expect("an id"));
            let mut seats = Seats::new(None).expect("seats");
            seats.put(key, leg, Outlet::Sockets(sockets));
            let phone = UdpSocket::bind((loopback, 0)).expect("a socket");
            phone.set_nonblocking(true).expect("a socket");
            Line { seats, key, phone }
        }

        fn packets(&self, port: Port, shared: bool) -> Outbox {
            let mut packets = Outbox::default();
            packets.spread(shared);
            let to = self.phone.local_addr().expect("bound");
            packets.push(self.key, port, to, |bytes| bytes.extend(b"packet"));
            packets.share(self.key);
            packets
        }

        /// Where the next packet has come from.
        fn heard(&self) -> Option<SocketAddr> {
            let heard = self.phone.recv_from(&mut [0; 99]);
            heard.ok().map(|(_, from)| from)
        }
    }

    #[test]
    fn reports_whose_port_is_taken_are_counted_until_it_is_free_again() {
        let mut line = Line::new(31_320);
        let report = line.packets(Port::Rtcp, false);
        line.seats.mux(line.key, true);
        line.seats.send(&report);
        let taken = UdpSocket::bind("127.0.0.1:31321").expect("closed by the leg");
        line.seats.mux(line.key, false);
        (0..3).for_each(|_| line.seats.send(&report));
        drop(taken);
        assert_eq!((line.seats.unsent(), line.heard()), (3, None));
        line.seats.send(&report);
        line.seats.send(&report);
        let from = line.heard().map(|from| from.port());
        assert_eq!((line.seats.unsent(), from), (4, Some(31_321)));
    }

    #[test]
    fn a_post_ends_when_no_room_has_been_large_for_long() {
        let mut line = Line::new(31_322);
        let mut shared = line.packets(Port::Rtp, true);
        line.seats.pace(&mut shared);
        let mut none = Outbox::default();
        for _ in 0..POST_UNUSED_MAX {
            line.seats.pace(&mut none);
            assert!(line.seats.post.is_some());
        }
        // It may not have been given a core so far.
        while line.seats.post.is_some() {
            line.seats.pace(&mut none);
        }
        assert!(line.heard().is_some(), "it has sent all it had");
        line.seats.send(&line.packets(Port::Rtp, false));
        assert!(line.heard().is_some(), "at once");
    }
}
