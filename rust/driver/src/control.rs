//! The control thread: takes the server's commands apart, knows which thread has which leg and room, and
//! gathers what they tell.
//!
//! It waits for media threads (a leg changes threads, a snapshot, statistics); they never wait for it.

mod orders;

use std::collections::HashMap;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use plenary_media::engine::RecordingOf;
use plenary_media::messages::{
    EngineStats, Event, Id, LegRefusal, PROTOCOL_VERSION, RecordingSnapshot, Snapshot, Welcome,
};

use crate::histogram::Histogram;
use crate::jobs::{Job, Notice, Order, batches};
use crate::journal::Journal;
use crate::ports::Ports;
use crate::prompts::Prompts;
use crate::recording::Task;
use crate::server::{Connection, Listener, Lost};
use crate::sys::{self, Bell, Interest, Signals};

/// A media thread answers within a tick; one that takes this long is dead, and so is the engine.
const THREAD_ANSWER: Duration = Duration::from_secs(5);
/// How long the last events are offered to the server when the engine ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// A descriptor that is never ready.
const NOBODY: RawFd = -1;
/// Legs of all threads together: the statistics of more would not fit into a frame, whatever their names.
const LEGS_MAX: usize = 12_000;

/// A media thread, as the control thread sees it.
#[derive(Debug)]
pub struct Thread {
    pub jobs: SyncSender<Job>,
    pub bell: Arc<Bell>,
    pub handle: JoinHandle<()>,
}

#[derive(Debug)]
struct Recording {
    path: String,
    of: RecordingOf,
}

/// Everything that the control thread is given.
pub struct Links {
    pub listener: Listener,
    pub signals: Signals,
    pub threads: Vec<Thread>,
    pub notices: Receiver<Notice>,
    /// Rings when there is a notice.
    pub bell: Arc<Bell>,
    pub writer: Sender<Task>,
    pub ports: Ports,
    /// Each thread has a gate for browsers.
    pub takes_browsers: bool,
    pub orphan_timeout: Duration,
}

pub struct Control {
    links: Links,
    /// Random, new with each process.
    engine: String,
    server: Option<Connection>,
    /// Has connected and said nothing yet.
    newcomer: Option<Connection>,
    /// Since when there is no server.
    orphan_since: Option<Duration>,
    journal: Journal,
    prompts: Prompts,
    /// Which thread has which leg.
    legs: HashMap<Id, usize>,
    rooms: HashMap<Id, usize>,
    recordings: HashMap<Id, Recording>,
    /// Orders of the batch at hand, by thread.
    orders: Vec<Vec<Order>>,
    ending: bool,
    /// A media thread has panicked.
    broken: bool,
}

impl Control {
    pub fn new(links: Links) -> Control {
        let engine = sys::entropy::<16>()
            .map(|byte| format!("{byte:02x}"))
            .concat();
        let orders = links.threads.iter().map(|_| Vec::new()).collect();
        Control {
            links,
            engine,
            server: None,
            newcomer: None,
            orphan_since: Some(sys::monotonic()),
            journal: Journal::default(),
            prompts: Prompts::default(),
            legs: HashMap::new(),
            rooms: HashMap::new(),
            recordings: HashMap::new(),
            orders,
            ending: false,
            broken: false,
        }
    }

    /// Runs until the server, a signal or the server's absence ends it. All recordings are closed then, and
    /// the media threads have ended; `false` if one of them panicked, which ends the engine too.
    pub fn run(mut self, writer: JoinHandle<()>) -> bool {
        while !self.ending {
            self.turn();
        }
        for thread in &self.links.threads {
            drop(thread.jobs.send(Job::ShutDown));
            thread.bell.ring();
        }
        for thread in std::mem::take(&mut self.links.threads) {
            // A thread that panicked has nothing more to say.
            drop(thread.handle.join());
        }
        drop(self.links.writer.send(Task::Quit));
        drop(writer.join());
        self.hear_notices();
        self.say_farewell();
        !self.broken
    }

    fn say_farewell(&mut self) {
        let deadline = sys::monotonic() + FAREWELL;
        while let Some(connection) = &mut self.server {
            let lost = connection.write(&self.journal).is_err();
            let left = deadline.saturating_sub(sys::monotonic());
            if lost
                || left.is_zero()
                || !connection.is_greeted()
                || !connection.has_news(&self.journal)
            {
                return;
            }
            sys::wait(
                &mut [Interest {
                    fd: connection.as_raw_fd(),
                    read: false,
                    write: true,
                }],
                Some(left),
            );
        }
    }

