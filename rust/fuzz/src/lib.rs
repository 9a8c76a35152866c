//! Fuzz targets: whatever comes from peers, nothing panics, hangs or grows, and the promise beside each target holds.
//!
//! A target is a function of bytes. `make fuzz` runs it under libFuzzer (the binary, feature `libfuzzer`); `cargo test`
//! replays `corpus/<target>/`, which has seeds written by hand and every input that once found something.

mod browser;
mod call;
mod control;
mod offers;
mod playout;
mod script;
mod secure;
mod sound;

/// The driver's module itself: its crate has no reason to show it.
#[path = "../../driver/src/webrtc/framing.rs"]
mod framing;
/// The network of the WebRTC tests, with str0m as the browser.
#[path = "../../transport/tests/webrtc/network.rs"]
#[expect(dead_code, reason = "the tests look at more of it")]
mod network;

/// What can be fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As on the command line, and of its folder in `corpus/`.
    pub name: &'static str,
    pub run: fn(&[u8]),
}

pub const TARGETS: [Target; 15] = [
    target("decoder", sound::decoder),
    target("red", sound::red),
    target("jitter", playout::jitter),
    target("places", playout::places),
    target("rtp", playout::rtp),
    target("call", call::call),
    target("sdp", offers::phone),
    target("browser_sdp", offers::browser),
    target("crypto", offers::crypto),
    target("srtp", secure::srtp),
    target("dtls", secure::dtls),
    target("ice", browser::handshake),
    target("browser", browser::connected),
    target("control", control::frames),
    target("tcp", control::datagrams),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}
