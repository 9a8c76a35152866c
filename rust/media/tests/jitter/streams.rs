//! What the buffer makes of odd streams, packet by packet.

use plenary_codec::{Encoder, MAX_PAYLOAD, OpusSettings};

use super::*;

fn one_packet(buffer: &mut JitterBuffer, at_ms: i64, timestamp: i64, seq: i64, new_stream: bool) {
    let place = Place {
        seq: seq as u64,
        timestamp,
        new_stream,
    };
    let arrival = Duration::from_millis(at_ms as u64);
    buffer.push(arrival, place, &[0; 160], false);
}

/// Fifty ticks of a stream whose timestamps and marks a function gives.
fn ticks_of(timestamp: impl Fn(i64) -> (i64, bool)) -> Vec<Heard> {
    let mut buffer = JitterBuffer::new(Codec::Pcmu, Rate::Narrow);
    let mut out = Frame::default();
    (0..50)
        .map(|n| {
            let (timestamp, new_stream) = timestamp(n);
            one_packet(&mut buffer, n * 20 + 5, timestamp, n, new_stream);
            listen(&mut buffer, n * 20_000 + 20_000, &mut out)
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
    assert!(played[..26].iter().all(|heard| *heard == Heard::Real));
}

#[test]
fn timestamps_that_jump_in_a_stream_lose_nothing() {
    for jump in [1_000_000, -1_000_000, 16_000, -16_000] {
        let played = ticks_of(|n| (n * 160 + if n < 25 { 0 } else { jump }, n == 0));
        assert!(
            played.iter().all(|heard| *heard == Heard::Real),
            "{jump}: {played:?}"
        );
    }
}

#[test]
fn timestamps_that_step_back_are_followed_after_a_while() {
    let played = ticks_of(|n| (100_000 + n * 160 - if n < 25 { 0 } else { 4_000 }, n == 0));
    assert!(
        played[40..].iter().all(|heard| *heard == Heard::Real),
        "{played:?}"
    );
}

#[test]
fn after_a_time_without_listening_the_delay_is_as_before() {
    for pushed_meanwhile in [false, true] {
        let mut buffer = JitterBuffer::new(Codec::Pcmu, Rate::Narrow);
        let mut out = Frame::default();
        for n in 0..1_000 {
            let listening = !(100..900).contains(&n);
            if listening || pushed_meanwhile {
                one_packet(&mut buffer, n * 20 + 5, n * 160, n, n == 0);
            }
            if listening {
                let heard = listen(&mut buffer, n * 20_000 + 20_000, &mut out);
                assert_eq!(heard, Heard::Real, "{n}");
                assert_eq!(buffer.stats().buffer_ms, 0);
            }
        }
    }
}

#[test]
fn a_packet_after_its_time_is_counted_as_late_and_not_played() {
    let mut buffer = JitterBuffer::new(Codec::Pcmu, Rate::Narrow);
    let mut out = Frame::default();
    for n in [0, 1, 2, 4, 5, 6] {
        one_packet(&mut buffer, n * 20 + 5, n * 160, n, n == 0);
        if n == 4 {
            listen(&mut buffer, 80_000, &mut out);
        }
        listen(&mut buffer, n * 20_000 + 20_000, &mut out);
    }
    one_packet(&mut buffer, 146, 3 * 160, 3, false);
    assert_eq!(buffer.stats().late, 1);
    assert_eq!(listen(&mut buffer, 160_000, &mut out), Heard::MadeUp);
}

#[test]
fn half_a_frame_that_is_missing_is_made_up() {
    let mut buffer = JitterBuffer::new(Codec::Pcmu, Rate::Narrow);
    let mut out = Frame::default();
    for n in [0, 1, 2, 3, 5] {
        let place = Place {
            seq: n,
            timestamp: n as i64 * 80,
            new_stream: n == 0,
        };
        let arrival = Duration::from_millis(n * 10 + 2);
        buffer.push(arrival, place, &[n as u8; 80], false);
    }
    for at_us in [20_000, 40_000, 60_000] {
        listen(&mut buffer, at_us, &mut out);
    }
    assert_eq!(buffer.stats().concealed_ms, 10);
}

/// Of any packets, in milliseconds of audio: what a tick may do, and what it had begun: to lead a decoder through a gap of
/// 60 ms, and the longest packet behind it.
const WORK_MAX_MS: u64 = 160 + 60 + 80 + 120;

#[test]
fn packets_that_overlap_take_a_tick_no_longer_than_others() {
    let mut encoder = Encoder::new(Codec::Opus, Rate::Wide, OpusSettings::default());
    let sound: Vec<i16> = (0..1_920).map(|n| (n % 80 * 200) as i16).collect();
    let mut packet = [0; MAX_PAYLOAD];
    let size = encoder.encode(&sound, &mut packet);
    let mut buffer = JitterBuffer::new(Codec::Opus, Rate::Wide);
    let mut out = Frame::default();
    for seq in 0..64 * 50 {
        let place = Place {
            seq,
            timestamp: seq as i64,
            new_stream: seq == 0,
        };
        let at = Duration::from_millis(seq / 64 * 20);
        buffer.push(at, place, &packet[..size], false);
        if seq % 64 == 63 {
            let before = buffer.stats().worked_ms;
            buffer.pull(at + Duration::from_millis(5), &mut out);
            let worked_ms = buffer.stats().worked_ms - before;
            assert!(worked_ms <= WORK_MAX_MS, "{worked_ms}");
        }
    }
    assert!(buffer.stats().worked_ms > 1_000, "they were packets");
}

#[test]
fn gaps_everywhere_take_a_tick_no_longer_than_a_few() {
    for codec in [Codec::Pcmu, Codec::G722] {
        let mut buffer = JitterBuffer::new(codec, Rate::Wide);
        let mut out = Frame::default();
        for n in 0..26 * 50 {
            // Packets of 3 bytes, and each second one is missing.
            let (tick, place) = (n / 26, n % 26);
            let place = Place {
                seq: 2 * n,
                timestamp: (tick * 160 + place * 6) as i64,
                new_stream: n == 0,
            };
            let at = Duration::from_millis(tick * 20);
            buffer.push(at, place, &[0x80 | n as u8; 3], false);
            if n % 26 == 25 {
                let before = buffer.stats().worked_ms;
                buffer.pull(at + Duration::from_millis(5), &mut out);
                let worked_ms = buffer.stats().worked_ms - before;
                assert!(worked_ms <= WORK_MAX_MS, "{codec}: {worked_ms}");
            }
        }
    }
}

/// A packet's way of coming, later than the one before, at some step of time.
fn packet() -> impl Strategy<Value = (u64, i64, Vec<u8>, bool, u8)> {
    let step = prop_oneof![-500..2_000_i64, -100_000..100_000_i64];
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        (any::<u8>(), 0..600_usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    (0..60_u64, step, payload, any::<bool>(), 0..40_u8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_that_comes_panics_or_waits_for_too_long(
        codec in prop::sample::select(Codec::ALL.to_vec()),
        packets in prop::collection::vec(packet(), 1..100),
    ) {
        let mut buffer = JitterBuffer::new(codec, Rate::Wide);
        let mut out = Frame::default();
        let (mut now, mut timestamp, mut tick) = (0, 5_000_000, 0);
        for (seq, (later_ms, step, payload, marker, kind)) in (0..).zip(packets) {
            now += later_ms;
            timestamp += step;
            let place = Place { seq: seq / 2 * 3, timestamp, new_stream: kind == 0 };
            let arrival = Duration::from_millis(now);
            match kind {
                1..5 => buffer.pause(arrival, place),
                5..10 => buffer.push_redundant(place, u32::from(kind) * 160, &payload),
                10 => buffer.set_rate(if marker { Rate::Full } else { Rate::Narrow }),
                11 => buffer.set_codec(if marker { Codec::Opus } else { Codec::G722 }),
                _ => buffer.push(arrival, place, &payload, marker),
            }
            while tick + 20 <= now {
                tick += 20;
                let worked_ms = buffer.stats().worked_ms;
                buffer.pull(Duration::from_millis(tick), &mut out);
                prop_assert!(buffer.stats().worked_ms - worked_ms <= WORK_MAX_MS);
                prop_assert!(buffer.stats().buffer_ms <= 200);
                buffer.farewell(&mut out);
            }
        }
    }
}
