//! Opus: settings do what they say, losses are made good, and nothing that comes does harm.

mod sound;

use plenary_codec::{Codec, Decoder, Encoder, MAX_PAYLOAD, OpusSettings, Rate};
use proptest::prelude::*;
use sound::{apart, decibels, rms, tone, voice};

const DEFAULT: OpusSettings = OpusSettings {
    bitrate_bps: 24_000,
    complexity: 5,
    fec: true,
    dtx: false,
    expected_loss_percent: 0,
    max_playback: Rate::Full,
    cbr: false,
};

fn encoder(rate: Rate, settings: OpusSettings) -> Encoder {
    Encoder::new(Codec::Opus, rate, settings)
}

/// Packets of 20 ms each.
fn packets(encoder: &mut Encoder, pcm: &[i16]) -> Vec<Vec<u8>> {
    let mut out = [0; MAX_PAYLOAD];
    pcm.chunks_exact(encoder.rate().frame())
        .map(|frame| {
            let length = encoder.encode(frame, &mut out);
            out[..length].to_vec()
        })
        .collect()
}

fn decoded(packets: &[Vec<u8>], rate: Rate) -> Vec<i16> {
    let mut decoder = Decoder::new(Codec::Opus, rate);
    let mut pcm = Vec::new();
    for packet in packets {
        assert_eq!(decoder.decode(packet, &mut pcm), Ok(rate.frame()));
    }
    pcm
}

fn bits_per_second(packets: &[Vec<u8>]) -> usize {
    packets.iter().map(Vec::len).sum::<usize>() * 8 * 50 / packets.len()
}

#[test]
fn a_tone_goes_through_between_any_two_rates() {
    for from in Rate::ALL {
        let packets = packets(
            &mut encoder(from, DEFAULT),
            &tone(440.0, 8_000.0, from.hz(), from.hz() as usize),
        );
        for to in Rate::ALL {
            let pcm = decoded(&packets, to);
            let (amplitude, rest) = apart(&pcm[pcm.len() / 2..], 440.0, to.hz());
            assert!(
                decibels(amplitude / 8_000.0).abs() < 1.0,
                "{from:?} to {to:?}: {amplitude}"
            );
            assert!(
                decibels(rest / amplitude) < -20.0,
                "{from:?} to {to:?}: {rest}"
            );
        }
    }
}

#[test]
fn packets_of_every_length_that_opus_has_are_decoded_whole() {
    for from in Rate::ALL {
        for tenths_ms in [25, 50, 100, 200, 400, 600, 800, 1_000, 1_200] {
            let samples = from.hz() as usize * tenths_ms / 10_000;
            let mut out = [0; MAX_PAYLOAD];
            let length =
                encoder(from, DEFAULT).encode(&voice(from.hz(), 1, 1)[..samples], &mut out);
            let packet = &out[..length];
            assert_eq!(
                Codec::Opus.duration_ticks(packet),
                Ok(48 * tenths_ms as u32 / 10)
            );
            for to in Rate::ALL {
                let mut pcm = vec![7];
                let made = Decoder::new(Codec::Opus, to).decode(packet, &mut pcm);
                assert_eq!(made, Ok(to.hz() as usize * tenths_ms / 10_000));
                assert_eq!((pcm[0], pcm.len()), (7, 1 + made.unwrap_or_default()));
            }
        }
    }
}

#[test]
fn bitrate_changes_from_one_packet_to_the_next() {
    let mut encoder = encoder(Rate::Full, DEFAULT);
    let pcm = voice(48_000, 2, 1);
    for bitrate_bps in [12_000, 64_000, 24_000] {
        encoder.set(OpusSettings {
            bitrate_bps,
            ..DEFAULT
        });
        let used = bits_per_second(&packets(&mut encoder, &pcm));
        let wanted = bitrate_bps as usize;
        assert!(
            (wanted / 2..wanted * 5 / 4).contains(&used),
            "{wanted}: {used}"
        );
    }
}

#[test]
fn at_a_constant_bitrate_all_packets_are_of_one_size() {
    let settings = OpusSettings {
        cbr: true,
        ..DEFAULT
    };
    let packets = packets(&mut encoder(Rate::Full, settings), &voice(48_000, 1, 1));
    assert!(packets.iter().all(|packet| packet.len() == 60));
}

