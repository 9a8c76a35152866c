//! Playout buffer of one stream of any codec.

mod playing;
mod timing;

use core::time::Duration;

use plenary_codec::{Codec, Decoder, Frame, Rate};

use super::delays::Delays;
use super::gap::Gap;
use super::losses::Losses;
use super::packets::{Packet, Packets};
use super::recurrence::Recurrence;
use super::silences::Silences;
use super::tape::Tape;
use crate::rtp::source::Place;

/// Units of media time a second: every clock and rate divides it.
const UNITS_HZ: i64 = 48_000;

const MS: i64 = UNITS_HZ / 1_000;

/// A tick's audio (20 ms).
const FRAME: i64 = 20 * MS;

/// Audio that waits at most (200 ms): beyond it people talk into each other.
pub const DEPTH_MAX: i64 = 200 * MS;

/// Time between a packet's arrival and its tick that is kept: as much as arrivals differ, from 0.5 ms, which a tick may be
/// early after a late one, to 1 ms. Who needs more has more in hand.
const MARGIN_MIN: i64 = MS / 2;
const MARGIN_MAX: i64 = MS;

/// What the headroom must exceed its least by before audio is taken out (2 ms), or drift would be followed to and fro.
const HYSTERESIS: i64 = 2 * MS;

/// A jump between two transits that is no jitter, but a sender who counts anew (1 s).
const JUMP: i64 = UNITS_HZ;

/// Late packets in a row after which the sender, not the network, must have moved.
const LATE_RUN: u32 = 10;

/// How often the delay is reconsidered, in ticks (200 ms).
const EVALUATE_TICKS: u32 = 10;

/// Time for which one step of delay is kept that isn't needed (1 s), since each change is heard a little; more than one goes
/// at once. The transits have been remembered for 2.5 s already, and 5 s after a storm nothing of it may be left.
const SETTLE: i64 = UNITS_HZ;

/// The same at most (8 s), where what needs the step keeps coming back.
const SETTLE_MAX: i64 = 8 * UNITS_HZ;

/// Silent audio after which a silent packet isn't decoded any more (200 ms), so that the ends of words are not cut.
const HANGOVER: i64 = 200 * MS;

/// Largest magnitude of a sample that counts as silence, as in [`Codec::is_silence`].
const SILENCE_PEAK: u16 = plenary_codec::g711::SILENCE_PEAK as u16;

/// The most that is kept in hand against losses (60 ms): a packet after the one that is to be played, so that FEC or both
/// sides of a gap can be used.
const LOOKAHEAD_MAX: i64 = 60 * MS;

/// Audio that a tick decodes or makes up before it gives up (160 ms): the longest packet, and a few to catch up. Packets
/// that overlap, or leave gaps everywhere, cost far more than they sound, and the legs of others wait for the same tick.
const WORK_MAX: i64 = 160 * MS;

/// What a gap counts for besides its length (20 ms): pitches are looked for on both sides of it.
const WORK_OF_GAP: i64 = FRAME;

/// Audio that a packet of comfort noise stands for: that in which a voice fades out (5 ms).
const PAUSE: i64 = 5 * MS;

/// Weight of the newest value in the smoothed delay: about the last second.
const DELAY_SMOOTHING: f64 = 1.0 / 50.0;

/// What [`JitterBuffer::pull`] has made of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Playout {
    /// Something sounds: the frame was written.
    Voice,
    /// The peer sends silence: the frame was not touched.
    Silence,
    /// The peer sends nothing: the frame was not touched.
    Absent,
}

/// What the buffer has done so far and how deep it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JitterStats {
    /// Packets that came after their time had passed.
    pub late: u64,
    /// Packets that were given up because too much waited.
    pub discarded: u64,
    /// Packets that were not of the codec, or longer than 120 ms.
    pub malformed: u64,
    /// Audio that was made up, of nothing but what was heard around it.
    pub concealed_ms: u64,
    /// Audio that came out of the redundancy of other packets.
    pub fec_ms: u64,
    /// Audio that was taken in or out to change the delay.
    pub stretched_ms: u64,
    /// Audio that was decoded or made up, heard or not.
    pub worked_ms: u64,
    /// Ticks within a talk spurt for which nothing had come.
    pub starved: u64,
    /// Audio that waits now.
    pub buffer_ms: u32,
    /// Wait between arrival and playing that the observed jitter asks for, beyond that for the tick.
    pub target_ms: u32,
    /// Wait of a packet from its arrival to the tick that plays its beginning; of about the last second. `None` until one
    /// was played.
    pub delay_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No packet has come yet.
    New,
    /// Nothing is being said; what comes next starts the playing.
    Waiting,
    Playing,
}

