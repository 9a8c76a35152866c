//! Digits as RTP events (RFC 4733), in both directions.

use core::time::Duration;

use crate::rtp::RtpTime;

/// Digits that may wait to be sent on one leg: more than any number or PIN.
pub const QUEUE_MAX: usize = 100;

/// A digit that a peer has pressed and let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    /// One of `0123456789*#ABCD`.
    pub digit: char,
    pub duration: Duration,
}

/// Reception of one peer's digits: one for each press, however often its packets come.
#[derive(Debug, Default)]
pub struct DigitReceiver {}

impl DigitReceiver {
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// Takes the payload of one telephone-event packet. Malformed ones and events that aren't digits are ignored.
    pub fn receive(&mut self, timestamp: RtpTime, payload: &[u8], now: Duration) {
        let _ = (timestamp, payload, now);
    }

    /// The next finished digit, if any; asked at every tick until `None`. A digit whose end was lost ends by itself.
    pub fn poll(&mut self, now: Duration) -> Option<Digit> {
        let _ = now;
        None
    }
}

/// Why digits can't be queued: the API user's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigitsRefused {
    /// Not one of `0123456789*#ABCDabcd`.
    NotADigit(char),
    /// More than [`QUEUE_MAX`] would wait.
    TooMany,
}

/// A packet to send in place of this tick's audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    pub marker: bool,
    /// Start of the event; the same in all packets of one digit.
    pub timestamp: RtpTime,
    pub payload: [u8; 4],
}

/// Digits on their way to one peer.
#[derive(Debug)]
pub struct DigitSender {}

impl Default for DigitSender {
    fn default() -> Self {
        Self::new()
    }
}

impl DigitSender {
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// Queues digits, each `duration` long (40 ms to 8 s, rounded up to ticks) and followed by `pause`.
    ///
    /// # Errors
    /// [`DigitsRefused`]; none of them is queued then.
    pub fn queue(
        &mut self,
        digits: &str,
        duration: Duration,
        pause: Duration,
    ) -> Result<(), DigitsRefused> {
        let _ = (digits, duration, pause);
        Ok(())
    }

    /// The packet of this tick, if a digit is being sent; `timestamp` is what an audio packet would carry now.
    pub fn tick(&mut self, timestamp: RtpTime) -> Option<EventPacket> {
        let _ = timestamp;
        None
    }

    /// Whether all digits and their pauses are over.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        true
    }
}
