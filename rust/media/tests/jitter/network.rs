//! What the buffer makes of whole networks.

use super::*;

#[test]
fn a_clean_network_waits_for_the_next_tick_and_nothing_more() {
    for phase_us in [1_500, 5_000, 10_000, 15_000, 18_500] {
        let outcome = run(Network {
            phase_us,
            ..Network::default()
        });
        assert_eq!(outcome.count(Heard::MadeUp, 0), 0, "phase {phase_us}");
        assert!(
            outcome.ticks[2..]
                .iter()
                .all(|(_, heard)| *heard == Heard::Real),
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
    assert_eq!(outcome.count(Heard::MadeUp, 0), 0);
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
                outcome.count(Heard::MadeUp, 0),
                0,
                "ptime {ptime_ms} phase {phase_us}"
            );
            assert_eq!(
                outcome.count(Heard::Silence, 1),
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
fn lost_packets_are_concealed_and_cost_one_packet_of_delay_at_most() {
    let mut random = Random(1);
    let lossy = move |sent| (random.part() >= 0.05 || sent > 50_000_000).then_some(0);
    let outcome = run(Network {
        delay: Box::new(lossy),
        seconds: 65,
        ..Network::default()
    });
    let share = outcome.count(Heard::MadeUp, 0) as f64 / outcome.ticks.len() as f64;
    assert!((0.02..0.06).contains(&share), "{share}");
    assert!(outcome.depth_ms.iter().all(|depth| *depth <= 40));
    assert_eq!(outcome.depth_at(64), 0);
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
        let bad = outcome.count(Heard::MadeUp, 2) as f64 / outcome.ticks.len() as f64;
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
    assert_eq!(outcome.count(Heard::MadeUp, 26), 0);
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
    assert_eq!(outcome.count(Heard::MadeUp, 17), 0);
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
            let concealed = outcome.count(Heard::MadeUp, 0) as f64;
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
        outcome.count(Heard::MadeUp, 3) == 0,
        "{}",
        outcome.count(Heard::MadeUp, 3)
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
        outcome.count(Heard::MadeUp, 0) <= 3 * spurts,
        "{}",
        outcome.count(Heard::MadeUp, 0)
    );
    assert!(outcome.count(Heard::Real, 0) >= 49 * spurts);
    assert!(outcome.depth_ms.iter().all(|depth| *depth <= 20));
}

#[test]
fn a_sender_who_stops_after_a_quiet_frame_is_silent_at_once() {
    let outcome = run(Network {
        talks: Box::new(|sent| sent % 2_000_000 < 1_000_000),
        silent: Box::new(|sent| sent % 2_000_000 > 900_000),
        ..Network::default()
    });
    assert_eq!(outcome.count(Heard::MadeUp, 0), 0);
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
        assert_eq!(outcome.count(Heard::MadeUp, 1), 0, "phase {phase_us}");
        let to_tick = (20_000 - phase_us) as f64 / 1_000.0;
        waits.push(to_tick % 20.0 + f64::from(outcome.depth_at(19)));
    }
    waits.sort_by(f64::total_cmp);
    assert!(
        waits[100] <= 12.0 && waits[198] <= 20.6,
        "{} {}",
        waits[100],
        waits[198]
    );
}

#[test]
fn what_a_network_held_back_for_less_than_the_ceiling_is_all_heard() {
    let stall = |sent: i64| Some((10_160_000 - sent).max(0) * i64::from(sent >= 10_000_000));
    let outcome = run(Network {
        delay: Box::new(stall),
        seconds: 30,
        ..Network::default()
    });
    assert_eq!(outcome.stats.late + outcome.stats.discarded, 0);
    assert_eq!(outcome.depth_at(29), 0);
    // As many ticks as were waited for are made up for by pitch periods that are left out.
    assert!(
        (100..=140).contains(&outcome.stats.stretched_ms),
        "{:?}",
        outcome.stats
    );
}

#[test]
fn ticks_without_a_packet_starve_the_mixer_but_for_pauses_of_the_sender() {
    let stall = |sent: i64| Some((10_060_000 - sent).max(0) * i64::from(sent >= 10_000_000));
    let stalled = run(Network {
        delay: Box::new(stall),
        seconds: 20,
        ..Network::default()
    });
    assert_eq!(stalled.stats.starved, 2);
    let paused = run(Network {
        talks: Box::new(|sent| sent % 2_000_000 < 1_000_000),
        seconds: 20,
        ..Network::default()
    });
    assert_eq!(paused.stats.starved, 0);
}
