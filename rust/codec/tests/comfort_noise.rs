//! Comfort noise (RFC 3389): its level and its colour.

mod sound;

use plenary_codec::cn::{ComfortNoise, Generator, MAX_ORDER};
use proptest::prelude::*;
use sound::{decibels, rms};

fn seconds_of(payload: &[u8]) -> Vec<i16> {
    let noise = ComfortNoise::parse(payload).expect("well formed");
    let mut generator = Generator::new(1);
    let mut pcm = vec![0; 16_000];
    for frame in pcm.chunks_mut(160) {
        generator.fill(&noise, frame);
    }
    pcm
}

/// Correlation of neighbouring samples: 1 for the deepest rumble, -1 for the highest hiss.
fn colour(pcm: &[i16]) -> f64 {
    let product: f64 = pcm
        .windows(2)
        .map(|p| f64::from(p[0]) * f64::from(p[1]))
        .sum();
    product / pcm.len() as f64 / rms(pcm).powi(2)
}

#[test]
fn noise_has_the_level_that_the_payload_says_whatever_its_colour() {
    for level in [20, 30, 40, 50, 60] {
        for colour in [&[][..], &[64], &[190], &[20, 200, 100], &[100; MAX_ORDER]] {
            let payload = [&[level], colour].concat();
            let heard = decibels(rms(&seconds_of(&payload)[160..]) / 32_768.0);
            assert!(
                (heard + f64::from(level)).abs() < 1.0,
                "{payload:?}: {heard} dBov"
            );
        }
    }
}

#[test]
fn noise_has_the_colour_that_the_payload_says() {
    // Of a model of first order, neighbours correlate by minus the reflection coefficient.
    for (coded, expected) in [(127, 0.0), (63, 0.504), (191, -0.504), (30, 0.764)] {
        let heard = colour(&seconds_of(&[30, coded]));
        assert!((heard - expected).abs() < 0.04, "{coded}: {heard}");
    }
}

#[test]
fn a_new_level_is_reached_softly() {
    let mut generator = Generator::new(1);
    let mut frame = [0; 160];
    generator.fill(&ComfortNoise::white(20), &mut frame);
    let quarters: Vec<f64> = frame.chunks(40).map(rms).collect();
    assert!(quarters.is_sorted(), "{quarters:?}");
    assert!(quarters[0] < 0.25 * quarters[3]);
}

#[test]
fn the_quietest_noise_is_silence_and_an_empty_payload_is_malformed() {
    assert!(seconds_of(&[127]).iter().all(|sample| *sample == 0));
    assert!(ComfortNoise::parse(&[]).is_err());
}

#[test]
fn the_same_seed_makes_the_same_noise_and_a_clone_goes_on() {
    let noise = ComfortNoise::parse(&[30, 100, 140]).expect("well formed");
    let (mut one, mut two) = (Generator::new(5), Generator::new(5));
    let (mut first, mut second) = ([0; 320], [0; 320]);
    one.fill(&noise, &mut first);
    two.fill(&noise, &mut second);
    assert_eq!(first, second);
    one.clone().fill(&noise, &mut first);
    two.fill(&noise, &mut second);
    assert_eq!(first, second);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_payload_makes_noise_no_louder_than_it_says(payload in proptest::collection::vec(any::<u8>(), 1..40)) {
        let noise = ComfortNoise::parse(&payload).expect("not empty");
        prop_assert!(noise.level_dbov < 128);
        prop_assert!(noise.reflection().iter().all(|k| k.abs() < 1.0));
        let mut pcm = [0; 3_200];
        Generator::new(3).fill(&noise, &mut pcm);
        // Noise has peaks; on average it keeps to its level, some narrow peak of the model apart.
        prop_assert!(decibels(rms(&pcm) / 32_768.0) < 10.0 - f64::from(noise.level_dbov) || rms(&pcm) < 2.0);
    }
}
