//! The gate of a media thread: one UDP port, and the TCP port of the same number, for all browsers whose legs were
//! opened on it.
//!
//! ```text
//! UDP ─┐           ┌ Here ▶ engine                        engine ─┬▶ UDP (any thread's socket)
//!      ├▶ routes ──┤                                              └▶ TCP: own connections,
//! TCP ─┘           └ Away ▶ mail ▶ the leg's thread                    or mail ▶ the thread that has them
//! ```
//!
//! A leg that moves to the thread of its room keeps its port: what comes there is forwarded, and it sends through a
//! duplicate of the socket. Until its new thread has told where it is, datagrams are lost, for some milliseconds.
//!
//! The port is read once per sub-tick, 1,024 datagrams at most ([`sys::MANY`] by [`sys::BATCHES`]): those of 8,000 legs in
//! 2.5 ms; all TCP connections together bring half as many. A flood so costs its neighbours datagrams, not the tick.

mod connections;
mod framing;
mod mail;
mod routes;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use plenary_media::legs::LegKey;
use plenary_media::output::Port;
use plenary_transport::webrtc::{Host, Identity, Proto};

use crate::handshakes::Came;
use crate::sys;
use connections::{Connections, Verdict};
use mail::{Inbox, Mail, Slot};
pub use routes::Ticket;
use routes::{Place, Routes};

/// What the system keeps for a thread that is late: 100 ms of a thousand legs, as far as it lets us.
const RECEIVE_BUFFER: usize = 4 * 1_024 * 1_024;

/// What all gates know of each other.
#[derive(Debug)]
struct Others {
    slots: Vec<Slot>,
    sockets: Vec<UdpSocket>,
}

/// What happened at a gate so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Datagrams of nobody.
    pub strangers: u64,
    /// Datagrams that a slow connection, a thread or a queue had no room for.
    pub lost: u64,
    /// TCP connections that are open now.
    pub connections: u64,
}

/// Of one media thread.
pub struct Gate {
    thread: usize,
    host: Host,
    others: Arc<Others>,
    inbox: Inbox,
    receiver: Box<sys::Receiver<{ sys::MANY }>>,
    connections: Connections,
    routes: Routes,
    /// Legs here whose gate is another thread's.
    guests: HashMap<Ticket, LegKey>,
    counts: Counts,
}

/// Opens the gates of all threads: thread `i` gets port `first + i`, bound to `bound`; `public` stands in answers.
///
/// # Errors
/// A sentence: which port can't be had, and why.
pub fn open(
    bound: IpAddr,
    public: IpAddr,
    first: u16,
    threads: usize,
) -> Result<Vec<Gate>, String> {
    let identity = Identity::new().ok_or("no certificate can be made")?;
    let mut halves = Vec::new();
    let (mut slots, mut sockets) = (Vec::new(), Vec::new());
    for number in 0..threads {
        let port = u16::try_from(number)
            .ok()
            .and_then(|number| first.checked_add(number));
        let port = port.ok_or_else(|| format!("the WebRTC ports {first} and up do not suffice"))?;
        let (socket, connections) = bind(SocketAddr::new(bound, port))
            .map_err(|error| format!("the WebRTC port {port} can't be used: {error}"))?;
        let (slot, inbox) = mail::open();
        let host = Host {
            identity: identity.clone(),
            address: SocketAddr::new(public, port),
        };
        slots.push(slot);
        sockets.push(socket);
        halves.push((host, inbox, connections));
    }
    let others = Arc::new(Others { slots, sockets });
    let gate = |(thread, (host, inbox, connections))| Gate {
        thread,
        host,
        others: others.clone(),
        inbox,
        receiver: Box::default(),
        connections,
        routes: Routes::new(thread),
        guests: HashMap::new(),
        counts: Counts::default(),
    };
    Ok(halves.into_iter().enumerate().map(gate).collect())
}

fn bind(address: SocketAddr) -> io::Result<(UdpSocket, Connections)> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    sys::stamp_arrivals(socket.as_fd())?;
    sys::set_receive_buffer(socket.as_fd(), RECEIVE_BUFFER)?;
    Ok((socket, Connections::new(TcpListener::bind(address)?)?))
}

impl Gate {
    /// Our side of the legs that are opened here.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Nobody can come to it and nobody of it is elsewhere: it need not be read.
    pub fn is_idle(&self) -> bool {
        self.routes.is_empty()
    }

    pub fn counts(&self) -> Counts {
        Counts {
            lost: self.counts.lost + self.connections.lost,
            connections: self.connections.count() as u64,
            ..self.counts
        }
    }

    // Legs

    /// Takes in a leg that was opened here, under its ufrag.
    pub fn admit(&mut self, leg: LegKey, ufrag: &str) -> Ticket {
        let ticket = self.routes.add(Place::Here(leg));
        self.routes.name(ticket, ufrag);
        ticket
    }

    /// A leg here has a new ufrag.
    pub fn rename(&mut self, ticket: Ticket, ufrag: String) {
        if ticket.home == self.thread {
            self.routes.name(ticket, &ufrag);
        } else {
            self.tell(ticket.home, Mail::Named { ticket, ufrag });
        }
    }

