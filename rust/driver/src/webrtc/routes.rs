//! Which leg a datagram on the shared port is for: checks by the name in them, everything else by where it comes from.
//!
//! A check (STUN binding request) names the leg's ufrag, which nobody knows who has not seen its SDP; where it comes from
//! is then a way to that leg, until a check from there names another one: a page that was loaded anew may well use the
//! port of its predecessor. Whether a check is authentic the leg finds out.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use plenary_media::legs::LegKey;
use plenary_transport::webrtc::{Proto, ufrag};

/// Ways to one leg; the oldest goes first. A browser with several interfaces tries each of them by UDP and TCP.
const WAYS_MAX: usize = 16;
/// Names of one leg: the present one, and the one from before its last ICE restart, which checks still carry until the
/// answer has come to the browser.
const NAMES_MAX: usize = 2;

/// A leg at the gate of the thread that it was opened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The thread that has the gate.
    pub home: usize,
    /// Never used again.
    pub number: u64,
}

/// Where a leg is ticked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Here(LegKey),
    /// With this thread.
    Away(usize),
    /// On its way from one thread to another; what comes is lost.
    Nowhere,
}

#[derive(Debug)]
struct Route {
    place: Place,
    names: VecDeque<String>,
    ways: VecDeque<(Proto, SocketAddr)>,
}

#[derive(Debug, Default)]
pub struct Routes {
    home: usize,
    last: u64,
    routes: HashMap<Ticket, Route>,
    names: HashMap<String, Ticket>,
    ways: HashMap<(Proto, SocketAddr), Ticket>,
    /// Peers whose connections were ways to a leg that has too many.
    displaced: Vec<SocketAddr>,
}

impl Routes {
    pub fn new(home: usize) -> Routes {
        Routes {
            home,
            ..Routes::default()
        }
    }

    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Takes in a leg; it has no name yet.
    pub fn add(&mut self, place: Place) -> Ticket {
        self.last += 1;
        let ticket = Ticket {
            home: self.home,
            number: self.last,
        };
        let route = Route {
            place,
            names: VecDeque::new(),
            ways: VecDeque::new(),
        };
        self.routes.insert(ticket, route);
        ticket
    }

    /// Checks for this leg will carry `name` from now on.
    pub fn name(&mut self, ticket: Ticket, name: &str) {
        let Some(route) = self.routes.get_mut(&ticket) else {
            return;
        };
        if route.names.iter().any(|known| known == name) {
            return;
        }
        if route.names.len() == NAMES_MAX
            && let Some(oldest) = route.names.pop_front()
        {
            self.names.remove(&oldest);
        }
        route.names.push_back(name.to_owned());
        self.names.insert(name.to_owned(), ticket);
    }

    pub fn place(&mut self, ticket: Ticket, place: Place) {
        if let Some(route) = self.routes.get_mut(&ticket) {
            route.place = place;
        }
    }

    /// A thread says that it has a leg. One that is here has come back since that was written.
    pub fn move_away(&mut self, ticket: Ticket, thread: usize) {
        if let Some(route) = self.routes.get_mut(&ticket)
            && !matches!(route.place, Place::Here(_))
        {
            route.place = Place::Away(thread);
        }
    }

    /// Forgets a leg; gives the ways to it.
    pub fn remove(&mut self, ticket: Ticket) -> impl Iterator<Item = (Proto, SocketAddr)> + use<> {
        let route = self.routes.remove(&ticket);
        let (names, ways) = route.map_or_else(Default::default, |route| (route.names, route.ways));
        for name in names {
            self.names.remove(&name);
        }
        for way in &ways {
            self.ways.remove(way);
        }
        ways.into_iter()
    }

    /// No more comes from there: a connection that was closed.
    pub fn close_way(&mut self, way: (Proto, SocketAddr)) {
        if let Some(ticket) = self.ways.remove(&way)
            && let Some(route) = self.routes.get_mut(&ticket)
        {
            route.ways.retain(|known| *known != way);
        }
    }

    /// Whom a datagram is for; `None` if it is nobody's.
    pub fn find(
        &mut self,
        proto: Proto,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Option<(Ticket, Place)> {
        let way = (proto, from);
        let ticket = match ufrag(datagram) {
            Some(name) => {
                let ticket = *self.names.get(name)?;
                if self.ways.get(&way) != Some(&ticket) {
                    self.open_way(ticket, way);
                }
                ticket
            }
            None => *self.ways.get(&way)?,
        };
        Some((ticket, self.routes.get(&ticket)?.place))
    }

    /// Peers whose connections have made room for newer ways since this was asked last: they lead nowhere now.
    pub fn displaced(&mut self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.displaced)
    }

