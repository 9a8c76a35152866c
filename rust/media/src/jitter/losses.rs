//! How many packets are lost nowadays.

use super::recurrence::Recurrence;

/// Weight of one packet: the last two seconds in packets of 20 ms.
const WEIGHT: f32 = 0.01;

/// Two losses within a second are no accident.
const MANY: f32 = 0.015;

/// Less than this are none: what was missing was late.
const FEW: f32 = 0.003;

/// Time without a loss that ends them (3 s), in units of 1/48,000 s: 5 s after a storm, what it has cost of delay has to be
/// gone.
const OVER: i64 = 144_000;

/// The same at most (12 s), where losses keep coming back.
const OVER_MAX: i64 = 576_000;

/// Losses in a row beyond which the network, or the listener, was away for a while: no packet in hand helps against that.
const RUN_MAX: u64 = 6;

/// Share of packets that don't come, by their sequence numbers.
#[derive(Debug, Default)]
pub struct Losses {
    highest: Option<u64>,
    share: f32,
    many: bool,
    seen: Recurrence,
}

impl Losses {
    /// Takes the number of a packet that came at `arrival`, in units of 1/48,000 s.
    pub fn push(&mut self, seq: u64, arrival: i64) {
        let highest = *self.highest.get_or_insert(seq);
        if seq > highest {
            let lost = seq - highest - 1;
            self.highest = Some(seq);
            if (1..=RUN_MAX).contains(&lost) {
                for _ in 0..lost {
                    self.share += WEIGHT * (1.0 - self.share);
                }
                self.seen.again(arrival, None);
                self.many |= self.share > MANY;
            }
            self.share -= WEIGHT * self.share;
        } else if seq < highest {
            // It was only late.
            self.share = (self.share - WEIGHT).max(0.0);
            self.many &= self.share > FEW;
        }
        if self.many && self.seen.is_over(arrival, OVER, OVER_MAX) {
            (self.many, self.share) = (false, 0.0);
        }
    }

    pub fn restart(&mut self) {
        self.highest = None;
    }

    /// Whether it pays to wait for the packet after a lost one.
    pub fn are_many(&self) -> bool {
        self.many
    }
}
