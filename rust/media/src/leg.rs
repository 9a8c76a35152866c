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

mod hearing;
mod speaking;

use std::time::Duration;

use crate::codec::Codec;
use crate::conceal::Concealer;
use crate::dtmf::{DigitReceiver, DigitSender};
use crate::jitter::JitterBuffer;
use crate::legs::LegKey;
use crate::level::{SILENCE_DBFS, TalkDetector};
use crate::messages::{Direction, Event, Id, LegSnapshot, LegStats, PlayEnd, RecordingEnd};
use crate::mixer::{FRAME, FRAME_MS, Frame, SILENCE};
use crate::output::Output;
use crate::player::{Player, Sound};
use crate::recorder::Recorders;
use crate::rtp::latch::Latch;
use crate::rtp::packet::{self};
use crate::rtp::rtcp::RtcpSession;
use crate::rtp::source::Source;
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