/// Playout buffer of one stream: coded packets in as they come, one frame out at every tick.
///
/// Times are those of the engine's clock. Inside, media time is in units of 1/48,000 s whatever the codec.
pub struct JitterBuffer {
    codec: Codec,
    asked: Rate,
    decoder: Decoder,
    state: State,
    packets: Packets,
    tape: Tape,
    /// Samples of silence that follow the tape and were not decoded.
    hush: usize,
    /// Media time where tape and hush end: that of the next packet.
    next: i64,
    /// End of what was really heard: nothing before it will be played.
    floor: i64,
    /// End of the newest packet.
    end: i64,
    /// Number and end of the packet decoded last.
    last: Option<(u64, i64)>,
    /// Timestamp and duration of the newest packet: where packets begin.
    newest: (i64, i64),
    gap: Gap,
    /// Something is heard; it must not stop or start at once.
    sounding: bool,
    /// Silent audio up to the tape's end, decoded or not.
    quiet: i64,
    silences: Silences,
    /// Audio made up since the last that was real.
    made_up: i64,
    /// Samples before the packet that is being decoded that are to be made up.
    bridged: usize,
    delays: Delays,
    losses: Losses,
    last_pull: i64,
    evaluate_in: u32,
    /// Audio to take in (or out, if negative) to have the right delay.
    owed: i64,
    /// Ticks since then.
    waited: u32,
    /// Since when there has been a step of delay to spare.
    spare: Option<i64>,
    /// The same of the last one that was given back.
    given: Option<i64>,
    /// Of what needs the step.
    needs: Recurrence,
    /// Audio that was kept in hand against losses when that was last reconsidered.
    in_hand: i64,
    late_run: u32,
    /// Ticks without a packet of which is not known yet whether the sender had stopped.
    starving: u64,
    target: i64,
    stats: JitterStats,
    /// Audio made up, recovered and taken in or out.
    concealed: i64,
    recovered: i64,
    stretched: i64,
    /// Audio decoded or made up until now, and until this tick.
    worked: i64,
    worked_before: i64,
}

impl JitterBuffer {
    /// `rate` is what Opus is decoded to; the other codecs have their own.
    #[must_use]
    pub fn new(codec: Codec, rate: Rate) -> Self {
        let decoder = Decoder::new(codec, rate);
        let decoded = decoder.rate();
        Self {
            codec,
            asked: rate,
            decoder,
            state: State::New,
            packets: Packets::default(),
            tape: Tape::new(decoded),
            hush: 0,
            next: 0,
            floor: 0,
            end: 0,
            last: None,
            newest: (0, FRAME),
            gap: Gap::new(decoded),
            sounding: false,
            quiet: 0,
            silences: Silences::default(),
            made_up: 0,
            bridged: 0,
            delays: Delays::new(),
            losses: Losses::default(),
            last_pull: 0,
            evaluate_in: 0,
            owed: 0,
            waited: 0,
            spare: None,
            given: None,
            needs: Recurrence::default(),
            in_hand: 0,
            late_run: 0,
            starving: 0,
            target: 0,
            stats: JitterStats::default(),
            concealed: 0,
            recovered: 0,
            stretched: 0,
            worked: 0,
            worked_before: 0,
        }
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The peer changes its codec: what waits is dropped, what sounds fades out.
    pub fn set_codec(&mut self, codec: Codec) {
        if codec != self.codec {
            self.renew(codec, self.asked);
            self.packets.clear();
            self.state = State::New;
        }
    }

    /// The rate for Opus from now on.
    pub fn set_rate(&mut self, rate: Rate) {
        self.asked = rate;
        if self.codec == Codec::Opus && rate != self.rate() {
            self.renew(self.codec, rate);
        }
    }

    /// The rate of the frames that [`Self::pull`] writes.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.decoder.rate()
    }

    /// Takes a packet that arrived at `now`; its timestamp is in ticks of the codec's RTP clock.
    pub fn push(&mut self, now: Duration, place: Place, payload: &[u8], marker: bool) {
        let Some(len) = self.duration(payload) else {
            self.stats.malformed += 1;
            return;
        };
        let arrival = units(now);
        let start = place.timestamp * self.units_a_tick();
        let end = start + len;
        let transit = arrival - start;
        let jump = self
            .delays
            .latest()
            .is_some_and(|latest| (transit - latest).abs() > JUMP);
        if self.state == State::New || place.new_stream || jump {
            self.restart(start);
        } else if marker && self.state == State::Waiting && self.delays.differs(transit) {
            // A talk spurt whose sender didn't count the pause: older transits say nothing about it.
            self.delays.clear();
        }
        self.delays.push(arrival, transit, len);
        self.losses.push(place.seq, arrival);
        if end <= self.floor {
            self.stats.late += 1;
            self.late_run += 1;
            if self.late_run < LATE_RUN {
                return;
            }
            self.restart(start);
            self.delays.push(arrival, transit, len);
        }
        self.late_run = 0;
        if end > self.end {
            self.end = end;
            self.newest = (start, len);
        }
        self.keep(
            Packet {
                start,
                len,
                seq: Some(place.seq),
                arrival,
                payload: Vec::new(),
            },
            payload,
        );
    }

