//! The way in: datagrams of the peer, and in each tick the voice in them.

use std::net::SocketAddr;
use std::time::Duration;

use plenary_codec::{Codec, Frame, Rate, red};

use crate::coder::Converter;
use crate::jitter::Playout;
use crate::legs::LegKey;
use crate::messages::Event;
use crate::mixer;
use crate::output::Output;
use crate::rtp::Pt;
use crate::rtp::packet::{self, Header};
use crate::rtp::rtcp::is_rtcp;
use crate::rtp::source::{Place, Received};
use crate::sdp::{self, Format};

use super::{Leg, SMOOTHING};

/// Ticks without a packet after which digits, voice, talking and jitter buffer have ended for sure (5 s).
const REST: u16 = 250;

/// How long the seat of a page that has said goodbye is kept: a page that is loaded anew says it as well, and one on a
/// slow network, which asks for the microphone again, takes seconds to come back.
const RETURN: Duration = Duration::from_secs(5);

impl Leg {
    // Packets in

    /// Takes a datagram from the RTP port.
    pub fn receive(
        &mut self,
        key: LegKey,
        datagram: &[u8],
        from: SocketAddr,
        arrival: Duration,
        output: &mut Output,
    ) {
        let (Some(media), Some(latch)) = (&self.media, &mut self.latch) else {
            return;
        };
        if !self.guard.is_clear() {
            return self.receive_guarded(key, datagram, from, arrival, output);
        }
        if is_rtcp(datagram) {
            if media.rtcp_mux {
                self.receive_rtcp(key, datagram, from, arrival, output);
            } else {
                self.malformed += 1;
            }
            return;
        }
        let Ok((header, payload)) = packet::parse(datagram) else {
            self.malformed += 1;
            return;
        };
        if latch.admit(from, &header, arrival) {
            self.note_alive(arrival);
            self.receive_packet(&header, payload, arrival);
        }
    }

    /// Takes a packet of the peer that was encrypted.
    pub(super) fn receive_plain(&mut self, rtp: &[u8], arrival: Duration) {
        match packet::parse(rtp) {
            Ok((header, payload)) => {
                self.note_alive(arrival);
                self.receive_packet(&header, payload, arrival);
            }
            Err(_) => self.malformed += 1,
        }
    }

    /// The peer is there.
    pub(super) fn note_alive(&mut self, now: Duration) {
        self.last_packet = self.last_packet.max(now);
        self.any_packet = true;
        self.inactive = false;
    }

    /// Takes a packet that is the peer's.
    pub(super) fn receive_packet(&mut self, header: &Header, payload: &[u8], arrival: Duration) {
        self.bytes_received += (packet::HEADER_LEN + payload.len()) as u64;
        self.absent = 0;
        let Received::Placed(place) = self.source.receive(header, arrival) else {
            return;
        };
        match self.format_of(header.pt) {
            Some(Format::Audio(codec)) => {
                self.hear_packet(codec, place, payload, header.marker, arrival);
            }
            Some(Format::Red) => self.hear_redundant(place, payload, header.marker, arrival),
            Some(Format::ComfortNoise) => self.jitter.pause(arrival, place),
            Some(Format::Dtmf { clock_hz }) => {
                self.digits_in
                    .receive(header.timestamp, clock_hz, payload, arrival);
            }
            // Something that was never agreed on.
            None => {}
        }
    }

    /// What a payload type means that comes.
    fn format_of(&self, pt: Pt) -> Option<Format> {
        match &self.browser {
            Some(browser) => browser.format(pt),
            None => self.session.format(pt),
        }
    }

    fn hear_packet(
        &mut self,
        codec: Codec,
        place: Place,
        payload: &[u8],
        marker: bool,
        arrival: Duration,
    ) {
        if self.is_heard() && self.may_receive(codec) {
            self.jitter.push(arrival, place, payload, marker);
            self.waiting_since = Some(arrival);
        }
    }

