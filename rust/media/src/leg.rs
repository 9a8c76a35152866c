//! One leg: a peer's RTP in, what the peer is to hear out.
//!
//! ```text
//! datagram ▶ latch ▶ parse ▶ place ▶ jitter buffer ─┐ tick                  ┌▶ RTP ▶ peer
//!                              └▶ digits            ├▶ voice ▶ room ▶ mix ──┤
//!                                                   └▶ level, talking       └ plays, digits, silence
//! ```
//!
//! A leg is ticked every 20 ms: [`Leg::listen`] takes its voice out of the jitter buffer, then one of
//! [`Leg::send_shared`] (the packet of its mix class) and [`Leg::send`] (a frame of its own) sends.
//! Silence is decided on coded bytes: a silent leg is not decoded and not summed.
//!
//! No signal steps. What stops dies away over 5 ms from its last sample, or from what the concealment goes on
//! with; what begins somewhere else than at nothing is faded in.
//!
//! A leg on hold (any direction but `sendrecv` and `sendonly` for hearing, but `sendrecv` for being heard:
//! music on hold must not get into a room) is ticked like the others, so plays end when they would have.

use std::net::SocketAddr;
use std::time::Duration;

use crate::codec::{Codec, CodedFrame};
use crate::conceal::Concealer;
use crate::dtmf::{DigitReceiver, DigitSender};
use crate::jitter::{JitterBuffer, Playout};
use crate::legs::LegKey;
use crate::level::{SILENCE_DBFS, TalkDetector, rms_dbfs};
use crate::messages::{Direction, Event, Id, LegSnapshot, LegStats, PlayEnd, RecordingEnd};
use crate::mixer::{self, FRAME, FRAME_MS, Frame, Gain, SILENCE};
use crate::output::{Output, Port};
use crate::player::{Player, Sound};
use crate::recorder::Recorders;
use crate::rtp::latch::{Latch, is_reachable};
use crate::rtp::packet::{self, Header};
use crate::rtp::rtcp::{REPORT_LEN_MAX, RtcpSession, Sent, is_rtcp};
use crate::rtp::source::{Received, Source};
use crate::rtp::{RtpTime, SeqNo, Ssrc};
use crate::sdp::{self, LocalMedia, Negotiated, Refusal, SdpSession};

/// Silent frames that are still decoded and summed, so that the ends of words are not cut: 200 ms.
const HANGOVER_FRAMES: u32 = 10;
/// Weight of the newest value in what is called smoothed: about the last second.
const SMOOTHING: f64 = 1.0 / 50.0;

/// How long a peer may send nothing.
#[derive(Clone, Copy, Debug)]
pub struct InactivityLimits {
    /// Before its first packet.
    pub first: Duration,
    /// After it.
    pub later: Duration,
}

/// What the ticks of a leg cost, as its driver measures it.
#[derive(Clone, Copy, Debug, Default)]
pub struct TickCost {
    pub mix_us: f64,
    pub send_us: f64,
}

/// What the peer heard last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    Nothing,
    Room,
    Play,
    /// Something that ended in the middle.
    Cut,
}

/// How the last tick's voice came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voice {
    /// No packet, or not to be heard.
    Absent,
    /// Packets of silence.
    Silent,
    Heard,
}

/// What has been sent so far, and the numbers of the next packet.
#[derive(Debug)]
struct Sender {
    ssrc: Ssrc,
    seq: SeqNo,
    timestamp: RtpTime,
    /// The next packet is the first after a pause.
    marker: bool,
    packets: u64,
    octets: u64,
}

/// Random numbers that a leg begins with (RFC 3550, section 5.1).
#[derive(Clone, Copy, Debug)]
pub struct Entropy {
    pub ssrc: u32,
    pub seq: u16,
    pub timestamp: u32,
    pub session_id: u64,
}

#[derive(Debug)]
pub struct Leg {
    id: Id,
    session: SdpSession,
    media: Option<Negotiated>,
    latch: Option<Latch>,
    limits: InactivityLimits,

    source: Source,
    jitter: JitterBuffer,
    concealer: Concealer,
    digits_in: DigitReceiver,
    talk: TalkDetector,
    said: Frame,
    voice: Voice,
    silent_frames: u32,
    fade_in: bool,
    level_dbfs: f32,
    bytes_received: u64,
    malformed: u64,
    /// Arrival of the newest audio packet that no tick has seen yet.
    waiting_since: Option<Duration>,
    tick_wait_ms: f64,
    last_packet: Duration,
    any_packet: bool,
    inactive: bool,

    sender: Sender,
    rtcp: RtcpSession,
    player: Player,
    digits_out: DigitSender,
    sending_digits: bool,
    hearing: Hearing,
    last_heard: i16,
    recorders: Recorders,
}

impl Leg {
    pub fn new(
        id: Id,
        local: LocalMedia,
        entropy: Entropy,
        limits: InactivityLimits,
        now: Duration,
    ) -> Leg {
        let ssrc = Ssrc(entropy.ssrc);
        Leg {
            id,
            session: SdpSession::new(local),
            media: None,
            latch: None,
            limits,
            source: Source::new(),
            jitter: JitterBuffer::new(Codec::Pcmu),
            concealer: Concealer::new(),
            digits_in: DigitReceiver::new(),
            talk: TalkDetector::new(),
            said: SILENCE,
            voice: Voice::Absent,
            silent_frames: HANGOVER_FRAMES,
            fade_in: false,
            level_dbfs: SILENCE_DBFS,
            bytes_received: 0,
            malformed: 0,
            waiting_since: None,
            tick_wait_ms: 0.0,
            last_packet: now,
            any_packet: false,
            inactive: false,
            sender: Sender {
                ssrc,
                seq: SeqNo(entropy.seq),
                timestamp: RtpTime(entropy.timestamp),
                marker: true,
                packets: 0,
                octets: 0,
            },
            rtcp: RtcpSession::new(ssrc, entropy.session_id, now),
            player: Player::default(),
            digits_out: DigitSender::new(),
            sending_digits: false,
            hearing: Hearing::Nothing,
            last_heard: 0,
            recorders: Recorders::default(),
        }
    }