    /// Waits for something to happen, and deals with it.
    fn turn(&mut self) {
        let news = |server: &Connection| server.has_news(&self.journal);
        let news = self.server.as_ref().is_some_and(news);
        let interest = |fd, write| Interest {
            fd,
            read: true,
            write,
        };
        let fd_of = |connection: &Option<Connection>| {
            connection.as_ref().map_or(NOBODY, AsRawFd::as_raw_fd)
        };
        let mut interests = [
            interest(self.links.signals.as_raw_fd(), false),
            interest(self.links.bell.as_raw_fd(), false),
            interest(self.links.listener.as_raw_fd(), false),
            interest(fd_of(&self.server), news),
            interest(fd_of(&self.newcomer), false),
        ];
        let now = sys::monotonic();
        let orphaned = self
            .orphan_since
            .map(|since| since + self.links.orphan_timeout);
        sys::wait(&mut interests, orphaned.map(|end| end.saturating_sub(now)));
        let [signal, bell, listener, server, newcomer] = interests;
        self.ending |= signal.read || orphaned.is_some_and(|end| sys::monotonic() >= end);
        if bell.read {
            self.links.bell.silence();
        }
        self.hear_notices();
        if server.read
            && let Some(server) = self.server.take()
        {
            self.read(server, false);
        }
        if newcomer.read
            && let Some(newcomer) = self.newcomer.take()
        {
            self.read(newcomer, true);
        }
        if let Some(server) = &mut self.server
            && server.write(&self.journal).is_err()
        {
            self.lose_server();
        }
        if listener.read
            && let Some(newest) = self.links.listener.accept()
        {
            self.newcomer = Some(newest);
        }
    }

    fn lose_server(&mut self) {
        self.server = None;
        self.orphan_since.get_or_insert_with(sys::monotonic);
    }

    /// Reads what has come. A newcomer that says something takes the server's place.
    fn read(&mut self, mut connection: Connection, is_newcomer: bool) {
        let mut batches = Vec::new();
        let read = connection.read(|batch| batches.push(batch));
        if is_newcomer && batches.is_empty() {
            // Who connects only to see whether somebody listens must not disturb.
            self.newcomer = read.is_ok().then_some(connection);
            return;
        }
        if is_newcomer {
            self.lose_server();
        }
        self.server = Some(connection);
        for batch in batches {
            self.perform(batch);
        }
        match read {
            Ok(()) => {}
            Err(Lost::Closed) => self.lose_server(),
            Err(Lost::TooLong) => {
                self.fail("frame", "", "longer than 16 MiB: the connection is closed");
                self.lose_server();
            }
        }
    }

    fn hear_notices(&mut self) {
        while let Ok(notice) = self.links.notices.try_recv() {
            match notice {
                Notice::Events(events) => {
                    for event in events {
                        if let Event::RecordingEnded { recording, .. } = &event {
                            self.recordings.remove(recording);
                        }
                        self.journal.push(&event);
                    }
                }
                Notice::Died => (self.ending, self.broken) = (true, true),
                Notice::Gone { leg, port } => {
                    self.legs.remove(&leg);
                    if let Some(port) = port {
                        self.links.ports.close(port);
                    }
                }
                Notice::Abandoned { recording, of } => {
                    if let Some(thread) = self.thread_of(&of) {
                        self.orders[thread].push(Order::Abandon { recording });
                        self.dispatch();
                    }
                }
            }
        }
    }

    // Handshake, reports

    fn greet(&mut self, version: u32, engine: &str, acked: u64) {
        if version != PROTOCOL_VERSION {
            // Said where the server looks first; it can't be welcomed.
            self.fail(
                "hello",
                "",
                &format!("this engine speaks version {PROTOCOL_VERSION}"),
            );
            return self.lose_server();
        }
        self.dispatch();
        let mut snapshot = Snapshot {
            recordings: self
                .recordings
                .iter()
                .map(|(recording, known)| RecordingSnapshot {
                    recording: recording.clone(),
                    path: known.path.clone(),
                })
                .collect(),
            prompts: self.prompts.names().cloned().collect(),
            ..Snapshot::default()
        };
        for thread in 0..self.links.threads.len() {
            let (legs, rooms) = self.ask(thread, |reply| Job::Snapshot { reply });
            snapshot.legs.extend(legs);
            snapshot.rooms.extend(rooms);
        }
        self.hear_notices();
        let acked = if engine == self.engine {
            acked.min(self.journal.last())
        } else {
            0
        };
        self.journal.acknowledge(acked);
        let welcome = Welcome {
            version: PROTOCOL_VERSION,
            engine: self.engine.clone(),
            snapshot,
            last_seq: self.journal.newest(),
        };
        if let Some(connection) = &mut self.server {
            connection.greet(&welcome, acked);
            self.orphan_since = None;
        }
    }

