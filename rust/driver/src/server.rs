//! The control socket: one server at a time, never waited for.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use plenary_media::messages::Welcome;

use crate::journal::Journal;
use crate::wire::{self, Batch, TooLong};

/// Bytes read from the server before something else gets its turn.
const READ_TURN: usize = 1024 * 1024;
/// Events put in one frame.
const EVENTS_PER_FRAME: usize = 256;
/// Bytes of events put in one frame, if more than one.
const FRAME_BYTES: usize = 256 * 1024;

/// Listens where the server connects; removes the socket file when dropped.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Replaces a socket file that nobody listens on any more.
    pub fn bind(path: &Path) -> io::Result<Listener> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
                if !is_socket || UnixStream::connect(path).is_ok() {
                    return Err(error);
                }
                std::fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        // Whoever connects controls every call.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Listener {
            listener,
            path: path.to_owned(),
        })
    }

    /// The newest server that wants to connect.
    pub fn accept(&self) -> Option<Connection> {
        let mut newest = None;
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                newest = Some(Connection::new(stream));
            }
        }
        newest
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // If it is gone already, all the better.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Why a connection is given up.
#[derive(Debug)]
pub enum Lost {
    Closed,
    /// The server does not speak this protocol.
    TooLong,
}

/// One server.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    received: Vec<u8>,
    sending: Vec<u8>,
    sent: usize,
    /// Events up to this number were put into `sending`; none before the server said hello.
    cursor: Option<u64>,
}

impl Connection {
    fn new(stream: UnixStream) -> Connection {
        Connection {
            stream,
            received: Vec::new(),
            sending: Vec::new(),
            sent: 0,
            cursor: None,
        }
    }

    pub fn is_greeted(&self) -> bool {
        self.cursor.is_some()
    }

    /// Welcomes the server; events after `acked` follow.
    pub fn greet(&mut self, welcome: &Welcome, acked: u64) {
        let bytes = rmp_serde::to_vec_named(welcome)
            .unwrap_or_else(|error| unreachable!("a welcome can always be written: {error}"));
        wire::write_frame(&mut self.sending, std::iter::once(bytes.as_slice()));
        self.cursor = Some(acked);
    }

    /// Whether something waits to be sent.
    pub fn has_news(&self, journal: &Journal) -> bool {
        self.sent < self.sending.len() || self.cursor.is_some_and(|cursor| cursor < journal.last())
    }

    /// Reads what has come, and hands each frame to `each`.
    pub fn read(&mut self, mut each: impl FnMut(Batch)) -> Result<(), Lost> {
        let mut chunk = [0; 65_536];
        let mut total = 0;
        let mut closed = false;
        while total < READ_TURN {
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    closed = true;
                    break;
                }
                Ok(length) => {
                    self.received.extend_from_slice(&chunk[..length]);
                    total += length;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    closed = true;
                    break;
                }
            }
        }
        while let Some(frame) =
            wire::next_frame(&mut self.received).map_err(|TooLong| Lost::TooLong)?
        {
            each(wire::parse(&frame));
        }
        if closed { Err(Lost::Closed) } else { Ok(()) }
    }

    /// Sends as much as the socket takes. What it does not take stays in the journal.
    pub fn write(&mut self, journal: &Journal) -> Result<(), Lost> {
        loop {
            if self.sent == self.sending.len() {
                self.sending.clear();
                self.sent = 0;
                let Some(cursor) = self.cursor.filter(|cursor| *cursor < journal.last()) else {
                    return Ok(());
                };
                let mut bytes = 0;
                let mut last = journal.last();
                let events =
                    journal
                        .after(cursor)
                        .take(EVENTS_PER_FRAME)
                        .take_while(|(_, event)| {
                            let fits = bytes == 0 || bytes + event.len() <= FRAME_BYTES;
                            bytes += event.len();
                            fits
                        });
                let events: Vec<(u64, &[u8])> = events.collect();
                if let Some((seq, _)) = events.last() {
                    last = *seq;
                    wire::write_frame(&mut self.sending, events.iter().map(|(_, event)| *event));
                }
                self.cursor = Some(last);
            }
            match self.stream.write(&self.sending[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Lost::Closed),
            }
        }
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}
