//! The way in: datagrams of the peer, and in each tick the voice in them.

use std::net::SocketAddr;
use std::time::Duration;

use crate::codec::CodedFrame;
use crate::jitter::Playout;
use crate::level::{SILENCE_DBFS, rms_dbfs};
use crate::messages::Event;
use crate::mixer::{self, FRAME, Frame, SILENCE};
use crate::rtp::packet::{self};
use crate::rtp::rtcp::is_rtcp;
use crate::rtp::source::Received;
use crate::sdp::{self};

use super::{HANGOVER_FRAMES, Leg, SMOOTHING, Voice};

impl Leg {
    // Packets in

    /// Takes a datagram from the RTP port.
    pub fn receive(&mut self, datagram: &[u8], from: SocketAddr, arrival: Duration) {
        let (Some(media), Some(latch)) = (&self.media, &mut self.latch) else {
            return;
        };
        if is_rtcp(datagram) {
            if media.rtcp_mux {
                self.receive_rtcp(datagram, from, arrival);
            } else {
                self.malformed += 1;
            }
            return;
        }
        let Ok((header, payload)) = packet::parse(datagram) else {
            self.malformed += 1;
            return;
        };
        if !latch.admit(from, &header, arrival) {
            return;
        }
        self.last_packet = arrival;
        self.any_packet = true;
        self.inactive = false;
        self.bytes_received += datagram.len() as u64;
        let Received::Placed(place) = self.source.receive(&header, arrival) else {
            return;
        };
        if header.pt == media.pt {
            if media.direction == sdp::Direction::SendRecv {
                self.jitter.push(arrival, place, payload, header.marker);
                self.waiting_since = Some(arrival);
            }
        } else if Some(header.pt) == media.dtmf_receive_pt {
            self.digits_in.receive(header.timestamp, payload, arrival);
        }
    }

    /// Takes a datagram from the RTCP port.
    pub fn receive_rtcp(&mut self, datagram: &[u8], from: SocketAddr, arrival: Duration) {
        let Some(latch) = &mut self.latch else { return };
        if latch.admit_rtcp(from) && self.rtcp.receive(datagram, arrival).is_err() {
            self.malformed += 1;
        }
    }

    // The tick: what the peer says

    /// Takes the next 20 ms out of the jitter buffer; whether there is a voice in it, see [`Leg::said`].
    pub fn listen(&mut self, now: Duration, events: &mut Vec<Event>) -> bool {
        while let Some(digit) = self.digits_in.poll(now) {
            events.push(Event::Digit {
                leg: self.id.clone(),
                digit: digit.digit.to_string(),
                duration_ms: digit.duration.as_millis() as u32,
            });
        }
        self.watch_inactivity(now, events);
        if let Some(arrival) = self.waiting_since.take() {
            let wait_ms = now.saturating_sub(arrival).as_secs_f64() * 1000.0;
            self.tick_wait_ms += (wait_ms - self.tick_wait_ms) * SMOOTHING;
        }
        let before = self.voice;
        self.voice = self.decode(now);
        let heard = match (before, self.voice) {
            (_, Voice::Heard) => {
                if before == Voice::Absent || self.fade_in {
                    mixer::fade_in(&mut self.said);
                }
                true
            }
            (Voice::Heard, Voice::Absent) => {
                let last = self.said[FRAME - 1];
                self.said = SILENCE;
                mixer::add_tail(&mut self.said, last);
                true
            }
            _ => false,
        };
        self.fade_in = false;
        self.level_dbfs = if heard {
            rms_dbfs(&self.said)
        } else {
            SILENCE_DBFS
        };
        if let Some(talking) = self.talk.frame(self.level_dbfs) {
            events.push(Event::Talking {
                leg: self.id.clone(),
                talking,
            });
        }
        heard
    }

    /// The peer's voice in this tick, if [`Leg::listen`] found one.
    pub fn said(&self) -> &Frame {
        &self.said
    }

    fn decode(&mut self, now: Duration) -> Voice {
        let Some(media) = self
            .media
            .filter(|media| media.direction == sdp::Direction::SendRecv)
        else {
            return Voice::Absent;
        };
        let mut coded: CodedFrame = [media.codec.silence(); FRAME];
        let playout = self.jitter.pull(now, &mut coded);
        match playout {
            Playout::Silence if self.concealer.is_active() => {
                self.concealer
                    .decode(media.codec, &playout, &coded, &mut self.said);
                Voice::Heard
            }
            Playout::Silence => {
                self.concealer.skip();
                self.silent_frames = HANGOVER_FRAMES;
                Voice::Absent
            }
            Playout::Frame if media.codec.is_silence(&coded) => {
                self.silent_frames = (self.silent_frames + 1).min(HANGOVER_FRAMES);
                if self.silent_frames == HANGOVER_FRAMES {
                    self.concealer.skip();
                    return Voice::Silent;
                }
                self.concealer
                    .decode(media.codec, &playout, &coded, &mut self.said);
                Voice::Heard
            }
            Playout::Conceal { .. }
                if self.voice != Voice::Heard && self.silent_frames >= HANGOVER_FRAMES =>
            {
                self.concealer.skip();
                Voice::Silent
            }
            Playout::Frame | Playout::Conceal { .. } => {
                self.silent_frames = 0;
                self.concealer
                    .decode(media.codec, &playout, &coded, &mut self.said);
                Voice::Heard
            }
        }
    }

    fn watch_inactivity(&mut self, now: Duration, events: &mut Vec<Event>) {
        if self.inactive || !self.media.is_some_and(|media| media.direction.receives()) {
            return;
        }
        let limit = if self.any_packet {
            self.limits.later
        } else {
            self.limits.first
        };
        let silent = now.saturating_sub(self.last_packet);
        if silent >= limit {
            self.inactive = true;
            events.push(Event::Inactive {
                leg: self.id.clone(),
                silent_ms: silent.as_millis() as u64,
            });
        }
    }

    /// The leg comes into a room, which has not heard it so far.
    pub fn enter_room(&mut self) {
        self.fade_in = true;
    }

    /// The leg goes out of its room: what the room hears of it last, if it was saying something.
    pub fn leave_room(&mut self) -> Option<Frame> {
        if self.voice != Voice::Heard {
            return None;
        }
        let mut farewell = SILENCE;
        let lost = Playout::Conceal { from: 0, to: FRAME };
        self.concealer.decode(
            self.codec(),
            &lost,
            &[self.codec().silence(); FRAME],
            &mut farewell,
        );
        mixer::fade_out(&mut farewell);
        self.fade_in = true;
        Some(farewell)
    }
}
