//! What is heard: packets, or what stands in for them.

use plenary_codec::{Encoder, MAX_PAYLOAD, OpusSettings};

use super::*;
use crate::jitter::gap::FUTURE_MS;
use crate::jitter::stretch;

/// Made-up audio after which silence follows, in milliseconds; by then the concealment has faded.
const CONCEAL_MAX: i64 = super::super::gap::FADED_MS as i64 * MS;

/// A gap longer than this isn't filled from both sides.
const BRIDGE_MAX: i64 = 60 * MS;

/// How alike two pieces must be to be joined at first, and how much less with every tick that this isn't found.
const LIKENESS: f32 = 0.9;
const LIKENESS_STEP: f32 = 0.02;
const LIKENESS_STEP_URGENT: f32 = 0.1;
const LIKENESS_MIN: f32 = 0.4;

/// Delay wrong by more than this is urgent.
const URGENT: i64 = 20 * MS + HYSTERESIS;

/// The least that is worth to be looked for.
const CUT_MIN: i64 = 5 * MS;

/// The most that is taken out of one tick.
const CUT_MAX: i64 = 15 * MS;

/// Samples by which what comes out of a decoder of G.722 is later than what went into the encoder (its two filters).
const G722_DELAY: usize = 22;

/// What the encoder that leads a decoder of G.722 through a gap has to hear first (60 ms).
const LEAD: i64 = 60 * MS;

/// Opus conceals multiples of 2.5 ms.
const OPUS_STEP: i64 = 120;

impl JitterBuffer {
    /// Sees to it that `wanted` samples wait.
    pub(super) fn fill(&mut self, now: i64, wanted: usize) {
        while self.pending() < wanted && self.state == State::Playing && self.may_work() {
            self.drop_stale();
            let missing = (wanted - self.pending()) as i64 * self.units_a_sample();
            match self.packets.front().map(|packet| packet.start) {
                Some(start) if start <= self.next => self.decode(now),
                Some(start) => self.cross(now, start - self.next, missing),
                None => self.starve(missing),
            }
        }
        if self.pending() < wanted {
            self.hush += wanted - self.pending();
        }
    }

    /// Whether this tick has not done as much as it may yet.
    fn may_work(&self) -> bool {
        self.worked - self.worked_before < WORK_MAX
    }

    /// Decodes what is there of the stream's next `wanted` samples.
    fn fill_ahead(&mut self, now: i64, wanted: usize) {
        while self.pending() < wanted
            && self.may_work()
            && self
                .packets
                .front()
                .is_some_and(|packet| packet.start == self.next)
        {
            self.decode(now);
        }
    }

    pub(super) fn drop_stale(&mut self) {
        while self
            .packets
            .front()
            .is_some_and(|packet| packet.end() <= self.floor)
        {
            self.packets.drop_front();
        }
    }

    /// The first packet becomes sound, or silence that isn't decoded.
    fn decode(&mut self, now: i64) {
        let Some(mut packet) = self.packets.pop() else {
            return;
        };
        self.account(&packet, now);
        let skipped = (self.floor - packet.start).max(0);
        let len = ((packet.len - skipped) / self.units_a_sample()) as usize;
        if packet.payload.is_empty() {
            self.silence(packet.len);
            self.quiet = HANGOVER;
        } else if self.codec.is_silence(&packet.payload)
            && (self.quiet >= HANGOVER || self.codec == Codec::Opus)
        {
            self.hush(&packet, len);
        } else if self.codec == Codec::Opus
            && self.quiet >= HANGOVER
            && self.silences.knows(&packet.payload)
        {
            self.hush(&packet, len);
            self.silences.leave_out(&mut packet.payload);
        } else if !self.sound(&packet, len) {
            self.stats.malformed += 1;
            self.packets.recycle(packet);
            return;
        }
        self.made_up = 0;
        self.next = packet.end();
        self.floor = self.next;
        self.packets.recycle(packet);
    }

