//! Whether what is over for the moment will come again: storms pass, a network's nature doesn't.
//!
//! What has come and gone for longer than a storm lasts is expected for as long as it has stayed away before, and half
//! as long again. Everything else is waited for as briefly as can be borne.

/// A trouble that has come and gone for so long (two minutes) is the network's nature. Units of 1/48,000 s, as all times
/// here.
const LASTING: i64 = 120 * 48_000;

/// What has been away for longer (8 s) is not waited for, and comes as something new.
const ABSENCE_MAX: i64 = 8 * 48_000;

/// What is told of within a second is one trouble.
const AT_ONCE: i64 = 48_000;

/// What an absence tells of later ones, after each further one.
const FORGETTING: f32 = 0.98;

/// Comings and goings of one kind of trouble.
#[derive(Debug, Default)]
pub struct Recurrence {
    began: i64,
    last: Option<i64>,
    /// The longest absence lately.
    absence: i64,
}

impl Recurrence {
    /// The trouble is there at `now`, and was not since `gone`; `None`: since this was last called.
    pub fn again(&mut self, now: i64, gone: Option<i64>) {
        let known = self.last.filter(|last| now - last <= LASTING);
        let absence = known.map(|last| now - gone.unwrap_or(last));
        match absence.filter(|absence| *absence <= ABSENCE_MAX) {
            Some(absence) => {
                let known = (self.absence as f32 * FORGETTING) as i64;
                self.absence = absence.max(known);
            }
            None => (self.began, self.absence) = (now, 0),
        }
        self.last = Some(now);
    }

    /// The trouble is worse than it has been: what was known of it was of something else, unless that was just now.
    pub fn worse(&mut self, now: i64) {
        if self.last.is_none_or(|last| now - last > AT_ONCE) {
            (self.began, self.absence) = (now, 0);
        }
        self.last = Some(now);
    }

    /// Whether it has come and gone for so long that it's the network's nature.
    pub fn is_lasting(&self) -> bool {
        self.last.is_some_and(|last| last - self.began > LASTING)
    }

    /// How long to wait for it since it was there last.
    pub fn patience(&self, least: i64, most: i64) -> i64 {
        if self.is_lasting() {
            (self.absence * 3 / 2).clamp(least, most)
        } else {
            least
        }
    }

    /// Whether it has not come for so long.
    pub fn is_over(&self, now: i64, least: i64, most: i64) -> bool {
        self.last
            .is_none_or(|last| now - last > self.patience(least, most))
    }
}
