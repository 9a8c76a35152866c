//! The playout buffer against simulated networks: seeded, without waiting.

use std::time::Duration;

use plenary_codec::{Codec, Frame, Rate};
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

/// What the sender's packets hold: a loud byte of µ-law that tells the time, so that what is played tells its own delay.
fn speech(timestamp: i64) -> u8 {
    0x80 | (timestamp.div_euclid(80).rem_euclid(64) as u8)
}

/// The time that a sample tells, in 10 ms modulo 640 ms.
fn told(sample: i16) -> Option<i64> {
    (0..64).find(|time| decoded(speech(time * 80)) == sample)
}

fn decoded(byte: u8) -> i16 {
    let mut pcm = [0];
    plenary_codec::g711::decode_ulaw(&[byte], &mut pcm);
    pcm[0]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Real,
    MadeUp,
    Silence,
    Absent,
}

#[derive(Default)]
struct Outcome {
    /// Of each tick: time in microseconds, what was played, and whether some of it was made up.
    ticks: Vec<(i64, Heard)>,
    /// Of each tick: audio waiting after it, in milliseconds.
    depth_ms: Vec<u32>,
    stats: JitterStats,
    /// Of each frame played: time from its sending to its playing in milliseconds, to 10 ms.
    delay_ms: Vec<i64>,
}

impl Outcome {
    fn count(&self, wanted: Heard, from_s: i64) -> usize {
        self.ticks
            .iter()
            .filter(|(at, heard)| *at >= from_s * 1_000_000 && *heard == wanted)
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

/// What one tick gave.
fn listen(buffer: &mut JitterBuffer, at_us: i64, frame: &mut Frame) -> Heard {
    let before = buffer.stats().concealed_ms;
    match buffer.pull(Duration::from_micros(at_us as u64), frame) {
        Playout::Voice if buffer.stats().concealed_ms > before => Heard::MadeUp,
        Playout::Voice => Heard::Real,
        Playout::Silence => Heard::Silence,
        Playout::Absent => Heard::Absent,
    }
}

fn run(mut network: Network) -> Outcome {
    let mut buffer = JitterBuffer::new(Codec::Pcmu, Rate::Narrow);
    let samples = network.ptime_ms * 8;
    let period_us = network.ptime_ms as f64 * 1_000.0 * (1.0 + network.drift_ppm / 1e6);
    let mut arrivals: Vec<(i64, Place, u8)> = Vec::new();
    let (mut was_talking, mut seq) = (false, 0);
    for n in 0.. {
        let sent = (n as f64 * period_us) as i64 + network.phase_us;
        if sent >= network.seconds * 1_000_000 {
            break;
        }
        if (network.talks)(sent)
            && let Some(delay) = (network.delay)(sent)
        {
            let place = Place {
                seq,
                timestamp: 1_000_000 + n * samples,
                new_stream: arrivals.is_empty(),
            };
            let byte = if (network.silent)(sent) { 0xff } else { 0 };
            arrivals.push((sent + delay, place, byte | u8::from(!was_talking) << 1));
        }
        was_talking = (network.talks)(sent);
        seq += u64::from(was_talking);
    }
    arrivals.sort_by_key(|(at, ..)| *at);
    if let Some((_, first, _)) = arrivals.first_mut() {
        first.new_stream = true;
    }
    let mut outcome = Outcome::default();
    let mut arrivals = arrivals.into_iter().peekable();
    let mut frame = Frame::default();
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
        let heard = listen(&mut buffer, now, &mut frame);
        if heard == Heard::Real
            && let Some(told) = told(frame[0])
        {
            let said_ms = told * 10 + network.phase_us / 1_000 - 1_000_000 / 8;
            outcome
                .delay_ms
                .push((now / 1_000 - said_ms).rem_euclid(640));
        }
        outcome.ticks.push((now, heard));
        outcome.depth_ms.push(buffer.stats().buffer_ms);
    }
    outcome.stats = buffer.stats();
    outcome
}

mod hours;
mod losses;
mod network;
mod silence;
mod storms;
mod streams;