#[test]
fn any_settings_at_all_are_brought_into_their_range() {
    let settings = OpusSettings {
        bitrate_bps: u32::MAX,
        complexity: u8::MAX,
        expected_loss_percent: u8::MAX,
        ..DEFAULT
    };
    assert_eq!(
        packets(&mut encoder(Rate::Full, settings), &voice(48_000, 1, 1)).len(),
        50
    );
    encoder(
        Rate::Full,
        OpusSettings {
            bitrate_bps: 0,
            ..settings
        },
    );
}

#[test]
fn settings_that_encode_alike_are_one_key() {
    let with = |complexity, fec, expected_loss_percent| OpusSettings {
        complexity,
        fec,
        expected_loss_percent,
        ..DEFAULT
    };
    for (one, other, alike) in [
        (with(5, true, 3), with(5, true, 9), true),
        (with(5, true, 0), with(5, true, 1), false),
        (with(5, true, 14), with(5, true, 15), false),
        (with(5, false, 0), with(5, false, 30), true),
        (with(8, true, 0), with(10, true, 0), true),
        (with(5, true, 0), with(8, true, 0), false),
    ] {
        assert_eq!(
            one.effective() == other.effective(),
            alike,
            "{one:?} {other:?}"
        );
        let sound = voice(48_000, 1, 1);
        let [first, second] =
            [one, other].map(|settings| packets(&mut encoder(Rate::Full, settings), &sound));
        assert_eq!(first == second, alike, "{one:?} {other:?}");
    }
}

#[test]
fn nothing_is_sent_above_what_the_listener_can_play() {
    let pcm = tone(5_500.0, 8_000.0, 48_000, 48_000);
    for (max_playback, comes_through) in [
        (Rate::Narrow, false),
        (Rate::Wide, true),
        (Rate::Full, true),
    ] {
        let settings = OpusSettings {
            max_playback,
            bitrate_bps: 48_000,
            ..DEFAULT
        };
        let heard = decoded(
            &packets(&mut encoder(Rate::Full, settings), &pcm),
            Rate::Full,
        );
        let (amplitude, _) = apart(&heard[24_000..], 5_500.0, 48_000);
        assert_eq!(
            amplitude > 4_000.0,
            comes_through,
            "{max_playback:?}: {amplitude}"
        );
    }
}

#[test]
fn in_dtx_silence_is_not_sent_but_for_a_packet_now_and_then() {
    let mut encoder = encoder(
        Rate::Full,
        OpusSettings {
            dtx: true,
            ..DEFAULT
        },
    );
    packets(&mut encoder, &voice(48_000, 1, 1));
    let silence = packets(&mut encoder, &vec![0; 5 * 48_000]);
    let sent = silence[50..]
        .iter()
        .filter(|packet| !packet.is_empty())
        .count();
    assert!((5..=15).contains(&sent), "{sent} of 200");
    let speech = packets(&mut encoder, &voice(48_000, 1, 1));
    assert!(speech[1..40].iter().all(|packet| packet.len() > 2));
}

#[test]
fn a_packet_of_dtx_is_known_for_silence_without_decoding() {
    assert!(Codec::Opus.is_silence(&[0x78]));
    let voiced = packets(&mut encoder(Rate::Full, DEFAULT), &voice(48_000, 1, 1));
    assert!(voiced.iter().all(|packet| !Codec::Opus.is_silence(packet)));
}

/// Every tenth packet is lost. What is made of each gap, by `fill(decoder, next packet, out)`, against what was sent:
/// the error in decibels, relative to the signal.
fn error_in_gaps(settings: OpusSettings, fill: impl Fn(&mut Decoder, &[u8], &mut Vec<i16>)) -> f64 {
    let packets = packets(&mut encoder(Rate::Wide, settings), &voice(16_000, 4, 3));
    let whole = decoded(&packets, Rate::Wide);
    let mut decoder = Decoder::new(Codec::Opus, Rate::Wide);
    let (mut pcm, mut wrong, mut right) = (Vec::new(), 0.0, 0.0);
    for (i, packet) in packets.iter().enumerate() {
        let before = pcm.len();
        if i % 10 == 5 {
            fill(&mut decoder, &packets[i + 1], &mut pcm);
            assert_eq!(pcm.len(), before + 320);
            for (made, meant) in pcm[before..].iter().zip(&whole[before..]) {
                wrong += (f64::from(*made) - f64::from(*meant)).powi(2);
                right += f64::from(*meant).powi(2);
            }
        } else {
            decoder.decode(packet, &mut pcm).expect("a packet");
        }
    }
    decibels((wrong / right).sqrt())
}

