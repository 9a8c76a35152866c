//! A tick allocates nothing once its buffers have grown: an allocator may wait for a lock, and for the kernel.
#![allow(unsafe_code)]

#[allow(dead_code)]
mod simulation;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use plenary_codec::{Codec, MAX_PAYLOAD, OpusSettings};
use plenary_media::engine::PHASES;
use simulation::{Simulation, with_everything};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: all that is asked of it is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_tick_in_which_nothing_changes_allocates_nothing() {
    let mut room = Simulation::room(&[]);
    let opus = OpusSettings::default();
    let codecs = [
        Codec::Opus,
        Codec::G722,
        Codec::Pcmu,
        Codec::Opus,
        Codec::Pcma,
    ];
    let names = ["ann", "bob", "eve", "joe", "sue"];
    for (name, (n, codec)) in names.iter().zip(codecs.into_iter().enumerate()) {
        let hz = if n < 3 { 300.0 + 210.0 * n as f64 } else { 0.0 };
        room.phone_with(name, hz, codec, opus);
        room.join(name);
    }
    room.run_ms(4_000);
    let mut allocations = 0;
    for tick in 0..100 {
        for phone in room.phones.values_mut() {
            if let Some(packet) = phone.packet() {
                assert!(packet.len() < MAX_PAYLOAD);
                let before = ALLOCATIONS.get();
                room.engine
                    .receive(phone.key, &packet, phone.address, room.now);
                allocations += ALLOCATIONS.get() - before;
            }
        }
        for phase in 0..PHASES {
            let before = ALLOCATIONS.get();
            room.engine.tick(phase, room.now);
            allocations += ALLOCATIONS.get() - before;
            room.now += plenary_media::engine::SUB_TICK;
        }
        let output = room.engine.output();
        output.packets.clear();
        output.events.clear();
        assert!(
            tick == 0 || allocations == 0,
            "{allocations} by tick {tick}"
        );
    }
}

/// Each change of codec needs a new decoder, which takes as long as some frames.
#[test]
fn a_phone_that_changes_its_codec_with_each_packet_gets_one_decoder_a_tick() {
    let mut room = Simulation::room(&[]);
    room.phone_offering(
        "eve",
        440.0,
        Codec::Pcmu,
        OpusSettings::default(),
        |offer| with_everything(offer, Codec::Pcmu),
    );
    room.join("eve");
    room.run_ms(1_000);
    let mut burst = |codecs: &[u8]| {
        let eve = room.phones.get_mut("eve").expect("a phone");
        let (timestamp, payload) = eve.frame().expect("she hums");
        let packets: Vec<Vec<u8>> = codecs
            .iter()
            .map(|pt| eve.rtp(*pt, timestamp, &payload[..40]))
            .collect();
        let (key, address) = (eve.key, eve.address);
        let before = ALLOCATIONS.get();
        for packet in &packets {
            room.engine.receive(key, packet, address, room.now);
        }
        let made = ALLOCATIONS.get() - before;
        room.run_ms(20);
        made
    };
    let one = burst(&[0, 111]);
    assert!(one > 0, "a decoder of Opus is made");
    burst(&[0]);
    let most = (0..20).map(|_| burst(&[111, 0].repeat(32))).max();
    assert!(
        most <= Some(one + 8),
        "{most:?} of 64 changes, {one} of one"
    );
}
