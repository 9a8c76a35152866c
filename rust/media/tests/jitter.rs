//! The playout buffer against simulated networks: seeded, without waiting.

use std::time::Duration;

use plenary_media::codec::{Codec, FRAME_SAMPLES};
use plenary_media::conceal::Concealer;
use plenary_media::jitter::{JitterBuffer, JitterStats, Playout};
use plenary_media::rtp::source::Place;
use proptest::prelude::*;

const TICK_US: i64 = 20_000;

/// splitmix64: the same network for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What the sender's packets hold: a loud byte that tells the time, so that what is played tells its own delay.
fn speech(timestamp: i64) -> u8 {
    0x80 | (timestamp.div_euclid(80).rem_euclid(64) as u8)
}

struct Network {
    ptime_ms: i64,
    /// Arrival after the tick's phase, in microseconds.
    phase_us: i64,
    drift_ppm: f64,
    seconds: i64,
    /// Gives the delay in microseconds of the packet sent at a time in microseconds, or its loss.
    delay: Box<dyn FnMut(i64) -> Option<i64>>,
    /// Whether the sender sends at a time.
    talks: Box<dyn Fn(i64) -> bool>,
    silent: Box<dyn Fn(i64) -> bool>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            ptime_ms: 20,
            phase_us: 5_000,
            drift_ppm: 0.0,
            seconds: 60,
            delay: Box::new(|_| Some(0)),
            talks: Box::new(|_| true),
            silent: Box::new(|_| false),
        }
    }
}

#[derive(Default)]
struct Outcome {
    /// Of each tick: time in microseconds, and what was played.
    ticks: Vec<(i64, Playout)>,
    /// Of each tick: audio waiting after it, in milliseconds.
    depth_ms: Vec<u32>,
    stats: JitterStats,
    /// Of each frame played: time from its sending to its playing in milliseconds, to 10 ms.
    delay_ms: Vec<i64>,
}

impl Outcome {
    fn count(&self, wanted: fn(&Playout) -> bool, from_s: i64) -> usize {
        self.ticks
            .iter()
            .filter(|(at, playout)| *at >= from_s * 1_000_000 && wanted(playout))
            .count()
    }

    fn depth_at(&self, second: i64) -> u32 {
        let from = (second * 50) as usize;
        *self.depth_ms[from - 25..from]
            .iter()
            .max()
            .expect("the run is longer than that")
    }
}

fn is_frame(playout: &Playout) -> bool {
    *playout == Playout::Frame
}

fn is_conceal(playout: &Playout) -> bool {
    matches!(playout, Playout::Conceal { .. })
}

fn is_silence(playout: &Playout) -> bool {
    *playout == Playout::Silence
}

fn run(mut network: Network) -> Outcome {
    let mut buffer = JitterBuffer::new(Codec::Pcmu);
    let samples = network.ptime_ms * 8;
    let period_us = network.ptime_ms as f64 * 1_000.0 * (1.0 + network.drift_ppm / 1e6);
    let mut arrivals: Vec<(i64, Place, u8)> = Vec::new();
    let mut was_talking = false;
    for n in 0.. {
        let sent = (n as f64 * period_us) as i64 + network.phase_us;
        if sent >= network.seconds * 1_000_000 {
            break;
        }
        if (network.talks)(sent)
            && let Some(delay) = (network.delay)(sent)
        {
            let place = Place {
                seq: n as u64,
                timestamp: 1_000_000 + n * samples,
                new_stream: arrivals.is_empty(),
            };
            let byte = if (network.silent)(sent) { 0xff } else { 0 };
            arrivals.push((sent + delay, place, byte | u8::from(!was_talking) << 1));
        }
        was_talking = (network.talks)(sent);
    }
    arrivals.sort_by_key(|(at, ..)| *at);
    if let Some((_, first, _)) = arrivals.first_mut() {
        first.new_stream = true;
    }
    let mut outcome = Outcome::default();
    let mut arrivals = arrivals.into_iter().peekable();
    let mut coded = [0; FRAME_SAMPLES];
    let mut payload = vec![0; samples as usize];
    for tick in 0..network.seconds * 50 {
        let now = tick * TICK_US;
        while let Some((at, place, byte)) = arrivals.next_if(|(at, ..)| *at <= now) {
            for (i, piece) in (0..).zip(payload.chunks_mut(80)) {
                piece.fill(if byte == 0xff {
                    0xff
                } else {
                    speech(place.timestamp + i * 80)
                });
            }
            buffer.push(
                Duration::from_micros(at as u64),
                place,
                &payload,
                byte & 2 != 0,
            );
        }
        let playout = buffer.pull(Duration::from_micros(now as u64), &mut coded);
        if playout == Playout::Frame && coded[0] != 0xff {
            // The byte tells the sample's media time modulo 640 ms.
            let said_ms =
                i64::from(coded[0] & 0x3f) * 10 + network.phase_us / 1_000 - 1_000_000 / 8;
            outcome
                .delay_ms
                .push((now / 1_000 - said_ms).rem_euclid(640));
        }
        outcome.ticks.push((now, playout));
        outcome.depth_ms.push(buffer.stats().buffer_ms);
    }
    outcome.stats = buffer.stats();
    outcome
}

