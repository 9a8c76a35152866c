//! Distribution of durations in few numbers: four buckets for each doubling, from 1 µs to half a minute.

use std::time::Duration;

const BUCKETS: usize = 100;
/// Values counted before all counts are halved, so that the past fades: about five minutes of ticks.
const FADE: u64 = 65_536;

#[derive(Clone, Debug)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    total: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            counts: [0; BUCKETS],
            total: 0,
        }
    }
}

impl Histogram {
    pub fn add(&mut self, value: Duration) {
        let micros = (value.as_micros() as u64).max(1);
        let octave = micros.ilog2() as usize;
        let quarter = if octave >= 2 {
            (micros >> (octave - 2)) as usize & 3
        } else {
            0
        };
        self.counts[(4 * octave + quarter).min(BUCKETS - 1)] += 1;
        self.total += 1;
        if self.total >= FADE {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
    }

    pub fn merge(&mut self, other: &Histogram) {
        self.counts
            .iter_mut()
            .zip(other.counts)
            .for_each(|(count, more)| *count += more);
        self.total += other.total;
    }

    /// Upper end, in µs, of the bucket below which `share` of the values lie; 0 without any.
    pub fn quantile_us(&self, share: f64) -> f64 {
        let mut left = (self.total as f64 * share).ceil() as u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            if *count > 0 && *count >= left {
                return (1_u64 << (bucket / 4)) as f64 * (1.25 + 0.25 * (bucket % 4) as f64);
            }
            left = left.saturating_sub(*count);
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_quarter() {
        let mut histogram = Histogram::default();
        (1..=1_000).for_each(|micros| histogram.add(Duration::from_micros(micros)));
        for share in [0.5, 0.9, 0.99] {
            let (found, true_value) = (histogram.quantile_us(share), 1_000.0 * share);
            assert!(
                (true_value..=1.25 * true_value).contains(&found),
                "{share}: {found}"
            );
        }
        assert_eq!(Histogram::default().quantile_us(0.5), 0.0);
    }
}
