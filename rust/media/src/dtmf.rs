//! Digits as RTP events (RFC 4733), in both directions.
//!
//! A peer sends a pressed key as packets that all carry the timestamp of its start, a growing duration, and at the end,
//! three times, the end bit. So a digit is known by its timestamp; whatever of its packets comes first starts it, the
//! first with the end bit, another digit, or [`END_LOST`] without any ends it.

use core::time::Duration;

use crate::rtp::RtpTime;

/// Digits that may wait to be sent on one leg: more than any number or PIN.
pub const QUEUE_MAX: usize = 100;

/// Time without packets of a digit after which its end must have been lost: more than two of their intervals.
const END_LOST: Duration = Duration::from_millis(150);

/// Digits received that may wait to be polled; more than one tick can bring to an end.
const FINISHED_MAX: usize = 8;

/// Ticks of a digit that is sent (40 ms to 8 s): shorter isn't heard, longer doesn't fit into the duration field.
const TICKS: core::ops::RangeInclusive<u16> = 2..=400;

/// Longest pause between digits, in ticks (10 s).
const PAUSE_TICKS_MAX: u16 = 500;

/// Times the end of a digit is sent (RFC 4733 section 2.5.1.4).
const END_PACKETS: u16 = 3;

/// Ticks of ours in a second.
const TICKS_A_SECOND: u32 = 50;
const TICK_MS: u128 = 20;
const END_BIT: u8 = 0x80;
/// -10 dBm0, as good as any (RFC 4733 section 2.3.3).
const VOLUME: u8 = 10;
const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// A digit that a peer has pressed and let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    /// One of `0123456789*#ABCD`.
    pub digit: char,
    pub duration: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Pressed {
    timestamp: RtpTime,
    event: u8,
    clock_hz: u32,
    duration: u16,
    heard: Duration,
    ended: bool,
}

/// Reception of one peer's digits: one for each press, however often its packets come.
#[derive(Debug, Default)]
pub struct DigitReceiver {
    /// The last one, kept when it has ended so that its repeated ends are known.
    pressed: Option<Pressed>,
    finished: [Option<Digit>; FINISHED_MAX],
}

impl DigitReceiver {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the payload of one telephone-event packet, whose durations are in ticks of `clock_hz`. Malformed ones and events that aren't digits are ignored.
    pub fn receive(&mut self, timestamp: RtpTime, clock_hz: u32, payload: &[u8], now: Duration) {
        let Some(&[event, flags, high, low]) = payload.first_chunk::<4>() else {
            return;
        };
        if usize::from(event) >= KEYS.len() {
            return;
        }
        let duration = u16::from_be_bytes([high, low]);
        if let Some(last) = &self.pressed {
            let age = timestamp.0.wrapping_sub(last.timestamp.0) as i32;
            if age < 0 {
                return;
            }
            if age > 0 {
                self.end();
                self.pressed = None;
            }
        }
        let pressed = self.pressed.get_or_insert(Pressed {
            timestamp,
            event,
            clock_hz,
            duration,
            heard: now,
            ended: false,
        });
        if pressed.ended {
            return;
        }
        pressed.duration = pressed.duration.max(duration);
        pressed.heard = now;
        if flags & END_BIT != 0 {
            self.end();
        }
    }

    /// The next finished digit, if any; asked at every tick until `None`. A digit whose end was lost ends by itself.
    pub fn poll(&mut self, now: Duration) -> Option<Digit> {
        if self
            .pressed
            .is_some_and(|pressed| now.saturating_sub(pressed.heard) > END_LOST)
        {
            self.end();
        }
        let digit = self.finished[0].take()?;
        self.finished.rotate_left(1);
        Some(digit)
    }