    fn open_way(&mut self, ticket: Ticket, way: (Proto, SocketAddr)) {
        self.close_way(way);
        let Some(route) = self.routes.get_mut(&ticket) else {
            return;
        };
        if route.ways.len() == WAYS_MAX
            && let Some(oldest) = route.ways.pop_front()
        {
            self.ways.remove(&oldest);
            if let (Proto::Tcp, peer) = oldest {
                self.displaced.push(peer);
            }
        }
        route.ways.push_back(way);
        self.ways.insert(way, ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(slot: u64) -> LegKey {
        LegKey::from_u64(slot)
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 7], port))
    }

    /// A binding request of RFC 8489 with an attribute before its USERNAME.
    fn check(name: &str) -> Vec<u8> {
        let user = format!("{name}:browser");
        let mut datagram = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        datagram.extend([7; 12]);
        datagram.extend([0, 0x24, 0, 4, 1, 2, 3, 4, 0, 6]);
        datagram.extend((user.len() as u16).to_be_bytes());
        datagram.extend(user.as_bytes());
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        datagram
    }

    const MEDIA: [u8; 20] = [128; 20];

    #[test]
    fn a_check_opens_the_way_for_what_comes_after_it() {
        let mut routes = Routes::new(0);
        let ann = routes.add(Place::Here(key(1)));
        routes.name(ann, "ann");
        let from = address(1);
        assert_eq!(routes.find(Proto::Udp, from, &MEDIA), None);
        assert_eq!(routes.find(Proto::Udp, from, &check("bob")), None);
        let found = Some((ann, Place::Here(key(1))));
        assert_eq!(routes.find(Proto::Udp, from, &check("ann")), found);
        assert_eq!(routes.find(Proto::Udp, from, &MEDIA), found);
        assert_eq!(routes.find(Proto::Tcp, from, &MEDIA), None, "another way");
    }

    #[test]
    fn a_page_that_is_loaded_anew_takes_the_way_over() {
        let mut routes = Routes::new(0);
        let (old, new) = (routes.add(Place::Here(key(1))), routes.add(Place::Away(1)));
        routes.name(old, "old");
        routes.name(new, "new");
        routes.find(Proto::Udp, address(1), &check("old"));
        routes.find(Proto::Udp, address(1), &check("new"));
        assert_eq!(
            routes.find(Proto::Udp, address(1), &MEDIA),
            Some((new, Place::Away(1)))
        );
        assert_eq!(routes.remove(old).count(), 0);
        assert!(routes.find(Proto::Udp, address(1), &MEDIA).is_some());
    }

    #[test]
    fn names_and_ways_of_a_leg_are_bounded_and_go_with_it() {
        let mut routes = Routes::new(0);
        let ann = routes.add(Place::Nowhere);
        for restart in 0..5 {
            routes.name(ann, &format!("ann{restart}"));
            routes.name(ann, &format!("ann{restart}"));
        }
        let is_known = |routes: &mut Routes, name: &str| {
            routes.find(Proto::Udp, address(9), &check(name)).is_some()
        };
        assert!(is_known(&mut routes, "ann3") && is_known(&mut routes, "ann4"));
        assert!(!is_known(&mut routes, "ann2"));
        for port in 100..200 {
            routes.find(Proto::Udp, address(port), &check("ann4"));
        }
        assert!(routes.find(Proto::Udp, address(199), &MEDIA).is_some());
        assert!(routes.find(Proto::Udp, address(100), &MEDIA).is_none());
        assert_eq!(routes.remove(ann).count(), WAYS_MAX);
        assert!(routes.is_empty() && routes.names.is_empty() && routes.ways.is_empty());
    }

    proptest! {
        #[test]
        fn whatever_comes_from_anywhere_is_nobodys(
            datagrams in prop::collection::vec(
                (any::<u16>(), prop::collection::vec(any::<u8>(), 0..100)), 0..50),
        ) {
            let mut routes = Routes::new(0);
            let ann = routes.add(Place::Nowhere);
            routes.name(ann, "a name of sixteen");
            for (port, datagram) in datagrams {
                prop_assert_eq!(routes.find(Proto::Udp, address(port), &datagram), None);
            }
            prop_assert!(routes.ways.is_empty());
        }
    }
}
