//! The post of a media thread: a thread of its own that sends what the phones of large rooms share.
//!
//! ```text
//! tick ┬ own packets ────────────────────────────────────────────▶ sockets
//!      └ the shared ones of a large room, as one buffer ▶ post ─▶ the same sockets, in parts over 20 ms
//! ```
//!
//! The kernel's way of a datagram takes twice as long as all that the engine does for who only listens, and may as well be gone on
//! another core. The media thread hands over a tick's packets in the buffer that they were made in, and gets it back when they
//! are sent; it never waits. A post that is behind by more than [`BEHIND`] gets no more until it is not: those packets are lost, and counted. It
//! comes into being with the first large room, and ends some time after the last, so nobody else has it.
//!
//! A leg's packets leave in their order. Who begins to talk, or leaves the room, while his last shared packet still waits has his
//! own sent after it, by the post (*chase*), and before what he may share after that; as soon as nothing of his waits they are
//! sent directly again. For this it is known in which *mailing* he had the last one, and which mailings are done. There are two
//! exceptions, of one packet: a leg that goes to another thread has what waits sent at once, in a race with that thread's next
//! tick, which it loses only if the post is behind; and one that goes from one large room to another of the same thread may have
//! the first it shares there before the last it shared here.
//!
//! The post holds each socket as well as the leg does. It lets go of it when it is told so, behind everything that it was told
//! before.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plenary_media::engine::SUB_TICK;
use plenary_media::legs::LegKey;
use plenary_media::output::{Outbox, Packet, Port};

use crate::pacing::Pacer;
use crate::sys;

/// How long the oldest mailing may have waited for another to be handed over: a burst of three packets.
const BEHIND: Duration = Duration::from_millis(60);

/// A tick goes first, for [`sys::hurry`].
const RANK: i32 = 1;

#[derive(Debug)]
enum Mail {
    /// Packets to send in parts.
    Spread(Outbox),
    /// Packets of legs that may still wait for others, to send after them.
    Chase(Outbox),
    /// A leg whose packets will come.
    Meet(LegKey, Arc<UdpSocket>),
    /// A leg is gone.
    Part(LegKey),
    /// A leg goes to another thread.
    HandOver(LegKey),
}

/// The media thread's end.
pub struct Post {
    mails: Option<Sender<Mail>>,
    /// Buffers come back.
    spare: Receiver<Outbox>,
    /// Number of the last mailing with a packet of the leg in this slot; 0: the post does not know it.
    last: Vec<u64>,
    given: u64,
    /// When the mailings were handed over that were not done when it was last looked: number, time.
    waiting: VecDeque<(u64, Duration)>,
    done: Arc<AtomicU64>,
    chase: Outbox,
    lost: u64,
    thread: Option<JoinHandle<()>>,
}

impl Post {
    /// Starts the thread.
    pub fn open() -> io::Result<Post> {
        let (mut post, round) = pair();
        let work = move || {
            sys::exact_timers();
            sys::hurry(RANK);
            go_round(round);
        };
        let thread = thread::Builder::new().name("post".into()).spawn(work)?;
        post.thread = Some(thread);
        Ok(post)
    }

    /// Packets that were not sent since the post was behind.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// A buffer to make the next packets in.
    pub fn spare(&self) -> Outbox {
        self.spare.try_recv().unwrap_or_default()
    }

    /// Hands over the packets of a tick, of which the post sends those that are to be spread and go through a phone's
    /// socket, in parts. `now`: of a clock that never goes back.
    pub fn spread<'a>(
        &mut self,
        packets: Outbox,
        now: Duration,
        socket: impl Fn(LegKey) -> Option<&'a Arc<UdpSocket>>,
    ) {
        let mine = packets.iter().map(|(packet, _)| packet);
        let mine = mine.filter(|packet| is_mine(packet));
        if self.is_behind(now) {
            self.lost += mine.count() as u64;
            return;
        }
        self.given += 1;
        for packet in mine {
            let slot = packet.leg.slot();
            if self.last.len() <= slot {
                self.last.resize(slot + 1, 0);
            }
            if self.last[slot] == 0 {
                let Some(socket) = socket(packet.leg) else {
                    continue;
                };
                tell(&self.mails, Mail::Meet(packet.leg, socket.clone()));
            }
            self.last[slot] = self.given;
        }
        self.waiting.push_back((self.given, now));
        tell(&self.mails, Mail::Spread(packets));
    }

    fn is_behind(&mut self, now: Duration) -> bool {
        let done = self.done();
        while self.waiting.front().is_some_and(|it| it.0 <= done) {
            self.waiting.pop_front();
        }
        let oldest = self.waiting.front().map_or(now, |it| it.1);
        let behind = now.saturating_sub(oldest) > BEHIND;
        // One that has panicked is a mistake of ours, and only a fresh engine helps.
        let ended = behind && self.thread.as_ref().is_some_and(JoinHandle::is_finished);
        assert!(!ended, "the post has ended");
        behind
    }

    /// Mailings up to this one are done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// Whether a packet of a leg may wait that is not in the mailings that are `done`.
    #[inline]
    pub fn holds(&self, leg: LegKey, done: u64) -> bool {
        self.last.get(leg.slot()).is_some_and(|last| *last > done)
    }

    /// Takes a packet of a leg of which another may wait; it goes with [`Post::send_chase`].
    pub fn chase(&mut self, packet: &Packet, bytes: &[u8]) {
        self.chase.copy(packet, bytes);
        self.last[packet.leg.slot()] = self.given + 1;
    }

    pub fn has_chase(&self) -> bool {
        !self.chase.is_empty()
    }

    /// Hands over what [`Post::chase`] has taken.
    pub fn send_chase(&mut self, now: Duration) {
        if self.is_behind(now) {
            self.lost += self.chase.len() as u64;
            return self.chase.clear();
        }
        self.given += 1;
        self.waiting.push_back((self.given, now));
        let spare = self.spare();
        let chase = std::mem::replace(&mut self.chase, spare);
        tell(&self.mails, Mail::Chase(chase));
    }

    /// Nothing waits.
    pub fn is_idle(&self) -> bool {
        self.done() == self.given
    }

    /// Lets the thread end by itself: a tick does not wait for it.
    pub fn end(mut self) {
        self.thread = None;
    }

    /// A leg is gone, or goes to another thread; whether the post knew it, and may have its socket for a while yet.
    pub fn part(&mut self, leg: LegKey, moves: bool) -> bool {
        let Some(last) = self.last.get_mut(leg.slot()) else {
            return false;
        };
        let known = std::mem::take(last) > 0;
        if known {
            let mail = if moves { Mail::HandOver } else { Mail::Part };
            tell(&self.mails, mail(leg));
        }
        known
    }
}

