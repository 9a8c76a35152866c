//! One leg: a peer's RTP in, what the peer is to hear out.
//!
//! ```text
//! datagram ▶ latch ▶ parse ▶ place ▶ jitter buffer ─┐ tick                  ┌▶ RTP ▶ peer
//!                              └▶ digits            ├▶ voice ▶ room ▶ mix ──┤
//!                                                   └▶ level, talking       └ plays, digits, silence
//! ```
//!
//! A leg is ticked every 20 ms: [`Leg::listen`] takes its voice out of the jitter buffer, then one of
//! [`Leg::send_shared`] (the packet of its mix class) and [`Leg::send`] (a packet of its own) sends.
//! A leg has one rate, that of what its peer can hear; its room may have another.
//! Silence is decided on coded bytes: a silent leg is not decoded and not summed.
//!
//! No signal steps. What stops dies away over 5 ms from its last sample, or from what the concealment goes on
//! with; what begins somewhere else than at nothing is faded in.
//!
//! A leg on hold (any direction but `sendrecv` and `sendonly` for hearing, but `sendrecv` for being heard:
//! music on hold must not get into a room) is ticked like the others, so plays end when they would have.

mod browser;
mod guard;
mod handshake;
mod hearing;
mod processing;
mod quality;
mod speaking;

use std::sync::Arc;
use std::time::Duration;

use plenary_codec::{Codec, Frame, OpusSettings, Rate};
use plenary_transport::dtls::Identity;
use plenary_transport::webrtc::Host;
use plenary_voice::Limiter;

use crate::coder::{Coder, Converter, Format};
use crate::dtmf::{DigitReceiver, DigitSender};
use crate::jitter::JitterBuffer;
use crate::legs::LegKey;
use crate::messages::{
    Direction, Encryption, Event, Id, LegKeys, LegSnapshot, LegStats, LegTerms, PlayEnd,
    RecordingEnd, Switches, TransportKind,
};
use crate::output::Output;
use crate::player::{Player, Sound};
use crate::recorder::Recorders;
use crate::rtp::latch::Latch;
use crate::rtp::packet::{self};
use crate::rtp::rtcp::RtcpSession;
use crate::rtp::source::Source;
use crate::rtp::{RtpTime, SeqNo, Ssrc};
use crate::sdp::{self, LocalMedia, Negotiated, Refusal, SdpSession};
use crate::stopwatch::Cost;
use browser::Browser;
use guard::{Guard, Kept};
use processing::Processing;
use quality::{Incoming, Quality};

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

