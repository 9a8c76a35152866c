//! How hard Opus may try: a thread that has no time left gives up some sound before it is late with all of it.

/// Complexities of Opus, the best first: those between sound no better than 0, and those above cost more than they give
/// (`docs/decisions/opus.md`).
const COMPLEXITIES: [u8; 2] = [5, 0];
/// Work in a tick of 20 ms above which there is too little time for what else comes, in microseconds.
const BUSY_US: f64 = 13_000.0;
/// Work below which there is time for the better, which takes three times as long.
const IDLE_US: f64 = 4_000.0;
/// Ticks between two changes: longer than what a cost is smoothed over (2 s).
const PATIENCE: u32 = 100;

#[derive(Debug, Default)]
pub struct Effort {
    level: usize,
    since: u32,
}

impl Effort {
    /// Takes what the last ticks have cost; once a tick.
    pub fn adapt(&mut self, busy_us: f64) -> u8 {
        self.since = self.since.saturating_add(1);
        let level = if busy_us > BUSY_US {
            (self.level + 1).min(COMPLEXITIES.len() - 1)
        } else if busy_us < IDLE_US {
            self.level.saturating_sub(1)
        } else {
            self.level
        };
        if level != self.level && self.since > PATIENCE {
            (self.level, self.since) = (level, 0);
        }
        self.complexity()
    }

    pub fn complexity(&self) -> u8 {
        COMPLEXITIES[self.level]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_time_tries_less_hard_and_more_only_when_there_is_plenty() {
        let mut effort = Effort::default();
        let mut after = |busy_us, ticks| {
            for _ in 0..ticks {
                effort.adapt(busy_us);
            }
            effort.complexity()
        };
        assert_eq!(after(19_000.0, 90), 5);
        assert_eq!(after(19_000.0, 1_000), 0);
        assert_eq!(after(9_000.0, 1_000), 0);
        assert_eq!(after(1_000.0, 1), 5);
    }
}
