//! What a tick of the playout buffer costs on a clean network: nanoseconds for a packet in and a frame out, of a thousand
//! streams in turn, so that caches are as cold as in the engine.

use std::time::{Duration, Instant};

use plenary_codec::{Codec, Encoder, Frame, MAX_PAYLOAD, OpusSettings, Rate};
use plenary_media::jitter::JitterBuffer;
use plenary_media::rtp::source::Place;

const STREAMS: usize = 1_000;

fn main() {
    for (codec, rate) in [
        (Codec::Pcmu, Rate::Narrow),
        (Codec::G722, Rate::Wide),
        (Codec::Opus, Rate::Wide),
        (Codec::Opus, Rate::Full),
    ] {
        for talking in [true, false] {
            let ns = tick_ns(codec, rate, talking);
            let what = if talking { "talks" } else { "is silent" };
            println!("{codec} at {} Hz, who {what}: {ns:.0} ns", rate.hz());
        }
    }
}

fn tick_ns(codec: Codec, rate: Rate, talking: bool) -> f64 {
    let mut encoder = Encoder::new(codec, rate, OpusSettings::default());
    let rate = encoder.rate();
    // An encoder takes a second to find that it is given nothing but zeros.
    let payloads: Vec<Vec<u8>> = (0..100)
        .map(|n| {
            let mut coded = [0; MAX_PAYLOAD];
            let pcm: Vec<i16> = (0..rate.frame())
                .map(|i| {
                    let time = (n * rate.frame() + i) as f32 / rate.hz() as f32;
                    ((time * 800.0).sin() * 8_000.0 * f32::from(u8::from(talking))) as i16
                })
                .collect();
            let size = encoder.encode(&pcm, &mut coded);
            coded[..size].to_vec()
        })
        .skip(50)
        .collect();
    let mut buffers: Vec<_> = (0..STREAMS)
        .map(|_| JitterBuffer::new(codec, rate))
        .collect();
    let mut frame = Frame::default();
    let ticks = if codec == Codec::Opus { 100 } else { 500 };
    let mut spent = Duration::ZERO;
    for tick in 0..ticks {
        let now = Duration::from_millis(tick * 20);
        let payload = &payloads[tick as usize % payloads.len()];
        let place = Place {
            seq: tick,
            timestamp: tick as i64 * i64::from(codec.frame_ticks()),
            new_stream: tick == 0,
        };
        let begin = Instant::now();
        for buffer in &mut buffers {
            buffer.push(now + Duration::from_millis(5), place, payload, false);
        }
        for buffer in &mut buffers {
            std::hint::black_box(buffer.pull(now + Duration::from_millis(20), &mut frame));
        }
        if tick >= ticks / 5 {
            spent += begin.elapsed();
        }
    }
    spent.as_nanos() as f64 / (ticks * 4 / 5) as f64 / STREAMS as f64
}
