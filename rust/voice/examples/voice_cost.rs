//! What each processor costs: nanoseconds per frame of 20 ms, and bytes it keeps.
//!
//! `cargo run --release -p plenary-voice --example voice_cost`

use std::hint::black_box;
use std::time::Instant;

use plenary_codec::audio::{FRAME_MAX, Frame, Rate};
use plenary_voice::level::rms_dbfs;
use plenary_voice::{Activity, Gate, Limiter, NoiseSuppressor, Normaliser, clip};

/// Frames of one measurement (2 s), and measurements of which the least is taken.
const FRAMES: usize = 100;
const TIMES: usize = 50;

fn main() {
    println!(
        "{:36}{:>10}{:>10}{:>10}{:>10}",
        "ns a frame of 20 ms", "8 kHz", "16 kHz", "48 kHz", "bytes"
    );
    row("activity, voice", size_of::<Activity>(), |rate| {
        let (voice, mut activity) = (voice(rate), Activity::new());
        move |n| activity.frame(&voice[n])
    });
    row("activity, noise", size_of::<Activity>(), |rate| {
        let (noise, mut activity) = (noise(rate), Activity::new());
        move |n| activity.frame(&noise[n])
    });
    row("activity, nothing was said", size_of::<Activity>(), |_| {
        let mut activity = Activity::new();
        move |_| activity.silence()
    });
    row("level alone, without activity", 0, |rate| {
        let voice = voice(rate);
        move |n| rms_dbfs(&voice[n])
    });
    row("gate, closed", size_of::<Gate>(), |rate| {
        let (mut noise, mut gate) = (noise(rate), Gate::new());
        move |n| gate.process(&mut noise[n], false)
    });
    row("gate, open", size_of::<Gate>(), |rate| {
        let (mut voice, mut gate) = (voice(rate), Gate::new());
        move |n| gate.process(&mut voice[n], true)
    });
    row(
        "gate, catching up (of 12 frames, 7)",
        size_of::<Gate>(),
        |rate| {
            let (mut voice, mut gate) = (voice(rate), Gate::new());
            move |n| gate.process(&mut voice[n], n % 12 > 4)
        },
    );
    row("normaliser, voice", size_of::<Normaliser>(), |rate| {
        let (voice, mut normaliser) = (voice(rate), Normaliser::new());
        let mut frame = Frame::silence(rate);
        move |n| {
            frame.set(&voice[n]);
            normaliser.process(&mut frame, true);
        }
    });
    row("limiter, below full scale", size_of::<Limiter>(), |rate| {
        let mut limiter = Limiter::new();
        mixes(rate, 1, move |sum, out| limiter.process(sum, out))
    });
    row("limiter, above", size_of::<Limiter>(), |rate| {
        let mut limiter = Limiter::new();
        mixes(rate, 4, move |sum, out| limiter.process(sum, out))
    });
    row("cut, without limiter", 0, |rate| mixes(rate, 4, clip));
    row(
        "noise suppressor, voice",
        size_of::<NoiseSuppressor>(),
        |rate| {
            let (voice, mut suppressor) = (voice(rate), NoiseSuppressor::new(rate));
            let mut frame = Frame::silence(rate);
            move |n| {
                frame.set(&voice[n]);
                suppressor.process(&mut frame);
            }
        },
    );
}

fn row<T, F: FnMut(usize) -> T>(name: &str, bytes: usize, processor: impl Fn(Rate) -> F) {
    print!("{name:36}");
    for rate in Rate::ALL {
        let mut process = processor(rate);
        let mut once = || {
            let begins = Instant::now();
            for n in 0..FRAMES {
                black_box(process(black_box(n)));
            }
            begins.elapsed().as_nanos() / FRAMES as u128
        };
        print!(
            "{:>10}",
            (0..TIMES).map(|_| once()).min().unwrap_or_default()
        );
    }
    println!("{bytes:>10}");
}

/// What makes frames of sums of so many voices.
fn mixes(
    rate: Rate,
    voices: i32,
    mut process: impl FnMut(&[i32], &mut Frame),
) -> impl FnMut(usize) {
    let mut out = Frame::silence(rate);
    let sums: Vec<[i32; FRAME_MAX]> = voice(rate)
        .iter()
        .map(|frame| {
            let mut sum = [0; FRAME_MAX];
            sum.iter_mut()
                .zip(frame.iter())
                .for_each(|(sum, sample)| *sum = i32::from(*sample) * voices);
            sum
        })
        .collect();
    move |n| process(&sums[n][..rate.frame()], &mut out)
}

/// A hum of 110 Hz with overtones, in phrases of half a second, over some noise.
fn voice(rate: Rate) -> Vec<Frame> {
    let mut frames = noise(rate);
    let mut n = 0.0_f32;
    for frame in frames.iter_mut() {
        for sample in frame.iter_mut() {
            n += 1.0;
            let seconds = n / rate.hz() as f32;
            let said: f32 = (1..8)
                .map(|k| (seconds * 110.0 * std::f32::consts::TAU * k as f32).sin() / k as f32)
                .sum();
            *sample += (said * 9_000.0 * (seconds * 6.3).sin().max(0.0)) as i16;
        }
    }
    frames
}

/// Even noise at about -52 dBFS.
fn noise(rate: Rate) -> Vec<Frame> {
    let mut seed = 1_u32;
    (0..FRAMES)
        .map(|_| {
            let mut frame = Frame::silence(rate);
            for sample in frame.iter_mut() {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *sample = ((seed >> 16) as i16) >> 8;
            }
            frame
        })
        .collect()
}
