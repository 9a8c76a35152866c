//! Long calls with voices, through everything that a network can do.

use plenary_codec::{Encoder, MAX_PAYLOAD, OpusSettings};

use super::*;

/// Seconds of sound that are said again and again.
const SAID_S: usize = 2;

/// A voice that glides, with pauses: so coded in packets of 20 ms.
fn voice(codec: Codec, rate: Rate) -> Vec<Vec<u8>> {
    let settings = OpusSettings {
        complexity: 5,
        expected_loss_percent: 10,
        ..OpusSettings::default()
    };
    let mut encoder = Encoder::new(codec, rate, settings);
    let rate = encoder.rate();
    let mut phase = 0.0_f64;
    let pcm: Vec<i16> = (0..SAID_S * rate.hz() as usize)
        .map(|n| {
            let time = n as f64 / f64::from(rate.hz());
            phase += (120.0 + 30.0 * (time * 9.0).sin()) / f64::from(rate.hz());
            let talks = f64::from(u8::from(time % 2.0 < 1.7));
            let sound: f64 = (1..8)
                .map(|k| (std::f64::consts::TAU * phase * f64::from(k)).sin() / f64::from(k))
                .sum();
            (sound * talks * 5_000.0) as i16
        })
        .collect();
    let mut coded = [0; MAX_PAYLOAD];
    pcm.chunks_exact(rate.frame())
        .map(|frame| {
            let size = encoder.encode(frame, &mut coded);
            coded[..size].to_vec()
        })
        .collect()
}

pub struct Call {
    buffer: JitterBuffer,
    /// Audio waiting after each tick.
    pub depth_ms: Vec<u32>,
    sharpest: i32,
    last: [i32; 2],
}

impl Call {
    fn deepest_ms(&self) -> u32 {
        self.depth_ms.iter().copied().max().unwrap_or(0)
    }
}

/// What is heard of a voice; `delay` gives the delay in microseconds of the packet of a number, or its loss.
pub fn call(
    codec: Codec,
    rate: Rate,
    seconds: i64,
    drift_ppm: f64,
    mut delay: impl FnMut(i64) -> Option<i64>,
) -> Call {
    let said = voice(codec, rate);
    let mut call = Call {
        buffer: JitterBuffer::new(codec, rate),
        depth_ms: Vec::new(),
        sharpest: 0,
        last: [0; 2],
    };
    let mut frame = Frame::default();
    let mut coming: Vec<(i64, i64)> = Vec::new();
    let mut sent = 0_i64;
    for tick in 0..seconds * 50 {
        let now = tick * TICK_US;
        loop {
            let at = (sent as f64 * 20_000.0 * (1.0 + drift_ppm / 1e6)) as i64 + 7_000;
            if at > now {
                break;
            }
            coming.extend(delay(sent).map(|delay| (at + delay, sent)));
            sent += 1;
        }
        coming.sort_unstable();
        while coming.first().is_some_and(|(at, _)| *at <= now) {
            let (at, number) = coming.remove(0);
            let place = Place {
                seq: number as u64,
                timestamp: number * i64::from(codec.frame_ticks()),
                new_stream: number == 0,
            };
            let payload = &said[number as usize % said.len()];
            call.buffer
                .push(Duration::from_micros(at as u64), place, payload, false);
        }
        let playout = call
            .buffer
            .pull(Duration::from_micros(now as u64), &mut frame);
        if playout != Playout::Voice {
            frame.clear(call.buffer.rate());
        }
        for sample in &*frame {
            let [a, b] = call.last;
            call.sharpest = call.sharpest.max((a - 2 * b + i32::from(*sample)).abs());
            call.last = [b, i32::from(*sample)];
        }
        call.depth_ms.push(call.buffer.stats().buffer_ms);
    }
    call
}

