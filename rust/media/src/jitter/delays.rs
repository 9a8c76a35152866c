//! `arrival - timestamp` of the last packets, in units of 1/48,000 s.

use super::buffer::DEPTH_MAX;

/// How long transits are remembered (2.5 s): a storm is over when it's forgotten.
const WINDOW: i64 = 120_000;

/// Delays that are remembered at most: the window's length in packets of 10 ms.
const WINDOW_MAX: usize = 250;

/// Packets that come closer than this (2 ms) have waited for the same thing, and the first has waited longest: they are one
/// delay, not many.
const TOGETHER: i64 = 96;

/// Transits of the last packets.
#[derive(Debug)]
pub struct Delays {
    /// Relative to `origin`, in the order of arrival.
    values: [i32; WINDOW_MAX],
    origin: i64,
    /// Of the newest packet.
    arrival: i64,
    latest: i64,
    len: usize,
    next: usize,
}

impl Delays {
    pub fn new() -> Self {
        Self {
            values: [0; WINDOW_MAX],
            origin: 0,
            arrival: 0,
            latest: 0,
            len: 0,
            next: 0,
        }
    }

    pub fn clear(&mut self) {
        self.len = 0;
        self.next = 0;
    }

    /// Takes the transit of a packet of the given duration that came at `arrival`.
    pub fn push(&mut self, arrival: i64, transit: i64, duration: i64) {
        let together = arrival - self.arrival < TOGETHER && transit < self.latest;
        self.arrival = arrival;
        self.latest = transit;
        if together && self.len > 0 {
            return;
        }
        if self.len == 0 {
            self.origin = transit;
        }
        let window = ((WINDOW / duration.max(1)) as usize).clamp(1, WINDOW_MAX);
        if self.len > window {
            self.clear();
            self.origin = transit;
        }
        if self.next >= window {
            self.next = 0;
        }
        let far = i64::from(i32::MAX);
        self.values[self.next] = (transit - self.origin).clamp(-far, far) as i32;
        self.next += 1;
        self.len = self.len.max(self.next);
    }

    pub fn latest(&self) -> Option<i64> {
        (self.len > 0).then_some(self.latest)
    }

    /// The worst transit but one in a hundred.
    pub fn worst(&self) -> Option<i64> {
        let mut top = [i32::MIN; 3];
        for &value in &self.values[..self.len] {
            if value > top[2] {
                top[2] = value;
                top.sort_unstable_by(|a, b| b.cmp(a));
            }
        }
        let rank = (self.len / 100).min(2);
        (self.len > 0).then(|| self.origin + i64::from(top[rank]))
    }

    /// How far the worst transit lies above the best.
    pub fn spread(&self) -> i64 {
        let best = self.values[..self.len].iter().min().copied().unwrap_or(0);
        self.worst()
            .map_or(0, |worst| worst - self.origin - i64::from(best))
    }

    pub fn differs(&self, transit: i64) -> bool {
        self.worst()
            .is_some_and(|worst| (transit - worst).abs() > DEPTH_MAX)
    }
}
