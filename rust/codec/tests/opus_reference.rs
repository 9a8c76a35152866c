//! Our Opus decoder against libopus called directly: the same samples, whatever is lost and however it is made good.
//!
//! The test vectors of RFC 6716 are not here (they are 40 MB, and test libopus rather than what is around it).

mod sound;

use std::ffi::c_int;

use opusic_sys as sys;
use plenary_codec::{Codec, Decoder, Encoder, MAX_PAYLOAD, OpusSettings, Rate};
use proptest::prelude::*;
use sound::{Seeded, voice};

/// libopus, with nothing around it.
struct Reference(*mut sys::OpusDecoder);

impl Reference {
    fn new(rate: Rate) -> Reference {
        let mut error = 0;
        // SAFETY: the error is written before this returns.
        let decoder = unsafe { sys::opus_decoder_create(rate.hz() as i32, 1, &mut error) };
        assert_eq!(error, sys::OPUS_OK);
        Reference(decoder)
    }

    /// `None`: what libopus refuses. An empty packet asks for concealment.
    fn decode(&mut self, packet: &[u8], fec: bool, samples: usize) -> Option<Vec<i16>> {
        let mut pcm = vec![0; samples];
        let data = if packet.is_empty() {
            std::ptr::null()
        } else {
            packet.as_ptr()
        };
        // SAFETY: both pointers come with their lengths, and are not kept.
        let made = unsafe {
            let (length, samples) = (packet.len() as i32, samples as c_int);
            sys::opus_decode(
                self.0,
                data,
                length,
                pcm.as_mut_ptr(),
                samples,
                c_int::from(fec),
            )
        };
        pcm.truncate(usize::try_from(made).ok()?);
        Some(pcm)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once.
        unsafe { sys::opus_decoder_destroy(self.0) }
    }
}

/// Packets of two channels that say different things.
fn stereo() -> Vec<Vec<u8>> {
    let (left, right) = (voice(48_000, 2, 1), voice(48_000, 2, 2));
    let both: Vec<i16> = std::iter::zip(left, right)
        .flat_map(|(l, r)| [l, r / 2])
        .collect();
    let mut error = 0;
    // SAFETY: each pointer comes with its length; created once, destroyed once.
    unsafe {
        let encoder = sys::opus_encoder_create(48_000, 2, sys::OPUS_APPLICATION_AUDIO, &mut error);
        assert_eq!(error, sys::OPUS_OK);
        let packets = both
            .chunks_exact(1_920)
            .map(|frame| {
                let mut out = vec![0; MAX_PAYLOAD];
                let room = out.len() as i32;
                let length = sys::opus_encode(encoder, frame.as_ptr(), 960, out.as_mut_ptr(), room);
                out.truncate(usize::try_from(length).expect("a packet"));
                out
            })
            .collect();
        sys::opus_encoder_destroy(encoder);
        packets
    }
}

fn mono(settings: OpusSettings) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(Codec::Opus, Rate::Full, settings);
    let mut out = [0; MAX_PAYLOAD];
    voice(48_000, 2, 1)
        .chunks_exact(960)
        .map(|frame| {
            let length = encoder.encode(frame, &mut out);
            out[..length].to_vec()
        })
        .collect()
}

/// Decodes with losses, by both: a packet that is lost is made good by the next one, or concealed if that is lost too.
fn compare(packets: &[Vec<u8>], rate: Rate, loss_percent: u64, seed: u64) {
    let mut seeded = Seeded(seed);
    let lost: Vec<bool> = packets
        .iter()
        .map(|_| seeded.next() % 100 < loss_percent)
        .collect();
    let (mut ours, mut theirs) = (Decoder::new(Codec::Opus, rate), Reference::new(rate));
    let samples = rate.frame();
    let mut restored = 0;
    for (i, packet) in packets.iter().enumerate() {
        let mut pcm = Vec::new();
        let expected = if !lost[i] {
            ours.decode(packet, &mut pcm).expect("a packet");
            theirs.decode(packet, false, samples)
        } else if let Some(next) = packets.get(i + 1).filter(|_| !lost[i + 1])
            && ours.fec(next, samples, &mut pcm).is_some()
        {
            restored += 1;
            theirs.decode(next, true, samples)
        } else {
            assert!(ours.conceal(samples, &mut pcm));
            theirs.decode(&[], false, samples)
        };
        assert_eq!(Some(pcm), expected, "packet {i}");
    }
    assert!(restored > 0 || loss_percent == 0, "no FEC was used");
}

#[test]
fn with_any_loss_at_any_rate_our_samples_are_those_of_libopus() {
    let settings = OpusSettings {
        expected_loss_percent: 20,
        ..OpusSettings::default()
    };
    let packets = mono(settings);
    for rate in Rate::ALL {
        for (seed, loss_percent) in [(1, 0), (2, 5), (3, 20), (4, 50)] {
            compare(&packets, rate, loss_percent, seed);
        }
    }
}

#[test]
fn of_two_channels_the_mean_is_heard_as_libopus_makes_it() {
    let packets = stereo();
    assert!(
        packets.iter().all(|packet| packet[0] & 4 != 0),
        "the bit of two channels"
    );
    for rate in Rate::ALL {
        compare(&packets, rate, 0, 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_libopus_refuses_we_refuse_and_what_it_decodes_we_decode(payload in proptest::collection::vec(any::<u8>(), 1..60)) {
        let mut pcm = Vec::new();
        let ours = Decoder::new(Codec::Opus, Rate::Full).decode(&payload, &mut pcm);
        let theirs = Reference::new(Rate::Full).decode(&payload, false, 5_760);
        prop_assert_eq!(ours.ok().map(|_| pcm), theirs);
    }
}