/// Storms, losses, bursts, duplicates' places, stalls and hand-overs, ever again.
fn everything(seed: u64) -> impl FnMut(i64) -> Option<i64> {
    let mut random = Random(seed);
    let mut base_us = 0;
    move |number| {
        let (second, weather, delay) = (number / 50, number / 500 % 6, random.part());
        if number % 3_000 == 0 {
            base_us = (delay * 120_000.0) as i64;
        }
        if second % 47 == 5 && number % 50 < 20 || weather == 1 && random.part() < 0.1 {
            return None;
        }
        let stall_us = if second % 31 == 3 {
            (50 - number % 50) * 20_000 / 2
        } else {
            0
        };
        let jitter_us = [300.0, 20_000.0, 60_000.0, 150_000.0, 300.0, 40_000.0][weather as usize];
        Some(base_us + (delay * jitter_us) as i64 + stall_us)
    }
}

/// Runs a call through everything, and a sixth of it, to see that nothing grows.
fn survives(codec: Codec, rate: Rate, seconds: i64, most_bytes: usize) {
    let early = call(codec, rate, seconds / 6, 200.0, everything(7));
    let late = call(codec, rate, seconds, 200.0, everything(7));
    assert!(late.deepest_ms() <= 200, "{codec}: {}", late.deepest_ms());
    let (before, after) = (early.buffer.memory(), late.buffer.memory());
    assert!(after <= most_bytes, "{codec}: {after} bytes");
    assert!(
        after <= before + before / 4,
        "{codec}: {before}, then {after} bytes"
    );
}

#[test]
fn an_hour_of_everything_stays_under_the_ceiling_and_in_its_memory() {
    survives(Codec::Pcmu, Rate::Narrow, 3_600, 32 << 10);
    survives(Codec::G722, Rate::Wide, 300, 48 << 10);
    survives(Codec::Opus, Rate::Full, 60, 192 << 10);
}

/// The same for all codecs; `make bench-audio` runs it.
#[test]
#[ignore = "takes a minute in release"]
fn an_hour_of_everything_in_every_codec() {
    survives(Codec::G722, Rate::Wide, 3_600, 48 << 10);
    survives(Codec::Opus, Rate::Full, 3_600, 192 << 10);
}

#[test]
fn following_a_drifting_clock_for_ten_minutes_makes_no_click() {
    for (codec, rate) in [(Codec::Pcmu, Rate::Narrow), (Codec::G722, Rate::Wide)] {
        let steady = call(codec, rate, 10, 0.0, |_| Some(0));
        for drift_ppm in [-200.0, 200.0] {
            let drifting = call(codec, rate, 600, drift_ppm, |_| Some(0));
            let stats = drifting.buffer.stats();
            assert_eq!(stats.concealed_ms, 0, "{codec} {drift_ppm}");
            assert!(drifting.deepest_ms() <= 40, "{codec} {drift_ppm}");
            assert!(
                f64::from(drifting.sharpest) <= 1.3 * f64::from(steady.sharpest),
                "{codec} {drift_ppm}: {} {}",
                steady.sharpest,
                drifting.sharpest
            );
        }
    }
}

#[test]
fn stretching_speech_through_storms_makes_no_click() {
    let steady = call(Codec::Pcmu, Rate::Narrow, 10, 0.0, |_| Some(0));
    for seed in 1..=5 {
        let mut random = Random(seed);
        let storms = move |number: i64| {
            Some(
                (random.part()
                    * if number / 250 % 2 == 0 {
                        500.0
                    } else {
                        80_000.0
                    }) as i64,
            )
        };
        let shaken = call(Codec::Pcmu, Rate::Narrow, 120, 0.0, storms);
        let stats = shaken.buffer.stats();
        assert!(stats.stretched_ms > 100, "{seed}: {stats:?}");
        assert!(
            f64::from(shaken.sharpest) <= 1.5 * f64::from(steady.sharpest),
            "{seed}: {} {}",
            steady.sharpest,
            shaken.sharpest
        );
    }
}

#[test]
fn opus_recovers_lost_packets_from_their_successors() {
    let mut random = Random(5);
    let call = call(Codec::Opus, Rate::Wide, 60, 0.0, move |_| {
        (random.part() >= 0.1).then_some(0)
    });
    let stats = call.buffer.stats();
    assert!(stats.fec_ms > stats.concealed_ms, "{stats:?}");
}