    /// Appends `len` samples of a packet that is silent, and isn't decoded.
    fn hush(&mut self, packet: &Packet, len: usize) {
        self.hush += len;
        self.quiet += packet.len;
        self.gap.close();
    }

    /// Appends the last `len` samples of a packet to the tape; `false` if it can't be decoded.
    fn sound(&mut self, packet: &Packet, len: usize) -> bool {
        let begins = self.hush > 0 || !self.sounding;
        if begins {
            self.begin();
        }
        let all = (packet.len / self.units_a_sample()) as usize;
        self.worked += packet.len;
        self.catch_up(all);
        if self
            .decoder
            .decode(&packet.payload, self.tape.room_for(all))
            .is_err()
        {
            return false;
        }
        self.tape.remove(all, all - len);
        let bridged = core::mem::take(&mut self.bridged);
        if bridged > 0 {
            let (past, new) = self.tape.newest(bridged + len);
            let (gap, future) = new.split_at_mut(bridged);
            self.gap.bridge(past, gap, future);
        }
        let (_, new) = self.tape.newest(len);
        if self.gap.is_open() {
            self.gap.join(new);
        } else if begins {
            self.gap.fade_in(new);
        }
        if peak(new) > SILENCE_PEAK {
            self.quiet = 0;
        } else if self.quiet >= HANGOVER {
            self.tape.remove(len, len);
            self.hush += len;
            if self.codec == Codec::Opus {
                self.silences.learn(&packet.payload);
            }
            return true;
        } else {
            self.quiet += packet.len;
        }
        self.sounding = true;
        true
    }

    /// Puts the silence so far on the tape, for something is to follow it: its samples.
    fn begin(&mut self) -> usize {
        if self.tape.pending() == 0 {
            self.tape.clear();
        }
        let hush = core::mem::take(&mut self.hush);
        self.tape.append(hush);
        self.gap.close();
        hush
    }

    /// Has the decoder know the last packet that was left out, of no more than `len` samples.
    fn catch_up(&mut self, len: usize) {
        if let Some(before) = self.silences.take_left_out() {
            let room = self.tape.room_for(len);
            let decoded = self.decoder.decode(before, room).unwrap_or(0);
            self.tape.remove(decoded, decoded);
        }
    }

    /// Keeps count of how a packet came.
    fn account(&mut self, packet: &Packet, now: i64) {
        let next = self.last.map(|(last, _)| last + 1);
        if let Some(seq) = packet.seq {
            if !self.was_paused(packet) {
                self.stats.starved += self.starving;
            }
            self.starving = 0;
            let wait_ms = (now - packet.arrival) as f64 / MS as f64;
            let before = self.stats.delay_ms.unwrap_or(wait_ms);
            self.stats.delay_ms = Some(before + (wait_ms - before) * DELAY_SMOOTHING);
            self.last = Some((seq, packet.end()));
        } else {
            self.recovered += packet.end() - packet.start.max(self.floor);
            self.last = next.map(|seq| (seq, packet.end()));
        }
    }

    /// Whether the sender sent nothing before this packet: its number is the next one, its timestamp is not.
    fn was_paused(&self, packet: &Packet) -> bool {
        self.last
            .is_some_and(|(seq, end)| packet.seq == Some(seq + 1) && packet.start > end)
    }

