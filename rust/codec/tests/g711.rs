//! G.711 against its definition: every sample, every byte.

use plenary_codec::g711::{SILENCE_PEAK, alaw, ulaw};
use plenary_codec::{Codec, Decoder, Encoder, MAX_PAYLOAD, OpusSettings, Rate};

fn decoded(codec: Codec, coded: &[u8]) -> Vec<i16> {
    let mut pcm = Vec::new();
    let samples = Decoder::new(codec, Rate::Narrow).decode(coded, &mut pcm);
    assert_eq!(samples, Ok(coded.len()));
    pcm
}

fn encoded(codec: Codec, pcm: &[i16]) -> Vec<u8> {
    let mut coded = [0; MAX_PAYLOAD];
    let length = Encoder::new(codec, Rate::Narrow, OpusSettings::default()).encode(pcm, &mut coded);
    coded[..length].to_vec()
}

/// ITU-T G.711 tables 2a and 2b: 14 bits, decision values at 31, 95, 223, 479 ... with 16 equal steps in each segment.
fn ulaw_by_definition(sample: i16) -> u8 {
    let magnitude = (i32::from(sample).abs() >> 2).min(8_158);
    let (mut segment, mut low, mut step) = (0, 0, 2);
    // Segment 0 has 15.5 steps of 2; segment n ends at 2^(n+5) * ... - 33.
    while segment < 7 && magnitude >= (64 << segment) - 33 {
        low = (64 << segment) - 33;
        segment += 1;
        step = 2 << segment;
    }
    let interval = if segment == 0 {
        (magnitude + 1) / 2
    } else {
        (magnitude - low) / step
    };
    let sign = if sample < 0 { 0 } else { 0x80 };
    sign | (!(segment << 4 | interval) & 0x7f) as u8
}

/// ITU-T G.711 tables 1a and 1b: 13 bits, even bits inverted.
fn alaw_by_definition(sample: i16) -> u8 {
    let value = i32::from(sample) >> 3;
    let magnitude = if value < 0 { -value - 1 } else { value };
    let code = if magnitude < 32 {
        magnitude >> 1
    } else {
        let segment = (1..=7)
            .find(|segment| magnitude < 32 << segment)
            .expect("13 bits");
        segment << 4 | ((magnitude >> segment) & 15)
    };
    let sign = if value < 0 { 0 } else { 0x80 };
    (sign | code as u8) ^ 0x55
}

#[test]
fn every_sample_is_encoded_as_the_tables_say() {
    for sample in i16::MIN..=i16::MAX {
        assert_eq!(alaw(sample), alaw_by_definition(sample), "A {sample}");
        assert_eq!(ulaw(sample), ulaw_by_definition(sample), "µ {sample}");
    }
}

#[test]
fn every_byte_survives_decoding_and_encoding() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        for byte in 0..=255_u8 {
            let again = encoded(codec, &decoded(codec, &[byte]));
            // µ-law has two zeros.
            assert!(
                again[0] == byte || (codec == Codec::Pcmu && byte == 0x7f && again[0] == 0xff),
                "{codec:?} {byte:#x}"
            );
        }
    }
}

#[test]
fn decoded_values_are_those_of_the_tables() {
    let cases = [
        (Codec::Pcmu, 0xff, 0),
        (Codec::Pcmu, 0x7f, 0),
        (Codec::Pcmu, 0x80, 32_124),
        (Codec::Pcmu, 0x00, -32_124),
        (Codec::Pcmu, 0xfe, 8),
        (Codec::Pcma, 0xd5, 8),
        (Codec::Pcma, 0x55, -8),
        (Codec::Pcma, 0xaa, 32_256),
        (Codec::Pcma, 0x2a, -32_256),
    ];
    for (codec, byte, sample) in cases {
        assert_eq!(decoded(codec, &[byte]), [sample], "{codec:?} {byte:#x}");
    }
}

#[test]
fn silence_is_seen_on_coded_bytes_as_on_samples() {
    for (codec, silence) in [(Codec::Pcmu, 0xff), (Codec::Pcma, 0xd5)] {
        for byte in 0..=255_u8 {
            let mut frame = [silence; 160];
            frame[77] = byte;
            let quiet = decoded(codec, &frame)
                .iter()
                .all(|sample| sample.unsigned_abs() <= SILENCE_PEAK.unsigned_abs());
            assert_eq!(codec.is_silence(&frame), quiet, "{codec:?} {byte:#x}");
        }
    }
}
