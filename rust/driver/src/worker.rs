//! One media thread: owns an engine, the sockets of its legs, and the tick.
//!
//! The thread wakes every 2.5 ms by an absolute grid of time. It reads what waits in its sockets, lets the
//! engine mix the phase that is due, and sends. Between two of these it does its jobs: batches of commands,
//! legs to hand over to another thread. Nobody holds a lock that a tick could wait for; jobs come and notices
//! go through queues.
//!
//! A sub-tick that begins more than 5 ms late is counted. A thread that has lost more than 100 ms goes on at
//! the present instead of making up for what nobody waits for any more.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use plenary_media::engine::{Config, Engine, PHASES, SUB_TICK};
use plenary_media::leg::Entropy;
use plenary_media::legs::LegKey;
use plenary_media::messages::{Id, RecordingEnd};
use plenary_media::output::Port;
use plenary_media::recorder::Recorded;

use crate::jobs::{Gauges, Job, Notice, Order, Parcel};
use crate::ports::Sockets;
use crate::recording::{Backlog, Task};
use crate::sys::{self, Bell, Epoll, Interest};

/// A sub-tick that begins later than this counts as late.
const LATE: Duration = Duration::from_millis(5);
/// Lost time that is not made up for: a burst of five packets is what a jitter buffer takes, not more.
const STALL: Duration = Duration::from_millis(100);

/// A datagram that seems to have waited longer has not: the wall clock was set.
const MAX_AGE: Duration = Duration::from_secs(1);
const SUB_TICK_NS: u64 = SUB_TICK.as_nanos() as u64;

/// A thread's end of all the queues.
pub struct Worker {
    engine: Engine,
    /// When the engine's time began.
    origin: Duration,
    /// By the leg's slot.
    seats: Vec<Option<Seat>>,
    epoll: Epoll,
    receiver: sys::Receiver,
    /// Tokens of sockets that had more than was read of them.
    unread: Vec<u64>,
    jobs: Receiver<Job>,
    /// Rings when there is a job.
    bell: Arc<Bell>,
    notices: Sender<Notice>,
    /// Rings when there is a notice.
    control: Arc<Bell>,
    recordings: HashMap<Id, Backlog>,
    writer: Sender<Task>,
    gauges: Gauges,
}

#[derive(Debug)]
struct Seat {
    key: LegKey,
    leg: Id,
    sockets: Sockets,
}

/// Everything a new thread is given.
pub struct Links {
    pub jobs: Receiver<Job>,
    pub bell: Arc<Bell>,
    pub notices: Sender<Notice>,
    pub control: Arc<Bell>,
    pub writer: Sender<Task>,
}

fn token(key: LegKey, port: Port) -> u64 {
    (key.slot() as u64) << 1 | u64::from(port == Port::Rtcp)
}

impl Worker {
    /// `origin` is the same for all threads, so that a leg may move between them.
    pub fn new(config: Config, origin: Duration, links: Links) -> std::io::Result<Worker> {
        Ok(Worker {
            engine: Engine::new(config),
            origin,
            seats: Vec::new(),
            epoll: Epoll::new()?,
            receiver: sys::Receiver::default(),
            unread: Vec::new(),
            jobs: links.jobs,
            bell: links.bell,
            notices: links.notices,
            control: links.control,
            recordings: HashMap::new(),
            writer: links.writer,
            gauges: Gauges::default(),
        })
    }

