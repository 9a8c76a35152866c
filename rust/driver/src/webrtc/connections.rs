//! Browsers whose networks block UDP (ICE-TCP, RFC 6544): we listen, they connect and frame their datagrams (RFC 4571).
//!
//! Nothing here waits. What a connection does not take at once is kept, up to [`BACKLOG_MAX`]; beyond that datagrams are
//! lost, as they would be on a slow network by UDP. A connection that has named no leg soon, and one that says nothing
//! for long, is closed; so is one that speaks of nobody any more.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use super::framing::{Deframer, frame};
use crate::sys::{self, Epoll};

/// Connections of one thread: all its legs could have one.
const CONNECTIONS_MAX: usize = 4_096;
/// Of them those that have named no leg yet. For one more, the oldest of the network with most of them makes room: who
/// floods us pushes out his own.
const UNKNOWN_MAX: usize = 64;
/// How long a connection may take for its first check; browsers send it at once.
const UNKNOWN_TIME: Duration = Duration::from_secs(5);
/// How long one may say nothing: browsers check theirs every few seconds (RFC 7675).
const IDLE_TIME: Duration = Duration::from_secs(30);
/// How often these two are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// What waits for a slow connection: about a second of audio. Older sound is of use to nobody.
const BACKLOG_MAX: usize = 8 * 1_024;
/// What the system keeps for one on top, as little as it lets us.
const SEND_BUFFER: usize = 8 * 1_024;
/// Read from one connection before others get their turn.
const READ_TURN: usize = 16 * 1_024;
/// Datagrams in what is read at once. Who sends shorter ones on the average than this allows (64 bytes) floods us.
const DATAGRAMS_MAX: usize = 256;
/// Datagrams that all connections may bring in a sub-tick, those of 4,096 legs; who has not had a turn by then is the first
/// in the next.
const DATAGRAMS_TURN: usize = 512;
/// Connections that are accepted before others get their turn.
const ACCEPT_TURN: usize = 32;
const LISTENER: u64 = u64::MAX;

/// What the reader of a datagram has found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is for a leg.
    Known,
    Stranger,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    incoming: Deframer,
    backlog: Vec<u8>,
    /// It has named a leg.
    known: bool,
    since: Duration,
    last: Duration,
}

/// All connections of one thread.
#[derive(Debug)]
pub struct Connections {
    listener: TcpListener,
    epoll: Epoll,
    slots: Vec<Option<Connection>>,
    free: Vec<usize>,
    by_peer: HashMap<SocketAddr, usize>,
    /// Those that named no leg yet, by age.
    unknown: Vec<usize>,
    /// Those with a backlog.
    slow: Vec<usize>,
    /// Those of which not everything was read.
    unread: Vec<usize>,
    swept: Duration,
    /// Datagrams that found no room.
    pub lost: u64,
    chunk: Box<[u8; READ_TURN]>,
}

impl Connections {
    pub fn new(listener: TcpListener) -> io::Result<Connections> {
        listener.set_nonblocking(true)?;
        let epoll = Epoll::new()?;
        epoll.add(listener.as_fd(), LISTENER)?;
        Ok(Connections {
            listener,
            epoll,
            slots: Vec::new(),
            free: Vec::new(),
            by_peer: HashMap::new(),
            unknown: Vec::new(),
            slow: Vec::new(),
            unread: Vec::new(),
            swept: Duration::ZERO,
            lost: 0,
            chunk: Box::new([0; READ_TURN]),
        })
    }

    pub fn count(&self) -> usize {
        self.by_peer.len()
    }

    /// Hands what has come to `each`. Connections that are over go to `gone`.
    pub fn read(
        &mut self,
        now: Duration,
        mut each: impl FnMut(SocketAddr, &[u8]) -> Verdict,
        gone: &mut Vec<SocketAddr>,
    ) {
        let mut ready = std::mem::take(&mut self.unread);
        let mut connecting = false;
        self.epoll.ready(|token| match token {
            LISTENER => connecting = true,
            slot if !ready.contains(&(slot as usize)) => ready.push(slot as usize),
            _ => {}
        });
        if connecting {
            self.accept(now, gone, &mut ready);
        }
        let mut datagrams = 0;
        for slot in ready {
            if datagrams >= DATAGRAMS_TURN {
                self.unread.push(slot);
                continue;
            }
            match self.read_one(slot, now, &mut datagrams, &mut each) {
                Ok(true) => self.unread.push(slot),
                Ok(false) => {}
                Err(_) => self.close(slot, gone),
            }
        }
        if now.saturating_sub(self.swept) >= SWEEP {
            self.swept = now;
            self.sweep(now, gone);
        }
    }

