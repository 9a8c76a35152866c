//! Whether a room is so large that what its listeners share is sent over the time until its next tick.
//!
//! It is decided by how many follow its streams, and kept for a while: each time that it changes, what they get jitters
//! once by up to 17.5 ms. Talkers who come and go, and packets that discontinuous transmission leaves out, change nothing.

/// Listeners from whom on their packets are spread: what a core sends in a sub-tick, with some time to spare.
const BEGIN: usize = 1_000;
/// Listeners below whom they are sent at once again.
const END: usize = 800;
/// Ticks in which they must have been so few (1 s).
const PATIENCE: u32 = 50;

#[derive(Debug, Default)]
pub struct Spread {
    is_on: bool,
    /// Ticks in a row with few listeners.
    few: u32,
}

impl Spread {
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Notes how many followed streams in a tick.
    pub fn note(&mut self, following: usize) {
        self.few = if following < END { self.few + 1 } else { 0 };
        if following > BEGIN {
            self.is_on = true;
        } else if self.few >= PATIENCE {
            (self.is_on, self.few) = (false, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_large_above_a_thousand_until_it_has_had_less_than_eight_hundred_for_a_second() {
        let mut spread = Spread::default();
        let mut after = |following, ticks| {
            (0..ticks).for_each(|_| spread.note(following));
            spread.is_on()
        };
        assert!(!after(1_000, 100));
        assert!(after(1_001, 1));
        assert!(after(999, 500), "talkers come and go");
        assert!(after(799, 49) && after(800, 1) && after(799, 49));
        assert!(!after(799, 1));
        assert!(!after(1_000, 1));
    }
}