    /// Takes what a packet carries of an earlier one (RFC 2198), `timestamp_offset` ticks before its own place.
    /// It is used if that one has not come. To be called before [`Self::push`] of the packet itself.
    pub fn push_redundant(&mut self, place: Place, timestamp_offset: u32, payload: &[u8]) {
        let Some(len) = self.duration(payload) else {
            self.stats.malformed += 1;
            return;
        };
        let start = (place.timestamp - i64::from(timestamp_offset)) * self.units_a_tick();
        if place.new_stream
            || self.state == State::New
            || start < self.floor
            || start + len > self.floor + 2 * DEPTH_MAX
        {
            return;
        }
        self.keep(
            Packet {
                start,
                len,
                ..Packet::default()
            },
            payload,
        );
    }

    /// Takes comfort noise (RFC 3389): the sender says that nothing is said from there on.
    pub fn pause(&mut self, now: Duration, place: Place) {
        self.losses.push(place.seq, units(now));
        let start = place.timestamp * self.units_a_tick();
        if self.state != State::Playing
            || place.new_stream
            || start < self.floor
            || start > self.end + 2 * DEPTH_MAX
        {
            return;
        }
        self.keep(
            Packet {
                start,
                len: PAUSE,
                seq: Some(place.seq),
                arrival: units(now),
                payload: Vec::new(),
            },
            &[],
        );
    }

    /// The next 20 ms, asked for once a tick; `now` is the tick's time.
    pub fn pull(&mut self, now: Duration, out: &mut Frame) -> Playout {
        let now = units(now);
        if self.state == State::Playing && now - self.last_pull > DEPTH_MAX {
            // Nobody has listened for a while (hold): the stream has gone on without us.
            self.stop();
        }
        self.last_pull = now;
        self.worked_before = self.worked;
        let frame = self.rate().frame();
        if self.state == State::New || self.state == State::Waiting && !self.start(now) {
            return self.rest(out, Playout::Absent);
        }
        self.rewind();
        self.cap_depth();
        self.evaluate(now);
        self.fill(now, frame);
        self.adjust(now, frame);
        if self.tape.pending() == 0 && self.hush >= frame {
            self.hush -= frame;
            return self.rest(
                out,
                if self.state == State::Playing {
                    Playout::Silence
                } else {
                    Playout::Absent
                },
            );
        }
        let short = frame.saturating_sub(self.tape.pending());
        if short > 0 {
            // A little silence ends the frame.
            self.tape.append(short);
            self.hush = self.hush.saturating_sub(short);
        }
        out.clear(self.rate());
        self.tape.take(out);
        self.sounding = true;
        Playout::Voice
    }

    /// Nothing of this is heard any more: what comes later does not go on from here.
    pub fn cut(&mut self) {
        self.packets.clear();
        self.stop();
        self.sounding = false;
        self.gap.close();
    }

    /// What would be heard next, fading out in 5 ms: for listeners that hear this stream no more. `false`, and nothing
    /// written, if nothing sounds.
    pub fn farewell(&mut self, out: &mut Frame) -> bool {
        if !self.sounding {
            return false;
        }
        out.clear(self.rate());
        let mut gap = Gap::new(self.rate());
        let waiting = self.tape.waiting();
        let (next, after) = out.split_at_mut(waiting.len().min(self.rate().frame()));
        next.copy_from_slice(&waiting[..next.len()]);
        gap.fill(self.tape.past(), after);
        gap.die_away(out);
        true
    }

    /// Bytes that it takes, with all that it has ever needed room for.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.decoder.state_bytes()
            + self.packets.memory()
            + self.tape.memory()
            + self.gap.memory()
            + self.silences.memory()
    }

    #[must_use]
    pub fn stats(&self) -> JitterStats {
        let waiting = if self.state == State::Playing {
            (self.end - self.cursor()).max(0)
        } else {
            0
        };
        let ms = |units: i64| (units / MS) as u64;
        JitterStats {
            concealed_ms: ms(self.concealed),
            fec_ms: ms(self.recovered),
            stretched_ms: ms(self.stretched),
            worked_ms: ms(self.worked),
            buffer_ms: (waiting / MS) as u32,
            target_ms: (self.target / MS) as u32,
            ..self.stats
        }
    }
}

impl core::fmt::Debug for JitterBuffer {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        to.debug_struct("JitterBuffer")
            .field("codec", &self.codec)
            .field("state", &self.state)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// A time of the engine's clock.
fn units(time: Duration) -> i64 {
    time.as_secs() as i64 * UNITS_HZ
        + i64::from(time.subsec_nanos()) * (UNITS_HZ / 1_000) / 1_000_000
}
