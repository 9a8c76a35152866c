//! A stream whose packets come out of one encoder and then out of another, as happens to a listener who begins or ends
//! to talk: what its decoder makes of it, against what it would have made of one encoder only.

mod sound;

use plenary_codec::{Codec, Decoder, Encoder, MAX_PAYLOAD, OpusSettings, Rate};
use sound::{decibels, voice};

const RATE: Rate = Rate::Full;
const FRAME: usize = RATE.frame();

/// Frames between two swaps: neither a multiple nor a divisor of a syllable.
const EVERY: usize = 17;

/// Samples by which what is decoded comes later than what was encoded: libopus's look-ahead.
const DELAY: usize = 312;

const KINDS: [OpusSettings; 3] = [
    // Hybrid of SILK and CELT; SILK with FEC; nearly all of it CELT.
    settings(24_000, 0),
    settings(24_000, 10),
    settings(64_000, 0),
];

const fn settings(bitrate_bps: u32, expected_loss_percent: u8) -> OpusSettings {
    OpusSettings {
        bitrate_bps,
        complexity: 5,
        fec: true,
        dtx: false,
        expected_loss_percent,
        max_playback: RATE,
        cbr: false,
    }
}

fn packet(encoder: &mut Encoder, frame: &[i16]) -> Vec<u8> {
    let mut out = [0; MAX_PAYLOAD];
    let length = encoder.encode(frame, &mut out);
    out[..length].to_vec()
}

/// Packets of `sound`. Each [`EVERY`] frames `swap` gets the encoder that has been used, one that has encoded another
/// voice all the time, and all frames so far; what it gives goes on.
fn packets(
    codec: Codec,
    settings: OpusSettings,
    sound: &[i16],
    swap: impl Fn(Encoder, Encoder, &[i16]) -> Encoder,
) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec, RATE, settings);
    let mut other = encoder.clone();
    let size = encoder.rate().frame();
    let stranger = voice(encoder.rate().hz(), 4, 99);
    let mut packets = Vec::new();
    for (i, frame) in sound.chunks_exact(size).enumerate() {
        if i > 0 && i % EVERY == 0 {
            encoder = swap(encoder, other.clone(), &sound[..i * size]);
        }
        packets.push(packet(&mut encoder, frame));
        packet(&mut other, &stranger[i * size % stranger.len()..][..size]);
    }
    packets
}

fn decoded(packets: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = Decoder::new(Codec::Opus, RATE);
    let mut pcm = Vec::new();
    for packet in packets {
        decoder.decode(packet, &mut pcm).expect("a packet");
    }
    pcm
}

/// By how many decibels the error in the 30 ms after a swap is larger than it is there without swaps: of the median
/// swap and of the worst.
fn errors_after_swaps(
    settings: OpusSettings,
    swap: impl Fn(Encoder, Encoder, &[i16]) -> Encoder,
) -> (f64, f64) {
    let sound = voice(RATE.hz(), 12, 1);
    let swapped = decoded(&packets(Codec::Opus, settings, &sound, swap));
    let whole = decoded(&packets(Codec::Opus, settings, &sound, |encoder, _, _| {
        encoder
    }));
    let error = |pcm: &[i16], at: usize| {
        (at..at + FRAME * 3 / 2)
            .map(|n| (f64::from(pcm[n]) - f64::from(sound[n - DELAY])).powi(2))
            .sum::<f64>()
    };
    let mut errors: Vec<f64> = (FRAME * EVERY..sound.len() - 2 * FRAME)
        .step_by(FRAME * EVERY)
        .map(|at| decibels((error(&swapped, at) / error(&whole, at)).sqrt()))
        .collect();
    errors.sort_by(f64::total_cmp);
    (errors[errors.len() / 2], errors[errors.len() - 1])
}

#[test]
fn a_clone_makes_the_packets_that_the_original_would_have_made() {
    for codec in Codec::ALL {
        let rate = Encoder::new(codec, RATE, KINDS[0]).rate();
        let sound = voice(rate.hz(), 2, 1);
        let one = packets(codec, KINDS[0], &sound, |encoder, _, _| encoder);
        let clones = packets(codec, KINDS[0], &sound, |encoder, _, _| encoder.clone());
        assert_eq!(one, clones, "{codec}");
    }
}

#[test]
fn a_clone_and_its_original_do_not_touch_each_other() {
    let sound = voice(RATE.hz(), 1, 1);
    let mut original = Encoder::new(Codec::Opus, RATE, KINDS[0]);
    packet(&mut original, &sound[..FRAME]);
    let mut clone = original.clone();
    let expected = packet(&mut original.clone(), &sound[FRAME..2 * FRAME]);
    packet(&mut clone, &voice(RATE.hz(), 1, 5)[..FRAME]);
    drop(clone);
    assert_eq!(packet(&mut original, &sound[FRAME..2 * FRAME]), expected);
}

#[test]
fn an_encoder_of_another_sound_is_heard_to_take_over() {
    for settings in KINDS {
        let (_, worst) = errors_after_swaps(settings, |_, other, _| other);
        assert!(
            worst > 6.0,
            "if this were no longer so, nothing would need doing: {worst} dB"
        );
    }
}

#[test]
fn an_encoder_that_takes_over_with_three_frames_of_past_is_not_heard() {
    for settings in KINDS {
        let (median, worst) = errors_after_swaps(settings, |_, mut other, heard| {
            other.take_over(&heard[heard.len() - 3 * FRAME..]);
            other
        });
        assert!(
            median < 0.5 && worst < 4.0,
            "{settings:?}: {median}, at worst {worst} dB"
        );
    }
}

/// The error that swaps bring into a G.722 stream, in decibels relative to the stream.
fn g722_error(frames_of_past: usize) -> f64 {
    let sound = voice(16_000, 8, 1);
    let decoded = |packets: &[Vec<u8>]| {
        let (mut decoder, mut pcm) = (Decoder::new(Codec::G722, RATE), Vec::new());
        for packet in packets {
            decoder.decode(packet, &mut pcm).expect("a packet");
        }
        pcm
    };
    let keep = |encoder, _, _: &[i16]| encoder;
    let whole = decoded(&packets(Codec::G722, KINDS[0], &sound, keep));
    let take = |_, mut other: Encoder, heard: &[i16]| {
        other.take_over(&heard[heard.len() - frames_of_past * 320..]);
        other
    };
    let swapped = decoded(&packets(Codec::G722, KINDS[0], &sound, take));
    let error: Vec<i16> = std::iter::zip(&whole, &swapped)
        .map(|(whole, swapped)| whole.saturating_sub(*swapped))
        .collect();
    decibels(sound::rms(&error) / sound::rms(&whole))
}

#[test]
fn a_g722_stream_goes_on_in_an_encoder_that_takes_over() {
    // What the codec itself adds is of this size, too.
    assert!(g722_error(3) < -22.0);
    assert!(g722_error(0) > -18.0, "then nothing would need doing");
}