#[test]
fn a_clean_network_waits_for_the_next_tick_and_nothing_more() {
    for phase_us in [1_500, 5_000, 10_000, 15_000, 18_500] {
        let outcome = run(Network {
            phase_us,
            ..Network::default()
        });
        assert_eq!(outcome.count(is_conceal, 0), 0, "phase {phase_us}");
        assert!(
            outcome.ticks[2..]
                .iter()
                .all(|(_, playout)| is_frame(playout)),
            "phase {phase_us}"
        );
        assert!(
            outcome.depth_ms.iter().all(|depth| *depth == 0),
            "phase {phase_us}: {:?}",
            outcome.depth_ms.iter().max()
        );
    }
}

#[test]
fn what_is_played_is_what_was_said_just_before_and_in_order() {
    let mut random = Random(3);
    let jittery = move |_| Some((random.part() * 30_000.0) as i64);
    let clean = run(Network::default());
    let shaken = run(Network {
        delay: Box::new(jittery),
        ..Network::default()
    });
    assert!(
        clean.delay_ms.iter().all(|delay| (10..=20).contains(delay)),
        "{:?}",
        &clean.delay_ms[..20]
    );
    assert!(
        shaken
            .delay_ms
            .iter()
            .all(|delay| (10..=70).contains(delay))
    );
}

#[test]
fn a_packet_just_before_the_tick_waits_for_the_one_after() {
    let outcome = run(Network {
        phase_us: 19_600,
        ..Network::default()
    });
    assert_eq!(outcome.count(is_conceal, 0), 0);
    assert_eq!(outcome.depth_at(30), 20);
}

#[test]
fn every_packet_time_is_played_without_gap() {
    for ptime_ms in [10, 20, 30, 40, 50, 60] {
        for phase_us in [2_000, 9_000, 12_500, 18_000] {
            let outcome = run(Network {
                ptime_ms,
                phase_us,
                ..Network::default()
            });
            assert_eq!(
                outcome.count(is_conceal, 0),
                0,
                "ptime {ptime_ms} phase {phase_us}"
            );
            assert_eq!(
                outcome.count(is_silence, 1),
                0,
                "ptime {ptime_ms} phase {phase_us}"
            );
            let most = outcome.depth_ms.iter().max().copied().unwrap_or(0);
            assert!(
                most <= ptime_ms as u32 + 10,
                "ptime {ptime_ms} phase {phase_us}: {most}"
            );
        }
    }
}

#[test]
fn lost_packets_are_concealed_and_delay_nothing() {
    let mut random = Random(1);
    let lossy = move |_| (random.part() >= 0.05).then_some(0);
    let outcome = run(Network {
        delay: Box::new(lossy),
        ..Network::default()
    });
    let share = outcome.count(is_conceal, 0) as f64 / outcome.ticks.len() as f64;
    assert!((0.03..0.07).contains(&share), "{share}");
    assert!(
        outcome
            .depth_ms
            .iter()
            .all(|depth| *depth == 0 || *depth == 20)
    );
    assert_eq!(outcome.depth_at(59), 0);
    assert_eq!(outcome.stats.late, 0);
}

