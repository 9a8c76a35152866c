//! Networks that lose, delay and reorder packets, the same for the same seed.

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to 1.
    pub fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What a network does to packets.
#[derive(Default)]
pub struct Network {
    /// Share of packets lost.
    pub loss: f64,
    /// Packets in a row that are lost on the average; 0: independently (else Gilbert's model).
    burst: f64,
    /// Delay of each packet is uniform up to this, but none overtakes another.
    jitter_ms: f64,
    /// Share of packets that come so late that others overtake them.
    reordered: f64,
    /// The sender's clock against ours.
    pub drift_ppm: f64,
    /// Nothing comes for so long, then all at once.
    stall_ms: f64,
    /// Nothing of so long a time ever comes, and from then on all takes longer.
    handover_ms: (f64, f64),
    bad: bool,
}

/// When, of the stall and the hand-over, after the beginning of what is scored.
const MISHAP_S: f64 = 3.0;

/// Spread of arrivals on a clean network.
const PHASE_MS: f64 = 0.2;

impl Network {
    /// `None` if there is no such network. A name is a kind and its figure.
    pub fn new(name: &str) -> Option<Network> {
        let (kind, figure) = name.split_once(':').unwrap_or((name, "0"));
        let figure: f64 = figure.parse().ok()?;
        let network = Network::default();
        Some(match kind {
            "clean" => network,
            "loss" => Network {
                loss: figure / 100.0,
                ..network
            },
            "bursts" => Network {
                loss: figure / 100.0,
                burst: 3.0,
                ..network
            },
            "jitter" => Network {
                jitter_ms: figure,
                ..network
            },
            "drift" => Network {
                drift_ppm: figure,
                ..network
            },
            "reorder" => Network {
                reordered: figure / 100.0,
                ..network
            },
            "stall" => Network {
                stall_ms: figure,
                ..network
            },
            "handover" => Network {
                handover_ms: (figure, 60.0),
                jitter_ms: 10.0,
                ..network
            },
            "mobile" => Network {
                loss: figure / 100.0,
                burst: 2.0,
                jitter_ms: 60.0,
                drift_ppm: 30.0,
                ..network
            },
            _ => return None,
        })
    }

    /// Delay of a packet that is sent `at_ms` after the beginning of what is scored; `None` if it is lost.
    pub fn delay_ms(&mut self, at_ms: f64, random: &mut Random) -> Option<f64> {
        let mishap = at_ms - MISHAP_S * 1_000.0;
        if mishap >= 0.0 && mishap < self.handover_ms.0 {
            return None;
        }
        // All draws are made whatever comes of them, so that networks of one seed resemble each other.
        let (lost, delay, late) = (random.part(), random.part(), random.part());
        let p = if self.burst == 0.0 {
            self.loss
        } else if self.bad {
            1.0 - 1.0 / self.burst
        } else {
            self.loss / (1.0 - self.loss) / self.burst
        };
        self.bad = lost < p;
        if self.bad {
            return None;
        }
        let mut delay = delay * (self.jitter_ms + PHASE_MS);
        if late < self.reordered {
            delay += 25.0 + 20.0 * late / self.reordered;
        }
        if mishap >= 0.0 && self.handover_ms.0 > 0.0 {
            delay += self.handover_ms.1;
        }
        if mishap >= 0.0 && mishap < self.stall_ms {
            delay = self.stall_ms - mishap;
        }
        Some(delay)
    }

    pub fn keeps_order(&self) -> bool {
        self.reordered == 0.0
    }
}
