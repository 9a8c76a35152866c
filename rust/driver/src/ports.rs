//! RTP ports: pairs of an even and the next odd port from the configured range (RFC 3550, section 11).

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::sys;

/// A leg's sockets, open for as long as the leg is.
#[derive(Debug)]
pub struct Sockets {
    /// The even port.
    pub port: u16,
    /// The post of a media thread may have it as well.
    pub rtp: Arc<UdpSocket>,
    /// None while RTCP goes through the other: then a leg is one open file. Its port is the leg's all the same.
    pub rtcp: Option<UdpSocket>,
    muxed: bool,
}

impl Sockets {
    /// Closes the socket of RTCP, or opens it again.
    pub fn mux(&mut self, muxed: bool) {
        self.muxed = muxed;
        if muxed {
            self.rtcp = None;
        } else if self.rtcp.is_none()
            && let Ok(address) = self.rtp.local_addr()
        {
            self.rtcp = open(address.ip(), self.port + 1).ok();
        }
    }

    /// The socket of RTCP could not be opened again: the system was out of memory, or another program had its port.
    pub fn lacks_rtcp(&self) -> bool {
        self.rtcp.is_none() && !self.muxed
    }
}

fn open(address: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((address, port))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The pairs of the range and which of them are in use.
#[derive(Debug)]
pub struct Ports {
    address: IpAddr,
    first: u16,
    pairs: u16,
    /// Pairs are given out in turn, so that a port rests as long as possible before it is used again: what
    /// still comes for its last leg then meets nobody. Where they begin is for the caller to say: at another pair in
    /// each process, so that two of them on one range, or one that is started anew, don't meet at the lowest.
    next: u16,
    taken: HashSet<u16>,
}

impl Ports {
    /// The pairs that lie whole in `first..=last`, of which the one of number `start` (modulo their number) is given
    /// out first; `None` if there is none.
    pub fn new(address: IpAddr, first: u16, last: u16, start: u16) -> Option<Ports> {
        let first = first.max(2).checked_add(first & 1)?;
        let pairs = u16::try_from((u32::from(last) + 1).checked_sub(u32::from(first))? / 2).ok()?;
        (pairs > 0).then(|| Ports {
            address,
            first,
            pairs,
            next: start % pairs,
            taken: HashSet::new(),
        })
    }

    /// Binds the next free pair; other programs may hold all but one. An error is a sentence.
    pub fn open(&mut self) -> Result<Sockets, String> {
        let mut failure = None;
        for _ in 0..self.pairs {
            let port = self.first + 2 * self.next;
            self.next = (self.next + 1) % self.pairs;
            if self.taken.contains(&port) {
                continue;
            }
            match self.bind(port) {
                Ok(sockets) => {
                    self.taken.insert(port);
                    return Ok(sockets);
                }
                Err(error) => failure = Some(error),
            }
        }
        let (first, last) = (self.first, self.first + (2 * self.pairs - 1));
        Err(match failure {
            Some(error) => format!("no RTP port of {first}-{last} can be opened: {error}"),
            None => format!("all RTP ports of {first}-{last} are in use by other legs"),
        })
    }

    /// The leg of this pair is gone.
    pub fn close(&mut self, port: u16) {
        self.taken.remove(&port);
    }

    fn bind(&self, port: u16) -> io::Result<Sockets> {
        let sockets = Sockets {
            port,
            rtp: Arc::new(open(self.address, port)?),
            rtcp: Some(open(self.address, port + 1)?),
            muxed: false,
        };
        sys::stamp_arrivals(sockets.rtp.as_fd())?;
        Ok(sockets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_range_holds_only_whole_pairs() {
        let pairs =
            |first, last| Ports::new(LOOPBACK, first, last, 0).map_or(0, |ports| ports.pairs);
        let cases = [
            ((10_000, 10_001), 1),
            ((10_001, 10_002), 0),
            ((10_001, 10_003), 1),
            ((10_000, 9_999), 0),
            ((65_534, 65_535), 1),
            ((65_535, 65_535), 0),
        ];
        for ((first, last), expected) in cases {
            assert_eq!(pairs(first, last), expected, "{first}-{last}");
        }
    }

    #[test]
    fn pairs_are_even_and_odd_and_run_out_with_a_sentence() {
        let mut ports = Ports::new(LOOPBACK, 31_300, 31_303, 0).expect("a range");
        let (first, second) = (ports.open().expect("a pair"), ports.open().expect("a pair"));
        assert_eq!((first.port, second.port), (31_300, 31_302));
        let rtcp = first.rtcp.as_ref().expect("open").local_addr();
        assert_eq!(rtcp.expect("bound").port(), 31_301);
        assert!(ports.open().expect_err("none is left").contains("in use"));
        drop(first);
        ports.close(31_300);
        assert_eq!(ports.open().expect("free again").port, 31_300);
    }

    #[test]
    fn a_leg_with_rtcp_mux_has_one_socket_and_both_again_when_its_peer_wants_that() {
        let mut ports = Ports::new(LOOPBACK, 31_310, 31_311, 0).expect("a range");
        let mut sockets = ports.open().expect("a pair");
        sockets.mux(true);
        assert!(sockets.rtcp.is_none());
        assert!(ports.open().is_err(), "its port stays the leg's");
        sockets.mux(false);
        let rtcp = sockets.rtcp.as_ref().expect("open again").local_addr();
        assert_eq!(rtcp.expect("bound").port(), 31_311);
    }

    #[test]
    fn the_range_is_gone_through_once_from_where_it_is_told_to_begin() {
        let given = |start| {
            let mut ports = Ports::new(LOOPBACK, 31_304, 31_309, start).expect("a range");
            let open: Vec<Sockets> = std::iter::from_fn(|| ports.open().ok()).collect();
            open.iter().map(|pair| pair.port).collect::<Vec<u16>>()
        };
        assert_eq!(given(0), [31_304, 31_306, 31_308]);
        assert_eq!(given(2), [31_308, 31_304, 31_306]);
        assert_eq!(given(65_533), [31_306, 31_308, 31_304]);
    }

    #[test]
    fn what_other_programs_hold_of_the_range_is_passed_over_and_named_if_it_is_all() {
        let mut theirs = Ports::new(LOOPBACK, 31_100, 31_297, 0).expect("a range");
        let held: Vec<Sockets> = std::iter::from_fn(|| theirs.open().ok()).collect();
        assert_eq!(held.len(), 99);
        let mut ours = Ports::new(LOOPBACK, 31_100, 31_299, 0).expect("a range");
        let last = ours.open().expect("one is left");
        assert_eq!(last.port, 31_298);
        let refusal = ours.open().expect_err("none is left");
        assert!(
            refusal.starts_with("no RTP port of 31100-31299 can be opened: Address already in use"),
            "{refusal}"
        );
    }
}