    /// A leg here goes to another thread.
    pub fn part(&mut self, ticket: Ticket) {
        self.guests.remove(&ticket);
        if ticket.home == self.thread {
            self.routes.place(ticket, Place::Nowhere);
        }
    }

    /// A leg has come from another thread.
    pub fn receive_leg(&mut self, ticket: Ticket, leg: LegKey) {
        if ticket.home == self.thread {
            self.routes.place(ticket, Place::Here(leg));
        } else {
            self.guests.insert(ticket, leg);
            let thread = self.thread;
            self.tell(ticket.home, Mail::Moved { ticket, thread });
        }
    }

    /// A leg here is gone.
    pub fn close(&mut self, ticket: Ticket) {
        self.guests.remove(&ticket);
        if ticket.home == self.thread {
            self.forget(ticket);
        } else {
            self.tell(ticket.home, Mail::Closed { ticket });
        }
    }

    fn forget(&mut self, ticket: Ticket) {
        for (proto, peer) in self.routes.remove(ticket) {
            if proto == Proto::Tcp {
                self.connections.close_peer(peer);
            }
        }
    }

    fn tell(&mut self, thread: usize, mail: Mail) {
        let is_taken = self
            .others
            .slots
            .get(thread)
            .is_some_and(|slot| slot.put(mail));
        self.counts.lost += u64::from(!is_taken);
    }

    // Datagrams

    /// Hands everything that has come for legs here to `each`. `wall`: the wall clock at `now`.
    pub fn read(&mut self, now: Duration, wall: Duration, mut each: impl FnMut(Came)) {
        self.read_mail(&mut each);
        if !self.is_idle() {
            self.read_port(now, wall, &mut each);
        }
    }

    fn read_port(&mut self, now: Duration, wall: Duration, each: &mut impl FnMut(Came)) {
        let Gate {
            thread,
            others,
            receiver,
            connections,
            routes,
            counts,
            ..
        } = self;
        let mut pass = |proto, from, datagram: &[u8], arrival| {
            let Some((ticket, place)) = routes.find(proto, from, datagram) else {
                counts.strangers += 1;
                return Verdict::Stranger;
            };
            match place {
                Place::Here(leg) => each(Came {
                    leg,
                    port: Port::Webrtc(proto),
                    datagram,
                    from,
                    arrival,
                }),
                Place::Away(other) => {
                    let mail = Mail::Came {
                        ticket,
                        proto,
                        from,
                        arrival,
                        bytes: datagram.to_vec(),
                    };
                    let is_taken = others.slots.get(other).is_some_and(|slot| slot.put(mail));
                    counts.lost += u64::from(!is_taken);
                }
                Place::Nowhere => counts.lost += 1,
            }
            Verdict::Known
        };
        let socket = others.sockets[*thread].as_fd();
        receiver.drain(socket, |datagram, from, arrival| {
            let age = sys::age(wall, arrival);
            pass(Proto::Udp, from, datagram, now.saturating_sub(age));
        });
        let mut gone = Vec::new();
        let read = |peer, datagram: &[u8]| pass(Proto::Tcp, peer, datagram, now);
        connections.read(now, read, &mut gone);
        for peer in gone {
            routes.close_way((Proto::Tcp, peer));
        }
        for peer in routes.displaced() {
            connections.close_peer(peer);
            routes.close_way((Proto::Tcp, peer));
        }
    }

    fn read_mail(&mut self, each: &mut impl FnMut(Came)) {
        while let Some(mail) = self.inbox.take() {
            match mail {
                Mail::Came {
                    ticket,
                    proto,
                    from,
                    arrival,
                    bytes,
                } => {
                    if let Some(leg) = self.guests.get(&ticket) {
                        each(Came {
                            leg: *leg,
                            port: Port::Webrtc(proto),
                            datagram: &bytes,
                            from,
                            arrival,
                        });
                    }
                }
                Mail::Goes { to, bytes } => self.connections.send(to, &bytes),
                Mail::Moved { ticket, thread } => self.routes.move_away(ticket, thread),
                Mail::Named { ticket, ufrag } => self.routes.name(ticket, &ufrag),
                Mail::Closed { ticket } => self.forget(ticket),
            }
        }
    }

    /// A connection has not taken all yet.
    pub fn is_slow(&self) -> bool {
        self.connections.is_slow()
    }

    /// Sends datagrams of legs here, and goes on with what slow connections have not taken.
    pub fn send<'a>(
        &mut self,
        packets: impl Iterator<Item = (Ticket, Proto, SocketAddr, &'a [u8])>,
    ) {
        let Gate {
            thread,
            others,
            connections,
            counts,
            ..
        } = self;
        let own = packets.filter_map(|(ticket, proto, to, bytes)| {
            let is_own = ticket.home == *thread;
            match proto {
                Proto::Udp if is_own => return Some((to, bytes)),
                // A packet that the system does not take is lost as any other may be.
                Proto::Udp => drop(others.sockets[ticket.home].send_to(bytes, to)),
                Proto::Tcp if is_own => connections.send(to, bytes),
                Proto::Tcp => {
                    let bytes = bytes.to_vec();
                    let is_taken = others.slots[ticket.home].put(Mail::Goes { to, bytes });
                    counts.lost += u64::from(!is_taken);
                }
            }
            None
        });
        sys::send_many(others.sockets[*thread].as_fd(), own);
        connections.flush();
    }
}