    /// Whether a packet of this codec is taken, which then is that of what comes. A new codec needs a new decoder, which
    /// takes as long as some frames: a phone that changes to and fro gets one in a tick.
    fn may_receive(&mut self, codec: Codec) -> bool {
        if codec != self.jitter.codec() {
            if self.codec_changed {
                return false;
            }
            self.codec_changed = true;
            self.receive_codec(codec);
        }
        true
    }

    /// RFC 2198: a packet that has those before it once more.
    fn hear_redundant(&mut self, place: Place, payload: &[u8], marker: bool, arrival: Duration) {
        let Ok(blocks) = red::parse(payload) else {
            self.malformed += 1;
            return;
        };
        let mut blocks = blocks.peekable();
        while let Some(block) = blocks.next() {
            let Some(Format::Audio(codec)) = self.format_of(Pt(block.pt)) else {
                continue;
            };
            let offset = u32::from(block.timestamp_offset);
            if blocks.peek().is_none() {
                self.hear_packet(codec, place, block.data, marker, arrival);
            } else if offset > 0 && self.is_heard() && codec == self.jitter.codec() {
                // Of a phone that has just changed its codec the redundancy is still of the old one.
                self.jitter.push_redundant(place, offset, block.data);
            }
        }
    }

    /// What comes is of this codec from now on: phones change it without a word as well.
    pub(super) fn receive_codec(&mut self, codec: Codec) {
        self.source.set_clock(codec.clock_hz());
        self.jitter.set_codec(codec);
    }

    /// Takes a datagram from the RTCP port.
    pub fn receive_rtcp(
        &mut self,
        key: LegKey,
        datagram: &[u8],
        from: SocketAddr,
        arrival: Duration,
        output: &mut Output,
    ) {
        if !self.guard.is_clear() {
            return self.receive_guarded_rtcp(key, datagram, from, arrival, output);
        }
        if let Some(latch) = &mut self.latch
            && latch.admit_rtcp(from)
        {
            self.receive_report(datagram, arrival);
        }
    }

    /// Takes the peer's RTCP.
    pub(super) fn receive_report(&mut self, datagram: &[u8], arrival: Duration) {
        match self.rtcp.receive(datagram, arrival) {
            Ok(heard) => {
                if let Some(block) = heard.about_us {
                    let lost = f64::from(block.fraction_lost) / 2.56;
                    self.quality.report(lost);
                }
            }
            Err(_) => self.malformed += 1,
        }
    }

    // The tick: what the peer says

    /// Takes the next 20 ms out of the jitter buffer; whether there is a voice in it, for [`Leg::speak`].
    pub fn listen(&mut self, now: Duration, output: &mut Output) -> bool {
        if self.rests() {
            self.watch_inactivity(now, &mut output.events);
            return false;
        }
        while let Some(digit) = self.digits_in.poll(now) {
            output.events.push(Event::Digit {
                leg: self.id.clone(),
                digit: digit.digit.to_string(),
                duration_ms: digit.duration.as_millis() as u32,
            });
        }
        self.watch_inactivity(now, &mut output.events);
        if let Some(arrival) = self.waiting_since.take() {
            let wait_ms = now.saturating_sub(arrival).as_secs_f64() * 1000.0;
            let before = self.tick_wait_ms.unwrap_or(wait_ms);
            self.tick_wait_ms = Some(before + (wait_ms - before) * SMOOTHING);
        }
        self.codec_changed = false;
        if self.incoming.is_due(now) {
            let received = self.source.stats();
            self.incoming.measure(received.received, received.lost, now);
        }
        let before = self.speaks;
        self.speaks = self.hear_peer(now, output);
        let mut audible = self.speaks;
        if self.speaks {
            output.counts.decodes += 1;
            audible = self.processing.frame(&mut self.said);
        } else {
            self.processing.silence();
            if before && !self.is_heard() {
                // Put on hold in the middle of a word, which must not go on when he comes back.
                self.jitter.cut();
                let last = self.said.last().copied().unwrap_or(0);
                self.said.fill(0);
                mixer::add_tail(&mut self.said, last);
                self.speaks = true;
                audible = true;
            }
        }
        if let Some(talking) = self.processing.turn() {
            output.events.push(Event::Talking {
                leg: self.id.clone(),
                talking,
            });
        }
        // Who is muted while he speaks, or of whom only noise is left, is heard for one more tick, in which he fades out.
        let was_mixed = std::mem::take(&mut self.mixed);
        self.mixed = audible && !self.muted;
        self.fade_in |= self.mixed && self.hushed;
        self.hushed = self.speaks && !self.mixed;
        self.mixed || (self.speaks && was_mixed)
    }

