//! One room: who is in it, who hears whom, what is mixed in a tick.
//!
//! A tick goes over the members twice. First each one's voice is taken; most are silent and give none, and who only
//! listens is not even asked. The voices are summed once. Then each member is sent what he hears: who is silent himself
//! and hears the room as his mix class does gets the packet of the class, mixed and encoded once ([`streams`]); a talker
//! gets the sum of his class less his own voice. Cost follows talkers and classes, not members, but for those who want no
//! limiter: each hears a mix of his own.
//!
//! The room is mixed at the highest rate that any member can hear. When that changes, voices fade in at the new rate
//! and what was heard at the old one dies away, over 5 ms.
//!
//! A speaker who leaves while talking stays for one tick as an echo that dies away; a gain that changes is
//! ramped; so nobody's signal steps.

mod spread;
mod streams;
mod talkers;

use std::time::Duration;

use plenary_codec::{Frame, Rate};
use plenary_voice::Limiter;

use crate::leg::{Heard, Leg};
use crate::legs::{LegKey, Legs};
use crate::matrix::{Class, Matrix};
use crate::messages::{Id, RecordingEnd};
use crate::mixer::{self, Gain, Sum};
use crate::output::Output;
use crate::recorder::{Recorded, Recorders};
use spread::Spread;
use streams::Streams;
use talkers::{Talker, Talkers};

/// Members of one room: more listeners than one core can send a packet each 20 ms, about 9,000.
pub const MAX_MEMBERS: usize = 12_000;
/// Ticks for which nobody must have heard the highest rate before the room gives it up (2 s): who is moved from one
/// room to another, or puts his phone down for a moment, comes back.
const RATE_PATIENCE: u32 = 100;
/// Listeners whose memory is brought in together: as much as is asked for at once before it is used.
const AHEAD: usize = 16;

#[derive(Debug)]
struct Member {
    leg: LegKey,
    class: Class,
    /// The class before this tick's changes; the next tick ramps from it.
    before: Option<Class>,
    /// He hears a mix of his own, with a limiter of his own or without one: he talks, wants none, or the limiters still differ.
    apart: bool,
    /// He only listens, as others do, to what is at most of this rate; so it stays until his leg is stirred.
    still: Option<Rate>,
    /// How loud a recording had the member in the last tick.
    recorded: Gain,
}

/// What is left of a member who went out while talking.
#[derive(Debug)]
struct Echo {
    voice: Frame,
    /// By class.
    gains: Vec<Gain>,
    recorded: Gain,
}

/// What one class hears in this tick.
#[derive(Debug, Default)]
struct ClassMix {
    mixed: bool,
    sum: Sum,
    frame: Frame,
}

/// Work space of a tick, shared by all rooms of an engine.
#[derive(Debug, Default)]
pub struct Scratch {
    talkers: Talkers,
    mixes: Vec<ClassMix>,
    /// What one member alone hears.
    own: ClassMix,
}

#[derive(Debug)]
pub struct Room {
    id: Id,
    phase: usize,
    rate: Rate,
    /// Ticks in which nobody could hear `rate`.
    too_high: u32,
    members: Vec<Member>,
    matrix: Matrix,
    /// By class.
    streams: Vec<Streams>,
    spread: Spread,
    /// A gain was set or somebody left: classes may be superfluous after the next tick.
    untidy: bool,
    echoes: Vec<Echo>,
    recorders: Recorders,
    /// Of what is recorded.
    limiter: Limiter,
}

impl Room {
    /// `phase` is which of the engine's sub-ticks the room is mixed in.
    pub fn new(id: Id, phase: usize) -> Room {
        Room {
            id,
            phase,
            rate: Rate::Narrow,
            too_high: 0,
            members: Vec::new(),
            matrix: Matrix::default(),
            streams: Vec::new(),
            spread: Spread::default(),
            untidy: false,
            echoes: Vec::new(),
            recorders: Recorders::default(),
            limiter: Limiter::new(),
        }
    }

