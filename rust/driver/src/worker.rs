//! One media thread: owns an engine, what its legs send and receive through, and the tick.
//!
//! The thread wakes every 2.5 ms by an absolute grid of time. It reads what waits in its sockets, lets the
//! engine mix the phase that is due, and sends. Between two of these it does its jobs: batches of commands,
//! legs to hand over to another thread. Nobody holds a lock that a tick could wait for; jobs come and notices
//! go through queues.
//!
//! A sub-tick that begins more than 5 ms late is counted. A thread that has lost more than 100 ms goes on at
//! the present instead of making up for what nobody waits for any more.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use plenary_media::engine::{Config, Engine, Entrance, PHASES, SUB_TICK};
use plenary_media::leg::Entropy;
use plenary_media::messages::{Id, LegStats, LegTerms, RecordingEnd};
use plenary_media::recorder::Recorded;

use crate::jobs::{Gauges, Job, Notice, Order, Outlet, Parcel};
use crate::ports::Sockets;
use crate::recording::{Backlog, Task};
use crate::seats::Seats;
use crate::sys::{self, Bell, Interest};
use crate::webrtc::Gate;

/// A sub-tick that begins later than this counts as late.
const LATE: Duration = Duration::from_millis(5);
/// Lost time that is not made up for: a burst of five packets is what a jitter buffer takes, not more.
const STALL: Duration = Duration::from_millis(100);

/// Before all others of this process, for [`sys::hurry`].
const RANK: i32 = 2;

const SUB_TICK_NS: u64 = SUB_TICK.as_nanos() as u64;

/// Legs whose statistics are gathered between two looks at the clock: half a millisecond.
const STATS_AT_ONCE: usize = 200;

/// Statistics on their way.
struct Asked {
    reply: Sender<(Vec<LegStats>, Gauges)>,
    legs: Vec<LegStats>,
    /// What comes next.
    slot: usize,
}

/// A thread's end of all the queues.
pub struct Worker {
    engine: Engine,
    /// When the engine's time began.
    origin: Duration,
    seats: Seats,
    jobs: Receiver<Job>,
    /// Rings when there is a job.
    bell: Arc<Bell>,
    notices: Sender<Notice>,
    /// Rings when there is a notice.
    control: Arc<Bell>,
    recordings: HashMap<Id, Backlog>,
    writer: Sender<Task>,
    gauges: Gauges,
    asked: Option<Asked>,
}

/// Everything a new thread is given.
pub struct Links {
    pub jobs: Receiver<Job>,
    pub bell: Arc<Bell>,
    pub notices: Sender<Notice>,
    pub control: Arc<Bell>,
    pub writer: Sender<Task>,
    pub gate: Option<Gate>,
}

impl Worker {
    /// `origin` is the same for all threads, so that a leg may move between them.
    pub fn new(config: Config, origin: Duration, links: Links) -> std::io::Result<Worker> {
        Ok(Worker {
            engine: Engine::new(config),
            origin,
            seats: Seats::new(links.gate)?,
            jobs: links.jobs,
            bell: links.bell,
            notices: links.notices,
            control: links.control,
            recordings: HashMap::new(),
            writer: links.writer,
            gauges: Gauges::default(),
            asked: None,
        })
    }

    /// Runs until it is told to shut down.
    pub fn run(mut self) {
        sys::exact_timers();
        sys::hurry(RANK);
        let mut tick = 0;
        loop {
            if self.is_idle() {
                if !self.wait_for_jobs(None) {
                    return;
                }
                tick = self.now().as_nanos() as u64 / SUB_TICK_NS;
                continue;
            }
            tick = self.next_tick(tick);
            let due = Duration::from_nanos(tick * SUB_TICK_NS);
            // One look at least: a thread that is always late would never hear that legs are to be closed.
            loop {
                if !self.wait_for_jobs(Some(due)) {
                    return;
                }
                if self.now() >= due {
                    break;
                }
            }
            let late = self.now() - due;
            self.gauges.ticks += 1;
            self.gauges.late_ticks += u64::from(late > LATE);
            self.sub_tick(tick as usize % PHASES);
        }
    }

    fn now(&self) -> Duration {
        sys::monotonic().saturating_sub(self.origin)
    }

    /// The sub-tick after `tick`, or a later one if that is long past.
    fn next_tick(&mut self, tick: u64) -> u64 {
        let next = tick + 1;
        let late = self
            .now()
            .saturating_sub(Duration::from_nanos(next * SUB_TICK_NS));
        if late < STALL {
            return next;
        }
        let lost = late.as_nanos() as u64 / SUB_TICK_NS;
        self.gauges.late_ticks += lost;
        next + lost
    }

    /// Nothing has to be ticked.
    fn is_idle(&self) -> bool {
        self.engine.legs() == 0 && self.recordings.is_empty() && self.seats.is_idle()
    }

    /// Waits for jobs, at most until `due`, and does them; `false` once the thread is to end.
    fn wait_for_jobs(&mut self, due: Option<Duration>) -> bool {
        let time = due.map(|due| due.saturating_sub(self.now()));
        let mut bell = [Interest {
            fd: self.bell.as_raw_fd(),
            read: true,
            write: false,
        }];
        sys::wait(&mut bell, time);
        if !bell[0].read {
            return true;
        }
        self.bell.silence();
        self.do_jobs(due)
    }