    /// Whether nothing has come for so long that the way in is empty and at rest: in a hall most legs only listen, and
    /// to look at all that they have would take as long as to send to them.
    fn rests(&mut self) -> bool {
        self.absent = self.absent.saturating_add(1);
        self.absent > REST
    }

    /// Whether, until somebody has to do with the leg, its ticks have nothing to look for in the way in, and hear the room as
    /// others do: the peer only listens. Browsers have clocks of their own.
    pub fn is_still(&self) -> bool {
        let receives = self.media.is_some_and(|media| media.direction.receives());
        let watches = receives && !self.inactive;
        self.absent > REST && !watches && self.browser.is_none() && self.hears_room()
    }

    /// Whether what the peer says may be heard: music on hold must not get into a room.
    fn is_heard(&self) -> bool {
        self.media
            .is_some_and(|media| media.direction == sdp::Direction::SendRecv)
    }

    fn hear_peer(&mut self, now: Duration, output: &Output) -> bool {
        let Leg { jitter, said, .. } = self;
        let pull = || jitter.pull(now, said) == Playout::Voice;
        self.media
            .is_some_and(|media| media.direction == sdp::Direction::SendRecv)
            && self.decoding.of(output.stopwatch, pull)
    }

    /// The peer's voice in this tick, if [`Leg::listen`] found one, at the rate of its room.
    pub fn speak(&mut self, rate: Rate, voice: &mut Frame) {
        let own = self.said.rate();
        if own == rate {
            let changed = self.inlet.take().is_some();
            voice.set(&self.said);
            if std::mem::take(&mut self.fade_in) || changed {
                mixer::fade_in(voice);
            }
        } else {
            let known = self.inlet.as_ref().is_some_and(|it| it.joins(own, rate));
            let begins = std::mem::take(&mut self.fade_in) || !known;
            let inlet = match &mut self.inlet {
                Some(inlet) if known => inlet,
                other => other.insert(Box::new(Converter::new(own, rate))),
            };
            if begins {
                // Before it is filtered: a filter rings at a step.
                let mut said = self.said.clone();
                mixer::fade_in(&mut said);
                inlet.reset();
                inlet.convert(&said, voice);
            } else {
                inlet.convert(&self.said, voice);
            }
        }
        if !self.mixed {
            mixer::fade_out(voice);
        }
    }

    /// Whether nobody in a room is to hear the peer.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    fn watch_inactivity(&mut self, now: Duration, events: &mut Vec<Event>) {
        // A browser that only listens is heard by its checks of the connection.
        let heard = self
            .browser
            .as_ref()
            .and_then(|browser| browser.last_heard());
        if let Some(heard) = heard.filter(|heard| *heard > self.last_packet) {
            self.note_alive(heard);
        }
        let sends =
            self.browser.is_some() || self.media.is_some_and(|media| media.direction.receives());
        if self.inactive || !sends {
            return;
        }
        let limit = if self.any_packet {
            self.limits.later
        } else {
            self.limits.first
        };
        let left = self.browser.as_ref().is_some_and(|it| it.has_left());
        let limit = if left { limit.min(RETURN) } else { limit };
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

    /// The leg goes out of its room: what the room, mixed at `rate`, hears of it last, if it was saying something.
    pub fn leave_room(&mut self, rate: Rate) -> Option<Frame> {
        if !std::mem::take(&mut self.mixed) || !self.jitter.farewell(&mut self.said) {
            return None;
        }
        let mut farewell = Frame::silence(rate);
        self.speak(rate, &mut farewell);
        Some(farewell)
    }
}