    /// Goes towards the first packet, `gap` ahead, by about `missing`.
    fn cross(&mut self, now: i64, gap: i64, missing: i64) {
        let paused = self
            .packets
            .front()
            .is_some_and(|packet| self.was_paused(packet));
        if paused && gap >= FRAME {
            self.silence(missing);
            self.pause_playing();
            return;
        }
        if !paused && self.quiet > 0 && self.recover_onset(gap) {
            return;
        }
        if paused || self.quiet > 0 || self.made_up >= CONCEAL_MAX {
            self.silence(gap.min(missing));
            self.next += gap.min(missing);
            return;
        }
        let samples = (gap / self.units_a_sample()) as usize;
        let Some(packet) = self.packets.front() else {
            return;
        };
        if self.codec != Codec::Opus {
            if gap <= BRIDGE_MAX && packet.len >= FUTURE_MS as i64 * MS {
                if self.codec == Codec::G722 {
                    self.lead_decoder(samples);
                }
                self.worked += gap + WORK_OF_GAP;
                self.tape.append(samples);
                self.bridged = samples;
                self.concealed += gap;
                self.next += gap;
                self.floor = self.next;
                self.decode(now);
            } else {
                self.conceal(gap.min(missing));
            }
            return;
        }
        if gap > packet.len {
            self.conceal((gap - packet.len).min(missing));
            return;
        }
        let room = samples + 5 * self.tape_rate_ms();
        if self
            .decoder
            .fec(&packet.payload, samples, self.tape.room_for(room))
            .is_some()
        {
            self.has_recovered(gap);
        } else {
            self.conceal(gap);
        }
    }

    /// A word may begin in a gap after silence: what the packet after it, if that is none, carries of it is heard.
    /// `false` if that is nothing.
    fn recover_onset(&mut self, gap: i64) -> bool {
        let (unit, per_ms) = (self.units_a_sample(), self.tape_rate_ms());
        let len = match self.packets.front() {
            Some(packet)
                if self.codec == Codec::Opus
                    && gap <= packet.len
                    && !self.codec.is_silence(&packet.payload)
                    && !self.silences.knows(&packet.payload) =>
            {
                packet.len
            }
            _ => return false,
        };
        self.catch_up((len / unit) as usize);
        let begins = self.hush > 0 || !self.sounding;
        let hush = if begins { self.begin() } else { 0 };
        let samples = (gap / unit) as usize;
        let room = self.tape.room_for(samples + 5 * per_ms);
        let word = self.packets.front().map(|packet| &packet.payload[..]);
        let recovered = word.and_then(|word| self.decoder.fec(word, samples, room));
        if recovered.is_none() {
            self.tape.remove(hush, hush);
            self.hush += hush;
            return false;
        }
        let (_, new) = self.tape.newest(samples);
        self.gap.fade_in(new);
        self.quiet = if peak(new) > SILENCE_PEAK {
            0
        } else {
            self.quiet + gap
        };
        self.sounding = true;
        self.has_recovered(gap);
        true
    }

    /// A gap was filled from the packet after it.
    fn has_recovered(&mut self, gap: i64) {
        self.worked += gap + WORK_OF_GAP;
        self.next += gap;
        self.floor = self.next;
        self.recovered += gap;
        self.made_up = 0;
    }

    fn tape_rate_ms(&self) -> usize {
        self.rate().per_ms()
    }

    /// Nothing has come.
    fn starve(&mut self, missing: i64) {
        if self.quiet > 0 || self.made_up >= CONCEAL_MAX {
            self.silence(missing);
            self.pause_playing();
            return;
        }
        if self.pending() == 0 {
            self.starving += 1;
        }
        self.conceal(missing);
    }

    /// The talk spurt is over.
    fn pause_playing(&mut self) {
        self.state = State::Waiting;
        self.owed = 0;
    }

    /// Makes up `len`, or a bit more.
    fn conceal(&mut self, len: i64) {
        self.worked += len + WORK_OF_GAP;
        let mut len = len;
        let unit = self.units_a_sample();
        if self.codec == Codec::Opus {
            len = (len + OPUS_STEP - 1) / OPUS_STEP * OPUS_STEP;
            let samples = (len / unit) as usize;
            let tape = self.tape.room_for(samples);
            if !self.decoder.conceal(samples, tape) {
                tape.resize(tape.len() + samples, 0);
            }
        } else {
            let samples = (len / unit) as usize;
            if self.codec == Codec::G722 {
                self.lead_decoder(samples);
            }
            let (past, new) = self.tape.append(samples);
            self.gap.fill(past, new);
        }
        self.made_up += len;
        self.concealed += len;
        self.next += len;
    }