    /// Does one job, and others until `due`: a tick waits for one frame of the server, not for all that it has sent.
    fn do_jobs(&mut self, due: Option<Duration>) -> bool {
        while let Ok(job) = self.jobs.try_recv() {
            match job {
                Job::Batch(orders) => orders.into_iter().for_each(|order| self.obey(order)),
                Job::Take { leg, reply } => {
                    // Who asked may have given up: then nobody wants the leg.
                    let parcel = self.take(&leg);
                    self.deliver();
                    drop(reply.send(parcel.map(Box::new)));
                }
                Job::Snapshot { reply } => {
                    let rooms = self.engine.rooms().cloned().collect();
                    drop(reply.send((self.engine.leg_snapshots(), rooms)));
                }
                Job::Stats { reply } => {
                    self.asked = Some(Asked {
                        reply,
                        legs: Vec::with_capacity(self.engine.legs()),
                        slot: 0,
                    });
                }
                Job::ShutDown => {
                    let now = self.now();
                    self.engine.shut_down(now);
                    self.deliver();
                    return false;
                }
            }
            // Before the time is looked at: who was hung up has sockets to be closed, which takes longer than the order.
            self.deliver();
            if due.is_some_and(|due| self.now() >= due) {
                self.bell.ring();
                break;
            }
        }
        self.gather();
        true
    }

    /// Goes on gathering the statistics that were asked for, and rings for the rest: a tick waits for those of some legs.
    fn gather(&mut self) {
        let Some(mut asked) = self.asked.take() else {
            return;
        };
        let end = asked.slot + STATS_AT_ONCE;
        asked.legs.extend(self.engine.stats_of(asked.slot..end));
        if end < self.engine.slots() {
            asked.slot = end;
            self.asked = Some(asked);
            return self.bell.ring();
        }
        self.gauges.rooms = self.engine.rooms().count() as u64;
        self.gauges.counts = self.engine.output().counts;
        self.gauges.gate = self.seats.counts();
        self.gauges.unsent = self.seats.unsent();
        let gauges = Gauges {
            tick: self.gauges.tick.clone(),
            ..self.gauges
        };
        drop(asked.reply.send((asked.legs, gauges)));
    }

    fn obey(&mut self, order: Order) {
        let now = self.now();
        // A new leg may get the slot of one that closed in the same batch, whose seat has to be free by then.
        let seats_one = matches!(order, Order::Open { .. } | Order::Put(_));
        if seats_one && !self.engine.output().closed.is_empty() {
            self.deliver();
        }
        match order {
            Order::Open {
                leg,
                offer,
                terms,
                sockets,
            } => self.open(leg, offer.as_deref(), &terms, sockets, now),
            Order::Put(parcel) => {
                let leg = parcel.leg.id().clone();
                let key = self.engine.insert_leg(parcel.leg);
                self.recordings.extend(parcel.recordings);
                self.seats.put(key, leg, parcel.outlet);
            }
            Order::Play {
                leg,
                play,
                sound,
                looped,
            } => self.engine.play(&leg, &play, sound, looped),
            Order::Record {
                recording,
                of,
                rate,
                limits,
                backlog,
            } => {
                self.recordings.insert(recording.clone(), backlog);
                self.engine.start_recording(&recording, &of, rate, limits);
            }
            Order::Abandon { recording } => {
                self.engine
                    .stop_recording(&recording, RecordingEnd::DiskError);
            }
            Order::Command(command) => self.engine.handle(command, now),
        }
    }

    fn open(
        &mut self,
        leg: Id,
        offer: Option<&str>,
        terms: &LegTerms,
        sockets: Option<Sockets>,
        now: Duration,
    ) {
        let entropy = entropy_of(sys::entropy(), sys::entropy());
        let (entrance, port) = match (&sockets, self.seats.host()) {
            (Some(sockets), _) => (Entrance::Port(sockets.port), Some(sockets.port)),
            (None, Some(host)) => (Entrance::Gate(host), None),
            (None, None) => return drop(self.notices.send(Notice::Gone { leg, port: None })),
        };
        let opened = self
            .engine
            .open_leg(&leg, offer, terms, entrance, entropy, now);
        match (opened, sockets) {
            (Some(key), Some(sockets)) => self.seats.put(key, leg, Outlet::Sockets(sockets)),
            (Some(key), None) => {
                let ufrag = self.engine.ufrag_of(key).unwrap_or_default();
                self.seats.admit(key, leg, ufrag);
            }
            (None, _) => drop(self.notices.send(Notice::Gone { leg, port })),
        }
    }

    fn take(&mut self, leg: &Id) -> Option<Parcel> {
        let key = self.engine.leg_key(leg)?;
        let mut leg = self.engine.take_leg(leg)?;
        let outlet = self.seats.take(key)?;
        let names: Vec<Id> = leg.recorders().names().cloned().collect();
        let recordings = names
            .into_iter()
            .filter_map(|name| self.recordings.remove(&name).map(|backlog| (name, backlog)));
        Some(Parcel {
            recordings: recordings.collect(),
            leg,
            outlet,
        })
    }

