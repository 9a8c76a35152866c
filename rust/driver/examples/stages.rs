//! What each stage of a leg's way costs, by the code that the engine runs: microseconds for 20 ms of one leg, as JSON.
//!
//! Each figure is the least of many rounds of 50 frames of a synthetic voice: other work on the machine only adds.

#[allow(dead_code, reason = "only the voices are needed here")]
mod traffic;

use std::hint::black_box;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use plenary_codec::{Codec, Decoder, Encoder, Frame, MAX_PAYLOAD, OpusSettings, Rate, Resampler};
use plenary_driver::sys;
use plenary_media::jitter::JitterBuffer;
use plenary_media::mixer::{self, Gain, Sum};
use plenary_media::rtp::packet;
use plenary_media::rtp::source::{Place, Source};
use plenary_transport::srtp::{Master, Session, Suite};
use plenary_voice::{Activity, Limiter, NoiseSuppressor, Normaliser};

use traffic::voice::{CYCLE, Sounds};

const ROUNDS: usize = 41;
const TICK: Duration = Duration::from_millis(20);

/// Microseconds of one of the frames of a round.
fn cost(mut frame: impl FnMut(usize)) -> f64 {
    rounds(|| {
        let begin = Instant::now();
        (0..CYCLE).for_each(&mut frame);
        begin.elapsed()
    })
}

/// The same for who has to prepare each round and times it himself.
fn rounds(mut round: impl FnMut() -> Duration) -> f64 {
    (0..ROUNDS)
        .map(|_| round().as_secs_f64() * 1e6 / CYCLE as f64)
        .fold(f64::INFINITY, f64::min)
}

struct Stages(Vec<(String, f64)>);

impl Stages {
    fn note(&mut self, stage: &str, what: &str, us: f64) {
        self.0.push((format!("{stage}, {what}"), us));
    }

    /// One datagram a socket, as it is with phones: a call of the system for each.
    fn sockets(&mut self) -> io::Result<()> {
        let phone = UdpSocket::bind("127.0.0.1:0")?;
        let sockets: io::Result<Vec<UdpSocket>> = (0..CYCLE)
            .map(|_| {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                sys::stamp_arrivals(socket.as_fd())?;
                Ok(socket)
            })
            .collect();
        let sockets = sockets?;
        let mut receiver: sys::Receiver = sys::Receiver::default();
        let packet = [0x55; 172];
        let mut received = 0;
        let mut failed = None;
        let receive = rounds(|| {
            for socket in &sockets {
                let sent = socket
                    .local_addr()
                    .and_then(|to| phone.send_to(&packet, to));
                failed = sent.err().or(failed.take());
            }
            let begin = Instant::now();
            for socket in &sockets {
                receiver.drain(socket.as_fd(), |datagram, _, _| received += datagram.len());
            }
            begin.elapsed()
        });
        black_box(received);
        self.note("receive", "system call", receive);
        let (to, mut sink) = (phone.local_addr()?, vec![0; 2_000]);
        phone.set_nonblocking(true)?;
        let send = rounds(|| {
            let begin = Instant::now();
            for socket in &sockets {
                failed = socket.send_to(&packet, to).err().or(failed.take());
            }
            let elapsed = begin.elapsed();
            while phone.recv_from(&mut sink).is_ok() {}
            elapsed
        });
        self.note("send", "system call, loopback's delivery in it", send);
        failed.map_or(Ok(()), Err)
    }

