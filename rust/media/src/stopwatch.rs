//! What work costs. The engine reads no clock; whoever drives it may lend it a stopwatch.

use std::time::Duration;

/// A clock that only ever goes forward; its zero does not matter.
pub type Stopwatch = fn() -> Duration;

/// Only every so often is a piece of work measured: reading a clock costs as well.
const EVERY: u32 = 16;
/// Weight of the newest value: about the last second, if there is work in every tick.
const SMOOTHING: f64 = 0.25;

/// Cost of one kind of work.
#[derive(Debug, Default)]
pub struct Cost {
    us: Option<f64>,
    until_next: u32,
}

impl Cost {
    /// Does some work, and measures it now and then.
    #[inline]
    pub fn of<R>(&mut self, stopwatch: Option<Stopwatch>, work: impl FnOnce() -> R) -> R {
        match stopwatch {
            Some(clock) if self.until_next == 0 => {
                self.until_next = EVERY;
                let begin = clock();
                let result = work();
                let us = clock().saturating_sub(begin).as_secs_f64() * 1e6;
                let before = self.us.unwrap_or(us);
                self.us = Some(before + (us - before) * SMOOTHING);
                result
            }
            _ => {
                self.until_next = self.until_next.saturating_sub(1);
                work()
            }
        }
    }

    /// In microseconds; `None` if it was never measured.
    pub fn us(&self) -> Option<f64> {
        self.us
    }
}
