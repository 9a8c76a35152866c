//! The one file with `unsafe`: libopus by its C functions.
//!
//! A state of libopus is one flat block of memory without an address of itself in it ("the state is always continuous in
//! memory and only a shallow copy is sufficient to copy it", `opus.h`). So the block is ours: a boxed slice that
//! libopus only initialises and works on. It is cloned by copying, moved and freed by Rust, and nothing can leak.
//!
//! Why each call is sound: the block is as large as libopus asked for and aligned as `malloc` would; it was
//! initialised before it got out of `new`; `&mut` keeps two threads from one state; every pointer comes with the length
//! of its slice; and libopus keeps none of them after it returns.

#![allow(unsafe_code)]

use std::ffi::c_int;

use opusic_sys as sys;

use crate::codec::Malformed;

pub const NARROWBAND: i32 = sys::OPUS_BANDWIDTH_NARROWBAND;
pub const WIDEBAND: i32 = sys::OPUS_BANDWIDTH_WIDEBAND;
pub const FULLBAND: i32 = sys::OPUS_BANDWIDTH_FULLBAND;

/// A setting of an encoder that takes a whole number.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Setting {
    Bitrate = sys::OPUS_SET_BITRATE_REQUEST,
    Complexity = sys::OPUS_SET_COMPLEXITY_REQUEST,
    Fec = sys::OPUS_SET_INBAND_FEC_REQUEST,
    Dtx = sys::OPUS_SET_DTX_REQUEST,
    ExpectedLoss = sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST,
    MaxBandwidth = sys::OPUS_SET_MAX_BANDWIDTH_REQUEST,
    Vbr = sys::OPUS_SET_VBR_REQUEST,
}

/// Memory of a state, aligned as `malloc` does.
#[derive(Clone, Copy)]
#[repr(align(16))]
struct Cell(#[allow(dead_code, reason = "libopus reads it")] [u8; 16]);

type State = Box<[Cell]>;

fn state(bytes: c_int) -> State {
    let cells = usize::try_from(bytes).expect("a size").div_ceil(16);
    vec![Cell([0; 16]); cells].into_boxed_slice()
}

fn malformed(code: c_int) -> Malformed {
    Malformed(match code {
        sys::OPUS_BUFFER_TOO_SMALL => "Opus packet is longer than its table of contents says",
        sys::OPUS_INVALID_PACKET => "no Opus packet",
        _ => "libopus refuses the packet",
    })
}

fn length(slice: &[u8]) -> Result<i32, Malformed> {
    i32::try_from(slice.len()).map_err(|_| Malformed("payload of gigabytes"))
}

pub fn packet_samples(packet: &[u8], hz: i32) -> Result<usize, Malformed> {
    let length = length(packet)?;
    // SAFETY: pointer and length are of one slice; an empty one is refused by its length.
    let samples = unsafe { sys::opus_packet_get_nb_samples(packet.as_ptr(), length, hz) };
    usize::try_from(samples).map_err(|_| malformed(samples))
}

pub fn packet_has_fec(packet: &[u8]) -> bool {
    let Ok(length) = length(packet) else {
        return false;
    };
    // SAFETY: as above; libopus reads the first byte unasked, so there must be one.
    length > 0 && unsafe { sys::opus_packet_has_lbrr(packet.as_ptr(), length) } == 1
}

#[derive(Clone)]
pub struct Decoder(State);

impl Decoder {
    pub fn new(hz: i32) -> Decoder {
        // SAFETY: see the head of the file.
        unsafe {
            let mut state = state(sys::opus_decoder_get_size(1));
            let code = sys::opus_decoder_init(state.as_mut_ptr().cast(), hz, 1);
            assert_eq!(code, sys::OPUS_OK, "a rate that Opus has, one channel");
            Decoder(state)
        }
    }

    /// Fills `pcm` from `packet`, or with `fec` from what `packet` says of the one before it.
    pub fn decode(&mut self, packet: &[u8], pcm: &mut [i16], fec: bool) -> Result<(), Malformed> {
        let length = length(packet)?;
        if length == 0 {
            return Err(Malformed("empty payload"));
        }
        self.call(packet.as_ptr(), length, pcm, fec)
    }

    /// Fills `pcm`, a multiple of 2.5 ms, with what may have been said.
    pub fn conceal(&mut self, pcm: &mut [i16]) -> Result<(), Malformed> {
        self.call(std::ptr::null(), 0, pcm, false)
    }

    fn call(
        &mut self,
        data: *const u8,
        length: i32,
        pcm: &mut [i16],
        fec: bool,
    ) -> Result<(), Malformed> {
        let wanted =
            i32::try_from(pcm.len()).map_err(|_| Malformed("too many samples asked for"))?;
        // SAFETY: see the head of the file; `data` is null or of `length` bytes that outlive the call.
        let made = unsafe {
            let state = self.0.as_mut_ptr().cast();
            sys::opus_decode(
                state,
                data,
                length,
                pcm.as_mut_ptr(),
                wanted,
                c_int::from(fec),
            )
        };
        if made == wanted {
            Ok(())
        } else {
            Err(malformed(made))
        }
    }

    pub fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

#[derive(Clone)]
pub struct Encoder(State);

impl Encoder {
    pub fn new(hz: i32) -> Encoder {
        // SAFETY: see the head of the file.
        unsafe {
            let mut state = state(sys::opus_encoder_get_size(1));
            let voip = sys::OPUS_APPLICATION_VOIP;
            let code = sys::opus_encoder_init(state.as_mut_ptr().cast(), hz, 1, voip);
            assert_eq!(code, sys::OPUS_OK, "a rate that Opus has, one channel");
            Encoder(state)
        }
    }

    pub fn set(&mut self, setting: Setting, value: i32) {
        // SAFETY: see the head of the file; each `Setting` takes one 32-bit integer.
        let code =
            unsafe { sys::opus_encoder_ctl(self.0.as_mut_ptr().cast(), setting as c_int, value) };
        assert_eq!(code, sys::OPUS_OK, "a value in the setting's range");
    }

    /// Bytes of the packet in `out`.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        let (frame, room) = (pcm.len() as c_int, out.len() as i32);
        // SAFETY: see the head of the file.
        let length = unsafe {
            let state = self.0.as_mut_ptr().cast();
            sys::opus_encode(state, pcm.as_ptr(), frame, out.as_mut_ptr(), room)
        };
        usize::try_from(length).expect("a frame length that Opus has")
    }

    pub fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}
