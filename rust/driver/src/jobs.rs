//! What the control thread and the media threads tell each other.
//!
//! Jobs come through a queue of [`JOBS_MAX`]: when it is full, the control thread waits, and with it the server that
//! wants so much. Notices go through one without a bound of its own, because a media thread never waits: it can be
//! no longer than what the peers and the jobs give cause for.

use std::sync::mpsc::Sender;

use plenary_codec::Rate;
use plenary_media::engine::RecordingOf;
use plenary_media::leg::Leg;
use plenary_media::messages::{Command, Event, Id, LegSnapshot, LegStats, LegTerms, SdpKind};
use plenary_media::output::Counts;
use plenary_media::player::Sound;
use plenary_media::recorder::RecordingLimits;

use crate::histogram::Histogram;
use crate::ports::Sockets;
use crate::recording::Backlog;
use crate::webrtc::{self, Ticket};

/// Jobs that may wait for a media thread. It takes them at once between two ticks, so that more only wait while it has
/// no time; a job is a frame of the server at most, which together is no more memory than the prompts may have.
pub const JOBS_MAX: usize = 32;

/// What a leg sends through.
#[derive(Debug)]
pub enum Outlet {
    /// A phone has sockets of its own.
    Sockets(Sockets),
    /// A browser shares those of the gate that it came through.
    Gate(Ticket),
}

impl Outlet {
    /// Of the sockets that are the leg's own.
    pub fn port(&self) -> Option<u16> {
        match self {
            Outlet::Sockets(sockets) => Some(sockets.port),
            Outlet::Gate(_) => None,
        }
    }
}

/// A leg on its way to another thread.
#[derive(Debug)]
pub struct Parcel {
    pub leg: Box<Leg>,
    pub outlet: Outlet,
    pub recordings: Vec<(Id, Backlog)>,
}

/// What a thread is to do, all of one batch between two ticks.
#[derive(Debug)]
pub enum Order {
    Open {
        leg: Id,
        offer: Option<String>,
        terms: LegTerms,
        /// `None`: it is a browser's, and comes through the thread's gate.
        sockets: Option<Sockets>,
    },
    Put(Box<Parcel>),
    Play {
        leg: Id,
        play: Id,
        sound: Sound,
        looped: bool,
    },
    Record {
        recording: Id,
        of: RecordingOf,
        rate: Rate,
        limits: RecordingLimits,
        backlog: Backlog,
    },
    /// The file of a recording can't be written any more.
    Abandon {
        recording: Id,
    },
    Command(Command),
}

impl Order {
    /// It may make the keys of a browser, which take the better part of a millisecond: a page comes, or was loaded anew.
    /// What a phone offers is cheap, and not told apart.
    fn makes_keys(&self) -> bool {
        match self {
            Order::Open { sockets, .. } => sockets.is_none(),
            Order::Command(Command::ApplySdp { kind, .. }) => *kind == SdpKind::Offer,
            _ => false,
        }
    }
}

/// Orders in batches: a tick that is due waits for one of them, so there is one order in each at most that makes keys.
pub fn batches(orders: Vec<Order>) -> Vec<Vec<Order>> {
    let mut batches = vec![Vec::new()];
    for order in orders {
        let is_last = order.makes_keys();
        if let Some(batch) = batches.last_mut() {
            batch.push(order);
        }
        if is_last {
            batches.push(Vec::new());
        }
    }
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// What a thread knows of itself.
#[derive(Debug, Default)]
pub struct Gauges {
    pub rooms: u64,
    pub ticks: u64,
    pub late_ticks: u64,
    pub counts: Counts,
    pub gate: webrtc::Counts,
    /// Packets of large rooms that there was no time to send, and reports whose socket can't be opened.
    pub unsent: u64,
    pub tick: Histogram,
}

#[derive(Debug)]
pub enum Job {
    Batch(Vec<Order>),
    /// Hands a leg over; `None` if it is not here.
    Take {
        leg: Id,
        reply: Sender<Option<Box<Parcel>>>,
    },
    Snapshot {
        reply: Sender<(Vec<LegSnapshot>, Vec<Id>)>,
    },
    Stats {
        reply: Sender<(Vec<LegStats>, Gauges)>,
    },
    /// Ends everything and then the thread.
    ShutDown,
}

/// What a thread tells the control thread.
#[derive(Debug)]
pub enum Notice {
    Events(Vec<Event>),
    /// A leg is gone, or never came to be; its port is free.
    Gone {
        leg: Id,
        /// Of its own sockets.
        port: Option<u16>,
    },
    /// A media thread has panicked, and its legs are gone.
    Died,
    /// The file of a recording can't be written any more; its end was told by an event.
    Abandoned {
        recording: Id,
        of: RecordingOf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use plenary_media::messages::Transport;

    #[test]
    fn pages_that_come_and_pages_that_are_loaded_anew_wait_for_a_tick_in_between() {
        let leg = Id::new("ann").expect("an id");
        let page = || Order::Open {
            leg: leg.clone(),
            offer: Some(String::new()),
            terms: LegTerms {
                transport: Transport::Webrtc,
                ..LegTerms::default()
            },
            sockets: None,
        };
        let sdp = |kind| {
            let (leg, sdp) = (leg.clone(), String::new());
            Order::Command(Command::ApplySdp { leg, kind, sdp })
        };
        let close = || Order::Command(Command::CloseLeg { leg: leg.clone() });
        let (offer, answer) = (|| sdp(SdpKind::Offer), || sdp(SdpKind::Answer));
        let lengths = |orders| Vec::from_iter(batches(orders).iter().map(Vec::len));
        assert_eq!(lengths(vec![]), []);
        assert_eq!(lengths(vec![close(), answer(), answer()]), [3]);
        assert_eq!(lengths(vec![offer(), offer(), offer()]), [1, 1, 1]);
        assert_eq!(
            lengths(vec![close(), page(), page(), answer(), offer(), close()]),
            [2, 1, 2, 1]
        );
    }
}