    pub fn id(&self) -> &Id {
        &self.id
    }

    // Offer and answer

    /// Answers an offer of the peer.
    pub fn answer(&mut self, offer: &str, now: Duration) -> Result<(String, Direction), Refusal> {
        let (negotiated, answer) = self.session.answer(offer)?;
        self.adopt(negotiated, now);
        Ok((answer, self.direction()))
    }

    /// Our next offer.
    pub fn offer(&mut self) -> String {
        self.session.offer()
    }

    /// Takes the peer's answer to our offer.
    pub fn accept(&mut self, answer: &str, now: Duration) -> Result<Direction, Refusal> {
        let negotiated = self.session.accept(answer)?;
        self.adopt(negotiated, now);
        Ok(self.direction())
    }

    fn adopt(&mut self, new: Negotiated, now: Duration) {
        let (rtp, rtcp) = (new.remote_rtp, new.remote_rtcp);
        match &mut self.latch {
            Some(latch) => latch.signal(rtp, rtcp),
            None => self.latch = Some(Latch::new(rtp, rtcp)),
        }
        let old = self.media.replace(new);
        if old.is_none_or(|old| old.codec != new.codec) {
            self.jitter.set_codec(new.codec);
        }
        // A peer that comes back from hold has not been silent.
        if old.is_none_or(|old| !old.direction.receives()) {
            self.last_packet = now;
            self.inactive = false;
        }
    }

    /// What we may do.
    pub fn direction(&self) -> Direction {
        match self.media.map(|media| media.direction) {
            Some(sdp::Direction::SendRecv) => Direction::Sendrecv,
            Some(sdp::Direction::SendOnly) => Direction::Sendonly,
            Some(sdp::Direction::RecvOnly) => Direction::Recvonly,
            Some(sdp::Direction::Inactive) | None => Direction::Inactive,
        }
    }

    pub fn codec(&self) -> Codec {
        self.media.map_or(Codec::Pcmu, |media| media.codec)
    }

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

    fn send_report(&mut self, key: LegKey, now: Duration, bye: bool, output: &mut Output) {
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

    // Commands

    /// Queues a play; `false` if too many wait.
    pub fn play(&mut self, play: Id, sound: Sound, looped: bool) -> bool {
        self.player.push(play, sound, looped)
    }

    /// Stops a play, if there is such a one.
    pub fn stop_play(&mut self, play: &Id, events: &mut Vec<Event>) {
        let Some(heard) = self.player.stop(play) else {
            return;
        };
        if heard {
            self.hearing = Hearing::Cut;
        }
        let reason = PlayEnd::Stopped;
        events.push(Event::PlayEnded {
            leg: self.id.clone(),
            play: play.clone(),
            reason,
        });
    }

    /// Queues digits; an error says why not.
    pub fn send_digits(
        &mut self,
        digits: &str,
        duration: Duration,
        pause: Duration,
    ) -> Result<(), String> {
        if self.media.is_none_or(|media| media.dtmf_pt.is_none()) {
            return Err("the peer takes no telephone-event".into());
        }
        self.digits_out
            .queue(digits, duration, pause)
            .map_err(|refused| format!("{refused:?}"))?;
        self.sending_digits = true;
        Ok(())
    }

    pub fn recorders(&mut self) -> &mut Recorders {
        &mut self.recorders
    }

    /// Ends everything that the leg does; it is not ticked again.
    pub fn close(&mut self, key: LegKey, reason: RecordingEnd, now: Duration, output: &mut Output) {
        self.player.close(&self.id, &mut output.events);
        self.recorders.close(reason, &mut output.recorded);
        self.send_report(key, now, true, output);
    }

    // Reports

    pub fn stats(&self, room: Option<Id>, cost: TickCost) -> LegStats {
        let received = self.source.stats();
        let buffer = self.jitter.stats();
        LegStats {
            leg: self.id.clone(),
            room,
            packets_received: received.received,
            packets_sent: self.sender.packets,
            bytes_received: self.bytes_received,
            bytes_sent: self.sender.octets + self.sender.packets * packet::HEADER_LEN as u64,
            lost: received.lost,
            late: buffer.late,
            duplicate: received.duplicate,
            reordered: received.reordered,
            concealed_ms: buffer.concealed_ms,
            jitter_ms: f64::from(received.jitter_ticks) * FRAME_MS as f64 / FRAME as f64,
            round_trip_ms: self
                .rtcp
                .round_trip()
                .map(|trip| trip.as_secs_f64() * 1000.0),
            buffer_ms: f64::from(buffer.buffer_ms),
            tick_wait_ms: self.tick_wait_ms,
            mix_us: cost.mix_us,
            send_us: cost.send_us,
            strangers: self.latch.as_ref().map_or(0, Latch::strangers),
            malformed: self.malformed,
            level_dbfs: f64::from(self.level_dbfs),
            talking: self.talk.is_talking(),
        }
    }

    pub fn snapshot(&self, room: Option<Id>) -> LegSnapshot {
        LegSnapshot {
            leg: self.id.clone(),
            room,
            direction: self.direction(),
            negotiated: self.media.is_some(),
            plays: self.player.plays().cloned().collect(),
        }
    }
}