/// What a leg's room has for it in a tick.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// The leg is in no room.
    Nothing,
    /// A mix of its own.
    Own(&'a Frame),
    /// What its mix class hears.
    Class(&'a Frame),
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
#[derive(Clone, Copy)]
pub struct Entropy {
    pub seq: u16,
    pub timestamp: u32,
    pub session_id: u64,
    /// What the keys of its SRTP are made of.
    pub secret: [u8; 32],
}

#[derive(Debug)]
pub struct Leg {
    id: Id,
    session: Box<SdpSession>,
    media: Option<Negotiated>,
    latch: Option<Latch>,
    guard: Guard,
    /// From an engine before this one, until it is known whether they go on.
    kept: Option<LegKeys>,
    /// Of this process, for DTLS with phones.
    identity: Option<Arc<Identity>>,
    /// In place of session, latch and RTCP, if the peer is one.
    browser: Option<Box<Browser>>,
    limits: InactivityLimits,

    source: Source,
    jitter: JitterBuffer,
    digits_in: DigitReceiver,
    processing: Processing,
    /// At the rate of what the peer sends.
    said: Frame,
    /// To the rate of its room.
    inlet: Option<Box<Converter>>,
    /// The last tick had a voice.
    speaks: bool,
    /// It was mixed into the room.
    mixed: bool,
    muted: bool,
    /// The last tick had a voice that was not mixed.
    hushed: bool,
    fade_in: bool,
    bytes_received: u64,
    malformed: u64,
    /// Packets that were to be encrypted by the peer, and were not.
    forged: u64,
    /// Arrival of the newest audio packet that no tick has seen yet.
    waiting_since: Option<Duration>,
    /// Ticks since the last packet.
    absent: u16,
    /// `None` until a tick has seen audio.
    tick_wait_ms: Option<f64>,
    /// Of what comes, since the last tick.
    codec_changed: bool,
    last_packet: Duration,
    any_packet: bool,
    inactive: bool,

    sender: Sender,
    rtcp: RtcpSession,
    quality: Quality,
    incoming: Incoming,
    player: Player,
    digits_out: DigitSender,
    sending_digits: bool,
    hearing: Hearing,
    last_heard: i16,
    /// Of a mix of its own.
    limiter: Limiter,
    /// What the peer hears is to be limited.
    wants_limiter: bool,
    /// Its last mix of its own was.
    limited: bool,
    /// Unless the leg follows a stream, or its format has no memory.
    coder: Option<Box<Coder>>,
    /// The stream of its mix class whose packets the peer gets.
    follows: Option<Format>,
    /// Frames in a row that were what the mix class heard.
    settled: u16,
    recorders: Recorders,
    /// Of what is recorded of both directions.
    blend: Limiter,
    /// From what the peer sends to what it hears, for recordings, if the two differ in their rates.
    aligner: Option<Box<Converter>>,
    decoding: Cost,
    encoding: Cost,
}

/// The codecs of these names, in this order; what is not known is left out.
fn codecs(names: &[String]) -> Vec<Codec> {
    names
        .iter()
        .filter_map(|name| Codec::from_name(name))
        .collect()
}

impl Leg {
    pub fn new(
        id: Id,
        local: LocalMedia,
        terms: &LegTerms,
        entropy: Entropy,
        identity: Option<Arc<Identity>>,
        limits: InactivityLimits,
        now: Duration,
    ) -> Leg {
        let sdp_terms = sdp::Terms {
            codecs: codecs(&terms.codecs),
            srtp: match terms.srtp {
                Encryption::Never => sdp::SrtpPolicy::Never,
                Encryption::Optional => sdp::SrtpPolicy::Optional,
                Encryption::Required => sdp::SrtpPolicy::Required,
            },
            secret: entropy.secret,
            fingerprint: identity.as_ref().map(|it| it.fingerprint()),
        };
        let session = match &terms.like {
            Some(last) => SdpSession::resume(local, sdp_terms, last),
            None => SdpSession::new(local, sdp_terms),
        };
        let ssrc = session.ssrc();
        Leg {
            id,
            session: Box::new(session),
            media: None,
            latch: None,
            guard: Guard::default(),
            kept: terms.keys.clone(),
            identity,
            browser: None,
            limits,
            source: Source::new(),
            jitter: JitterBuffer::new(Codec::Pcmu, Rate::Narrow),
            digits_in: DigitReceiver::new(),
            processing: Processing::new(&terms.switches),
            said: Frame::default(),
            inlet: None,
            speaks: false,
            mixed: false,
            muted: false,
            hushed: false,
            fade_in: false,
            bytes_received: 0,
            malformed: 0,
            forged: 0,
            waiting_since: None,
            absent: 0,
            tick_wait_ms: None,
            codec_changed: false,
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
            quality: Quality::default(),
            incoming: Incoming::default(),
            player: Player::default(),
            digits_out: DigitSender::new(),
            sending_digits: false,
            hearing: Hearing::Nothing,
            last_heard: 0,
            limiter: Limiter::new(),
            wants_limiter: terms.switches.limiter,
            limited: terms.switches.limiter,
            coder: None,
            follows: None,
            settled: 0,
            recorders: Recorders::default(),
            blend: Limiter::new(),
            aligner: None,
            decoding: Cost::default(),
            encoding: Cost::default(),
        }
    }

    /// The peer is to be a browser, which reaches us at `host`.
    pub fn await_browser(&mut self, host: &Host, terms: &LegTerms) {
        let browser = Browser::new(host.clone(), &codecs(&terms.codecs));
        self.browser = Some(Box::new(browser));
    }

    pub fn id(&self) -> &Id {
        &self.id
    }

    // Offer and answer

    /// Answers an offer of the peer.
    pub fn answer(&mut self, offer: &str, now: Duration) -> Result<(String, Direction), Refusal> {
        let (negotiated, answer) = match &mut self.browser {
            Some(browser) => browser.answer(offer, now)?,
            None => self.session.answer(offer)?,
        };
        self.adopt(negotiated, now);
        if self.browser.is_some() {
            // A page that was loaded anew, or that has been away, is given time.
            (self.last_packet, self.inactive) = (now, false);
        }
        Ok((answer, self.direction()))
    }

    /// Our next offer; browsers make theirs.
    pub fn offer(&mut self) -> Option<String> {
        self.browser.is_none().then(|| self.session.offer())
    }

    /// What a browser's checks call us.
    pub fn ufrag(&self) -> Option<&str> {
        self.browser.as_ref().map(|browser| browser.ufrag())
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
        let kept = self.kept.take().as_ref().and_then(Kept::parse);
        self.guard.adopt(&new, self.identity.as_ref(), kept, now);
        let old = self.media.replace(new);
        self.jitter.set_rate(self.rate());
        if old.is_none_or(|old| {
            (old.codec, old.opus.max_playback) != (new.codec, new.opus.max_playback)
        }) {
            self.receive_codec(new.codec);
            // The peer begins anew with a decoder of another codec, and so do we.
            (self.coder, self.follows, self.settled) = (None, None, 0);
        }
        // A peer that comes back from hold has not been silent.
        if old.is_none_or(|old| !old.direction.receives()) {
            self.last_packet = now;
            self.inactive = false;
        }
    }

    /// Whether it was agreed that RTCP goes through the port of RTP.
    pub fn rtcp_mux(&self) -> bool {
        self.media.is_some_and(|media| media.rtcp_mux)
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

    fn codec(&self) -> Codec {
        self.media.map_or(Codec::Pcmu, |media| media.codec)
    }

    /// What the peer is sent.
    #[inline]
    pub fn format(&self) -> Format {
        let opus = self.media.filter(|media| media.codec == Codec::Opus);
        Format {
            codec: self.codec(),
            rate: self.rate(),
            opus: opus.map_or_else(OpusSettings::default, |media| {
                self.quality.settings(&media.opus)
            }),
        }
    }

    /// The highest rate that the peer can hear; plays and recordings of the leg have it too.
    #[inline]
    pub fn rate(&self) -> Rate {
        match self.media {
            Some(media) if media.codec == Codec::Opus => media.opus.max_playback,
            Some(media) => media.codec.rate(),
            None => Rate::Narrow,
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

    /// What is done to what the peer says before it is mixed, and to what it hears.
    pub fn set_processing(&mut self, switches: &Switches) {
        self.processing.set(switches);
        self.wants_limiter = switches.limiter;
    }

    pub fn recorders(&mut self) -> &mut Recorders {
        &mut self.recorders
    }

    /// Ends everything that the leg does; it is not ticked again.
    pub fn close(&mut self, key: LegKey, reason: RecordingEnd, now: Duration, output: &mut Output) {
        self.player.close(&self.id, &mut output.events);
        self.recorders.close(reason, &mut output.recorded);
        match &mut self.browser {
            Some(browser) => {
                browser.close(now);
                self.attend_browser(key, output);
            }
            None => self.send_report(key, now, true, output),
        }
    }

    // Reports

    pub fn stats(&self, room: Option<Id>, cost: TickCost) -> LegStats {
        let received = self.source.stats();
        let buffer = self.jitter.stats();
        let codec = self.media.map(|media| media.codec);
        let waits = buffer.delay_ms.zip(self.tick_wait_ms);
        let (transport, strangers, round_trip) = match &self.browser {
            Some(browser) => {
                let stats = browser.stats();
                (TransportKind::Webrtc, stats.strangers, stats.round_trip)
            }
            None => {
                let strangers = self.latch.as_ref().map_or(0, Latch::strangers);
                let strangers = strangers + self.forged;
                (self.guard.kind(), strangers, self.rtcp.round_trip())
            }
        };
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
            jitter_ms: f64::from(received.jitter_ticks) * 1_000.0
                / f64::from(self.source.clock_hz()),
            round_trip_ms: round_trip.map(|trip| trip.as_secs_f64() * 1000.0),
            buffer_ms: waits.map(|(delay_ms, tick_wait_ms)| (delay_ms - tick_wait_ms).max(0.0)),
            tick_wait_ms: waits.map(|(_, tick_wait_ms)| tick_wait_ms),
            mix_us: cost.mix_us,
            send_us: cost.send_us,
            strangers,
            malformed: self.malformed + buffer.malformed,
            level_dbfs: f64::from(self.processing.level_dbfs()),
            talking: self.processing.is_talking(),
            codec: codec.map(|codec| codec.name().into()),
            heard_codec: waits.map(|_| self.jitter.codec().name().into()),
            sample_rate_hz: codec.map(|_| self.rate().hz()),
            transport: Some(transport),
            stretched_ms: buffer.stretched_ms,
            fec_ms: buffer.fec_ms,
            starved: buffer.starved,
            target_ms: f64::from(buffer.target_ms),
            decode_us: self.decoding.us(),
            encode_us: self.encoding.us().filter(|_| self.follows.is_none()),
            loss_percent: self.incoming.percent(),
            loss_out_percent: self.quality.percent(),
            noise_suppression: self.processing.suppresses_noise(),
            normaliser: self.processing.gain_db().is_some(),
            voice_activity: self.processing.tells_voices(),
            limiter: self.wants_limiter,
            gain_db: self.processing.gain_db().map(f64::from),
        }
    }

    pub fn snapshot(&self, room: Option<Id>) -> LegSnapshot {
        LegSnapshot {
            leg: self.id.clone(),
            room,
            direction: self.direction(),
            negotiated: self.media.is_some(),
            plays: self.player.plays().cloned().collect(),
            muted: self.muted,
            keys: self.guard.keys().or_else(|| self.kept.clone()),
        }
    }
}
