//! What is lost on both ways, and what the peer's reports of it ask of our Opus: bits, and how much of them for the
//! packet before.
//!
//! Listeners of equal settings share an encode, so there are few of them: a step for each kind of network. A report
//! of more loss takes effect at once, less loss only when it lasts: every change takes a listener out of a shared
//! stream until the next pause.

use std::time::Duration;

use plenary_codec::OpusSettings;

use crate::sdp::OpusWishes;

/// Loss from which a step applies, and what it is: expected loss in percent, and the most bits a second. Opus wants at
/// least 24 kbit/s for its FEC, and 32 kbit/s if nothing of the band is to be given for it.
const STEPS: [(f64, u8, u32); 4] = [
    (0.0, 0, 48_000),
    (1.0, 10, 32_000),
    (6.0, 20, 32_000),
    // More bits than fit through would explain it as well.
    (20.0, 20, 24_000),
];
/// The bitrates that there are, the best first.
const BITRATES: [u32; 4] = [48_000, 32_000, 24_000, 16_000];
/// What a peer gets that does not say what it wants: more is hard to hear with one voice at a time.
const USUAL_BPS: u32 = 32_000;
/// Reports of less loss in a row that lead one step back: 15 s.
const PATIENCE: u32 = 3;
/// Weight of the newest measurement.
const SMOOTHING: f64 = 0.5;

/// How often the loss of what comes is measured.
const INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct Quality {
    step: usize,
    better: u32,
    percent: Option<f64>,
}

/// What was lost lately of what the peer has sent, whatever redundancy brought back: as we count it ourselves, for many
/// phones report nothing.
#[derive(Debug, Default)]
pub struct Incoming {
    percent: Option<f64>,
    due: Duration,
    /// As they were when it was measured last.
    received: u64,
    lost: u64,
}

impl Incoming {
    #[inline]
    pub fn is_due(&self, now: Duration) -> bool {
        now >= self.due
    }

    /// Takes what was received and lost so far.
    pub fn measure(&mut self, received: u64, lost: u64, now: Duration) {
        self.due = now + INTERVAL;
        let came = received.saturating_sub(self.received);
        // What comes late is lost no more.
        let lacks = lost.saturating_sub(self.lost);
        (self.received, self.lost) = (received, lost);
        if came + lacks > 0 {
            let percent = 100.0 * lacks as f64 / (came + lacks) as f64;
            let before = self.percent.unwrap_or(percent);
            self.percent = Some(before + (percent - before) * SMOOTHING);
        }
    }

    /// `None` before anything has come.
    pub fn percent(&self) -> Option<f64> {
        self.percent
    }
}

impl Quality {
    /// Takes what the peer has lost of our packets since its last report.
    pub fn report(&mut self, loss_percent: f64) {
        let before = self.percent.unwrap_or(loss_percent);
        self.percent = Some(before + (loss_percent - before) * SMOOTHING);
        let fits = STEPS.iter().rposition(|(from, ..)| loss_percent >= *from);
        let fits = fits.unwrap_or(0);
        if fits >= self.step {
            (self.step, self.better) = (fits, 0);
            return;
        }
        self.better += 1;
        if self.better >= PATIENCE {
            (self.step, self.better) = (self.step - 1, 0);
        }
    }

    /// What the peer lost, of about its last two reports; `None` before the first.
    pub fn percent(&self) -> Option<f64> {
        self.percent
    }

    pub fn settings(&self, wishes: &OpusWishes) -> OpusSettings {
        let (_, expected_loss_percent, most) = STEPS[self.step];
        let most = most.min(wishes.max_bitrate_bps.unwrap_or(USUAL_BPS));
        let fitting = BITRATES.into_iter().find(|bitrate| *bitrate <= most);
        OpusSettings {
            bitrate_bps: fitting.unwrap_or(most),
            fec: wishes.fec,
            dtx: wishes.dtx,
            expected_loss_percent,
            max_playback: wishes.max_playback,
            cbr: wishes.cbr,
            ..OpusSettings::default()
        }
        .effective()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(reports: &[f64]) -> OpusSettings {
        let mut quality = Quality::default();
        reports.iter().for_each(|loss| quality.report(*loss));
        let wishes = OpusWishes {
            fec: true,
            ..OpusWishes::default()
        };
        quality.settings(&wishes)
    }

    #[test]
    fn loss_is_met_at_once_and_forgotten_slowly() {
        let expected = |reports: &[f64]| after(reports).expected_loss_percent;
        assert_eq!(expected(&[]), 0);
        assert_eq!(expected(&[9.0]), 20);
        assert_eq!(expected(&[9.0, 0.0, 0.0]), 20);
        assert_eq!(expected(&[9.0, 0.0, 0.0, 0.0]), 10);
        assert_eq!(expected(&[9.0, 0.0, 0.0, 9.0, 0.0]), 20);
        assert_eq!(expected(&[9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), 0);
    }

    #[test]
    fn bitrates_are_few_and_never_more_than_the_peer_wants() {
        let bitrate = |max_bitrate_bps| {
            let wishes = OpusWishes {
                max_bitrate_bps,
                ..OpusWishes::default()
            };
            Quality::default().settings(&wishes).bitrate_bps
        };
        let wished = [None, Some(510_000), Some(40_000), Some(20_000), Some(6_000)];
        assert_eq!(wished.map(bitrate), [32_000, 48_000, 32_000, 16_000, 6_000]);
        assert_eq!(after(&[50.0]).bitrate_bps, 24_000);
    }

    #[test]
    fn loss_is_that_of_the_last_seconds() {
        let mut incoming = Incoming::default();
        assert!(incoming.percent().is_none());
        let second = Duration::from_secs(1);
        for (received, lost, expected) in [(90, 10, 10.0), (190, 10, 5.0), (290, 10, 2.5)] {
            incoming.measure(received, lost, second);
            assert_eq!(incoming.percent(), Some(expected));
        }
        assert!(!incoming.is_due(2 * second) && incoming.is_due(3 * second));
    }
}