    fn end(&mut self) {
        let Some(pressed) = self.pressed.as_mut().filter(|pressed| !pressed.ended) else {
            return;
        };
        pressed.ended = true;
        let digit = Digit {
            digit: char::from(KEYS[usize::from(pressed.event)]),
            duration: Duration::from_micros(
                u64::from(pressed.duration) * 1_000_000 / u64::from(pressed.clock_hz.max(1)),
            ),
        };
        // A peer that ends more digits in a tick than a human in a second loses some.
        if let Some(slot) = self.finished.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(digit);
        }
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

#[derive(Clone, Copy, Debug)]
struct Queued {
    event: u8,
    ticks: u16,
    pause_ticks: u16,
}

#[derive(Clone, Copy, Debug)]
enum Sending {
    Nothing,
    /// `sent` packets of the digit are out, of `ticks` and the ends after them.
    Digit {
        queued: Queued,
        timestamp: RtpTime,
        sent: u16,
    },
    Pause {
        ticks: u16,
    },
}

/// Digits on their way to one peer.
#[derive(Debug)]
pub struct DigitSender {
    queue: Box<[Queued; QUEUE_MAX]>,
    first: usize,
    len: usize,
    sending: Sending,
}

impl Default for DigitSender {
    fn default() -> Self {
        Self::new()
    }
}

impl DigitSender {
    #[must_use]
    pub fn new() -> Self {
        let none = Queued {
            event: 0,
            ticks: 0,
            pause_ticks: 0,
        };
        Self {
            queue: Box::new([none; QUEUE_MAX]),
            first: 0,
            len: 0,
            sending: Sending::Nothing,
        }
    }

    /// Queues digits, each `duration` long (40 ms to 8 s, rounded up to ticks) and followed by `pause` (at most 10 s),
    /// the first 40 ms of which the repeated ends take.
    ///
    /// # Errors
    /// [`DigitsRefused`]; none of them is queued then.
    pub fn queue(
        &mut self,
        digits: &str,
        duration: Duration,
        pause: Duration,
    ) -> Result<(), DigitsRefused> {
        let mut wanted = 0;
        for digit in digits.chars() {
            event_of(digit).ok_or(DigitsRefused::NotADigit(digit))?;
            wanted += 1;
            if self.len + wanted > QUEUE_MAX {
                return Err(DigitsRefused::TooMany);
            }
        }
        let in_ticks = |time: Duration, max: u16| {
            time.as_millis().div_ceil(TICK_MS).min(u128::from(max)) as u16
        };
        let ticks = in_ticks(duration, *TICKS.end()).max(*TICKS.start());
        let pause_ticks = in_ticks(pause, PAUSE_TICKS_MAX).saturating_sub(END_PACKETS - 1);
        for event in digits.chars().filter_map(event_of) {
            self.queue[(self.first + self.len) % QUEUE_MAX] = Queued {
                event,
                ticks,
                pause_ticks,
            };
            self.len += 1;
        }
        Ok(())
    }

    /// The packet of this tick, if a digit is being sent; `timestamp` is what an audio packet would carry now, and
    /// durations are in ticks of `clock_hz`. What the field can't hold is told as the longest that it can: at 48,000 Hz,
    /// 1.4 s.
    pub fn tick(&mut self, timestamp: RtpTime, clock_hz: u32) -> Option<EventPacket> {
        if let Sending::Pause { ticks } = &mut self.sending {
            if *ticks > 0 {
                *ticks -= 1;
                return None;
            }
            self.sending = Sending::Nothing;
        }
        if matches!(self.sending, Sending::Nothing) {
            if self.len == 0 {
                return None;
            }
            let queued = self.queue[self.first];
            self.first = (self.first + 1) % QUEUE_MAX;
            self.len -= 1;
            self.sending = Sending::Digit {
                queued,
                timestamp,
                sent: 0,
            };
        }
        let Sending::Digit {
            queued,
            timestamp,
            sent,
        } = &mut self.sending
        else {
            return None;
        };
        *sent += 1;
        let end = *sent >= queued.ticks;
        let lasted = clock_hz / TICKS_A_SECOND * u32::from((*sent).min(queued.ticks));
        let [high, low] = u16::try_from(lasted).unwrap_or(u16::MAX).to_be_bytes();
        let flags = if end { END_BIT | VOLUME } else { VOLUME };
        let packet = EventPacket {
            marker: *sent == 1,
            timestamp: *timestamp,
            payload: [queued.event, flags, high, low],
        };
        if *sent == queued.ticks + END_PACKETS - 1 {
            self.sending = Sending::Pause {
                ticks: queued.pause_ticks,
            };
        }
        Some(packet)
    }

    /// Whether all digits and their pauses are over.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.len == 0 && matches!(self.sending, Sending::Nothing | Sending::Pause { ticks: 0 })
    }
}

fn event_of(digit: char) -> Option<u8> {
    let key = u8::try_from(digit.to_ascii_uppercase()).ok()?;
    KEYS.iter()
        .position(|known| *known == key)
        .map(|event| event as u8)
}
