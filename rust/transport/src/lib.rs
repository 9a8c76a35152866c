//! Encryption and reachability of media: datagrams of a peer in, RTP and RTCP out, and back.

pub mod demux;
pub mod dtls;
pub mod sdes;
pub mod srtp;
pub mod webrtc;
