//! Runs recorded speech through a codec, a simulated network and a playout buffer, for `make bench-audio`.
//!
//! Reads a job a line from standard input, fields separated by tabs:
//!
//! ```text
//! CODEC NETWORK SEED buffer|naive FROM_MS IN OUT      CODEC: PCMU, G722, opus; NETWORK: see network.rs
//! decode G722 IN OUT                                  a file of coded bytes
//! ```
//!
//! `IN` and `OUT` are files of 16-bit little-endian samples, of 8 kHz for PCMU, 16 kHz for the others. What is played from
//! `FROM_MS` on is written, and counted; what comes before lets the buffer get to know the network. Of each job a line is
//! printed: delay p50 and p99 in milliseconds, shares of audio concealed, recovered and stretched in percent, late packets,
//! starved ticks. The delay is that from the sending of a packet to the playing of its beginning.

mod naive;
mod network;

use std::error::Error;
use std::io::BufRead;
use std::path::Path;
use std::time::Duration;

use naive::Naive;
use network::{Network, Random};
use plenary_codec::{Codec, Decoder, Encoder, Frame, MAX_PAYLOAD, OpusSettings, Rate};
use plenary_media::jitter::{JitterBuffer, Playout};
use plenary_media::rtp::source::Place;

const TICK_MS: f64 = 20.0;

/// What is listened for when all was sent: half a second, for what comes late.
const TICKS_AFTER: i64 = 25;

fn main() -> Result<(), Box<dyn Error>> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[..] {
            ["decode", codec, from, to] => decode(codec, from, to)?,
            [codec, network, seed, buffer, from_ms, from, to] => {
                let job = Job {
                    codec: Codec::from_name(codec).ok_or("codec")?,
                    network: Network::new(network).ok_or("network")?,
                    seed: seed.parse()?,
                    naive: buffer == "naive",
                    from_ms: from_ms.parse()?,
                    sound: read(from)?,
                };
                println!("{}", job.run(Path::new(to))?);
            }
            _ => return Err(format!("no job: {line}").into()),
        }
    }
    Ok(())
}

struct Job {
    codec: Codec,
    network: Network,
    seed: u64,
    naive: bool,
    from_ms: f64,
    sound: Vec<i16>,
}

struct Packet {
    arrival_ms: f64,
    number: i64,
    payload: Vec<u8>,
}

