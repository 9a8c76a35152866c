//! Codecs and the formats around them.

use plenary_codec::{Codec, Decoder, FRAME_MAX, Rate, red};

use crate::script::Script;

pub const RATES: [Rate; 3] = [Rate::Narrow, Rate::Wide, Rate::Full];

/// Packets of any bytes, decoded, recovered and concealed in any order: what comes out is as long as was promised.
pub fn decoder(data: &[u8]) {
    let mut script = Script(data);
    let codec = script.pick(&Codec::ALL);
    let mut decoder = Decoder::new(codec, script.pick(&RATES));
    let mut out = Vec::new();
    script.steps(64, |script| {
        out.clear();
        out.resize(3, 7);
        let samples = usize::from(script.word()) % (6 * FRAME_MAX + 1);
        let added = match script.byte() % 3 {
            0 => {
                let payload = script.bytes();
                let promised = codec.duration_ticks(payload);
                let _ = codec.is_silence(payload);
                let decoded = decoder.decode(payload, &mut out);
                if let (Ok(ticks), Ok(samples)) = (promised, decoded) {
                    let hz = u64::from(decoder.rate().hz());
                    let expected = u64::from(ticks) * hz / u64::from(codec.clock_hz());
                    assert_eq!(samples as u64, expected);
                }
                decoded.unwrap_or(0)
            }
            1 => decoder.fec(script.bytes(), samples, &mut out).unwrap_or(0),
            _ if decoder.conceal(samples, &mut out) => samples,
            _ => 0,
        };
        assert_eq!((out.len(), &out[..3]), (3 + added, &[7; 3][..]));
    });
}

/// RED of any bytes.
pub fn red(data: &[u8]) {
    if let Ok(blocks) = red::parse(data) {
        let total: usize = blocks.clone().map(|block| block.data.len()).sum();
        let count = blocks.clone().count();
        assert!(total + 4 * (count - 1) < data.len() && count <= red::MAX_BLOCKS);
        assert!(blocks.last().is_some_and(|last| last.timestamp_offset == 0));
    }
}
