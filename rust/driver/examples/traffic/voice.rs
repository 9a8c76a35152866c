//! What phones say: a second of synthetic voice, in packets of every codec, and how to find it again in what is heard.

use std::f64::consts::TAU;

use plenary_codec::{Codec, Decoder, Encoder, FRAME_MS, Frame, MAX_PAYLOAD, OpusSettings};

/// Voices of different pitch; talkers beyond have one of these as well.
pub const VOICES: usize = 3;
/// Packets of one cycle of silence and talk: a second.
pub const CYCLE: usize = 50;
/// Packets of silence at the beginning of a cycle.
const PAUSE: usize = 5;
/// Packets between the beginnings of two voices of a room.
const STAGGER: usize = 6;
/// Each is a whole number, so that a second of it can be repeated.
const PITCHES_HZ: [u32; VOICES] = [100, 130, 185];
/// A harmonic of each voice that no other has.
const LINES_HZ: [f64; VOICES] = [500.0, 650.0, 740.0];
/// Where none has one.
const NO_LINE_HZ: f64 = 577.0;
/// By how much a line must stand out for its voice to be heard.
const CLEAR_DB: f64 = 15.0;
/// Centres of the formants and how loud each is.
const FORMANTS: [(f64, f64); 4] = [(550.0, 1.0), (1_500.0, 0.5), (2_500.0, 0.3), (5_500.0, 0.1)];
const FORMANT_WIDTH_HZ: f64 = 350.0;
const HIGHEST_HZ: f64 = 7_000.0;
const SYLLABLES_HZ: f64 = 4.0;
const PEAK: f64 = 8_000.0;

/// In which packet of a cycle a voice begins.
pub fn begins(voice: usize) -> usize {
    PAUSE + STAGGER * voice
}

/// A cycle of every voice, and of silence, in the packets of one codec.
pub struct Sounds {
    voices: Vec<Vec<Box<[u8]>>>,
    silence: Vec<Box<[u8]>>,
}

impl Sounds {
    pub fn new(codec: Codec) -> Sounds {
        Sounds {
            voices: (0..VOICES)
                .map(|voice| cycle(codec, |frame, packet| speak(voice, packet, frame)))
                .collect(),
            silence: cycle(codec, |_, _| {}),
        }
    }

    /// The payload that is due in this packet of the cycle; `None` is who says nothing.
    pub fn payload(&self, voice: Option<usize>, packet: usize) -> &[u8] {
        let packets = voice.map_or(&self.silence, |voice| &self.voices[voice % VOICES]);
        &packets[packet % CYCLE]
    }
}

/// Coded twice, of which the second is kept: so the first packet goes on from the last.
fn cycle(codec: Codec, fill: impl Fn(&mut Frame, usize)) -> Vec<Box<[u8]>> {
    let mut encoder = Encoder::new(codec, codec.rate(), OpusSettings::default());
    let mut coded = [0; MAX_PAYLOAD];
    let packets = (0..2 * CYCLE).map(|packet| {
        let mut frame = Frame::silence(codec.rate());
        fill(&mut frame, packet % CYCLE);
        let len = encoder.encode(&frame, &mut coded);
        coded[..len].into()
    });
    packets.skip(CYCLE).collect()
}

/// One frame of a voice, by its packet in the cycle; `frame` is silence before.
pub fn speak(voice: usize, packet: usize, frame: &mut Frame) {
    if packet < begins(voice) {
        return;
    }
    let (hz, pitch) = (f64::from(frame.rate().hz()), f64::from(PITCHES_HZ[voice]));
    let harmonics: Vec<(f64, f64)> = (1..)
        .map(|number| f64::from(number) * pitch)
        .take_while(|line| *line < HIGHEST_HZ.min(hz / 2.0))
        .map(|line| (line, loudness(line)))
        .collect();
    let loudest: f64 = harmonics.iter().map(|(_, loudness)| loudness).sum();
    let begin = packet * frame.len();
    for (i, sample) in frame.iter_mut().enumerate() {
        let time = (begin + i) as f64 / hz;
        let syllable = 0.6 + 0.4 * (TAU * SYLLABLES_HZ * time).cos();
        let sum: f64 = harmonics
            .iter()
            .map(|(line, loudness)| loudness * (TAU * line * time).cos())
            .sum();
        *sample = (PEAK * syllable * sum / loudest) as i16;
    }
}

fn loudness(line: f64) -> f64 {
    let near = |(centre, loudness): (f64, f64)| {
        loudness * (-((line - centre) / FORMANT_WIDTH_HZ).powi(2)).exp()
    };
    FORMANTS.into_iter().map(near).sum()
}

/// How many voices are heard in the packets of one stream, a second or more of them, and nothing but voices.
pub fn heard(codec: Codec, packets: &[Vec<u8>]) -> usize {
    let mut decoder = Decoder::new(codec, codec.rate());
    let mut pcm = Vec::new();
    for packet in packets {
        if decoder.decode(packet, &mut pcm).is_err() {
            return 0;
        }
    }
    if pcm.len() < packets.len() * codec.rate().per_ms() * FRAME_MS as usize {
        return 0;
    }
    let hz = f64::from(codec.rate().hz());
    let rest = level(&pcm, NO_LINE_HZ, hz);
    let clear = |line: &&f64| 20.0 * (level(&pcm, **line, hz) / rest).log10() > CLEAR_DB;
    LINES_HZ.iter().filter(clear).count()
}

/// Magnitude at one frequency under a Hann window.
fn level(pcm: &[i16], line_hz: f64, hz: f64) -> f64 {
    let turn = |i: usize, hz_of: f64| TAU * i as f64 * hz_of;
    let (mut re, mut im) = (0.0, 1e-9);
    for (i, sample) in pcm.iter().enumerate() {
        let window = 0.5 - 0.5 * turn(i, 1.0 / pcm.len() as f64).cos();
        let angle = turn(i, line_hz / hz);
        re += f64::from(*sample) * window * angle.cos();
        im += f64::from(*sample) * window * angle.sin();
    }
    f64::hypot(re, im)
}
