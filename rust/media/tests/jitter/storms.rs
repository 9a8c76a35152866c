//! How soon a storm is forgotten.

use super::hours::call;
use super::*;

/// When the storm begins.
const BEGIN_US: i64 = 10_000_000;

/// How long storms last, in seconds, and how many seeds are tried.
const LENGTHS: [(i64, u64); 4] = [(5, 4), (10, 8), (30, 4), (60, 4)];

/// Time that is looked at after a storm, in seconds.
const AFTER: i64 = 12;

/// Less than the least that is cut out of a voice.
const REST_MS: u32 = 2;

/// What comes seldom comes so often.
const PERIOD_US: i64 = 10_000_000;

/// What a storm does to a packet, by a number from 0 to 1 and the time in the storm's period: its delay in
/// milliseconds, or its loss.
type Storm = fn(f64, i64) -> Option<f64>;

const STORMS: [(&str, Storm); 10] = [
    ("jitter of 40 ms", |part, _| Some(part * 40.0)),
    ("jitter of 150 ms", |part, _| Some(part * 150.0)),
    ("2 % lost", |part, _| (part > 0.02).then_some(0.0)),
    ("20 % lost", |part, _| (part > 0.2).then_some(0.0)),
    ("100 ms of each second lost", |_, at_us| {
        (at_us % 1_000_000 > 100_000).then_some(0.0)
    }),
    ("5 % overtaken", |part, _| {
        Some(if part < 0.05 {
            25.0 + 400.0 * part
        } else {
            0.0
        })
    }),
    ("300 ms of each second held back", |_, at_us| {
        Some((300.0 - at_us as f64 % 1e6 / 1e3).max(0.0))
    }),
    ("all held back for a second", |_, at_us| {
        Some((at_us - 9_000_000).clamp(0, 10_000_000 - at_us) as f64 / 1e3)
    }),
    ("100 ms longer on another way", |part, _| Some(100.0 + part)),
    ("jitter of 80 ms, 10 % lost", |part, _| {
        (part > 0.1).then_some(part * 80.0)
    }),
];

fn network(storm: Storm, length_s: i64, jitter_ms: f64, seed: u64) -> Network {
    let mut random = Random(seed);
    let end_us = BEGIN_US + length_s * 1_000_000;
    Network {
        phase_us: seed as i64 * 2_000,
        seconds: end_us / 1_000_000 + AFTER,
        delay: Box::new(move |sent| {
            let (usual, part) = (random.part() * jitter_ms, random.part());
            let delay = if (BEGIN_US..end_us).contains(&sent) {
                storm(part, (sent - end_us).rem_euclid(PERIOD_US))?
            } else {
                0.0
            };
            Some(((usual + delay) * 1_000.0) as i64)
        }),
        ..Network::default()
    }
}

#[test]
fn within_5_s_after_a_storm_of_up_to_a_minute_the_delay_is_what_the_jitter_needs() {
    for (length_s, seeds) in LENGTHS {
        let each = |ms: f64| (1..=seeds).map(move |seed| (ms, seed));
        for (jitter_ms, seed) in [0.2, 20.0].into_iter().flat_map(each) {
            let calm = run(network(|_, _| Some(0.0), length_s, jitter_ms, seed));
            let needed_ms = calm.depth_ms[500..].iter().max().expect("a long call");
            for (name, storm) in STORMS {
                let stormy = run(network(storm, length_s, jitter_ms, seed));
                let after = &stormy.depth_ms[((15 + length_s) * 1_000_000 / TICK_US) as usize..];
                assert!(
                    after
                        .iter()
                        .all(|depth_ms| *depth_ms <= needed_ms + REST_MS),
                    "{name} for {length_s} s, seed {seed}, usual jitter of {jitter_ms} ms: {needed_ms} and {:?}",
                    after.iter().max()
                );
            }
        }
    }
}

#[test]
fn within_5_s_after_a_storm_a_voice_of_any_codec_is_heard_as_soon_as_before() {
    for (codec, rate) in [
        (Codec::Pcmu, Rate::Narrow),
        (Codec::G722, Rate::Wide),
        (Codec::Opus, Rate::Wide),
    ] {
        for seed in 1..=5 {
            let mut random = Random(seed);
            let stormy = call(codec, rate, 30, 0.0, move |number| {
                let (lost, part) = (random.part() < 0.1, random.part());
                if (500..1_000).contains(&number) {
                    (!lost).then_some((part * 150_000.0) as i64)
                } else {
                    Some(0)
                }
            });
            assert!(stormy.depth_ms[999] > 50, "{codec}");
            assert!(
                stormy.depth_ms[1_250..]
                    .iter()
                    .all(|depth_ms| *depth_ms <= REST_MS),
                "{codec}, seed {seed}"
            );
        }
    }
}