    /// Reads, mixes, sends.
    fn sub_tick(&mut self, phase: usize) {
        let begin = self.now();
        self.seats.read(&mut self.engine, begin);
        let now = self.now();
        self.engine.tick(phase, now);
        let mixed = self.now();
        self.seats.pace(&mut self.engine.output().packets);
        self.deliver();
        let end = self.now();
        self.engine.note_cost(phase, mixed - now, end - mixed);
        self.gauges.tick.add(end - begin);
    }

    /// Sends packets, audio for recordings, events, in this order.
    fn deliver(&mut self) {
        let output = self.engine.output();
        self.seats.send(&output.packets);
        output.packets.clear();
        let mut slow = Vec::new();
        for recorded in output.recorded.drain(..) {
            let task = match recorded {
                Recorded::Block { recording, pcm } => {
                    let Some(backlog) = self.recordings.get(&recording) else {
                        continue;
                    };
                    if backlog.enter(pcm.len()) {
                        Task::Write { recording, pcm }
                    } else {
                        self.recordings.remove(&recording);
                        slow.push(recording.clone());
                        let detail = "the disk is too slow".into();
                        Task::End {
                            recording,
                            reason: RecordingEnd::DiskError,
                            detail,
                        }
                    }
                }
                Recorded::End { recording, reason } => {
                    self.recordings.remove(&recording);
                    Task::End {
                        recording,
                        reason,
                        detail: String::new(),
                    }
                }
            };
            drop(self.writer.send(task));
        }
        let mut rung = !output.events.is_empty() || !output.closed.is_empty();
        if !output.events.is_empty() {
            drop(
                self.notices
                    .send(Notice::Events(std::mem::take(&mut output.events))),
            );
        }
        for (key, ufrag) in output.ufrags.drain(..) {
            self.seats.rename(key, ufrag);
        }
        for (key, muxed) in output.muxed.drain(..) {
            self.seats.mux(key, muxed);
        }
        for key in output.closed.drain(..) {
            if let Some((leg, port)) = self.seats.close(key) {
                drop(self.notices.send(Notice::Gone { leg, port }));
            }
        }
        for recording in slow {
            rung = true;
            self.engine
                .stop_recording(&recording, RecordingEnd::DiskError);
        }
        if rung {
            self.control.ring();
        }
    }
}

/// What a leg begins with, of random bytes.
fn entropy_of(random: [u8; 14], secret: [u8; 32]) -> Entropy {
    let word = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    Entropy {
        // In the lower half, so that whoever misses the first packets can't miss a wrap with them (RFC 3711, 3.3.1).
        seq: word(&random[..2]) as u16 >> 1,
        timestamp: word(&random[2..6]) as u32,
        // Fits a signed 64 bit number, which some phones read the `o=` line into.
        session_id: word(&random[6..]) >> 1,
        secret,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::JOBS_MAX;
    use plenary_media::leg::InactivityLimits;
    use plenary_media::messages::Command;
    use std::sync::mpsc::{channel, sync_channel};

    /// RFC 3711, section 3.3.1: who hears the first packet late guesses that none has wrapped.
    #[test]
    fn the_first_sequence_number_is_far_from_the_wrap_whatever_is_drawn() {
        for byte in 0..=255 {
            let entropy = entropy_of([byte; 14], [0; 32]);
            assert!(entropy.seq < 1 << 15);
            assert!(i64::try_from(entropy.session_id).is_ok());
        }
    }

    #[test]
    fn a_tick_that_is_due_waits_for_one_job_and_the_others_for_the_tick() {
        let inactivity = InactivityLimits {
            first: Duration::MAX,
            later: Duration::MAX,
        };
        let config = Config {
            public_address: [127, 0, 0, 1].into(),
            inactivity,
            stopwatch: None,
            identity: None,
        };
        let ((jobs, queue), (notices, _heard)) = (sync_channel(JOBS_MAX), channel());
        let bell = Arc::new(Bell::new().expect("a bell"));
        let links = Links {
            jobs: queue,
            bell: bell.clone(),
            notices,
            control: bell.clone(),
            writer: channel().0,
            gate: None,
        };
        let mut worker = Worker::new(config, sys::monotonic(), links).expect("a worker");
        for n in 0..JOBS_MAX {
            let room = Id::new(&format!("room {n}")).expect("an id");
            let batch = vec![Order::Command(Command::OpenRoom { room })];
            jobs.try_send(Job::Batch(batch)).expect("there is room");
        }
        let one_more = jobs.try_send(Job::Batch(Vec::new()));
        assert!(one_more.is_err(), "the queue has its bound");
        bell.ring();
        for done in 1..4 {
            assert!(worker.wait_for_jobs(Some(Duration::ZERO)));
            assert_eq!(worker.engine.rooms().count(), done);
        }
        assert!(worker.wait_for_jobs(None));
        assert_eq!(worker.engine.rooms().count(), JOBS_MAX);
    }
}
