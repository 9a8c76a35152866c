//! Sans-I/O core of the media engine: datagrams and commands in; datagrams, events and recorded audio out.
//!
//! [`engine::Engine`] is the door. It owns the legs and rooms of one thread:
//!
//! ```text
//! engine ─ legs ─ leg ─┬ rtp (latch, packet, source, rtcp), sdp, dtmf
//!        │             ├ jitter, processing
//!        │             └ player (tone), coder, recorder
//!        └ room ─ matrix, mixer, coder, recorder
//! ```
//!
//! Everywhere a frame is 20 ms of mono at one of three rates, and time is a [`std::time::Duration`] since the
//! engine's start, handed in.
#![forbid(unsafe_code)]

pub mod coder;
pub mod dtmf;
pub mod engine;
pub mod jitter;
pub mod leg;
pub mod legs;
pub mod matrix;
pub mod messages;
pub mod mixer;
pub mod output;
pub mod player;
pub mod recorder;
pub mod room;
pub mod rtp;
pub mod sdp;
pub mod stopwatch;
pub mod tone;
pub mod wav;
