//! Sans-I/O core of the media engine: datagrams and commands in; datagrams, events and recorded audio out.
//!
//! [`engine::Engine`] is the door. It owns the legs and rooms of one thread:
//!
//! ```text
//! engine ─ legs ─ leg ─┬ rtp (latch, packet, source, rtcp), sdp, dtmf
//!        │             ├ jitter, conceal, codec, level
//!        │             └ player (tone), recorder
//!        └ room ─ matrix, mixer, recorder
//! ```
//!
//! Everywhere a frame is 20 ms of mono at 8 kHz, 160 samples, and time is a [`std::time::Duration`] since the
//! engine's start, handed in.
#![forbid(unsafe_code)]

pub mod codec;
pub mod conceal;
pub mod dtmf;
pub mod engine;
pub mod jitter;
pub mod leg;
pub mod legs;
pub mod level;
pub mod matrix;
pub mod messages;
pub mod mixer;
pub mod output;
pub mod player;
pub mod recorder;
pub mod room;
pub mod rtp;
pub mod sdp;
pub mod tone;
pub mod wav;
