//! What is done to a voice before it is mixed, and to a mix before it is heard.
//!
//! Four processors, each of its own: whether somebody talks ([`Activity`], with [`Gate`] to act on it), how loud he is
//! made ([`Normaliser`]), what happens when many are loud at once ([`Limiter`]), and what of the room around him is
//! taken away ([`NoiseSuppressor`]). Each is pure and owned by the leg or the mix that it works for, takes frames of
//! 20 ms at any [`Rate`](plenary_codec::audio::Rate), and allocates nothing once it is made.

#![forbid(unsafe_code)]

pub mod level;

mod activity;
mod bands;
mod gate;
mod limiter;
mod noise;
mod normaliser;
mod pitch;

pub use activity::Activity;
pub use gate::Gate;
pub use limiter::{Limiter, clip};
pub use noise::NoiseSuppressor;
pub use normaliser::Normaliser;