#[test]
fn a_lost_packet_comes_back_from_the_next_one_better_than_from_concealment() {
    let settings = OpusSettings {
        expected_loss_percent: 1,
        ..DEFAULT
    };
    let concealed = error_in_gaps(settings, |decoder, _, pcm| {
        assert!(decoder.conceal(320, pcm))
    });
    let restored = error_in_gaps(settings, |decoder, next, pcm| {
        if decoder.fec(next, 320, pcm).is_none() {
            assert!(
                decoder.conceal(320, pcm),
                "silence between syllables has no FEC"
            );
        }
    });
    assert!(
        restored < concealed - 3.0,
        "{restored} against {concealed} dB"
    );
}

#[test]
fn a_packet_without_fec_restores_nothing() {
    let packets = packets(
        &mut encoder(
            Rate::Full,
            OpusSettings {
                fec: false,
                ..DEFAULT
            },
        ),
        &voice(48_000, 1, 1),
    );
    for codec in [Codec::Opus, Codec::G722, Codec::Pcmu] {
        let mut decoder = Decoder::new(codec, Rate::Full);
        let mut pcm = vec![1, 2];
        assert_eq!(decoder.fec(&packets[20], 960, &mut pcm), None);
        assert_eq!(decoder.fec(&[], 960, &mut pcm), None);
        assert_eq!(pcm, [1, 2]);
    }
}

#[test]
fn concealment_fades_and_any_number_of_samples_is_served() {
    let packets = packets(&mut encoder(Rate::Full, DEFAULT), &voice(48_000, 1, 1));
    let mut decoder = Decoder::new(Codec::Opus, Rate::Full);
    let mut pcm = Vec::new();
    for packet in &packets[..20] {
        decoder.decode(packet, &mut pcm).expect("a packet");
    }
    let heard = rms(&pcm[pcm.len() - 960..]);
    for samples in [960, 1, 119, 121, 5_760, 0] {
        let before = pcm.len();
        assert!(decoder.conceal(samples, &mut pcm));
        assert_eq!(pcm.len(), before + samples);
    }
    for _ in 0..10 {
        decoder.conceal(960, &mut pcm);
    }
    assert!(rms(&pcm[pcm.len() - 960..]) < 0.1 * heard);
}

#[test]
fn what_has_no_concealment_says_so() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
        let mut pcm = Vec::new();
        assert!(!Decoder::new(codec, Rate::Full).conceal(160, &mut pcm));
        assert!(pcm.is_empty());
    }
}

#[test]
fn a_clone_of_a_decoder_goes_on_from_the_same_state() {
    for codec in Codec::ALL {
        let mut encoder = Encoder::new(codec, Rate::Full, DEFAULT);
        let sound = voice(encoder.rate().hz(), 1, 1);
        let packets = packets(&mut encoder, &sound);
        let mut one = Decoder::new(codec, Rate::Full);
        one.decode(&packets[0], &mut Vec::new()).expect("a packet");
        let mut two = one.clone();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for packet in &packets[1..] {
            one.decode(packet, &mut first).expect("a packet");
        }
        drop(one);
        for packet in &packets[1..] {
            two.decode(packet, &mut second).expect("a packet");
        }
        assert_eq!(first, second, "{codec}");
    }
}

#[test]
fn what_no_codec_takes_is_malformed_and_leaves_nothing_behind() {
    for codec in Codec::ALL {
        let mut pcm = vec![1];
        let mut decoder = Decoder::new(codec, Rate::Full);
        assert!(decoder.decode(&[], &mut pcm).is_err());
        assert!(
            decoder.decode(&[0; 1_500], &mut pcm).is_err(),
            "{codec}: more than 120 ms"
        );
        assert_eq!(pcm, [1]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_decoded_or_refused(
        payloads in proptest::collection::vec((0..4_u8, proptest::collection::vec(any::<u8>(), 0..200)), 1..8),
        rate in proptest::sample::select(&Rate::ALL[..]),
    ) {
        for codec in Codec::ALL {
            let mut decoder = Decoder::new(codec, rate);
            let mut pcm = Vec::new();
            for (what, payload) in &payloads {
                let before = pcm.len();
                let made = match what {
                    0 => decoder.fec(payload, decoder.rate().frame(), &mut pcm).unwrap_or(0),
                    1 if decoder.conceal(17, &mut pcm) => 17,
                    _ => decoder.decode(payload, &mut pcm).unwrap_or(0),
                };
                prop_assert_eq!(pcm.len(), before + made);
                prop_assert!(made <= 120 * decoder.rate().per_ms());
                let _ = codec.is_silence(payload);
            }
        }
    }
}
