//! The way out: in each tick what the peer hears, as RTP, and now and then a report.

use std::net::SocketAddr;
use std::time::Duration;

use plenary_codec::{Codec, Frame};
use plenary_transport::webrtc::Outgoing;
use plenary_voice::{Limiter, clip};

use crate::coder::{Coder, Converter, Format};
use crate::legs::LegKey;
use crate::messages::Event;
use crate::mixer::{self, Gain, Sum};
use crate::output::{Bench, Output, Port};
use crate::rtp::RtpTime;
use crate::rtp::latch::is_reachable;
use crate::rtp::packet::{self, Header};
use crate::rtp::rtcp::{REPORT_LEN_MAX, Sent};
use crate::sdp::Negotiated;

use super::{Heard, Hearing, Leg};

impl Leg {
    // Sharing, see `room::streams`

    /// Whether the leg hears its room just as others of its mix class do.
    #[inline]
    pub fn hears_room(&self) -> bool {
        self.can_hear_room() && self.follows.is_none_or(|follows| follows == self.format())
    }

    /// Reads something of each piece of memory that a tick of a listener needs. Of several legs in a row these come in
    /// together; as their ticks need them, one after the other, each is waited for.
    #[inline]
    pub fn touch(&self, now: Duration) -> u32 {
        let media = self.media.as_ref();
        let sent = self.sender.octets as u32 ^ u32::from(self.sender.seq.0);
        let to = self.latch.as_ref().map_or(0, |it| it.destination().port());
        let said = media.map_or(0, |it| it.pt.0 ^ u8::from(it.direction.sends()));
        let quiet = self.player.is_idle() ^ self.recorders.is_empty() ^ self.guard.is_clear();
        let other = quiet ^ self.follows.is_some() ^ self.browser.is_some() ^ self.rtcp.due(now);
        let heard = self.hearing as u32 ^ self.last_heard as u32;
        sent ^ u32::from(to) ^ u32::from(said) ^ u32::from(other) ^ heard
    }

    #[inline]
    fn can_hear_room(&self) -> bool {
        self.hearing == Hearing::Room
            && self.player.is_idle()
            && !self.sending_digits
            && self.sends().is_some()
    }

    /// Whether nothing was sent yet to a peer who wants to hear his room: his decoder is ready for any stream.
    #[inline]
    pub fn is_fresh(&self) -> bool {
        self.sender.packets == 0
            && self.player.is_idle()
            && !self.sending_digits
            && self.sends().is_some()
    }

    /// Whether an encode for this leg alone is one of the few that bring it to a shared stream, and not one that a play, a
    /// hold or the pauses of its room decide about.
    #[inline]
    pub fn is_settling(&self) -> bool {
        self.codec() == Codec::Opus && (self.is_fresh() || self.can_hear_room())
    }

    /// Lets a tick go by in which nothing is sent.
    pub fn wait(&mut self, key: LegKey, now: Duration, output: &mut Output) {
        let silence = Frame::silence(self.rate());
        self.skip_frame();
        self.after_sending(key, &silence, now, output);
    }

    /// The stream whose last packet the peer has got.
    #[inline]
    pub fn follows(&self) -> Option<&Format> {
        self.follows.as_ref()
    }

    /// From now on the peer gets the packets of a stream.
    #[inline]
    pub fn follow(&mut self, format: Format) {
        if self.follows.is_none() {
            self.follows = Some(format);
            self.coder = None;
        }
    }

    /// Goes on alone where the stream that it follows is.
    pub fn part(&mut self, stream: Option<&Coder>) {
        self.coder = stream.map(|coder| Box::new(coder.clone()));
        self.follows = None;
        self.settled = 0;
    }

    /// Frames in a row that the leg's coder has heard as the mix class has.
    pub fn settled(&self) -> u16 {
        self.settled
    }

    /// Gives up the coder for a stream that goes on in it, with the last sample that it was given.
    pub fn give_coder(&mut self) -> Option<(Box<Coder>, i16)> {
        let mut coder = self.coder.take()?;
        coder.set(self.format());
        Some((coder, self.last_heard))
    }

