//! Playout buffer of one G.711 stream.
//!
//! **Media time.** What arrives is laid into a ring by its timestamp, a byte a sample; packets of 10, 30 or 60 ms are
//! all the same in there. A cursor moves over the ring, 160 samples at each tick, and what lies under it is played.
//! What is missing under it is concealed; when nothing newer has come either, the sender has probably stopped, and
//! after [`CONCEAL_TICKS`] (at once if the last frame was quiet) silence follows until something comes again.
//!
//! **Delay.** `arrival - timestamp` of a packet, its *transit*, differs from that of others by jitter alone. Of the
//! transits of the last [`transits::WINDOW_TICKS`] the worst but one per hundred is what the cursor has to allow for: the
//! *headroom* is the time between such a packet's arrival and the tick that first needs one of its samples. Since ticks
//! come every 20 ms, the delay is moved by 20 ms at a time, and on a clean network a packet waits for the next tick and
//! nothing more. Headroom below [`MARGIN`] takes a frame in, headroom for one tick more lets one out: where the frame is
//! silent if one comes soon, else by concealment or by a splice at the best match. The same rule follows a drifting
//! clock, for drift is a transit that changes slowly. A window of seconds also forgets a storm within seconds.
//!
//! **Rise.** A packet that comes after its tick, when nothing later has been played yet, is still played: the cursor goes
//! back to it. So the first late packet raises the delay at once, and no word is lost; a lone one is given back later.

mod ring;
mod transits;

use core::time::Duration;

use crate::codec::{Codec, CodedFrame, FRAME_SAMPLES};
use crate::rtp::source::Place;
use crate::rtp::ticks;
use ring::{RING, Ring};
use transits::Transits;

/// Audio that waits at most, in samples (200 ms): beyond it people talk into each other.
pub const DEPTH_MAX: i64 = 1_600;

/// Ticks in a row that are concealed: by then the concealment has faded to nothing.
pub const CONCEAL_TICKS: u32 = 3;

/// Time between a packet's arrival and its tick that is kept, in samples (1 ms): phase jitter of a clean network.
const MARGIN: i64 = 8;

/// Headroom below which there is no time left to wait for silence (0.25 ms).
const URGENT: i64 = 2;

/// What the headroom must exceed its least by before a frame is dropped (2 ms), or drift would be followed to and fro.
const HYSTERESIS: i64 = 16;

/// A jump between two transits that is no jitter, but a sender who counts anew (1 s).
const JUMP: i64 = 8_000;

/// Late packets in a row after which the sender, not the network, must have moved.
const LATE_RUN: u32 = 10;

/// How often the delay is reconsidered, in frames (200 ms).
const EVALUATE_FRAMES: u32 = 10;

/// How long a frame too many waits for silence before it is spliced out: one, and more than one.
const SPLICE_PATIENCE: [u32; 2] = [25, 9];

/// How long a frame too few waits for silence before concealment takes it in.
const STRETCH_PATIENCE: u32 = 5;

/// Samples of a jump in media time that are concealed, so that it makes no click (5 ms).
const JOINT: usize = 40;

const FRAME: i64 = FRAME_SAMPLES as i64;

/// What [`JitterBuffer::pull`] has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playout {
    /// All 160 bytes are there.
    Frame,
    /// Samples in this range are missing and to be concealed; the other bytes are there.
    Conceal { from: usize, to: usize },
    /// Nothing is being said: nothing was written.
    Silence,
}

/// What the buffer has done so far and how deep it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Packets that came after their time had passed.
    pub late: u64,
    pub concealed_ms: u64,
    /// Audio that waits now.
    pub buffer_ms: u32,
    /// Wait between arrival and playing that the observed jitter asks for, beyond that for the tick.
    pub target_ms: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No packet has come yet.
    New,
    /// Nothing is being said; what comes next starts the playing.
    Waiting,
    Playing,
}

