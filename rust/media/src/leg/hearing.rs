//! The way out: in each tick what the peer hears, as RTP, and now and then a report.

use std::net::SocketAddr;
use std::time::Duration;

use crate::codec::CodedFrame;
use crate::legs::LegKey;
use crate::messages::Event;
use crate::mixer::{self, FRAME, Frame, Gain, SILENCE};
use crate::output::{Output, Port};
use crate::rtp::RtpTime;
use crate::rtp::latch::is_reachable;
use crate::rtp::packet::{self, Header};
use crate::rtp::rtcp::{REPORT_LEN_MAX, Sent};
use crate::sdp::Negotiated;

use super::{Hearing, Leg, Voice};

impl Leg {
    // The tick: what the peer hears

    /// Whether the leg hears its room just as others of its mix class do.
    #[inline]
    pub fn hears_room(&self) -> bool {
        self.hearing == Hearing::Room
            && self.player.is_idle()
            && !self.sending_digits
            && self.sends().is_some()
    }

    /// Sends what the leg's mix class hears, coded by [`Leg::codec`].
    #[inline]
    pub fn send_shared(
        &mut self,
        key: LegKey,
        coded: &CodedFrame,
        heard: &Frame,
        now: Duration,
        output: &mut Output,
    ) {
        if let Some((media, to)) = self.sends() {
            self.send_frame(key, to, media, coded, output);
        }
        self.last_heard = heard[FRAME - 1];
        self.after_sending(key, heard, now, output);
    }

    /// Sends a frame of the leg's own: a play if there is one, else what it hears of its room, if it is in one.
    pub fn send(&mut self, key: LegKey, room: Option<&Frame>, now: Duration, output: &mut Output) {
        let mut frame = SILENCE;
        let hearing = if !self.player.is_idle() {
            self.player.fill(&self.id, &mut frame, &mut output.events);
            Hearing::Play
        } else if let Some(room) = room {
            frame = *room;
            Hearing::Room
        } else {
            Hearing::Nothing
        };
        let Some((media, to)) = self.sends() else {
            self.hearing = Hearing::Nothing;
            self.last_heard = 0;
            self.skip_frame();
            return self.after_sending(key, &SILENCE, now, output);
        };
        if hearing != self.hearing {
            if hearing == Hearing::Room {
                mixer::fade_in(&mut frame);
            }
            mixer::add_tail(&mut frame, self.last_heard);
        }
        self.hearing = hearing;
        self.last_heard = frame[FRAME - 1];
        if !self.send_digit(key, to, media, output) {
            let mut coded: CodedFrame = [0; FRAME];
            media.codec.encode(&frame, &mut coded);
            self.send_frame(key, to, media, &coded, output);
        }
        self.after_sending(key, &frame, now, output);
    }

    /// What to send with and where to, if we may and can send.
    #[inline]
    fn sends(&self) -> Option<(Negotiated, SocketAddr)> {
        let media = self.media.filter(|media| media.direction.sends())?;
        let to = self.latch.as_ref()?.destination();
        is_reachable(to).then_some((media, to))
    }

    fn send_frame(
        &mut self,
        key: LegKey,
        to: SocketAddr,
        media: Negotiated,
        coded: &CodedFrame,
        output: &mut Output,
    ) {
        let header = Header {
            marker: self.sender.marker,
            pt: media.pt,
            seq: self.sender.seq,
            timestamp: self.sender.timestamp,
            ssrc: self.sender.ssrc,
        };
        self.sender.marker = false;
        self.send_packet(key, to, header, coded, output);
    }

    /// Sends a digit's packet in place of audio, if one is due.
    fn send_digit(
        &mut self,
        key: LegKey,
        to: SocketAddr,
        media: Negotiated,
        output: &mut Output,
    ) -> bool {
        if !self.sending_digits {
            return false;
        }
        let event = self.digits_out.tick(self.sender.timestamp);
        if self.digits_out.is_idle() {
            self.sending_digits = false;
            output.events.push(Event::DigitsSent {
                leg: self.id.clone(),
            });
        }
        let (Some(event), Some(pt)) = (event, media.dtmf_pt) else {
            return false;
        };
        let header = Header {
            marker: event.marker,
            pt,
            seq: self.sender.seq,
            timestamp: event.timestamp,
            ssrc: self.sender.ssrc,
        };
        self.hearing = Hearing::Cut;
        self.last_heard = 0;
        self.send_packet(key, to, header, &event.payload, output);
        true
    }

    #[inline]
    fn send_packet(
        &mut self,
        key: LegKey,
        to: SocketAddr,
        header: Header,
        payload: &[u8],
        output: &mut Output,
    ) {
        output.packets.push(key, Port::Rtp, to, |bytes| {
            let mut head = [0; packet::HEADER_LEN];
            header.write(&mut head);
            bytes.extend_from_slice(&head);
            bytes.extend_from_slice(payload);
        });
        self.sender.packets += 1;
        self.sender.octets += payload.len() as u64;
        self.sender.seq = self.sender.seq.next();
        self.sender.timestamp = RtpTime(self.sender.timestamp.0.wrapping_add(FRAME as u32));
    }

    /// A tick in which nothing is sent: time goes on, and what comes next is a new beginning.
    fn skip_frame(&mut self) {
        self.sender.timestamp = RtpTime(self.sender.timestamp.0.wrapping_add(FRAME as u32));
        self.sender.marker = true;
    }

    #[inline]
    fn after_sending(&mut self, key: LegKey, heard: &Frame, now: Duration, output: &mut Output) {
        if !self.recorders.is_empty() {
            let mut both = [0; FRAME];
            mixer::add(&mut both, heard, Gain::UNITY);
            if self.voice == Voice::Heard {
                mixer::add(&mut both, &self.said, Gain::UNITY);
            }
            self.recorders.write(&mixer::clamp(&both), output);
        }
        if self.rtcp.due(now) {
            self.send_report(key, now, false, output);
        }
    }

    pub(super) fn send_report(
        &mut self,
        key: LegKey,
        now: Duration,
        bye: bool,
        output: &mut Output,
    ) {
        let (Some(media), Some(latch)) = (&self.media, &self.latch) else {
            return;
        };
        let to = latch.rtcp_destination();
        let sent = Sent {
            packets: self.sender.packets as u32,
            octets: self.sender.octets as u32,
            timestamp: self.sender.timestamp,
        };
        let mut report = [0; REPORT_LEN_MAX];
        let len = match bye {
            true => self.rtcp.bye(now, sent, &mut self.source, &mut report),
            false => self.rtcp.report(now, sent, &mut self.source, &mut report),
        };
        if is_reachable(to) {
            let port = if media.rtcp_mux {
                Port::Rtp
            } else {
                Port::Rtcp
            };
            output.packets.push(key, port, to, |bytes| {
                bytes.extend_from_slice(&report[..len])
            });
        }
    }
}
