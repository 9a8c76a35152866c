//! One room: who is in it, who hears whom, what is mixed in a tick.
//!
//! A tick goes over the members twice. First each one's voice is taken; most are silent and give none. The
//! voices are summed once. Then each member is sent what he hears: who is silent himself and hears the room
//! as his mix class does gets the packet of the class, mixed and encoded once; a talker gets the sum of his
//! class less his own voice. Cost follows talkers and classes, not members.
//!
//! A speaker who leaves while talking stays for one tick as an echo that dies away; a gain that changes is
//! ramped; so nobody's signal steps.

use std::time::Duration;

use crate::codec::{Codec, CodedFrame};
use crate::legs::{LegKey, Legs};
use crate::matrix::{Class, Matrix};
use crate::messages::{Id, RecordingEnd};
use crate::mixer::{self, FRAME, Frame, Gain, SILENCE, Sum};
use crate::output::Output;
use crate::recorder::{Recorded, Recorders};

/// Members of one room: what one core can mix with every packet in time, and some.
pub const MAX_MEMBERS: usize = 4_000;

#[derive(Debug)]
struct Member {
    leg: LegKey,
    class: Class,
    /// The class before this tick's changes; the next tick ramps from it.
    before: Option<Class>,
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

#[derive(Debug)]
struct Talker {
    /// Index of the member.
    member: usize,
    leg: LegKey,
    voice: Frame,
}

/// What one class hears in this tick.
#[derive(Debug)]
struct ClassMix {
    mixed: bool,
    sum: Sum,
    frame: Frame,
    coded: [Option<CodedFrame>; 2],
}

impl Default for ClassMix {
    fn default() -> ClassMix {
        ClassMix {
            mixed: false,
            sum: [0; FRAME],
            frame: SILENCE,
            coded: [None; 2],
        }
    }
}

impl ClassMix {
    /// The frame, and as `codec` has it: encoded when first asked for.
    fn coded(&mut self, codec: Codec) -> (&Frame, &CodedFrame) {
        let slot = match codec {
            Codec::Pcmu => &mut self.coded[0],
            Codec::Pcma => &mut self.coded[1],
        };
        let coded = slot.get_or_insert_with(|| {
            let mut coded = [0; FRAME];
            codec.encode(&self.frame, &mut coded);
            coded
        });
        (&self.frame, coded)
    }
}

/// Work space of a tick, shared by all rooms of an engine.
#[derive(Debug, Default)]
pub struct Scratch {
    talkers: Vec<Talker>,
    mixes: Vec<ClassMix>,
}

#[derive(Debug)]
pub struct Room {
    id: Id,
    phase: usize,
    members: Vec<Member>,
    matrix: Matrix,
    /// A gain was set or somebody left: classes may be superfluous after the next tick.
    untidy: bool,
    echoes: Vec<Echo>,
    recorders: Recorders,
}

impl Room {
    /// `phase` is which of the engine's sub-ticks the room is mixed in.
    pub fn new(id: Id, phase: usize) -> Room {
        Room {
            id,
            phase,
            members: Vec::new(),
            matrix: Matrix::default(),
            untidy: false,
            echoes: Vec::new(),
            recorders: Recorders::default(),
        }
    }

    pub fn id(&self) -> &Id {
        &self.id
    }

    pub fn phase(&self) -> usize {
        self.phase
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

    /// A leg comes in; it must not be in the room.
    pub fn enter(&mut self, leg: LegKey) {
        let class = self.matrix.enter();
        self.members.push(Member {
            leg,
            class,
            before: None,
            recorded: Gain::UNITY,
        });
    }

    /// A leg goes out; `farewell` is what the room hears of it last.
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
        let Scratch { talkers, mixes } = scratch;
        talkers.clear();
        for (at, member) in self.members.iter().enumerate() {
            let leg = member.leg;
            legs.guard(leg, |talker| {
                if talker.listen(now, &mut output.events) {
                    talkers.push(Talker {
                        member: at,
                        leg,
                        voice: *talker.said(),
                    });
                }
            });
        }
        if !self.recorders.is_empty() {
            let frame = self.record(talkers);
            self.recorders.write(&frame, output);
        }
        if mixes.len() < self.matrix.classes() {
            mixes.resize_with(self.matrix.classes(), ClassMix::default);
        }
        mixes.iter_mut().for_each(|mix| mix.mixed = false);
        self.distribute(legs, talkers, mixes, now, output);
        self.echoes.clear();
        if std::mem::take(&mut self.untidy) {
            self.tidy();
        }
    }

