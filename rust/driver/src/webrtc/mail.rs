//! What media threads send each other for legs that have moved: the socket stays where the leg was opened.
//!
//! Datagrams have a bound of [`DATAGRAMS_MAX`] per thread and are lost beyond it; the rest comes of commands of the server
//! and of ICE restarts, and must not be lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use plenary_transport::webrtc::Proto;

use super::routes::Ticket;

/// Datagrams that wait for a thread: 40 ms of a thousand legs. They are fetched every 2.5 ms.
const DATAGRAMS_MAX: usize = 2_048;

#[derive(Debug)]
pub enum Mail {
    /// To where the leg is: it has come to the gate.
    Came {
        ticket: Ticket,
        proto: Proto,
        from: SocketAddr,
        arrival: Duration,
        bytes: Vec<u8>,
    },
    /// To the gate: it is to go out by TCP.
    Goes { to: SocketAddr, bytes: Vec<u8> },
    /// To the gate: the leg is with this thread now.
    Moved { ticket: Ticket, thread: usize },
    /// To the gate: the leg has a new ufrag.
    Named { ticket: Ticket, ufrag: String },
    /// To the gate: the leg is gone.
    Closed { ticket: Ticket },
}

impl Mail {
    fn is_datagram(&self) -> bool {
        matches!(self, Mail::Came { .. } | Mail::Goes { .. })
    }
}

/// Where others put mail for one thread.
#[derive(Clone, Debug)]
pub struct Slot {
    sender: Sender<Mail>,
    datagrams: Arc<AtomicUsize>,
}

impl Slot {
    /// `false` if it is lost.
    pub fn put(&self, mail: Mail) -> bool {
        if mail.is_datagram() && self.datagrams.fetch_add(1, Ordering::Relaxed) >= DATAGRAMS_MAX {
            self.datagrams.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        // A thread that has ended needs no mail.
        self.sender.send(mail).is_ok()
    }
}

/// Where a thread finds its mail.
#[derive(Debug)]
pub struct Inbox {
    receiver: Receiver<Mail>,
    datagrams: Arc<AtomicUsize>,
}

impl Inbox {
    pub fn take(&self) -> Option<Mail> {
        let mail = self.receiver.try_recv().ok()?;
        if mail.is_datagram() {
            self.datagrams.fetch_sub(1, Ordering::Relaxed);
        }
        Some(mail)
    }
}

/// A thread's two ends.
pub fn open() -> (Slot, Inbox) {
    let (sender, receiver) = channel();
    let datagrams = Arc::new(AtomicUsize::new(0));
    let slot = Slot {
        sender,
        datagrams: datagrams.clone(),
    };
    (
        slot,
        Inbox {
            receiver,
            datagrams,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_lost_beyond_their_bound_and_nothing_else_is() {
        let (slot, mailbox) = open();
        let ticket = Ticket { home: 0, number: 1 };
        let datagram = || Mail::Goes {
            to: SocketAddr::from(([192, 0, 2, 1], 1)),
            bytes: vec![],
        };
        assert!((0..DATAGRAMS_MAX).all(|_| slot.put(datagram())));
        assert!(!slot.put(datagram()) && slot.put(Mail::Closed { ticket }));
        assert!(mailbox.take().is_some() && slot.put(datagram()));
        assert_eq!(
            std::iter::from_fn(|| mailbox.take()).count(),
            DATAGRAMS_MAX + 1
        );
    }
}
