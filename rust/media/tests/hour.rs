//! A room that lasts, behind networks that do everything networks do: its delay stays under the ceiling, its memory flat.
#![allow(unsafe_code)]

#[allow(dead_code)]
mod simulation;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use plenary_codec::{Codec, OpusSettings};
use plenary_media::engine::{PHASES, SUB_TICK};
use simulation::{Phone, Simulation, pt, with_everything};

/// What waits in a jitter buffer at most, and what a packet of its own adds.
const CEILING_MS: f64 = 220.0;

thread_local! {
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: all that is asked of it is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.with(|live| live.set(live.get() + layout.size() as i64));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE_BYTES.with(|live| live.set(live.get() - layout.size() as i64));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Dice(u64);

impl Dice {
    /// 0 to 1.
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The way from one phone to the engine.
struct Network {
    name: &'static str,
    dice: Dice,
    /// Of the phone's clock, in parts per million.
    drift_ppm: f64,
    jitter_ms: f64,
    loss: f64,
    next_packet: Duration,
    /// Losses come in bursts, and nothing gets through while the network is stalled.
    lossy: bool,
    stalled_until: Duration,
    /// A hand-over: all is lost until then, and the way behind it is another one.
    deaf_until: Duration,
    way_ms: f64,
    /// Each packet has the one before it once more (RFC 2198).
    red: bool,
    before: Option<(u32, Vec<u8>)>,
    /// By arrival.
    under_way: BinaryHeap<Reverse<(Duration, u64, Vec<u8>)>>,
    count: u64,
}

impl Network {
    fn new(name: &'static str, drift_ppm: f64, jitter_ms: f64, loss: f64) -> Network {
        Network {
            name,
            dice: Dice(0x9e37_79b9_7f4a_7c15 ^ name.as_bytes()[0] as u64),
            drift_ppm,
            jitter_ms,
            loss,
            next_packet: Duration::from_secs(1),
            lossy: false,
            stalled_until: Duration::ZERO,
            deaf_until: Duration::ZERO,
            way_ms: 20.0,
            red: false,
            before: None,
            under_way: BinaryHeap::new(),
            count: 0,
        }
    }

    fn send(&mut self, packet: Vec<u8>, now: Duration) {
        self.count += 1;
        if self.dice.roll() < 1e-4 {
            self.stalled_until = now + Duration::from_millis(500);
        }
        if self.dice.roll() < 2e-4 {
            self.deaf_until = now + Duration::from_millis(300);
            self.way_ms = 120.0 - self.way_ms;
        }
        let change = if self.lossy { 0.3 } else { self.loss * 0.3 };
        self.lossy ^= self.dice.roll() < change;
        if self.lossy || now < self.deaf_until {
            return;
        }
        // Reordering comes of jitter by itself; now and then a packet comes twice.
        let copies = if self.dice.roll() < 0.01 { 2 } else { 1 };
        for _ in 0..copies {
            let delay_ms = self.way_ms + self.jitter_ms * self.dice.roll();
            let delay = Duration::from_secs_f64(delay_ms / 1000.0);
            let arrival = (now + delay).max(self.stalled_until);
            self.under_way
                .push(Reverse((arrival, self.count, packet.clone())));
        }
    }
}

impl Network {
    /// What the phone sends next, if it sends anything. Half of the time it says something.
    fn next(&mut self, phone: &mut Phone) -> Option<Vec<u8>> {
        let talks = (self.count / 170).is_multiple_of(2);
        phone.hum_hz = talks.then_some(230.0);
        // Once a minute each, at another moment of it for each phone: its numbers begin anew, it is another source, it
        // has another codec without a word.
        let name = self.name.as_bytes()[0];
        match self.count.checked_sub(u64::from(name)).map(|it| it % 3_000) {
            Some(1_000) => phone.seq = phone.seq.wrapping_add(9_999),
            Some(2_000) => phone.ssrc = [phone.ssrc[0].wrapping_add(1); 4],
            Some(2_500) => {
                let other = match phone.codec() {
                    Codec::Pcmu => Codec::Opus,
                    Codec::Opus => Codec::G722,
                    _ => Codec::Pcmu,
                };
                phone.set_codec(other, OpusSettings::default());
                self.before = None;
            }
            _ => {}
        }
        let codec = phone.codec();
        if codec == Codec::Pcmu && !talks {
            // Silence suppression with comfort noise (RFC 3389), each tenth packet of it is sent.
            phone.frame();
            let noise = (self.count.is_multiple_of(10)).then_some([60]);
            return noise.map(|level| phone.rtp(13, phone.timestamp(), &level));
        }
        let frame = phone.frame()?;
        let before = self.before.replace(frame.clone());
        match before {
            // The offset has 14 bits.
            Some(before) if self.red && frame.0.wrapping_sub(before.0) < 1 << 14 => {
                Some(phone.red(&before, &frame))
            }
            _ => Some(phone.rtp(pt(codec), frame.0, &frame.1)),
        }
    }
}

/// Lets time go on for a minute.
fn minute(room: &mut Simulation, networks: &mut [Network]) {
    let end = room.now + Duration::from_secs(60);
    let mut phase = 0;
    while room.now < end {
        for network in &mut *networks {
            let phone = room.phones.get_mut(network.name).expect("a phone");
            while network.next_packet <= room.now {
                let ms = 20.0 * (1.0 + network.drift_ppm * 1e-6);
                network.next_packet += Duration::from_secs_f64(ms / 1000.0);
                match network.next(phone) {
                    Some(packet) => network.send(packet, room.now),
                    None => network.count += 1,
                }
            }
            while let Some(Reverse((arrival, ..))) = network.under_way.peek()
                && *arrival <= room.now
                && let Some(Reverse((arrival, _, packet))) = network.under_way.pop()
            {
                room.engine
                    .receive(phone.key, &packet, phone.address, arrival);
            }
        }
        room.engine.tick(phase % PHASES, room.now);
        for stats in room.engine.stats() {
            let waits = stats.buffer_ms.unwrap_or(0.0).max(stats.target_ms);
            let (leg, now) = (stats.leg, room.now);
            assert!(waits <= CEILING_MS, "{leg} waits {waits} ms at {now:?}");
        }
        phase += 1;
        room.now += SUB_TICK;
        let output = room.engine.output();
        output.packets.clear();
        output.events.clear();
    }
}

fn last(minutes: u64) {
    let mut room = Simulation::room(&[]);
    let opus = OpusSettings::default();
    let mut networks = [
        Network::new("ann", 200.0, 80.0, 0.05),
        Network::new("bob", -200.0, 40.0, 0.10),
        Network::new("eve", 120.0, 150.0, 0.01),
    ];
    let codecs = [Codec::Opus, Codec::G722, Codec::Pcmu];
    networks[1].red = true;
    for (network, codec) in networks.iter().zip(codecs) {
        room.phone_offering(network.name, 0.0, codec, opus, |offer| {
            with_everything(offer, codec)
        });
        room.join(network.name);
    }
    minute(&mut room, &mut networks);
    let begin = LIVE_BYTES.get();
    for n in 1..=minutes {
        minute(&mut room, &mut networks);
        // Who comes and goes leaves nothing behind.
        room.leave("ann");
        room.join("ann");
        let waiting: usize = networks.iter().map(|it| it.under_way.len()).sum();
        let grown = LIVE_BYTES.get() - begin;
        // Packets on the way, a coder or two more or less.
        let may = 200_000 + 300 * waiting as i64;
        assert!(grown < may, "{grown} bytes more after {n} minutes");
    }
    for network in &networks {
        let stats = room.stats(network.name);
        let sent = network.count as f64;
        let came = stats.packets_received as f64 / sent;
        assert!(came > 0.3, "{}: {came} of its packets came", network.name);
        assert!(stats.concealed_ms > 0 && stats.jitter_ms > 0.0);
        assert!(stats.stretched_ms > 0 && stats.malformed == 0, "{stats:?}");
        assert!(stats.fec_ms > 0 || !network.red, "{stats:?}");
    }
    assert_eq!(room.engine.legs(), 3);
}

#[test]
fn a_room_behind_bad_networks_keeps_its_delay_and_its_memory() {
    last(3);
}

/// An hour of simulated time; `cargo test --release -- --ignored an_hour`.
#[test]
#[ignore = "takes a minute"]
fn an_hour_changes_nothing_about_that() {
    last(60);
}
