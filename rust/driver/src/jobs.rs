//! What the control thread and the media threads tell each other.
//!
//! Jobs come through a queue of [`JOBS_MAX`]: when it is full, the control thread waits, and with it the server that
//! wants so much. Notices go through one without a bound of its own, because a media thread never waits: it can be
//! no longer than what the peers and the jobs give cause for.

use std::sync::mpsc::Sender;

use plenary_media::engine::RecordingOf;
use plenary_media::leg::Leg;
use plenary_media::messages::{Command, Event, Id, LegSnapshot, LegStats};
use plenary_media::player::Sound;
use plenary_media::recorder::RecordingLimits;

use crate::histogram::Histogram;
use crate::ports::Sockets;
use crate::recording::Backlog;

/// Jobs that may wait for a media thread. It takes them at once between two ticks, so that more only wait while it has
/// no time; a job is a frame of the server at most, which together is no more memory than the prompts may have.
pub const JOBS_MAX: usize = 32;

/// A leg on its way to another thread.
#[derive(Debug)]
pub struct Parcel {
    pub leg: Box<Leg>,
    pub sockets: Sockets,
    pub recordings: Vec<(Id, Backlog)>,
}

/// What a thread is to do, all in one batch between two ticks.
#[derive(Debug)]
pub enum Order {
    Open {
        leg: Id,
        offer: Option<String>,
        sockets: Sockets,
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
        limits: RecordingLimits,
        backlog: Backlog,
    },
    /// The file of a recording can't be written any more.
    Abandon {
        recording: Id,
    },
    Command(Command),
}

/// What a thread knows of itself.
#[derive(Debug, Default)]
pub struct Gauges {
    pub rooms: u64,
    pub ticks: u64,
    pub late_ticks: u64,
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
        port: u16,
    },
    /// A media thread has panicked, and its legs are gone.
    Died,
    /// The file of a recording can't be written any more; its end was told by an event.
    Abandoned {
        recording: Id,
        of: RecordingOf,
    },
}