    fn rtp(&mut self) {
        let (mut source, mut seq) = (Source::new(), 0_u32);
        let us = cost(|_| {
            let mut datagram = [0x55; 172];
            datagram[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
            datagram[2..4].copy_from_slice(&(seq as u16).to_be_bytes());
            datagram[4..8].copy_from_slice(&seq.wrapping_mul(160).to_be_bytes());
            seq += 1;
            if let Ok((header, payload)) = packet::parse(&datagram) {
                black_box((source.receive(&header, TICK * seq), payload));
            }
        });
        self.note("receive", "RTP header, sequence, jitter", us);
    }

    /// Decoding, and the same through the jitter buffer.
    fn codec(&mut self, codec: Codec, name: &str) {
        let sounds = Sounds::new(codec);
        let payload = |n: usize| sounds.payload(Some(0), n);
        let mut decoder = Decoder::new(codec, codec.rate());
        let mut pcm = Vec::with_capacity(codec.rate().frame());
        let decode = cost(|n| {
            pcm.clear();
            black_box(decoder.decode(payload(n), &mut pcm).is_ok());
        });
        self.note("decode", name, decode);
        let mut buffer = JitterBuffer::new(codec, codec.rate());
        let (mut seq, mut out) = (0_u32, Frame::default());
        let both = cost(|n| {
            let now = TICK * seq;
            let timestamp = i64::from(seq * codec.frame_ticks());
            let place = Place {
                seq: seq.into(),
                timestamp,
                new_stream: seq == 0,
            };
            buffer.push(now, place, payload(n), false);
            black_box(buffer.pull(now + TICK / 2, &mut out));
            seq += 1;
        });
        self.note("jitter buffer", name, both - decode);
    }

    fn encode(&mut self, codec: Codec, complexity: u8, name: &str) {
        let voice = voice(codec.rate());
        let settings = OpusSettings {
            complexity,
            ..OpusSettings::default()
        };
        let mut encoder = Encoder::new(codec, codec.rate(), settings);
        let mut out = [0; MAX_PAYLOAD];
        let us = cost(|n| {
            black_box(encoder.encode(&voice[n], &mut out));
        });
        self.note("encode", name, us);
    }

    fn mix(&mut self, rate: Rate, name: &str) {
        let voice = voice(rate);
        let mut sum = Sum::default();
        sum.clear(rate);
        let add = cost(|n| mixer::add(black_box(&mut sum), &voice[n], Gain::UNITY));
        self.note("mix", &format!("a voice into the sum, {name}"), add);
        sum.clear(rate);
        let (mut limiter, mut out) = (Limiter::new(), Frame::silence(rate));
        let own = cost(|n| {
            let mut own = Sum::default();
            own.set(&sum);
            mixer::remove(&mut own, &voice[n], Gain::UNITY);
            limiter.process(&own, &mut out);
            black_box(&out);
        });
        let what = format!("a talker's own mix with its limiter, {name}");
        self.note("mix", &what, own);
    }

    fn resample(&mut self, from: Rate, to: Rate, name: &str) {
        let voice = voice(from);
        let (mut resampler, mut out) = (Resampler::new(from, to), Frame::silence(to));
        let us = cost(|n| {
            resampler.process(&voice[n], &mut out);
            black_box(&out);
        });
        self.note("resample", name, us);
    }

    fn processing(&mut self, rate: Rate, name: &str) {
        let voice = voice(rate);
        let mut frame = Frame::silence(rate);
        let mut suppressor = NoiseSuppressor::new(rate);
        let us = cost(|n| {
            frame.set(&voice[n]);
            suppressor.process(&mut frame);
        });
        self.note("processing", &format!("noise suppression, {name}"), us);
        let (mut activity, mut normaliser) = (Activity::new(), Normaliser::new());
        let us = cost(|n| {
            frame.set(&voice[n]);
            let talking = activity.frame(&frame);
            normaliser.process(&mut frame, talking);
        });
        let what = format!("normaliser with voice activity, {name}");
        self.note("processing", &what, us);
        let (mut limiter, mut sum) = (Limiter::new(), Sum::default());
        sum.clear(rate);
        let us = cost(|n| {
            sum.fill(0);
            let loud = 4;
            (0..loud).for_each(|_| mixer::add(&mut sum, &voice[n], Gain::UNITY));
            limiter.process(&sum, &mut frame);
        });
        let what = format!("limiter at work, four voices, {name}");
        self.note("processing", &what, us);
    }

    fn srtp(&mut self, suite: Suite) {
        let master = |byte| Master::new(suite, &vec![byte; suite.key_len() + suite.salt_len()]);
        let (Some(local), Some(remote)) = (master(1), master(2)) else {
            return;
        };
        let (mut ours, mut theirs) = (Session::new(local, remote), Session::new(remote, local));
        let (mut seq, mut sealed, mut clear) = (0_u16, Vec::new(), Vec::new());
        let mut packets = Vec::new();
        let protect = cost(|_| {
            let mut packet = [0x55; 172];
            packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7]);
            packet[2..4].copy_from_slice(&seq.to_be_bytes());
            seq = seq.wrapping_add(1);
            if ours.protect(&packet, &mut sealed).is_ok() {
                packets.push(sealed.clone());
            }
        });
        let mut packets = packets.iter();
        let unprotect = cost(|_| {
            let opened = packets
                .next()
                .map(|packet| theirs.unprotect(packet, &mut clear));
            black_box(opened.is_some_and(|opened| opened.is_ok()));
        });
        self.note("SRTP", &format!("protect, {}", suite.name()), protect);
        self.note("SRTP", &format!("unprotect, {}", suite.name()), unprotect);
    }
}

fn voice(rate: Rate) -> Vec<Frame> {
    (0..CYCLE)
        .map(|packet| {
            let mut frame = Frame::silence(rate);
            traffic::voice::speak(0, packet, &mut frame);
            frame
        })
        .collect()
}

fn main() -> io::Result<()> {
    let mut stages = Stages(Vec::new());
    stages.sockets()?;
    stages.rtp();
    for (codec, name) in [
        (Codec::Pcmu, "G.711"),
        (Codec::G722, "G.722"),
        (Codec::Opus, "Opus"),
    ] {
        stages.codec(codec, name);
    }
    for (rate, name) in [(Rate::Narrow, "8 kHz"), (Rate::Full, "48 kHz")] {
        stages.mix(rate, name);
    }
    stages.resample(Rate::Narrow, Rate::Full, "8 to 48 kHz");
    stages.resample(Rate::Full, Rate::Narrow, "48 to 8 kHz");
    stages.resample(Rate::Wide, Rate::Full, "16 to 48 kHz");
    stages.resample(Rate::Full, Rate::Wide, "48 to 16 kHz");
    stages.encode(Codec::Pcmu, 0, "G.711");
    stages.encode(Codec::G722, 0, "G.722");
    for complexity in [0, 5] {
        stages.encode(
            Codec::Opus,
            complexity,
            &format!("Opus, complexity {complexity}"),
        );
    }
    for (rate, name) in [(Rate::Narrow, "8 kHz"), (Rate::Full, "48 kHz")] {
        stages.processing(rate, name);
    }
    stages.srtp(Suite::AesCm128HmacSha1_80);
    stages.srtp(Suite::AeadAes128Gcm);
    let figures: Vec<String> = stages
        .0
        .iter()
        .map(|(stage, us)| format!("\"{stage}\": {us:.3}"))
        .collect();
    println!("{{{}}}", figures.join(", "));
    Ok(())
}