    fn accept(&mut self, now: Duration, gone: &mut Vec<SocketAddr>, ready: &mut Vec<usize>) {
        for _ in 0..ACCEPT_TURN {
            let Ok((stream, peer)) = self.listener.accept() else {
                return;
            };
            if self.unknown.len() >= UNKNOWN_MAX {
                self.close(self.unknown[self.makes_room()], gone);
            }
            if self.count() >= CONNECTIONS_MAX || self.by_peer.contains_key(&peer) {
                continue;
            }
            let slot = self.free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                self.slots.len() - 1
            });
            let set_up = stream
                .set_nonblocking(true)
                .and_then(|()| stream.set_nodelay(true))
                .and_then(|()| sys::set_send_buffer(stream.as_fd(), SEND_BUFFER))
                .and_then(|()| self.epoll.add(stream.as_fd(), slot as u64));
            if set_up.is_err() {
                self.free.push(slot);
                continue;
            }
            self.slots[slot] = Some(Connection {
                stream,
                peer,
                incoming: Deframer::default(),
                backlog: Vec::new(),
                known: false,
                since: now,
                last: now,
            });
            self.by_peer.insert(peer, slot);
            self.unknown.push(slot);
            ready.push(slot);
        }
        // More may wait, of which the listener does not tell again.
        drop(self.epoll.again(self.listener.as_fd(), LISTENER));
    }

    /// Which of the unknown ones is closed for another one.
    fn makes_room(&self) -> usize {
        let peer = |slot: &usize| self.slots[*slot].as_ref().map(|known| known.peer.ip());
        let networks: Vec<u64> = self.unknown.iter().filter_map(peer).map(network).collect();
        oldest_of_the_most(&networks)
    }

    /// Whether there may be more to read; an error ends the connection.
    fn read_one(
        &mut self,
        slot: usize,
        now: Duration,
        datagrams: &mut usize,
        each: &mut impl FnMut(SocketAddr, &[u8]) -> Verdict,
    ) -> io::Result<bool> {
        let Some(Some(connection)) = self.slots.get_mut(slot) else {
            return Ok(false);
        };
        let length = match connection.stream.read(&mut self.chunk[..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        };
        let peer = connection.peer;
        let (mut known, mut count) = (false, 0);
        let taken = connection.incoming.push(&self.chunk[..length], |datagram| {
            count += 1;
            known |= each(peer, datagram) == Verdict::Known;
            // Among what is of its leg there may be a check from before the last ICE restart but one.
            (known || connection.known) && count < DATAGRAMS_MAX
        });
        *datagrams += count;
        connection.last = now;
        if taken.is_err() || (count > 0 && !known) {
            return Err(ErrorKind::InvalidData.into());
        }
        if known && !connection.known {
            connection.known = true;
            self.unknown.retain(|unknown| *unknown != slot);
        }
        Ok(length == READ_TURN)
    }

    fn sweep(&mut self, now: Duration, gone: &mut Vec<SocketAddr>) {
        for slot in 0..self.slots.len() {
            let over = self.slots[slot].as_ref().is_some_and(|connection| {
                let idle = now.saturating_sub(connection.last) >= IDLE_TIME;
                let mute = now.saturating_sub(connection.since) >= UNKNOWN_TIME;
                idle || (mute && !connection.known)
            });
            if over {
                self.close(slot, gone);
            }
        }
    }

    /// Sends a datagram to a peer, now or when its connection takes it.
    pub fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        let Some(slot) = self.by_peer.get(&to).copied() else {
            return;
        };
        let Some(Some(connection)) = self.slots.get_mut(slot) else {
            return;
        };
        if connection.backlog.len() + datagram.len() > BACKLOG_MAX {
            self.lost += 1;
            return;
        }
        let was_slow = !connection.backlog.is_empty();
        frame(&mut connection.backlog, datagram);
        if !was_slow && !connection.flush() {
            self.slow.push(slot);
        }
    }

    pub fn is_slow(&self) -> bool {
        !self.slow.is_empty()
    }

    /// Goes on with those that were slow.
    pub fn flush(&mut self) {
        let Connections { slots, slow, .. } = self;
        slow.retain(|slot| {
            slots[*slot]
                .as_mut()
                .is_some_and(|connection| !connection.flush())
        });
    }

    pub fn close_peer(&mut self, peer: SocketAddr) {
        if let Some(slot) = self.by_peer.get(&peer).copied() {
            self.close(slot, &mut Vec::new());
        }
    }

    fn close(&mut self, slot: usize, gone: &mut Vec<SocketAddr>) {
        if let Some(connection) = self.slots[slot].take() {
            self.by_peer.remove(&connection.peer);
            self.unknown.retain(|unknown| *unknown != slot);
            self.slow.retain(|slow| *slow != slot);
            self.unread.retain(|unread| *unread != slot);
            self.free.push(slot);
            gone.push(connection.peer);
        }
    }
}

impl Connection {
    /// Writes what it takes; whether that was all. A broken connection is seen when it is read.
    fn flush(&mut self) -> bool {
        while !self.backlog.is_empty() {
            match self.stream.write(&self.backlog) {
                Ok(length) => drop(self.backlog.drain(..length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => self.backlog.clear(),
            }
        }
        true
    }
}

/// What one subscriber has: an address of IPv4, 64 bits of IPv6 (RFC 6177).
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

/// The first place of that network which has most places. Of networks with as many as each other, the one that has been
/// there longest.
fn oldest_of_the_most(networks: &[u64]) -> usize {
    let places = |network: &u64| networks.iter().filter(|other| *other == network).count();
    // The last of equal ones is taken: the first place, looked at from the end.
    (0..networks.len())
        .rev()
        .max_by_key(|place| places(&networks[*place]))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_with_most_unknown_connections_makes_room_with_its_oldest() {
        assert_eq!(oldest_of_the_most(&[1, 2, 2, 3, 2]), 1);
        assert_eq!(oldest_of_the_most(&[3, 1, 2]), 0, "all as many: the oldest");
        assert_eq!(oldest_of_the_most(&[4, 1, 2, 2, 1]), 1);
    }

    #[test]
    fn a_subscriber_is_an_address_of_ipv4_or_half_a_one_of_ipv6() {
        let of = |address: &str| network(address.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
    }
}