#[test]
fn jitter_of_40_ms_costs_a_delay_of_about_as_much_and_hardly_a_frame() {
    for seed in 1..=5 {
        let mut random = Random(seed);
        let jittery = move |_| Some((random.part() * 40_000.0) as i64);
        let outcome = run(Network {
            delay: Box::new(jittery),
            ..Network::default()
        });
        let bad = outcome.count(is_conceal, 2) as f64 / outcome.ticks.len() as f64;
        assert!(bad < 0.01, "seed {seed}: {bad}");
        assert!(
            outcome.depth_ms[500..].iter().all(|depth| *depth <= 80),
            "seed {seed}"
        );
        assert!(
            (20..60).contains(&outcome.stats.target_ms),
            "seed {seed}: {}",
            outcome.stats.target_ms
        );
    }
}

#[test]
fn after_a_storm_the_delay_is_back_within_5_s() {
    let mut random = Random(7);
    let storm = move |sent| {
        Some(if (10_000_000..20_000_000).contains(&sent) {
            (random.part() * 150_000.0) as i64
        } else {
            0
        })
    };
    let outcome = run(Network {
        delay: Box::new(storm),
        ..Network::default()
    });
    assert!(outcome.depth_at(19) >= 80, "{}", outcome.depth_at(19));
    assert!(outcome.depth_at(26) <= 20, "{}", outcome.depth_at(26));
    assert_eq!(outcome.count(is_conceal, 26), 0);
}

#[test]
fn a_stall_of_500_ms_is_over_within_5_s_and_never_exceeds_the_ceiling() {
    let stall = |sent: i64| Some((10_500_000 - sent).max(0) * i64::from(sent >= 10_000_000));
    let outcome = run(Network {
        delay: Box::new(stall),
        ..Network::default()
    });
    assert!(outcome.depth_ms.iter().all(|depth| *depth <= 200));
    assert!(outcome.depth_at(16) <= 20, "{}", outcome.depth_at(16));
    assert_eq!(outcome.count(is_conceal, 17), 0);
}

#[test]
fn drift_neither_grows_the_delay_nor_starves_over_an_hour() {
    for drift_ppm in [-200.0, -50.0, 50.0, 200.0] {
        for talks_without_pause in [true, false] {
            let outcome = run(Network {
                drift_ppm,
                seconds: 3_600,
                silent: Box::new(move |sent| !talks_without_pause && sent % 3_000_000 < 300_000),
                ..Network::default()
            });
            assert!(
                outcome.depth_ms.iter().all(|depth| *depth <= 40),
                "{drift_ppm} {:?}",
                outcome.depth_ms.iter().max()
            );
            let corrections = 3_600.0 * f64::abs(drift_ppm) / 20_000.0;
            let concealed = outcome.count(is_conceal, 0) as f64;
            let most = if talks_without_pause {
                2.0 * corrections + 2.0
            } else {
                corrections / 2.0
            };
            assert!(
                concealed <= most,
                "{drift_ppm}: {concealed} of {corrections}"
            );
        }
    }
}

#[test]
fn reordered_packets_are_played_in_order() {
    let swapped = |sent: i64| Some(if sent / 20_000 % 10 == 5 { 25_000 } else { 0 });
    let outcome = run(Network {
        delay: Box::new(swapped),
        ..Network::default()
    });
    assert!(
        outcome.count(is_conceal, 3) == 0,
        "{}",
        outcome.count(is_conceal, 3)
    );
    assert!(outcome.depth_ms.iter().all(|depth| *depth <= 60));
}

#[test]
fn a_sender_who_stops_is_silent_and_not_concealed_for_long() {
    let outcome = run(Network {
        talks: Box::new(|sent| sent % 2_000_000 < 1_000_000),
        ..Network::default()
    });
    let spurts = 30;
    assert!(
        outcome.count(is_conceal, 0) <= 3 * spurts,
        "{}",
        outcome.count(is_conceal, 0)
    );
    assert!(outcome.count(is_frame, 0) >= 49 * spurts);
    assert!(outcome.depth_ms.iter().all(|depth| *depth <= 20));
}

#[test]
fn a_sender_who_stops_after_a_quiet_frame_is_silent_at_once() {
    let outcome = run(Network {
        talks: Box::new(|sent| sent % 2_000_000 < 1_000_000),
        silent: Box::new(|sent| sent % 2_000_000 > 900_000),
        ..Network::default()
    });
    assert_eq!(outcome.count(is_conceal, 0), 0);
}

