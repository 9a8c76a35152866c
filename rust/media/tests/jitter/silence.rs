//! Coded silence of who is muted and sends on: it isn't decoded, and nobody hears that.

use plenary_codec::{Decoder, Encoder, MAX_PAYLOAD, OpusSettings};
use plenary_voice::level::rms_dbfs;

use super::*;

/// A second of a voice, then two of nothing, and so on; frames of 20 ms.
const FRAMES: usize = 600;
const PERIOD: usize = 150;
const SAID: usize = 50;

fn said(rate: Rate) -> Vec<i16> {
    let mut phase = 0.0_f64;
    (0..FRAMES * rate.frame())
        .map(|n| {
            let time = n as f64 / f64::from(rate.hz());
            phase += (150.0 + 40.0 * (time * 5.0).sin()) / f64::from(rate.hz());
            let harmonics = (1..12).map(|k| (std::f64::consts::TAU * phase * f64::from(k)).sin());
            let talks = n / rate.frame() % PERIOD < SAID;
            (harmonics.sum::<f64>() * 1_500.0) as i16 * i16::from(talks)
        })
        .collect()
}

/// What was said in packets, each with its place and its arrival on a clean network.
fn packets(codec: Codec, settings: OpusSettings) -> Vec<(Place, Duration, Vec<u8>)> {
    let mut encoder = Encoder::new(codec, Rate::Wide, settings);
    (0..)
        .zip(said(Rate::Wide).chunks_exact(Rate::Wide.frame()))
        .map(|(n, pcm)| {
            let mut coded = [0; MAX_PAYLOAD];
            let size = encoder.encode(pcm, &mut coded);
            let place = Place {
                seq: n,
                timestamp: n as i64 * i64::from(codec.frame_ticks()),
                new_stream: n == 0,
            };
            let arrival = Duration::from_millis(n * 20 + 5);
            (place, arrival, coded[..size].to_vec())
        })
        .collect()
}

/// The tick that comes after an arrival.
fn pull(buffer: &mut JitterBuffer, arrival: Duration, frame: &mut Frame) -> Playout {
    let playout = buffer.pull(arrival + Duration::from_millis(15), frame);
    if playout != Playout::Voice {
        frame.clear(Rate::Wide);
    }
    playout
}

/// What a buffer on a clean network makes of a muted sender's packets, frame by frame, and what a decoder of all of them.
fn heard(codec: Codec, settings: OpusSettings) -> Vec<(Playout, Vec<i16>, Vec<i16>)> {
    let mut decoder = Decoder::new(codec, Rate::Wide);
    let mut buffer = JitterBuffer::new(codec, Rate::Wide);
    let mut frame = Frame::default();
    let each = |(place, arrival, payload): (Place, Duration, Vec<u8>)| {
        let mut all = Vec::new();
        decoder.decode(&payload, &mut all).expect("ours");
        buffer.push(arrival, place, &payload, false);
        let playout = pull(&mut buffer, arrival, &mut frame);
        (playout, frame.to_vec(), all)
    };
    packets(codec, settings).into_iter().map(each).collect()
}

fn settings() -> Vec<(Codec, OpusSettings)> {
    let opus = |complexity, expected_loss_percent, bitrate_bps| {
        let settings = OpusSettings {
            complexity,
            expected_loss_percent,
            bitrate_bps,
            ..OpusSettings::default()
        };
        (Codec::Opus, settings)
    };
    vec![
        opus(9, 10, 24_000),
        opus(9, 0, 32_000),
        opus(5, 10, 32_000),
        opus(0, 0, 64_000),
        (Codec::G722, OpusSettings::default()),
    ]
}

#[test]
fn coded_silence_is_silence() {
    for (codec, settings) in settings() {
        let heard = heard(codec, settings);
        let silent = |(playout, ..): &&(Playout, _, _)| *playout == Playout::Silence;
        let silence = heard.iter().filter(silent).count();
        let pauses = FRAMES / PERIOD * (PERIOD - SAID);
        assert!(silence > pauses * 4 / 5, "{codec} {settings:?}: {silence}");
    }
}

#[test]
fn a_voice_after_coded_silence_is_heard_as_if_all_had_been_decoded() {
    for (codec, settings) in settings() {
        for (n, (_, heard, all)) in heard(codec, settings).iter().enumerate() {
            let error: Vec<i16> = heard.iter().zip(all).map(|(a, b)| a - b).collect();
            let (level, error) = (rms_dbfs(all), rms_dbfs(&error));
            assert!(
                error < -72.0 || error < level - 40.0,
                "{codec} {settings:?}, frame {n}: {level} dBFS, {error}"
            );
        }
    }
}

/// Levels of the frames around the first words' beginnings as a buffer on a lossy network gives them, from the frame
/// before; `onset` tells whether the first packet of each word arrives.
fn onsets(onset: bool) -> Vec<Vec<f32>> {
    let settings = OpusSettings {
        complexity: 9,
        expected_loss_percent: 10,
        bitrate_bps: 24_000,
        fec: true,
        ..OpusSettings::default()
    };
    let mut buffer = JitterBuffer::new(Codec::Opus, Rate::Wide);
    let mut frame = Frame::default();
    let each = |(place, arrival, payload): (Place, Duration, Vec<u8>)| {
        let n = place.seq;
        // Others are lost as well, so that a packet is kept in hand.
        if n % 29 != 17 && (onset || n == 0 || n % PERIOD as u64 != 0) {
            buffer.push(arrival, place, &payload, false);
        }
        pull(&mut buffer, arrival, &mut frame);
        rms_dbfs(&frame)
    };
    let packets = packets(Codec::Opus, settings).into_iter();
    let levels: Vec<f32> = packets.map(each).collect();
    (1..FRAMES / PERIOD)
        .map(|word| levels[word * PERIOD..word * PERIOD + 6].to_vec())
        .collect()
}

#[test]
fn a_word_after_silence_whose_first_packet_is_lost_begins_by_fec() {
    for (heard, whole) in onsets(false).iter().zip(onsets(true)) {
        let differs = heard.iter().zip(&whole).any(|(a, b)| (a - b).abs() > 4.0);
        assert!(
            !differs && whole.iter().any(|level| *level > -25.0),
            "{heard:?}, {whole:?}"
        );
    }
}
