//! What a frame of 20 ms costs: `cargo run --release -p plenary-codec --example codec_cost`.
//!
//! Each figure is the median of rounds over two seconds of a voice-like sound, so that other work on the machine hardly
//! shows. Nothing here asserts anything.

use std::hint::black_box;
use std::time::Instant;

use plenary_codec::{Codec, Decoder, Encoder, Frame, MAX_PAYLOAD, OpusSettings, Rate, Resampler};

const FRAMES: usize = 100;
const ROUNDS: usize = 41;

/// Two seconds: a pulse train of 110 to 190 Hz through three formants, with a syllable every 250 ms, and a little noise.
fn voice(rate: Rate) -> Vec<Frame> {
    let hz = rate.hz() as f64;
    let (mut phase, mut seed) = (0.0, 1_u32);
    let mut resonators = [(500.0, 0.0, 0.0), (1_500.0, 0.0, 0.0), (2_500.0, 0.0, 0.0)];
    let mut frames = vec![Frame::silence(rate); FRAMES];
    for (n, sample) in frames
        .iter_mut()
        .flat_map(|frame| frame.iter_mut())
        .enumerate()
    {
        let t = n as f64 / hz;
        phase += (150.0 + 40.0 * (t * 5.0).sin()) / hz;
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(seed >> 16) / 32_768.0 - 1.0;
        let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
        phase = phase.fract();
        let mut sum = 0.0;
        for (formant, last, before) in &mut resonators {
            let width = (-std::f64::consts::PI * 90.0 / hz).exp();
            let turn = 2.0 * width * (std::f64::consts::TAU * *formant / hz).cos();
            let new = pulse + 0.02 * noise + turn * *last - width * width * *before;
            (*before, *last) = (*last, new);
            sum += new * (1.0 - width) * 20.0;
        }
        let syllable = (t * 4.0 * std::f64::consts::PI).sin().powi(2);
        *sample = (sum * syllable * 3_000.0 + noise * 20.0).clamp(-32_768.0, 32_767.0) as i16;
    }
    frames
}

/// Median nanoseconds a frame of what `round` does to [`FRAMES`] of them.
fn nanoseconds(mut round: impl FnMut()) -> u128 {
    let mut times: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_nanos() / FRAMES as u128
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

fn row(what: &str, nanoseconds: u128) {
    println!("{what:<44}{nanoseconds:>9}");
}

fn codec(codec: Codec, rate: Rate, settings: OpusSettings, what: &str) {
    let frames = voice(rate);
    let mut encoder = Encoder::new(codec, rate, settings);
    let mut out = [0; MAX_PAYLOAD];
    let cost = nanoseconds(|| {
        for frame in &frames {
            black_box(encoder.encode(frame, &mut out));
        }
    });
    row(&format!("{what}, encode"), cost);
}

fn decode(codec: Codec, from: Rate, to: Rate, settings: OpusSettings, what: &str) {
    let mut encoder = Encoder::new(codec, from, settings);
    let mut out = [0; MAX_PAYLOAD];
    let payloads: Vec<Vec<u8>> = voice(from)
        .iter()
        .map(|frame| {
            let length = encoder.encode(frame, &mut out);
            out[..length].to_vec()
        })
        .collect();
    let mut decoder = Decoder::new(codec, to);
    let mut pcm = Vec::with_capacity(960);
    let cost = nanoseconds(|| {
        for payload in &payloads {
            pcm.clear();
            black_box(decoder.decode(payload, &mut pcm)).expect("its own packet");
        }
    });
    row(&format!("{what}, decode"), cost);
    if codec == Codec::Opus {
        let cost = nanoseconds(|| {
            for (i, payload) in payloads.iter().enumerate() {
                pcm.clear();
                if i % 10 == 9 {
                    black_box(decoder.conceal(to.frame(), &mut pcm));
                } else {
                    black_box(decoder.decode(payload, &mut pcm)).expect("its own packet");
                }
            }
        });
        row(&format!("{what}, decode, 1 of 10 concealed"), cost);
    }
}

fn main() {
    println!("{:<44}{:>9}", "frame of 20 ms", "ns");
    let plain = OpusSettings::default();
    for (each, rate) in [
        (Codec::Pcmu, Rate::Narrow),
        (Codec::Pcma, Rate::Narrow),
        (Codec::G722, Rate::Wide),
    ] {
        codec(each, rate, plain, each.name());
        decode(each, rate, rate, plain, each.name());
    }
    for rate in [Rate::Full, Rate::Wide] {
        for complexity in [0, 3, 5, 8, 10] {
            let settings = OpusSettings {
                complexity,
                expected_loss_percent: 10,
                ..plain
            };
            let what = format!("opus {} Hz, FEC, complexity {complexity}", rate.hz());
            codec(Codec::Opus, rate, settings, &what);
        }
    }
    for rate in Rate::ALL {
        let what = format!("opus to {} Hz", rate.hz());
        decode(Codec::Opus, Rate::Full, rate, plain, &what);
    }
    for from in Rate::ALL {
        for to in Rate::ALL.into_iter().filter(|to| *to != from) {
            let mut resampler = Resampler::new(from, to);
            let (frames, mut out) = (voice(from), Frame::silence(to));
            let cost = nanoseconds(|| {
                for frame in &frames {
                    resampler.process(frame, &mut out);
                    black_box(&mut out);
                }
            });
            row(&format!("resampler {} to {} Hz", from.hz(), to.hz()), cost);
        }
    }
    let encoder = Encoder::new(Codec::Opus, Rate::Full, plain);
    let cost = nanoseconds(|| {
        for _ in 0..FRAMES {
            black_box(encoder.clone());
        }
    });
    row(
        &format!("opus encoder, clone ({} bytes)", encoder.state_bytes()),
        cost,
    );
}