    /// Limits the mixes that the leg alone hears.
    pub fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }

    /// Whether what the peer hears is limited, as what its mix class hears is, and has been so far.
    pub fn is_limited(&self) -> bool {
        self.wants_limiter && self.limited
    }

    /// Makes what the peer hears of a mix of its own; where it was switched, over 5 ms out of what it would have heard.
    pub fn limit(&mut self, sum: &Sum, heard: &mut Frame) {
        let was_limited = std::mem::replace(&mut self.limited, self.wants_limiter);
        match (was_limited, self.wants_limiter) {
            (true, true) => return self.limiter.process(sum, heard),
            (false, false) => return clip(sum, heard),
            (false, true) => self.limiter = Limiter::new(),
            (true, false) => {}
        }
        let mut other = Frame::silence(sum.rate());
        self.limiter.process(sum, heard);
        clip(sum, &mut other);
        if was_limited {
            std::mem::swap(heard, &mut other);
        }
        mixer::cross_fade(heard, &other);
    }

    // The tick: what the peer hears

    /// Sends what the leg's mix class hears: the payload of its packet, and the same at the leg's rate.
    #[inline]
    pub fn send_shared(
        &mut self,
        key: LegKey,
        coded: &[u8],
        heard: &Frame,
        now: Duration,
        output: &mut Output,
    ) {
        if let Some((media, to)) = self.sends() {
            self.send_frame(key, to, media, coded, now, output);
            output.packets.share(key);
        }
        self.hearing = Hearing::Room;
        self.last_heard = heard.last().copied().unwrap_or(0);
        self.after_sending(key, heard, now, output);
    }

    /// Sends a packet of the leg's own: a play if there is one, else what it hears of its room, if it is in one.
    pub fn send(&mut self, key: LegKey, room: Heard<'_>, now: Duration, output: &mut Output) {
        let mut bench = output.bench.take().unwrap_or_default();
        self.send_own(key, room, &mut bench, now, output);
        output.bench = Some(bench);
    }

    fn send_own(
        &mut self,
        key: LegKey,
        room: Heard<'_>,
        bench: &mut Bench,
        now: Duration,
        output: &mut Output,
    ) {
        let Bench { pcm, coded } = bench;
        let format = self.format();
        let room_rate = match room {
            Heard::Nothing => format.rate,
            Heard::Own(frame) | Heard::Class(frame) => frame.rate(),
        };
        let (mut kept, mut plain) = (self.coder.take(), None);
        if kept.is_none() && !format.is_plain(room_rate) {
            kept = Some(Box::new(Coder::new(format)));
        }
        let coder = match &mut kept {
            Some(kept) => &mut **kept,
            None => plain.insert(Coder::new(format)),
        };
        coder.set(format);
        let mut anew = false;
        let hearing = match room {
            _ if !self.player.is_idle() => {
                pcm.clear(format.rate);
                self.player.fill(&self.id, pcm, &mut output.events);
                Hearing::Play
            }
            Heard::Nothing => {
                pcm.clear(format.rate);
                Hearing::Nothing
            }
            Heard::Own(frame) | Heard::Class(frame) => {
                if self.hearing == Hearing::Room {
                    anew = coder.convert(frame, pcm);
                } else {
                    // Before it is filtered: a filter rings at a step.
                    let mut frame = frame.clone();
                    mixer::fade_in(&mut frame);
                    coder.interrupt();
                    coder.convert(&frame, pcm);
                }
                Hearing::Room
            }
        };
        let Some((media, to)) = self.sends() else {
            self.hearing = Hearing::Nothing;
            self.last_heard = 0;
            self.coder = None;
            self.skip_frame();
            pcm.fill(0);
            return self.after_sending(key, pcm, now, output);
        };
        if hearing != self.hearing || anew {
            mixer::add_tail(pcm, self.last_heard);
        }
        let is_class = matches!((hearing, room), (Hearing::Room, Heard::Class(_)));
        self.settled = if is_class && hearing == self.hearing {
            self.settled.saturating_add(1)
        } else {
            0
        };
        self.hearing = hearing;
        self.last_heard = pcm.last().copied().unwrap_or(0);
        if !self.send_digit(key, to, media, now, output) {
            let encode = || coder.encode(pcm, output.effort, coded);
            let len = self.encoding.of(output.stopwatch, encode);
            output.counts.encodes += 1;
            self.send_frame(key, to, media, &coded[..len], now, output);
        }
        self.coder = kept.filter(|coder| !coder.is_plain());
        self.after_sending(key, pcm, now, output);
    }

    /// What to send with and where to, if we may and can send.
    #[inline]
    fn sends(&self) -> Option<(Negotiated, SocketAddr)> {
        let media = self.media.filter(|media| media.direction.sends())?;
        if let Some(browser) = &self.browser {
            return browser.can_send().then_some((media, media.remote_rtp));
        }
        let to = self.latch.as_ref()?.destination();
        (self.guard.is_ready() && is_reachable(to)).then_some((media, to))
    }

    fn send_frame(
        &mut self,
        key: LegKey,
        to: SocketAddr,
        media: Negotiated,
        coded: &[u8],
        now: Duration,
        output: &mut Output,
    ) {
        if coded.is_empty() {
            return self.skip_frame();
        }
        let header = Header {
            marker: self.sender.marker,
            pt: media.pt,
            seq: self.sender.seq,
            timestamp: self.sender.timestamp,
            ssrc: self.sender.ssrc,
        };
        self.sender.marker = false;
        self.send_packet(key, to, header, coded, now, output);
    }

    /// Sends a digit's packet in place of audio, if one is due.
    fn send_digit(
        &mut self,
        key: LegKey,
        to: SocketAddr,
        media: Negotiated,
        now: Duration,
        output: &mut Output,
    ) -> bool {
        if !self.sending_digits {
            return false;
        }
        let event = self
            .digits_out
            .tick(self.sender.timestamp, media.dtmf_clock_hz);
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
        self.send_packet(key, to, header, &event.payload, now, output);
        true
    }

    #[inline]
    fn send_packet(
        &mut self,
        key: LegKey,
        to: SocketAddr,
        header: Header,
        payload: &[u8],
        now: Duration,
        output: &mut Output,
    ) {
        if let Some(browser) = &mut self.browser {
            let packet = Outgoing {
                pt: header.pt.0,
                seq: header.seq.0,
                timestamp: header.timestamp.0,
                marker: header.marker,
                payload,
            };
            browser.send(packet, now);
            self.attend_browser(key, output);
        } else {
            let mut head = [0; packet::HEADER_LEN];
            header.write(&mut head);
            if self.guard.is_clear() {
                output.packets.push(key, Port::Rtp, to, |bytes| {
                    bytes.extend_from_slice(&head);
                    bytes.extend_from_slice(payload);
                });
            } else if let Some(session) = self.guard.session(Port::Rtp) {
                let (plain, sealed) = (&mut output.plain, &mut output.sealed);
                plain.clear();
                plain.extend_from_slice(&head);
                plain.extend_from_slice(payload);
                // A key that may protect no more ends the call as if the path did.
                if session.protect(plain, sealed).is_ok() {
                    let write = |bytes: &mut Vec<u8>| bytes.extend_from_slice(sealed);
                    output.packets.push(key, Port::Rtp, to, write);
                }
            }
        }
        self.sender.packets += 1;
        self.sender.octets += payload.len() as u64;
        self.sender.seq = self.sender.seq.next();
        self.advance();
    }

    /// A tick in which nothing is sent: time goes on, and what comes next is a new beginning.
    fn skip_frame(&mut self) {
        self.advance();
        self.sender.marker = true;
    }

    fn advance(&mut self) {
        let ticks = self.format().codec.frame_ticks();
        self.sender.timestamp = RtpTime(self.sender.timestamp.0.wrapping_add(ticks));
    }

    #[inline]
    fn after_sending(&mut self, key: LegKey, heard: &Frame, now: Duration, output: &mut Output) {
        if !self.recorders.is_empty() {
            let (mut both, mut frame) = (Sum::default(), Frame::default());
            both.clear(heard.rate());
            mixer::add(&mut both, heard, Gain::UNITY);
            if self.speaks {
                self.add_said(&mut both);
            }
            frame.clear(both.rate());
            self.blend.process(&both, &mut frame);
            self.recorders.write(&frame, output);
        }
        if let Some(browser) = &mut self.browser {
            browser.tick(now);
            self.attend_browser(key, output);
            return;
        }
        self.go_on_shaking(key, now, output);
        if self.rtcp.due(now) {
            self.send_report(key, now, false, output);
        }
    }

    fn add_said(&mut self, both: &mut Sum) {
        let (from, to) = (self.said.rate(), both.rate());
        if from == to {
            return mixer::add(both, &self.said, Gain::UNITY);
        }
        let aligner = match &mut self.aligner {
            Some(aligner) if aligner.joins(from, to) => aligner,
            other => other.insert(Box::new(Converter::new(from, to))),
        };
        let mut said = Frame::silence(to);
        aligner.convert(&self.said, &mut said);
        mixer::add(both, &said, Gain::UNITY);
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
        let mut report = &report[..len];
        let port = if media.rtcp_mux {
            Port::Rtp
        } else {
            Port::Rtcp
        };
        if !self.guard.is_clear() {
            let session = self.guard.session(port);
            if session.is_none_or(|it| it.protect_rtcp(report, &mut output.sealed).is_err()) {
                return;
            }
            report = &output.sealed;
        }
        if is_reachable(to) {
            let write = |bytes: &mut Vec<u8>| bytes.extend_from_slice(report);
            output.packets.push(key, port, to, write);
        }
    }
}