    /// Has the decoder of G.722 decode what would be made up for the next `samples`, as if it had come: its predictors
    /// go on, and the packet after the gap isn't decoded with those of before it.
    fn lead_decoder(&mut self, samples: usize) {
        self.worked += LEAD;
        let samples = samples.next_multiple_of(2);
        let ahead = self.tape.append(samples + G722_DELAY);
        self.gap.preview(ahead.0, ahead.1);
        let (past, new) = self.tape.newest(samples + G722_DELAY);
        let sound = [&past[G722_DELAY..], new].concat();
        let (past, gap) = sound.split_at(sound.len() - samples);
        let mut encoder = Encoder::new(Codec::G722, Rate::Wide, OpusSettings::default());
        encoder.take_over(past);
        let mut coded = [0; MAX_PAYLOAD];
        let size = encoder.encode(gap, &mut coded);
        self.tape.remove(samples + G722_DELAY, samples + G722_DELAY);
        let decoded = self
            .decoder
            .decode(&coded[..size], self.tape.room_for(samples));
        let decoded = decoded.unwrap_or(0);
        self.tape.remove(decoded, decoded);
    }

    /// Appends silence; what sounds dies away.
    fn silence(&mut self, len: i64) {
        let samples = (len / self.units_a_sample()) as usize;
        if self.sounding && self.quiet == 0 && self.hush == 0 {
            let (past, new) = self.tape.append(samples);
            self.gap.fade_out(past, new);
        } else {
            self.hush += samples;
        }
        self.quiet += len;
    }

    /// What a tick gives that has nothing to play.
    pub(super) fn rest(&mut self, out: &mut Frame, playout: Playout) -> Playout {
        if self.sounding && self.quiet == 0 {
            out.clear(self.rate());
            self.gap.fade_out(self.tape.past(), out);
            self.sounding = false;
            return Playout::Voice;
        }
        self.sounding = false;
        self.gap.close();
        playout
    }

    /// Takes audio in or out if that is owed and here is a place for it.
    pub(super) fn adjust(&mut self, now: i64, frame: usize) {
        if self.owed == 0 || self.state != State::Playing {
            return;
        }
        self.waited += 1;
        let unit = self.units_a_sample();
        let step = if self.owed.abs() > URGENT {
            LIKENESS_STEP_URGENT
        } else {
            LIKENESS_STEP
        };
        let likeness = (LIKENESS - step * self.waited as f32).max(LIKENESS_MIN);
        let done = if self.owed > 0 {
            let room = (self.cursor() + FRAME + DEPTH_MAX - self.end).max(0);
            let silent = self.tape.pending() == 0;
            let most = self.owed.max(if silent { 0 } else { CUT_MIN }).min(room);
            let most = (most / unit) as usize;
            let put = if silent {
                self.hush += most;
                most
            } else {
                stretch::expand(&mut self.tape, self.decoder.rate(), most, likeness)
            };
            put as i64 * unit
        } else {
            let most = ((-self.owed).min(CUT_MAX) / unit) as usize;
            self.fill_ahead(now, frame + most);
            let spare = self.pending().saturating_sub(frame);
            let silent = most.min(spare).min(self.hush);
            let cut = if silent > 0 {
                self.hush -= silent;
                silent
            } else {
                stretch::shrink(&mut self.tape, self.decoder.rate(), most, frame, likeness)
            };
            -(cut as i64 * unit)
        };
        if done == 0 {
            return;
        }
        if self.tape.pending() > 0 {
            self.stretched += done.abs();
        }
        self.owed = if done.abs() >= self.owed.abs() {
            0
        } else {
            self.owed - done
        };
        self.waited = 0;
    }
}

/// The largest magnitude of a sample.
fn peak(samples: &[i16]) -> u16 {
    samples
        .iter()
        .fold(0, |peak: u16, sample| peak.max(sample.unsigned_abs()))
}