impl Job {
    fn run(mut self, to: &Path) -> Result<String, Box<dyn Error>> {
        let rate = if self.codec == Codec::Opus {
            Rate::Wide
        } else {
            self.codec.rate()
        };
        let stretched_ms = TICK_MS * (1.0 + self.network.drift_ppm / 1e6);
        let packets = self.packets(rate, stretched_ms);
        let frames = self.sound.len() / rate.frame();
        let ticks = (frames as f64 * stretched_ms / TICK_MS) as i64 + TICKS_AFTER;
        let first_tick = (self.from_ms * stretched_ms / TICK_MS / TICK_MS) as i64;
        let mut heard = Vec::new();
        let mut delays_ms = Vec::new();
        let mut frame = Frame::silence(rate);
        let mut buffer = JitterBuffer::new(self.codec, rate);
        let mut naive = Naive::new(self.codec, rate);
        let (mut before, mut made_up) = (buffer.stats(), 0);
        let (mut arrived, mut newest_end) = (packets.iter().peekable(), 0);
        let ticks_of = i64::from(self.codec.frame_ticks());
        for tick in 0..ticks {
            let now_ms = tick as f64 * TICK_MS;
            if tick == first_tick {
                before = buffer.stats();
                naive.concealed = 0;
            }
            if tick == ticks - TICKS_AFTER {
                made_up = naive.concealed;
            }
            while let Some(packet) = arrived.next_if(|packet| packet.arrival_ms <= now_ms) {
                let place = Place {
                    seq: packet.number as u64 + 1,
                    timestamp: packet.number * ticks_of,
                    new_stream: packet.number == packets[0].number,
                };
                newest_end = newest_end.max(packet.number + 1);
                let at = Duration::from_nanos((packet.arrival_ms * 1e6) as u64);
                buffer.push(at, place, &packet.payload, packet.number == 0);
                naive.push(packet.number, &packet.payload);
            }
            let playing = if self.naive {
                naive.pull(&mut frame).map(|number| number as f64 * TICK_MS)
            } else {
                let played = buffer.pull(Duration::from_nanos((now_ms * 1e6) as u64), &mut frame);
                if played != Playout::Voice {
                    frame.fill(0);
                }
                let waits_ms = f64::from(buffer.stats().buffer_ms);
                let end_ms = newest_end as f64 * TICK_MS;
                (played != Playout::Absent).then_some(end_ms - waits_ms - TICK_MS)
            };
            if tick >= first_tick {
                heard.extend_from_slice(&frame);
                if let Some(media_ms) = playing
                    && tick < ticks - TICKS_AFTER
                {
                    let sent_ms = media_ms * stretched_ms / TICK_MS + phase_ms(self.seed);
                    delays_ms.push(now_ms - sent_ms);
                }
            }
        }
        write(to, &heard)?;
        let after = buffer.stats();
        let total_ms = (heard.len() / rate.per_ms()) as f64;
        let percent = |after: u64, before: u64| (after - before) as f64 * 100.0 / total_ms;
        delays_ms.sort_by(f64::total_cmp);
        let quantile = |part: f64| {
            let at = (delays_ms.len() as f64 * part) as usize;
            delays_ms
                .get(at.min(delays_ms.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0.0)
        };
        let shares = if self.naive {
            [made_up as f64 * TICK_MS * 100.0 / total_ms, 0.0, 0.0]
        } else {
            [
                percent(after.concealed_ms, before.concealed_ms),
                percent(after.fec_ms, before.fec_ms),
                percent(after.stretched_ms, before.stretched_ms),
            ]
        };
        Ok(format!(
            "{:.1}\t{:.1}\t{:.2}\t{:.2}\t{:.2}\t{}\t{}",
            quantile(0.5),
            quantile(0.99),
            shares[0],
            shares[1],
            shares[2],
            after.late - before.late,
            after.starved - before.starved
        ))
    }

    /// What arrives, in the order of arrival.
    fn packets(&mut self, rate: Rate, period_ms: f64) -> Vec<Packet> {
        let settings = OpusSettings {
            complexity: 9,
            expected_loss_percent: (self.network.loss * 100.0) as u8,
            ..OpusSettings::default()
        };
        let mut encoder = Encoder::new(self.codec, rate, settings);
        let mut random = Random(self.seed);
        let mut coded = [0; MAX_PAYLOAD];
        let mut packets = Vec::new();
        let mut last_ms: f64 = 0.0;
        for (number, pcm) in (0..).zip(self.sound.chunks_exact(rate.frame())) {
            let size = encoder.encode(pcm, &mut coded);
            let sent_ms = number as f64 * period_ms + phase_ms(self.seed);
            let Some(delay) = self
                .network
                .delay_ms(number as f64 * TICK_MS - self.from_ms, &mut random)
            else {
                continue;
            };
            let mut arrival_ms = sent_ms + delay;
            if self.network.keeps_order() {
                arrival_ms = arrival_ms.max(last_ms);
                last_ms = arrival_ms;
            }
            packets.push(Packet {
                arrival_ms,
                number,
                payload: coded[..size].to_vec(),
            });
        }
        packets.sort_by(|a, b| a.arrival_ms.total_cmp(&b.arrival_ms));
        packets
    }
}

/// When between two ticks the sender sends: anything.
fn phase_ms(seed: u64) -> f64 {
    Random(!seed).part() * TICK_MS
}

fn decode(codec: &str, from: &str, to: &str) -> Result<(), Box<dyn Error>> {
    let codec = Codec::from_name(codec).ok_or("codec")?;
    let mut decoder = Decoder::new(codec, Rate::Wide);
    let mut pcm = Vec::new();
    for packet in std::fs::read(from)?.chunks_exact(codec.frame_ticks() as usize) {
        decoder.decode(packet, &mut pcm)?;
    }
    write(Path::new(to), &pcm)?;
    println!();
    Ok(())
}

fn read(path: &str) -> Result<Vec<i16>, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    Ok(bytes
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect())
}

fn write(path: &Path, pcm: &[i16]) -> Result<(), Box<dyn Error>> {
    let bytes: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    Ok(std::fs::write(path, bytes)?)
}
