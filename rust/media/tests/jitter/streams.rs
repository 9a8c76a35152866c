//! What the buffer makes of odd streams, packet by packet.

use super::*;

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