    /// Runs until it is told to shut down.
    pub fn run(mut self) {
        sys::exact_timers();
        sys::hurry();
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
        self.engine.legs() == 0 && self.recordings.is_empty()
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
                    self.gauges.rooms = self.engine.rooms().count() as u64;
                    let gauges = Gauges {
                        tick: self.gauges.tick.clone(),
                        ..self.gauges
                    };
                    drop(reply.send((self.engine.stats(), gauges)));
                }
                Job::ShutDown => {
                    let now = self.now();
                    self.engine.shut_down(now);
                    self.deliver();
                    return false;
                }
            }
            if due.is_some_and(|due| self.now() >= due) {
                self.bell.ring();
                break;
            }
        }
        self.deliver();
        true
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
                sockets,
            } => self.open(leg, offer.as_deref(), sockets, now),
            Order::Put(parcel) => {
                let leg = parcel.leg.id().clone();
                let key = self.engine.insert_leg(parcel.leg);
                self.recordings.extend(parcel.recordings);
                self.seat(key, leg, parcel.sockets);
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
                limits,
                backlog,
            } => {
                self.recordings.insert(recording.clone(), backlog);
                self.engine.start_recording(&recording, &of, limits);
            }
            Order::Abandon { recording } => {
                self.engine
                    .stop_recording(&recording, RecordingEnd::DiskError);
            }
            Order::Command(command) => self.engine.handle(command, now),
        }
    }

    fn open(&mut self, leg: Id, offer: Option<&str>, sockets: Sockets, now: Duration) {
        let [random, session] = [sys::entropy::<10>(), sys::entropy::<10>()];
        let word = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte))
        };
        let entropy = Entropy {
            ssrc: word(&random[..4]) as u32,
            seq: word(&random[4..6]) as u16,
            timestamp: word(&random[6..]) as u32,
            // Fits a signed 64 bit number, which some phones read the `o=` line into.
            session_id: word(&session[..8]) >> 1,
        };
        match self
            .engine
            .open_leg(&leg, offer, sockets.port, entropy, now)
        {
            Some(key) => self.seat(key, leg, sockets),
            None => drop(self.notices.send(Notice::Gone {
                leg,
                port: sockets.port,
            })),
        }
    }

    fn seat(&mut self, key: LegKey, leg: Id, sockets: Sockets) {
        if self.seats.len() <= key.slot() {
            self.seats.resize_with(key.slot() + 1, || None);
        }
        for (socket, port) in [(&sockets.rtp, Port::Rtp), (&sockets.rtcp, Port::Rtcp)] {
            // Without it the leg is deaf, which its inactivity then tells; the system is out of memory.
            drop(self.epoll.add(socket.as_fd(), token(key, port)));
        }
        let seat = self.seats[key.slot()].replace(Seat { key, leg, sockets });
        assert!(seat.is_none(), "two legs have one slot");
    }

    fn take(&mut self, leg: &Id) -> Option<Parcel> {
        let key = self.engine.leg_key(leg)?;
        let mut leg = self.engine.take_leg(leg)?;
        let seat = self.seats[key.slot()].take()?;
        self.epoll.remove(seat.sockets.rtp.as_fd());
        self.epoll.remove(seat.sockets.rtcp.as_fd());
        let names: Vec<Id> = leg.recorders().names().cloned().collect();
        let recordings = names
            .into_iter()
            .filter_map(|name| self.recordings.remove(&name).map(|backlog| (name, backlog)));
        Some(Parcel {
            recordings: recordings.collect(),
            leg,
            sockets: seat.sockets,
        })
    }

    /// Reads, mixes, sends.
    fn sub_tick(&mut self, phase: usize) {
        let begin = self.now();
        self.read_sockets(begin);
        let now = self.now();
        self.engine.tick(phase, now);
        let mixed = self.now();
        self.deliver();
        let end = self.now();
        self.engine.note_cost(phase, mixed - now, end - mixed);
        self.gauges.tick.add(end - begin);
    }

    fn read_sockets(&mut self, now: Duration) {
        // Datagrams are stamped with the wall clock, which may be set at any time.
        let wall = sys::realtime();
        let Worker {
            epoll,
            receiver,
            engine,
            seats,
            unread,
            ..
        } = self;
        let mut read = |token: u64| {
            let Some(Some(seat)) = seats.get((token >> 1) as usize) else {
                return true;
            };
            let rtcp = token & 1 == 1;
            let socket = if rtcp {
                &seat.sockets.rtcp
            } else {
                &seat.sockets.rtp
            };
            receiver.drain(socket.as_fd(), |datagram, source, arrival| {
                let age = arrival.map(|arrival| wall.saturating_sub(arrival));
                let age = age.filter(|age| *age < MAX_AGE).unwrap_or(Duration::ZERO);
                let arrival = now.saturating_sub(age);
                if rtcp {
                    engine.receive_rtcp(seat.key, datagram, source, arrival);
                } else {
                    engine.receive(seat.key, datagram, source, arrival);
                }
            })
        };
        unread.retain(|token| !read(*token));
        epoll.ready(|token| {
            // A socket is reported once for what came; what is left in it has to be remembered.
            if !read(token) && !unread.contains(&token) {
                unread.push(token);
            }
        });
    }

    /// Sends packets, audio for recordings, events, in this order.
    fn deliver(&mut self) {
        let output = self.engine.output();
        for (packet, bytes) in output.packets.iter() {
            let seat = self.seats.get(packet.leg.slot());
            let Some(seat) =
                seat.and_then(|seat| seat.as_ref().filter(|seat| seat.key == packet.leg))
            else {
                continue;
            };
            let socket = match packet.port {
                Port::Rtp => &seat.sockets.rtp,
                Port::Rtcp => &seat.sockets.rtcp,
            };
            // A packet that the system does not take is lost as any other may be.
            drop(socket.send_to(bytes, packet.to));
        }
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
        for key in output.closed.drain(..) {
            if let Some(seat) = self.seats[key.slot()].take_if(|seat| seat.key == key) {
                drop(self.notices.send(Notice::Gone {
                    leg: seat.leg,
                    port: seat.sockets.port,
                }));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::JOBS_MAX;
    use plenary_media::leg::InactivityLimits;
    use plenary_media::messages::Command;
    use std::sync::mpsc::{channel, sync_channel};

    #[test]
    fn a_tick_that_is_due_waits_for_one_job_and_the_others_for_the_tick() {
        let inactivity = InactivityLimits {
            first: Duration::MAX,
            later: Duration::MAX,
        };
        let config = Config {
            public_address: [127, 0, 0, 1].into(),
            inactivity,
        };
        let ((jobs, queue), (notices, _heard)) = (sync_channel(JOBS_MAX), channel());
        let bell = Arc::new(Bell::new().expect("a bell"));
        let links = Links {
            jobs: queue,
            bell: bell.clone(),
            notices,
            control: bell.clone(),
            writer: channel().0,
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