/// Playout buffer of one stream of G.711: packets in as they come, one frame out at every tick.
#[derive(Debug)]
pub struct JitterBuffer {
    codec: Codec,
    state: State,
    ring: Ring,
    /// Timestamp of the next sample to play.
    cursor: i64,
    /// End of what has been played: nothing before it will be.
    floor: i64,
    /// End of the newest audio.
    end: i64,
    /// Timestamp and samples of the newest packet: where packets begin.
    packet: (i64, i64),
    transits: Transits,
    /// Something has come for before the cursor.
    behind: bool,
    /// The next frame doesn't follow the last one.
    jumped: bool,
    last_pull: i64,
    missed: u32,
    late_run: u32,
    evaluate_in: u32,
    wish: Wish,
    waited: u32,
    late: u64,
    concealed_samples: u64,
    /// What [`Transits::spread`] was when it was looked at last.
    target: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Keep,
    /// A frame more between arrival and playing, `urgent` if packets come too late already.
    Longer {
        urgent: bool,
    },
    /// A frame less, `urgent` if more than one.
    Shorter {
        urgent: bool,
    },
}

impl JitterBuffer {
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            state: State::New,
            ring: Ring::new(),
            cursor: 0,
            floor: 0,
            end: 0,
            packet: (0, FRAME),
            transits: Transits::new(),
            behind: false,
            jumped: false,
            last_pull: 0,
            missed: 0,
            late_run: 0,
            evaluate_in: 0,
            wish: Wish::Keep,
            waited: 0,
            late: 0,
            concealed_samples: 0,
            target: 0,
        }
    }

    /// The peer changes the law: what waits is dropped.
    pub fn set_codec(&mut self, codec: Codec) {
        if codec != self.codec {
            self.codec = codec;
            self.ring.clear();
            self.state = State::New;
        }
    }

    /// Takes a packet that arrived at `now`; `payload` is G.711, a byte a sample, of any length.
    pub fn push(&mut self, now: Duration, place: Place, payload: &[u8], marker: bool) {
        if payload.is_empty() || payload.len() > RING / 2 {
            return;
        }
        let start = place.timestamp;
        let end = start + payload.len() as i64;
        let transit = ticks(now) - start;
        let jump = self
            .transits
            .latest()
            .is_some_and(|latest| (transit - latest).abs() > JUMP);
        if self.state == State::New || place.new_stream || jump {
            self.restart(start);
        } else if marker && self.state == State::Waiting && self.transits.differs(transit) {
            // A talk spurt whose sender didn't count the pause: older transits say nothing about it.
            self.transits.clear();
        }
        self.transits.push(transit, payload.len() as i64);
        if end <= self.floor {
            self.late += 1;
            self.late_run += 1;
            if self.late_run < LATE_RUN {
                return;
            }
            self.restart(start);
            self.transits.push(transit, payload.len() as i64);
        }
        self.late_run = 0;
        if end - self.floor > RING as i64 {
            self.advance_floor(end - RING as i64);
        }
        let skipped = (self.floor - start).max(0);
        self.ring.put(start + skipped, &payload[skipped as usize..]);
        if end > self.end {
            self.end = end;
            self.packet = (start, payload.len() as i64);
        }
        self.behind |= start < self.cursor;
    }

    /// The next 20 ms, asked for once a tick; `now` is the tick's time.
    pub fn pull(&mut self, now: Duration, out: &mut CodedFrame) -> Playout {
        let now = ticks(now);
        if self.state == State::Playing && now - self.last_pull > DEPTH_MAX {
            // Nobody has listened for a while (hold): the stream has gone on without the cursor.
            self.state = State::Waiting;
        }
        self.last_pull = now;
        if self.state == State::New || self.state == State::Waiting && !self.start(now) {
            return Playout::Silence;
        }
        self.rewind();
        self.cap_depth();
        self.evaluate(now);
        if let Some(playout) = self.adjust(out) {
            return playout;
        }
        let playout = self.play(out);
        if let Playout::Conceal { from, to } = playout {
            self.concealed_samples += (to - from) as u64;
        }
        playout
    }

    #[must_use]
    pub fn stats(&self) -> JitterStats {
        let waiting = if self.state == State::Playing {
            (self.end - self.cursor).max(0)
        } else {
            0
        };
        JitterStats {
            late: self.late,
            concealed_ms: self.concealed_samples / 8,
            buffer_ms: (waiting / 8) as u32,
            target_ms: (self.target / 8) as u32,
        }
    }

    /// A stream begins, or goes on at another place: nothing that was known of it holds.
    fn restart(&mut self, start: i64) {
        self.ring.clear();
        self.transits.clear();
        self.state = State::Waiting;
        // Packets that the first one has overtaken are still welcome.
        self.floor = start - DEPTH_MAX;
        self.cursor = start;
        self.end = self.floor;
        self.behind = false;
        self.late_run = 0;
    }

    /// Decides at the first tick with something to play whether to begin, and where.
    fn start(&mut self, now: i64) -> bool {
        let Some(oldest) = self.ring.first(self.floor, self.end) else {
            return false;
        };
        let Some(transit) = self.transits.worst() else {
            return false;
        };
        let latest = now - MARGIN - transit - (FRAME - self.grid());
        let mut cursor = latest - (latest - self.packet.0).rem_euclid(self.grid());
        if cursor < oldest {
            return false;
        }
        // Never past the newest frame: a sender who didn't count a pause seems late for ever.
        cursor = cursor
            .min(self.end - FRAME)
            .max(self.end - DEPTH_MAX)
            .max(oldest);
        self.advance_floor(cursor);
        self.cursor = cursor;
        self.state = State::Playing;
        self.behind = false;
        self.jumped = false;
        self.missed = 0;
        self.evaluate_in = EVALUATE_FRAMES;
        self.wish = Wish::Keep;
        true
    }

    /// Goes back to what came late, if nothing after it has been played.
    fn rewind(&mut self) {
        if !self.behind {
            return;
        }
        self.behind = false;
        if let Some(oldest) = self.ring.first(self.floor, self.end) {
            self.cursor = self.cursor.min(oldest);
        }
    }

    fn cap_depth(&mut self) {
        let least = self.end - DEPTH_MAX;
        if self.cursor < least {
            self.cursor = least + (self.packet.0 - least).rem_euclid(self.grid());
            self.advance_floor(self.cursor);
            self.jumped = true;
        }
    }

    /// What packets' beginnings and frames' have in common, in samples: 160 for packets of 20, 40, 60 ms.
    fn grid(&self) -> i64 {
        gcd(self.packet.1, FRAME)
    }

    /// Time between the arrival of a packet with the worst transit and the tick that first needs it.
    fn headroom(&self, now: i64, transit: i64) -> i64 {
        let grid = self.grid();
        let into_frame = (self.packet.0 - self.cursor).rem_euclid(grid) + FRAME - grid;
        now - self.cursor - into_frame - transit
    }

    fn evaluate(&mut self, now: i64) {
        self.evaluate_in = self.evaluate_in.saturating_sub(1);
        if self.evaluate_in > 0 {
            return;
        }
        self.evaluate_in = EVALUATE_FRAMES;
        let Some(transit) = self.transits.worst() else {
            return;
        };
        self.target = self.transits.spread().min(DEPTH_MAX);
        let headroom = self.headroom(now, transit);
        let wish = if headroom < MARGIN && self.end - self.cursor + FRAME <= DEPTH_MAX {
            Wish::Longer {
                urgent: headroom < URGENT,
            }
        } else if headroom >= FRAME + MARGIN + HYSTERESIS {
            Wish::Shorter {
                urgent: headroom >= 2 * FRAME + MARGIN + HYSTERESIS,
            }
        } else {
            Wish::Keep
        };
        if matches!(wish, Wish::Longer { .. }) != matches!(self.wish, Wish::Longer { .. })
            || wish == Wish::Keep
        {
            self.waited = 0;
        }
        self.wish = wish;
    }

    /// Takes a frame in or out if that is wished for and here is a place for it.
    fn adjust(&mut self, out: &mut CodedFrame) -> Option<Playout> {
        if self.wish == Wish::Keep || !self.ring.has(self.cursor, FRAME) {
            return None;
        }
        self.waited += 1;
        let silent = self.is_silent(self.cursor);
        match self.wish {
            Wish::Longer { .. } if silent => {
                self.adjusted();
                Some(Playout::Silence)
            }
            Wish::Longer { urgent: true } if self.waited > STRETCH_PATIENCE => {
                self.adjusted();
                self.concealed_samples += FRAME as u64;
                Some(Playout::Conceal {
                    from: 0,
                    to: FRAME_SAMPLES,
                })
            }
            Wish::Shorter { .. } if !self.ring.has(self.cursor, 2 * FRAME) => None,
            Wish::Shorter { .. } if silent => {
                self.adjusted();
                // On to where packets begin, as splices have left that.
                let to_packet = (self.packet.0 - self.cursor).rem_euclid(self.grid());
                self.advance_floor(self.cursor + to_packet + FRAME);
                None
            }
            Wish::Shorter { urgent } if self.waited > SPLICE_PATIENCE[usize::from(urgent)] => {
                self.adjusted();
                self.splice(out);
                Some(Playout::Frame)
            }
            _ => None,
        }
    }

    fn adjusted(&mut self) {
        self.waited = 0;
        self.wish = Wish::Keep;
        self.evaluate_in = 1;
    }

    fn play(&mut self, out: &mut CodedFrame) -> Playout {
        let from = self.cursor;
        self.cursor += FRAME;
        let present = self.ring.take(from, out);
        if present == FRAME_SAMPLES {
            self.missed = 0;
            self.floor = self.cursor;
            if self.jumped {
                self.jumped = false;
                return Playout::Conceal { from: 0, to: JOINT };
            }
            return Playout::Frame;
        }
        if present > 0 {
            let (first, last) = self.ring.taken_gap();
            self.missed = 0;
            self.floor = self.cursor;
            return Playout::Conceal {
                from: first,
                to: last,
            };
        }
        self.missed += 1;
        let quiet = self.is_silent(self.floor - FRAME);
        if self.missed <= CONCEAL_TICKS && !quiet {
            return Playout::Conceal {
                from: 0,
                to: FRAME_SAMPLES,
            };
        }
        if self.end <= self.cursor {
            self.state = State::Waiting;
        }
        Playout::Silence
    }

    /// Whether the frame at `from`, waiting or played, is silent: the ring keeps what it had.
    fn is_silent(&self, from: i64) -> bool {
        let mut frame = [0; FRAME_SAMPLES];
        self.ring.copy(from, &mut frame);
        self.codec.is_silence(&frame)
    }

    /// Writes one frame of the next two, joined where they match best.
    fn splice(&mut self, out: &mut CodedFrame) {
        const SHORTEST: usize = 64;
        const OVERLAP: usize = 80;
        let mut coded = [0; 2 * FRAME_SAMPLES];
        self.ring.copy(self.cursor, &mut coded);
        let mut pcm = [0_i16; 2 * FRAME_SAMPLES];
        self.codec.decode(&coded, &mut pcm);
        let mut best = (f32::MIN, FRAME_SAMPLES);
        for cut in SHORTEST..=FRAME_SAMPLES {
            let (mut product, mut energy) = (0.0_f32, 1.0_f32);
            for (a, b) in pcm[..OVERLAP].iter().zip(&pcm[cut..cut + OVERLAP]) {
                product += f32::from(*a) * f32::from(*b);
                energy += f32::from(*b) * f32::from(*b);
            }
            let likeness = product / energy.sqrt();
            if likeness >= best.0 {
                best = (likeness, cut);
            }
        }
        let cut = best.1;
        let mut joined = [0_i16; FRAME_SAMPLES];
        joined.copy_from_slice(&pcm[cut..cut + FRAME_SAMPLES]);
        for (i, sample) in joined[..OVERLAP].iter_mut().enumerate() {
            let (old, new) = (i32::from(pcm[i]), i32::from(*sample));
            *sample = ((old * (OVERLAP - i) as i32 + new * i as i32) / OVERLAP as i32) as i16;
        }
        self.codec.encode(&joined, out);
        self.advance_floor(self.cursor + cut as i64 + FRAME);
    }

    /// Nothing before `floor` will be played.
    fn advance_floor(&mut self, floor: i64) {
        if floor > self.floor {
            self.ring.discard(self.floor, floor);
            self.floor = floor;
            self.cursor = self.cursor.max(floor);
        }
    }
}

const fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