fn tell(mails: &Option<Sender<Mail>>, mail: Mail) {
    if let Some(mails) = mails {
        drop(mails.send(mail));
    }
}

fn is_mine(packet: &Packet) -> bool {
    packet.spread && packet.port == Port::Rtp
}

impl Drop for Post {
    fn drop(&mut self) {
        self.mails = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The post's own end.
struct Round {
    mails: Receiver<Mail>,
    spare: Sender<Outbox>,
    done: Arc<AtomicU64>,
    pacer: Pacer,
    /// By the leg's slot.
    sockets: Vec<Option<(LegKey, Arc<UdpSocket>)>>,
}

fn pair() -> (Post, Round) {
    let ((mails, mailed), (give, spare)) = (channel(), channel());
    let done = Arc::new(AtomicU64::new(0));
    let post = Post {
        mails: Some(mails),
        spare,
        last: Vec::new(),
        given: 0,
        waiting: VecDeque::new(),
        done: done.clone(),
        chase: Outbox::default(),
        lost: 0,
        thread: None,
    };
    let round = Round {
        mails: mailed,
        spare: give,
        done,
        pacer: Pacer::default(),
        sockets: Vec::new(),
    };
    (post, round)
}

/// A packet that the system does not take is lost as any other may be.
fn send(socket: &UdpSocket, to: SocketAddr, bytes: &[u8]) {
    drop(socket.send_to(bytes, to));
}

/// Until the media thread has dropped its end.
fn go_round(mut round: Round) {
    // Of the next part; nothing waits without one.
    let mut due: Option<Duration> = None;
    loop {
        let mail = match due {
            Some(due) => {
                let time = due.saturating_sub(sys::monotonic());
                round.mails.recv_timeout(time)
            }
            None => round.mails.recv().map_err(RecvTimeoutError::from),
        };
        match mail {
            Ok(mail) => round.take(mail, send),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if round.pacer.is_empty() {
            continue;
        }
        let now = sys::monotonic();
        let at = due.unwrap_or(now);
        if now >= at {
            round.part(send);
        }
        due = match (round.pacer.is_empty(), now >= at) {
            (true, _) => None,
            (false, true) => Some(at + SUB_TICK),
            (false, false) => Some(at),
        };
    }
}

impl Round {
    fn take(&mut self, mail: Mail, send: impl FnMut(&UdpSocket, SocketAddr, &[u8])) {
        match mail {
            Mail::Spread(packets) => self.pacer.take(packets),
            Mail::Chase(packets) => self.pacer.take_after_all(packets),
            Mail::Meet(leg, socket) => {
                if self.sockets.len() <= leg.slot() {
                    self.sockets.resize_with(leg.slot() + 1, || None);
                }
                self.sockets[leg.slot()] = Some((leg, socket));
            }
            Mail::Part(leg) => self.forget(leg),
            Mail::HandOver(leg) => {
                self.send(self.pacer.waiting(leg), send);
                self.forget(leg);
            }
        }
    }

    fn forget(&mut self, leg: LegKey) {
        if let Some(socket) = self.sockets.get_mut(leg.slot()) {
            socket.take_if(|it| it.0 == leg);
        }
    }

    /// Sends the part that is due.
    fn part(&mut self, send: impl FnMut(&UdpSocket, SocketAddr, &[u8])) {
        self.pacer.turn();
        self.send(self.pacer.due(), send);
        for outbox in self.pacer.sent() {
            self.done.fetch_add(1, Ordering::Release);
            drop(self.spare.send(outbox));
        }
    }

    fn send<'a>(
        &self,
        packets: impl Iterator<Item = (&'a Packet, &'a [u8])>,
        mut send: impl FnMut(&UdpSocket, SocketAddr, &[u8]),
    ) {
        for (packet, bytes) in packets {
            if packet.port == Port::Rtp
                && let Some(Some((leg, socket))) = self.sockets.get(packet.leg.slot())
                && *leg == packet.leg
            {
                send(socket, packet.to, bytes);
            }
        }
    }
}