    fn distribute(
        &mut self,
        legs: &mut Legs,
        talkers: &[Talker],
        mixes: &mut [ClassMix],
        now: Duration,
        output: &mut Output,
    ) {
        let mut next_talker = talkers.iter().peekable();
        for (at, member) in self.members.iter().enumerate() {
            let talker = next_talker.next_if(|talker| talker.member == at);
            let key = member.leg;
            let mix = &mut mixes[usize::from(member.class)];
            if !mix.mixed {
                self.mix_class(member.class, talkers, mix);
            }
            let own = match (member.before, talker) {
                (Some(before), _) => Some(self.mix_changed(before, member.class, talkers, talker)),
                (None, Some(talker)) => {
                    let gain = self.matrix.row(member.class).gain(talker.leg);
                    Some(mixer::clamp(&mixer::without(&mix.sum, &talker.voice, gain)))
                }
                (None, None) => None,
            };
            legs.guard(key, |leg| match &own {
                Some(frame) => leg.send(key, Some(frame), now, output),
                None if leg.hears_room() => {
                    let (frame, coded) = mix.coded(leg.codec());
                    leg.send_shared(key, coded, frame, now, output);
                }
                None => leg.send(key, Some(&mix.frame), now, output),
            });
        }
    }

    fn mix_class(&self, class: Class, talkers: &[Talker], mix: &mut ClassMix) {
        let row = self.matrix.row(class);
        mix.mixed = true;
        mix.coded = [None; 2];
        mix.sum = [0; FRAME];
        for talker in talkers {
            mixer::add(&mut mix.sum, &talker.voice, row.gain(talker.leg));
        }
        for echo in &self.echoes {
            mixer::add(&mut mix.sum, &echo.voice, echo.gain(class));
        }
        mix.frame = mixer::clamp(&mix.sum);
    }

    /// What a listener hears in the tick in which he changes from one class to another.
    fn mix_changed(
        &self,
        from: Class,
        to: Class,
        talkers: &[Talker],
        own: Option<&Talker>,
    ) -> Frame {
        let mut sum = [0; FRAME];
        for talker in talkers {
            if own.is_none_or(|own| own.leg != talker.leg) {
                let gains = [from, to].map(|class| self.matrix.row(class).gain(talker.leg));
                mixer::add_ramped(&mut sum, &talker.voice, gains[0], gains[1]);
            }
        }
        for echo in &self.echoes {
            mixer::add_ramped(&mut sum, &echo.voice, echo.gain(from), echo.gain(to));
        }
        mixer::clamp(&sum)
    }

    /// What a recording keeps: everyone as loud as the loudest of the others hears him.
    fn record(&mut self, talkers: &[Talker]) -> Frame {
        let mut sum = [0; FRAME];
        for talker in talkers {
            let member = &mut self.members[talker.member];
            let gain = self.matrix.loudest(talker.leg, member.class);
            mixer::add_ramped(&mut sum, &talker.voice, member.recorded, gain);
            member.recorded = gain;
        }
        for echo in &self.echoes {
            mixer::add(&mut sum, &echo.voice, echo.recorded);
        }
        mixer::clamp(&sum)
    }

    fn tidy(&mut self) {
        let numbers = self.matrix.tidy();
        for member in &mut self.members {
            member.before = None;
            if let Some(numbers) = &numbers {
                member.class = numbers[usize::from(member.class)];
            }
        }
    }
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