#[test]
fn the_added_delay_keeps_the_budget_on_a_clean_network() {
    // Frames are played whole, so a packet's wait is its phase to the tick, and one tick more under the margin.
    let mut waits: Vec<f64> = Vec::new();
    for n in 0..200 {
        let mut random = Random(n);
        let phase_us = n as i64 * 100;
        let shaky = move |_| Some((random.part() * 200.0) as i64);
        let outcome = run(Network {
            phase_us,
            delay: Box::new(shaky),
            seconds: 20,
            ..Network::default()
        });
        assert_eq!(outcome.count(is_conceal, 1), 0, "phase {phase_us}");
        let to_tick = (20_000 - phase_us) as f64 / 1_000.0;
        waits.push(to_tick % 20.0 + f64::from(outcome.depth_at(19)));
    }
    waits.sort_by(f64::total_cmp);
    assert!(
        waits[100] <= 12.0 && waits[198] <= 21.5,
        "{} {}",
        waits[100],
        waits[198]
    );
}

fn one_packet(buffer: &mut JitterBuffer, at_ms: u64, timestamp: i64, new_stream: bool) {
    let place = Place {
        seq: 0,
        timestamp,
        new_stream,
    };
    buffer.push(
        Duration::from_millis(at_ms),
        place,
        &[0; FRAME_SAMPLES],
        false,
    );
}

/// Twenty ticks of a stream whose timestamps and marks a function gives.
fn ticks_of(timestamp: impl Fn(i64) -> (i64, bool)) -> Vec<Playout> {
    let mut buffer = JitterBuffer::new(Codec::Pcmu);
    let mut out = [0; FRAME_SAMPLES];
    (0..50)
        .map(|n| {
            let (timestamp, new_stream) = timestamp(n);
            one_packet(&mut buffer, n as u64 * 20 + 5, timestamp, new_stream);
            buffer.pull(Duration::from_millis(n as u64 * 20 + 20), &mut out)
        })
        .collect()
}

#[test]
fn a_new_stream_is_played_from_its_first_packet() {
    let played = ticks_of(|n| {
        if n < 25 {
            (n * 160, n == 0)
        } else {
            (9_000_000_000 - n * 160 + 50 * n * 160, n == 25)
        }
    });
    assert!(played[..26].iter().all(is_frame));
}

#[test]
fn timestamps_that_jump_in_a_stream_lose_nothing() {
    for jump in [1_000_000, -1_000_000, 16_000, -16_000] {
        let played = ticks_of(|n| (n * 160 + if n < 25 { 0 } else { jump }, n == 0));
        assert!(played.iter().all(is_frame), "{jump}: {played:?}");
    }
}

#[test]
fn timestamps_that_step_back_are_followed_after_a_while() {
    let played = ticks_of(|n| (100_000 + n * 160 - if n < 25 { 0 } else { 4_000 }, n == 0));
    assert!(played[40..].iter().all(is_frame), "{played:?}");
}

#[test]
fn after_a_time_without_listening_the_delay_is_as_before() {
    for pushed_meanwhile in [false, true] {
        let mut buffer = JitterBuffer::new(Codec::Pcmu);
        let mut out = [0; FRAME_SAMPLES];
        for n in 0..1_000 {
            let listening = !(100..900).contains(&n);
            if listening || pushed_meanwhile {
                one_packet(&mut buffer, n * 20 + 5, n as i64 * 160, n == 0);
            }
            if listening {
                assert!(
                    is_frame(&buffer.pull(Duration::from_millis(n * 20 + 20), &mut out)),
                    "{n}"
                );
                assert_eq!(buffer.stats().buffer_ms, 0);
            }
        }
    }
}

#[test]
fn a_packet_after_its_time_is_counted_as_late_and_not_played() {
    let mut buffer = JitterBuffer::new(Codec::Pcmu);
    let mut out = [0; FRAME_SAMPLES];
    for n in [0, 1, 2, 4, 5, 6] {
        one_packet(&mut buffer, n * 20 + 5, n as i64 * 160, n == 0);
        if n == 4 {
            buffer.pull(Duration::from_millis(80), &mut out);
        }
        buffer.pull(Duration::from_millis(n * 20 + 20), &mut out);
    }
    one_packet(&mut buffer, 146, 3 * 160, false);
    assert_eq!(buffer.stats().late, 1);
    assert_eq!(
        buffer.pull(Duration::from_millis(160), &mut out),
        Playout::Conceal {
            from: 0,
            to: FRAME_SAMPLES
        }
    );
}

