//! The wire as OpenSSL sees it: each read gives a datagram, each write makes one.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use super::cookie::{RECORD_HEADER, number_of};

/// Datagrams that wait to be sent: a flight has 5 at most. Those beyond are lost, as on any wire, and repeated.
const WAITING_MAX: usize = 16;

/// Longest datagram that is read: the longest record that TLS allows.
const DATAGRAM_MAX: usize = 16 * 1_024 + 2_048;

#[derive(Debug, Default)]
pub struct Pipe {
    inbox: Option<Vec<u8>>,
    outbox: VecDeque<Vec<u8>>,
    /// What the records of OpenSSL have to be renumbered by until they are encrypted: their numbers go on after those
    /// of records that were sent in its place.
    ahead: u64,
}

impl Pipe {
    /// OpenSSL reads it at once, so there is never more than one.
    pub fn deliver(&mut self, datagram: &[u8]) {
        self.inbox = (datagram.len() <= DATAGRAM_MAX).then(|| datagram.to_vec());
    }

    /// Forgets what was to be sent; the next records, which OpenSSL numbers from `sent`, begin with `first`.
    pub fn go_on(&mut self, sent: u64, first: u64) {
        self.outbox.clear();
        self.ahead = first.saturating_sub(sent);
    }

    /// The next datagram to send.
    pub fn collect(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }
}

impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let datagram = self.inbox.take().ok_or(ErrorKind::WouldBlock)?;
        let len = datagram.len().min(out.len());
        out[..len].copy_from_slice(&datagram[..len]);
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        if self.outbox.len() < WAITING_MAX {
            let mut datagram = datagram.to_vec();
            renumber(&mut datagram, self.ahead);
            self.outbox.push_back(datagram);
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Those of epoch 0 (RFC 6347, section 4.1); nothing but the client's window of numbers depends on theirs.
fn renumber(datagram: &mut [u8], ahead: u64) {
    let mut rest = datagram;
    while let Some((header, records)) = rest.split_at_mut_checked(RECORD_HEADER) {
        if header[3..5] == [0, 0] {
            let number = number_of(&header[5..11]).wrapping_add(ahead);
            header[5..11].copy_from_slice(&number.to_be_bytes()[2..]);
        }
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        rest = records.get_mut(length..).unwrap_or_default();
    }
}
