//! G.722 by what it does to sound (ITU-T G.722, section 2.5 and Appendix II); its bits are tested where they are made.

mod sound;

use plenary_codec::{Codec, Decoder, Encoder, MAX_PAYLOAD, OpusSettings, Rate};
use proptest::prelude::*;
use sound::{apart, decibels, rms, tone, voice};

const HZ: u32 = 16_000;

/// By how many samples the mirror filters of both sides make it late.
const DELAY: usize = 22;

fn payloads(pcm: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(Codec::G722, Rate::Narrow, OpusSettings::default());
    assert_eq!(encoder.rate(), Rate::Wide, "whatever was asked for");
    let mut out = [0; MAX_PAYLOAD];
    pcm.chunks_exact(320)
        .map(|frame| {
            let length = encoder.encode(frame, &mut out);
            out[..length].to_vec()
        })
        .collect()
}

fn decoded(payloads: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = Decoder::new(Codec::G722, Rate::Full);
    assert_eq!(decoder.rate(), Rate::Wide, "whatever was asked for");
    let mut pcm = Vec::new();
    for payload in payloads {
        assert_eq!(decoder.decode(payload, &mut pcm), Ok(2 * payload.len()));
    }
    pcm
}

fn through(pcm: &[i16]) -> Vec<i16> {
    decoded(&payloads(pcm))
}

#[test]
fn twenty_milliseconds_are_160_bytes_and_160_ticks_of_a_clock_of_8_khz() {
    let payload = &payloads(&voice(HZ, 1, 1))[0];
    assert_eq!(payload.len(), 160);
    assert_eq!(Codec::G722.duration_ticks(payload), Ok(160));
    assert_eq!(Codec::G722.frame_ticks(), 160);
    assert_eq!(
        (Codec::G722.clock_hz(), Codec::G722.rate().hz()),
        (8_000, 16_000)
    );
}

#[test]
fn from_50_to_7000_hz_a_tone_keeps_its_level() {
    for hz in [
        50.0, 100.0, 300.0, 1_000.0, 2_000.0, 3_400.0, 3_900.0, 4_100.0, 5_000.0, 6_000.0, 6_900.0,
    ] {
        let heard = through(&tone(hz, 8_000.0, HZ, 16_000));
        let (amplitude, _) = apart(&heard[4_000..], hz, HZ);
        let gain = decibels(amplitude / 8_000.0);
        assert!(gain.abs() < 0.5, "{hz} Hz: {gain} dB");
    }
}

#[test]
fn distortion_is_as_far_below_a_tone_as_the_bits_of_its_band_allow() {
    // Figures of the algorithm: six bits below 4 kHz, two above.
    for (hz, least) in [
        (200.0, 35.0),
        (1_000.0, 35.0),
        (3_000.0, 33.0),
        (5_000.0, 20.0),
        (6_500.0, 22.0),
    ] {
        for amplitude in [300.0, 3_000.0, 20_000.0] {
            let heard = through(&tone(hz, amplitude, HZ, 16_000));
            let (amplitude, rest) = apart(&heard[4_000..], hz, HZ);
            let ratio = decibels(amplitude / 2_f64.sqrt() / rest);
            assert!(ratio > least, "{hz} Hz at {amplitude}: {ratio} dB");
        }
    }
}

#[test]
fn an_idle_channel_is_quieter_than_66_decibels_below_overload() {
    // Section 2.5.2.
    let heard = through(&vec![0; 16_000]);
    assert!(decibels(rms(&heard) / 32_768.0) < -66.0, "{}", rms(&heard));
}

#[test]
fn what_is_too_loud_is_clipped_and_does_not_wrap_around() {
    for hz in [333.0, 7_000.0] {
        let square: Vec<i16> = tone(hz, 32_000.0, HZ, 16_000)
            .iter()
            .map(|s| if *s >= 0 { i16::MAX } else { i16::MIN })
            .collect();
        let heard = through(&square);
        let agree = std::iter::zip(&square, &heard[DELAY..])
            .filter(|(sent, heard)| heard.unsigned_abs() > 20_000 && (**sent > 0) != (**heard > 0))
            .count();
        assert!(
            agree < 16_000 / 100,
            "{hz} Hz: {agree} samples are of the wrong sign"
        );
    }
}

#[test]
fn it_is_22_samples_late() {
    let sent = voice(HZ, 2, 1);
    let heard = through(&sent);
    let error = |delay: usize| {
        std::iter::zip(&sent, &heard[delay..])
            .map(|(sent, heard)| (f64::from(*sent) - f64::from(*heard)).powi(2))
            .sum::<f64>()
    };
    let best = (0..60).min_by(|a, b| error(*a).total_cmp(&error(*b)));
    assert_eq!(best, Some(DELAY));
}

#[test]
fn after_lost_packets_a_decoder_finds_back() {
    let payloads = payloads(&voice(HZ, 2, 1));
    let whole = decoded(&payloads);
    let without: Vec<Vec<u8>> = [&payloads[..40], &payloads[43..]].concat();
    let heard = decoded(&without);
    let after = 320 * 5;
    let (heard, whole) = (&heard[40 * 320 + after..], &whole[43 * 320 + after..]);
    let error: Vec<i16> = std::iter::zip(heard, whole)
        .map(|(a, b)| a.saturating_sub(*b))
        .collect();
    assert!(
        decibels(rms(&error) / rms(whole)) < -30.0,
        "{}",
        rms(&error)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_sound_is_coded_and_any_bytes_are_decoded_however_they_are_cut(
        pcm in proptest::collection::vec(any::<i16>(), 320 * 6),
        cut in 1..900_usize,
    ) {
        let mut encoder = Encoder::new(Codec::G722, Rate::Wide, OpusSettings::default());
        let mut out = [0; MAX_PAYLOAD];
        let whole = encoder.encode(&pcm, &mut out);
        let mut again = Encoder::new(Codec::G722, Rate::Wide, OpusSettings::default());
        let mut pieces = Vec::new();
        for piece in pcm.chunks(2 * cut) {
            let mut out = [0; MAX_PAYLOAD];
            let length = again.encode(piece, &mut out);
            pieces.extend_from_slice(&out[..length]);
        }
        prop_assert_eq!(&out[..whole], &pieces[..]);
        let mut decoder = Decoder::new(Codec::G722, Rate::Wide);
        let (mut one, mut two) = (Vec::new(), Vec::new());
        decoder.decode(&pieces, &mut one).expect("any bytes");
        let mut decoder = Decoder::new(Codec::G722, Rate::Wide);
        for piece in pieces.chunks(cut) {
            decoder.decode(piece, &mut two).expect("any bytes");
        }
        prop_assert_eq!(one, two);
    }
}
