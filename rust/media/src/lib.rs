//! Sans-I/O core of the media engine.
#![forbid(unsafe_code)]

pub mod codec;
pub mod conceal;
pub mod dtmf;
pub mod jitter;
pub mod level;
pub mod rtp;
pub mod sdp;
pub mod tone;
pub mod wav;
