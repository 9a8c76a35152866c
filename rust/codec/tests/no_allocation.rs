//! Nothing on the path of a tick allocates, once its buffers are as long as they need to be.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use plenary_codec::{
    Codec, Decoder, Encoder, Frame, MAX_PAYLOAD, OpusSettings, Rate, Resampler, red,
};

/// The system's allocator, counting for each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn encoding_decoding_and_making_good_allocate_nothing() {
    for codec in Codec::ALL {
        let mut encoder = Encoder::new(codec, Rate::Full, OpusSettings::default());
        let mut decoder = Decoder::new(codec, Rate::Full);
        let frame = Frame::silence(encoder.rate());
        let mut pcm = Vec::with_capacity(5_760);
        let mut out = [0; MAX_PAYLOAD];
        let made = allocations(|| {
            for complexity in [0, 5, 10] {
                encoder.set(OpusSettings {
                    complexity,
                    ..OpusSettings::default()
                });
                let length = encoder.encode(&frame, &mut out);
                let _ = codec.is_silence(&out[..length]);
                pcm.clear();
                decoder
                    .decode(&out[..length], &mut pcm)
                    .expect("its own packet");
                decoder.fec(&out[..length], 960, &mut pcm);
                decoder.conceal(960, &mut pcm);
                assert!(decoder.decode(&[], &mut pcm).is_err());
            }
            encoder.take_over(&frame);
        });
        assert_eq!(made, 0, "{codec}");
    }
}

#[test]
fn resampling_and_redundancy_allocate_nothing() {
    for from in Rate::ALL {
        for to in Rate::ALL {
            let mut resampler = Resampler::new(from, to);
            let (input, mut output) = (Frame::silence(from), Frame::silence(to));
            assert_eq!(allocations(|| resampler.process(&input, &mut output)), 0);
        }
    }
    let read = allocations(|| {
        assert_eq!(
            red::parse(&[0x80, 0, 0, 1, 0, 7, 8]).map(Iterator::count),
            Ok(2)
        )
    });
    assert_eq!(read, 0);
}
