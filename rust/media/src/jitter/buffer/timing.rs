//! Where in its stream the buffer plays, and where it ought to.

use super::*;

impl JitterBuffer {
    pub(super) fn duration(&self, payload: &[u8]) -> Option<i64> {
        let ticks = self.codec.duration_ticks(payload).ok()?;
        Some(i64::from(ticks) * self.units_a_tick())
    }

    pub(super) fn units_a_tick(&self) -> i64 {
        UNITS_HZ / i64::from(self.codec.clock_hz())
    }

    pub(super) fn units_a_sample(&self) -> i64 {
        UNITS_HZ / i64::from(self.rate().hz())
    }

    /// Media time of the next sample to be heard.
    pub(super) fn cursor(&self) -> i64 {
        self.next - self.pending() as i64 * self.units_a_sample()
    }

    /// Samples that wait, decoded.
    pub(super) fn pending(&self) -> usize {
        self.tape.pending() + self.hush
    }

    /// A stream begins, or goes on at another place: nothing that was known of it holds.
    pub(super) fn restart(&mut self, start: i64) {
        self.packets.clear();
        self.delays.clear();
        self.losses.restart();
        self.stop();
        // Packets that the first one has overtaken are still welcome.
        self.floor = start - DEPTH_MAX;
        self.next = start;
        self.end = self.floor;
        self.last = None;
        self.late_run = 0;
    }

    /// Nothing is played until there is reason to start.
    pub(super) fn stop(&mut self) {
        self.state = State::Waiting;
        self.hush = 0;
        self.owed = 0;
        let pending = self.tape.pending();
        self.tape.remove(pending, pending);
    }

    pub(super) fn renew(&mut self, codec: Codec, rate: Rate) {
        self.codec = codec;
        self.decoder = Decoder::new(codec, rate);
        self.tape = Tape::new(self.decoder.rate());
        self.gap = Gap::new(self.decoder.rate());
        self.silences.clear();
        self.hush = 0;
        self.sounding = false;
    }

    /// Puts a packet where it belongs.
    pub(super) fn keep(&mut self, packet: Packet, payload: &[u8]) {
        self.packets.insert(packet, payload);
        while self.packets.is_full() {
            self.packets.drop_front();
            self.stats.discarded += 1;
        }
    }

    /// Decides at the first tick with something to play whether to begin, and where.
    pub(super) fn start(&mut self, now: i64) -> bool {
        self.drop_stale();
        let (Some(oldest), Some(transit)) = (self.packets.front(), self.delays.worst()) else {
            return false;
        };
        let oldest = oldest.start.max(self.floor);
        let latest = now - self.margin() - transit - self.lookahead() - (FRAME - self.grid());
        let mut cursor = latest - (latest - self.newest.0).rem_euclid(self.grid());
        if cursor < oldest {
            return false;
        }
        if self.last.is_some() && oldest <= self.floor && self.end - oldest <= DEPTH_MAX {
            // Not a pause, but a network that held everything back: what was said meanwhile is still to be heard. If it
            // is more than may wait, words are lost anyway, and nobody is made to hurry through the rest.
            cursor = oldest;
        }
        // Never past the newest frame: a sender who didn't count a pause seems late for ever.
        cursor = cursor
            .min(self.end - FRAME)
            .max(self.end - DEPTH_MAX)
            .max(oldest);
        self.floor = cursor;
        self.next = cursor;
        self.state = State::Playing;
        self.evaluate_in = EVALUATE_TICKS;
        self.owed = 0;
        self.made_up = 0;
        if self.sounding {
            self.gap.open(self.tape.past());
        }
        true
    }

    /// Goes back to what came late, if nothing after it has been played: it raises the delay at once, and no word is lost.
    pub(super) fn rewind(&mut self) {
        self.drop_stale();
        if let Some(late) = self.packets.front() {
            self.next = self.next.min(late.start.max(self.floor));
        }
    }

    pub(super) fn cap_depth(&mut self) {
        let excess = self.end - DEPTH_MAX - self.cursor();
        if excess <= 0 {
            return;
        }
        self.next += excess;
        self.next += (self.newest.0 - self.next).rem_euclid(self.grid());
        self.floor = self.next;
        while self
            .packets
            .front()
            .is_some_and(|packet| packet.end() <= self.floor)
        {
            self.packets.drop_front();
            self.stats.discarded += 1;
        }
        if self.sounding {
            self.gap.open(self.tape.past());
        }
    }

    /// What packets' beginnings and frames' have in common, in units: 20 ms for packets of 20, 40, 60 ms.
    pub(super) fn grid(&self) -> i64 {
        gcd(self.newest.1, FRAME)
    }

    /// Audio that is kept in hand so that a gap's end is known when its beginning is played.
    pub(super) fn lookahead(&self) -> i64 {
        if self.losses.are_many() {
            self.newest.1.min(LOOKAHEAD_MAX)
        } else {
            0
        }
    }

    /// The least headroom.
    fn margin(&self) -> i64 {
        self.delays.spread().clamp(MARGIN_MIN, MARGIN_MAX)
    }

    /// Reconsiders the delay.
    ///
    /// The *headroom* is the time between the arrival of a packet with the worst transit and the tick that first needs it.
    /// Less than the [margin](Self::margin) asks for more audio in hand; a grid step more than that lets one go. What a frame leaves of
    /// a packet is delay for nothing, and always let go.
    pub(super) fn evaluate(&mut self, now: i64) {
        self.evaluate_in = self.evaluate_in.saturating_sub(1);
        if self.evaluate_in > 0 {
            return;
        }
        self.evaluate_in = EVALUATE_TICKS;
        let Some(transit) = self.delays.worst() else {
            return;
        };
        let lookahead = self.lookahead();
        // What was in hand against losses has been waited with already.
        let losses_ended = lookahead < core::mem::replace(&mut self.in_hand, lookahead);
        self.target = (self.delays.spread() + lookahead).min(DEPTH_MAX);
        let grid = self.grid();
        let cursor = self.cursor();
        let left = (self.next - cursor).rem_euclid(grid);
        let headroom = now - cursor - (left + FRAME - grid) - transit - lookahead;
        let margin = self.margin();
        let steps = ((headroom - margin - HYSTERESIS) / grid).max(0);
        let owed = if headroom < margin {
            self.step_needed(now);
            let steps = (margin - headroom + grid - 1) / grid;
            (steps * grid - left).min((DEPTH_MAX - (self.end - cursor + FRAME)).max(0))
        } else {
            -(self.steps_to_give(now, steps, losses_ended) * grid + left)
        };
        if owed.signum() != self.owed.signum() {
            self.waited = 0;
        }
        self.owed = owed;
    }

    /// How many of the steps of delay that are to spare are given back.
    fn steps_to_give(&mut self, now: i64, spare: i64, at_once: bool) -> i64 {
        let patience = if self.needs.is_lasting() {
            SETTLE_MAX
        } else {
            SETTLE
        };
        if spare > 0 {
            let since = *self.spare.get_or_insert(now);
            if at_once {
                self.spare = Some(since.min(now - patience));
            }
            return spare - i64::from(!at_once && now - since < patience);
        }
        if let Some(since) = self.spare.take() {
            if now - since < patience {
                self.needs.again(now, Some(since));
            } else {
                self.given = Some(since);
            }
        }
        0
    }

    /// There is too little delay.
    fn step_needed(&mut self, now: i64) {
        match self.spare.take().or(self.given.take()) {
            Some(gone) => self.needs.again(now, Some(gone)),
            None => self.needs.worse(now),
        }
    }
}

const fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