    pub fn id(&self) -> &Id {
        &self.id
    }

    pub fn phase(&self) -> usize {
        self.phase
    }

    /// What the room is mixed at.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    pub fn members(&self) -> impl Iterator<Item = LegKey> {
        self.members.iter().map(|member| member.leg)
    }

    pub fn is_full(&self) -> bool {
        self.members.len() >= MAX_MEMBERS
    }

    pub fn recorders(&mut self) -> &mut Recorders {
        &mut self.recorders
    }

    /// A leg comes in, with a coder of its own if it needs one; it must not be in the room.
    pub fn enter(&mut self, leg: LegKey) {
        let class = self.matrix.enter();
        self.members.push(Member {
            leg,
            class,
            before: None,
            apart: false,
            still: None,
            recorded: Gain::UNITY,
        });
    }

    /// A leg is about to go out: it goes on with a coder of its own.
    pub fn release(&self, key: LegKey, legs: &mut Legs) {
        if let Some(member) = self.members.iter().find(|member| member.leg == key) {
            legs.guard(key, |leg| self.part(member, leg));
        }
    }

    /// A leg goes out; `farewell` is what the room hears of it last, at its rate.
    pub fn exit(&mut self, leg: LegKey, farewell: Option<Frame>) {
        let Some(at) = self.members.iter().position(|member| member.leg == leg) else {
            return;
        };
        let member = self.members.swap_remove(at);
        if let Some(voice) = farewell {
            let classes = 0..self.matrix.classes() as Class;
            let gains = classes
                .map(|class| self.matrix.row(class).gain(leg))
                .collect();
            self.echoes.push(Echo {
                voice,
                gains,
                recorded: member.recorded,
            });
        }
        self.matrix.exit(member.class);
        self.matrix.forget(leg);
        self.untidy = true;
    }

    /// Sets how loud `listener` hears `speaker`, or everyone else; an error says why not.
    pub fn set_gain(
        &mut self,
        listener: LegKey,
        speaker: Option<LegKey>,
        gain: Gain,
    ) -> Result<(), &'static str> {
        if speaker.is_some_and(|speaker| !self.members.iter().any(|member| member.leg == speaker)) {
            return Err("the speaker is not in the room");
        }
        let member = self
            .members
            .iter_mut()
            .find(|member| member.leg == listener);
        let member = member.ok_or("the listener is not in the room")?;
        let class = self
            .matrix
            .change(member.class, speaker, gain)
            .ok_or("too many different gains")?;
        member.before.get_or_insert(member.class);
        member.class = class;
        self.untidy = true;
        Ok(())
    }

    pub fn close(&mut self, reason: RecordingEnd, recorded: &mut Vec<Recorded>) {
        self.recorders.close(reason, recorded);
    }

    /// Mixes 20 ms and sends everyone his share.
    pub fn tick(
        &mut self,
        legs: &mut Legs,
        scratch: &mut Scratch,
        now: Duration,
        output: &mut Output,
    ) {
        let Scratch {
            talkers,
            mixes,
            own,
        } = scratch;
        self.streams
            .resize_with(self.matrix.classes(), Streams::default);
        self.streams.iter_mut().for_each(Streams::begin_tick);
        let audible = self.listen(legs, talkers, now, output);
        if !self.recorders.is_empty() {
            self.record(talkers, own);
            self.recorders.write(&own.frame, output);
        }
        if mixes.len() < self.matrix.classes() {
            mixes.resize_with(self.matrix.classes(), ClassMix::default);
        }
        mixes.iter_mut().for_each(|mix| mix.mixed = false);
        output.packets.spread(self.spread.is_on());
        let following = self.distribute(legs, scratch, now, output);
        self.spread.note(following);
        self.echoes.clear();
        if std::mem::take(&mut self.untidy) {
            self.tidy(legs);
        }
        self.adapt_rate(audible);
    }

    /// Takes everyone's voice; gives the highest rate that one of them can hear.
    fn listen(
        &mut self,
        legs: &mut Legs,
        talkers: &mut Talkers,
        now: Duration,
        output: &mut Output,
    ) -> Rate {
        talkers.clear();
        let mut audible = Rate::Narrow;
        let mut members = std::mem::take(&mut self.members);
        for (at, member) in members.iter_mut().enumerate() {
            let key = member.leg;
            if let Some(rate) = member.still
                && !legs.take_stirred(key)
                && member.before.is_none()
            {
                audible = audible.max(rate);
                continue;
            }
            legs.tick(key, |leg| {
                let talks = leg.listen(now, output);
                if talks {
                    leg.speak(self.rate, talkers.add(at, key));
                }
                audible = audible.max(leg.rate());
                let heard_himself = talks && self.matrix.row(member.class).gain(key) != Gain::MUTE;
                let alone = heard_himself || !leg.is_limited();
                if !member.apart && (alone || member.before.is_some()) {
                    let class = member.before.unwrap_or(member.class);
                    member.apart = true;
                    leg.limiter()
                        .clone_from(&self.streams[usize::from(class)].limiter);
                }
                // The streams are still as the leg's decoder knows them.
                if member.apart || !leg.hears_room() {
                    self.part(member, leg);
                }
                member.still = (!member.apart && leg.is_still()).then(|| leg.rate());
            });
        }
        self.members = members;
        audible
    }

    /// Gives a leg that follows a stream a coder of its own.
    fn part(&self, member: &Member, leg: &mut Leg) {
        if let Some(format) = leg.follows().copied() {
            let class = member.before.unwrap_or(member.class);
            let streams = self.streams.get(usize::from(class));
            leg.part(streams.and_then(|streams| streams.coder(&format)));
        }
    }

    /// Sends everyone what he hears; gives how many of them share what they hear with others.
    fn distribute(
        &mut self,
        legs: &mut Legs,
        scratch: &mut Scratch,
        now: Duration,
        output: &mut Output,
    ) -> usize {
        let Scratch {
            talkers,
            mixes,
            own,
        } = scratch;
        let mut following = 0;
        let mut next_talker = talkers.iter().peekable();
        let mut members = std::mem::take(&mut self.members);
        for at in 0..members.len() {
            if at % AHEAD == 0 {
                // The others have been listened to.
                let next = members[at..].iter().take(AHEAD);
                let still = next.filter(|member| member.still.is_some());
                legs.touch(still.map(|member| member.leg), now);
            }
            let member = &mut members[at];
            let talker = next_talker.next_if(|talker| talker.member == at);
            let key = member.leg;
            let mix = &mut mixes[usize::from(member.class)];
            if !mix.mixed {
                self.mix_class(member.class, talkers, mix);
            }
            if let Some(before) = member.before {
                self.mix_changed(before, member.class, talkers, talker, &mut own.sum);
            } else if member.apart {
                own.sum.set(&mix.sum);
                if let Some(talker) = talker {
                    let gain = self.matrix.row(member.class).gain(talker.leg);
                    mixer::remove(&mut own.sum, &talker.voice, gain);
                }
            }
            let streams = &mut self.streams[usize::from(member.class)];
            legs.tick(key, |leg| {
                if member.apart {
                    own.frame.clear(self.rate);
                    leg.limit(&own.sum, &mut own.frame);
                    leg.send(key, Heard::Own(&own.frame), now, output);
                    member.apart = talker.is_some()
                        || !leg.is_limited()
                        || !is_idle(leg.limiter())
                        || !is_idle(&streams.limiter);
                } else if (leg.hears_room() || leg.format().remembers() && leg.is_fresh())
                    && let Some((heard, coded)) = streams.share(leg, &mix.frame, output)
                {
                    following += 1;
                    leg.send_shared(key, coded, heard, now, output);
                } else if leg.is_settling() && !output.crowd.admit(leg.is_fresh()) {
                    leg.wait(key, now, output);
                } else {
                    leg.send(key, Heard::Class(&mix.frame), now, output);
                }
            });
        }
        self.members = members;
        following
    }

    fn mix_class(&mut self, class: Class, talkers: &Talkers, mix: &mut ClassMix) {
        let row = self.matrix.row(class);
        mix.mixed = true;
        mix.sum.clear(self.rate);
        for talker in talkers.iter() {
            mixer::add(&mut mix.sum, &talker.voice, row.gain(talker.leg));
        }
        for echo in &self.echoes {
            mixer::add(&mut mix.sum, &echo.voice, echo.gain(class));
        }
        mix.frame.clear(self.rate);
        let limiter = &mut self.streams[usize::from(class)].limiter;
        limiter.process(&mix.sum, &mut mix.frame);
    }

    /// What a listener hears in the tick in which he changes from one class to another.
    fn mix_changed(
        &self,
        from: Class,
        to: Class,
        talkers: &Talkers,
        own: Option<&Talker>,
        sum: &mut Sum,
    ) {
        sum.clear(self.rate);
        for talker in talkers.iter() {
            if own.is_none_or(|own| own.leg != talker.leg) {
                let gains = [from, to].map(|class| self.matrix.row(class).gain(talker.leg));
                mixer::add_ramped(sum, &talker.voice, gains[0], gains[1]);
            }
        }
        for echo in &self.echoes {
            mixer::add_ramped(sum, &echo.voice, echo.gain(from), echo.gain(to));
        }
    }

    /// What a recording keeps: everyone as loud as the loudest of the others hears him.
    fn record(&mut self, talkers: &Talkers, mix: &mut ClassMix) {
        mix.sum.clear(self.rate);
        for talker in talkers.iter() {
            let member = &mut self.members[talker.member];
            let gain = self.matrix.loudest(talker.leg, member.class);
            mixer::add_ramped(&mut mix.sum, &talker.voice, member.recorded, gain);
            member.recorded = gain;
        }
        for echo in &self.echoes {
            mixer::add(&mut mix.sum, &echo.voice, echo.recorded);
        }
        mix.frame.clear(self.rate);
        self.limiter.process(&mix.sum, &mut mix.frame);
    }

    fn tidy(&mut self, legs: &mut Legs) {
        let numbers = self.matrix.tidy();
        if let Some(numbers) = &numbers {
            let mut kept = Vec::with_capacity(self.matrix.classes());
            for (old, new) in numbers.iter().enumerate() {
                if usize::from(*new) == kept.len() {
                    kept.push(std::mem::take(&mut self.streams[old]));
                } else {
                    // The class is merged with another, and its streams end.
                    let of_class = |member: &&Member| usize::from(member.class) == old;
                    for member in self.members.iter().filter(of_class) {
                        legs.guard(member.leg, |leg| self.part(member, leg));
                    }
                }
            }
            self.streams = kept;
        }
        for member in &mut self.members {
            member.before = None;
            if let Some(numbers) = &numbers {
                member.class = numbers[usize::from(member.class)];
            }
        }
    }

    fn adapt_rate(&mut self, audible: Rate) {
        self.too_high = if audible < self.rate {
            self.too_high + 1
        } else {
            0
        };
        if audible > self.rate || self.too_high > RATE_PATIENCE {
            self.rate = audible;
            self.too_high = 0;
        }
    }
}

/// Whether a limiter does nothing.
fn is_idle(limiter: &Limiter) -> bool {
    limiter.gain_db() >= 0.0
}

impl Echo {
    fn gain(&self, class: Class) -> Gain {
        // A class made after the leg went out knows nothing of it.
        self.gains
            .get(usize::from(class))
            .copied()
            .unwrap_or(Gain::UNITY)
    }
}