    fn report_stats(&mut self, request: Id) {
        self.dispatch();
        let mut legs = Vec::new();
        let mut engine = EngineStats {
            threads: self.links.threads.len() as u64,
            recordings: self.recordings.len() as u64,
            prompts_bytes: self.prompts.bytes() as u64,
            ..EngineStats::default()
        };
        let mut ticks = Histogram::default();
        for thread in 0..self.links.threads.len() {
            let (found, gauges) = self.ask(thread, |reply| Job::Stats { reply });
            legs.extend(found);
            engine.rooms += gauges.rooms;
            engine.ticks += gauges.ticks;
            engine.late_ticks += gauges.late_ticks;
            engine.decodes += gauges.counts.decodes;
            engine.encodes += gauges.counts.encodes;
            engine.shared_encodes += gauges.counts.shared_encodes;
            engine.webrtc_strangers += gauges.gate.strangers;
            engine.webrtc_lost += gauges.gate.lost;
            engine.webrtc_connections += gauges.gate.connections;
            engine.unsent += gauges.unsent;
            ticks.merge(&gauges.tick);
        }
        // What was asked for before has come about by now, and is told before the statistics.
        self.hear_notices();
        engine.legs = legs.len() as u64;
        engine.starved = legs.iter().map(|leg| leg.starved).sum();
        (engine.tick_us_p50, engine.tick_us_p99) =
            (ticks.quantile_us(0.5), ticks.quantile_us(0.99));
        self.journal.push(&Event::Stats {
            request,
            legs,
            engine,
        });
    }

    /// Asks a thread and waits for its answer.
    fn ask<T>(&self, thread: usize, job: impl FnOnce(Sender<T>) -> Job) -> T {
        let (reply, answer) = channel();
        let thread = &self.links.threads[thread];
        drop(thread.jobs.send(job(reply)));
        thread.bell.ring();
        let answer = answer.recv_timeout(THREAD_ANSWER);
        answer.unwrap_or_else(|error| panic!("a media thread does not answer: {error}"))
    }

    // Threads

    /// The thread with the fewest legs, and of these with the fewest rooms.
    fn quietest(&self) -> usize {
        let mut load = vec![(0_usize, 0_usize); self.links.threads.len()];
        self.legs.values().for_each(|thread| load[*thread].0 += 1);
        self.rooms.values().for_each(|thread| load[*thread].1 += 1);
        (0..load.len())
            .min_by_key(|thread| load[*thread])
            .unwrap_or(0)
    }

    /// Hands the orders to their threads.
    fn dispatch(&mut self) {
        for (thread, orders) in self.links.threads.iter().zip(&mut self.orders) {
            for batch in batches(std::mem::take(orders)) {
                drop(thread.jobs.send(Job::Batch(batch)));
                thread.bell.ring();
            }
        }
    }

    // Refusals

    fn refuse(&mut self, leg: Id, reason: LegRefusal, detail: String) {
        self.journal.push(&Event::LegRefused {
            leg,
            reason,
            detail,
        });
    }

    fn fail(&mut self, command: &str, subject: &str, reason: &str) {
        self.journal.push(&Event::CommandFailed {
            command: command.into(),
            subject: subject.into(),
            reason: reason.into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MAX_FRAME;
    use plenary_media::messages::{LegStats, TransportKind};

    #[test]
    fn the_statistics_of_as_many_legs_as_there_may_be_fit_into_a_frame() {
        let longest = Id::new(&"x".repeat(64)).expect("an id");
        let (count, measure) = (1 << 40, 0.1);
        let leg = LegStats {
            leg: longest.clone(),
            room: Some(longest),
            packets_received: count,
            packets_sent: count,
            bytes_received: count,
            bytes_sent: count,
            lost: count,
            late: count,
            duplicate: count,
            reordered: count,
            concealed_ms: count,
            strangers: count,
            malformed: count,
            jitter_ms: measure,
            buffer_ms: Some(measure),
            tick_wait_ms: Some(measure),
            mix_us: measure,
            send_us: measure,
            level_dbfs: measure,
            round_trip_ms: Some(measure),
            talking: true,
            codec: Some("PCMU".into()),
            heard_codec: Some("PCMU".into()),
            sample_rate_hz: Some(48_000),
            transport: Some(TransportKind::Webrtc),
            stretched_ms: count,
            fec_ms: count,
            starved: count,
            target_ms: measure,
            decode_us: Some(measure),
            encode_us: Some(measure),
            loss_percent: Some(measure),
            loss_out_percent: Some(measure),
            noise_suppression: true,
            normaliser: true,
            voice_activity: true,
            limiter: true,
            gain_db: Some(measure),
        };
        let size = rmp_serde::to_vec_named(&leg).expect("msgpack").len();
        assert!(LEGS_MAX * size < MAX_FRAME - 1_024, "{size} bytes a leg");
    }
}