#[test]
fn half_a_frame_that_is_missing_is_named() {
    let mut buffer = JitterBuffer::new(Codec::Pcmu);
    let mut out = [0; FRAME_SAMPLES];
    for n in [0, 1, 2, 3, 5] {
        let place = Place {
            seq: n,
            timestamp: n as i64 * 80,
            new_stream: n == 0,
        };
        buffer.push(
            Duration::from_millis(n * 10 + 2),
            place,
            &[n as u8; 80],
            false,
        );
    }
    let played: Vec<_> = [20, 40, 60, 80]
        .map(|at| buffer.pull(Duration::from_millis(at), &mut out))
        .into();
    assert!(
        played.contains(&Playout::Conceal { from: 0, to: 80 }),
        "{played:?}"
    );
}

#[test]
fn a_leg_s_buffer_stays_small() {
    assert!(size_of::<JitterBuffer>() + 4_096 <= 8_192);
}

/// A tone of 440 Hz through buffer and concealer, of a sender whose clock differs.
fn tone_heard(drift_ppm: f64, seconds: i64) -> (Vec<i16>, JitterStats) {
    let mut buffer = JitterBuffer::new(Codec::Pcmu);
    let mut concealer = Concealer::new();
    let mut sent = 0_i64;
    let mut heard = Vec::new();
    let (mut payload, mut coded, mut pcm) =
        ([0; FRAME_SAMPLES], [0; FRAME_SAMPLES], [0; FRAME_SAMPLES]);
    for tick in 0..seconds * 50 {
        let arrival = |n: i64| (n as f64 * 20_000.0 * (1.0 + drift_ppm / 1e6)) as i64 + 10_000;
        while arrival(sent) <= tick * TICK_US {
            for (i, sample) in pcm.iter_mut().enumerate() {
                let time = (sent * 160 + i as i64) as f64 / 8_000.0;
                *sample = ((std::f64::consts::TAU * 440.0 * time).sin() * 10_000.0) as i16;
            }
            Codec::Pcmu.encode(&pcm, &mut payload);
            let place = Place {
                seq: sent as u64,
                timestamp: sent * 160,
                new_stream: sent == 0,
            };
            buffer.push(
                Duration::from_micros(arrival(sent) as u64),
                place,
                &payload,
                false,
            );
            sent += 1;
        }
        let playout = buffer.pull(Duration::from_micros((tick * TICK_US) as u64), &mut coded);
        concealer.decode(Codec::Pcmu, &playout, &coded, &mut pcm);
        heard.extend_from_slice(&pcm);
    }
    (heard, buffer.stats())
}

#[test]
fn following_a_drifting_clock_makes_no_click() {
    for drift_ppm in [-200.0, 200.0] {
        let (heard, stats) = tone_heard(drift_ppm, 600);
        let step = heard
            .windows(2)
            .map(|pair| i32::from(pair[0]).abs_diff(i32::from(pair[1])))
            .max();
        // A sine of 440 Hz and 10,000 goes 3,450 at a step.
        assert!(step <= Some(5_000), "{drift_ppm}: {step:?}");
        assert!(stats.concealed_ms <= 7 * 20, "{drift_ppm}: {stats:?}");
    }
}

proptest! {
    #[test]
    fn nothing_that_comes_panics_or_waits_for_too_long(
        packets in prop::collection::vec(
            (0..60_u64, prop_oneof![-500..2_000_i64, -100_000..100_000_i64], 0..600_usize, any::<bool>(), 0..40_u8),
            1..200,
        ),
    ) {
        let mut buffer = JitterBuffer::new(Codec::Pcma);
        let mut out = [0; FRAME_SAMPLES];
        let (mut now, mut timestamp, mut tick) = (0, 5_000_000, 0);
        for (later_ms, step, len, marker, restart) in packets {
            now += later_ms;
            timestamp += step;
            let place = Place { seq: 0, timestamp, new_stream: restart == 0 };
            buffer.push(Duration::from_millis(now), place, &vec![0x2a; len], marker);
            while tick + 20 <= now {
                tick += 20;
                let playout = buffer.pull(Duration::from_millis(tick), &mut out);
                if let Playout::Conceal { from, to } = playout {
                    prop_assert!(from < to && to <= FRAME_SAMPLES);
                }
                prop_assert!(buffer.stats().buffer_ms <= 200);
            }
        }
    }
}
