//! The engine of one thread: its legs and rooms, and the commands that change them.
//!
//! Time runs in sub-ticks of 2.5 ms. Each room, and each leg outside of rooms, has one of eight phases and is
//! mixed in every eighth sub-tick, so that what is sent is spread over the 20 ms. Between two sub-ticks the
//! driver hands in datagrams and commands; a batch of commands handed in there is applied whole.
//!
//! Everything that results is in [`Engine::output`]. Nothing here blocks, reads a clock or knows a socket.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::leg::{Entropy, InactivityLimits, Leg, TickCost};
use crate::legs::{LegKey, Legs};
use crate::messages::{
    Command, Event, Id, LegRefusal, LegSnapshot, LegStats, PlayEnd, RecordingEnd, SdpKind, ToneSpec,
};
use crate::mixer::Gain;
use crate::output::Output;
use crate::player::Sound;
use crate::recorder::{Recorded, Recorder, RecordingLimits};
use crate::room::{Room, Scratch};
use crate::sdp::{LocalMedia, Refusal};
use crate::tone::Tone;

/// Sub-ticks of a tick. With half as many, a full core takes a millisecond longer from a packet to its mix; with
/// twice as many, waking up begins to cost.
pub const PHASES: usize = 8;
/// Distance of two sub-ticks.
pub const SUB_TICK: Duration = Duration::from_micros(2_500);
/// Legs of one engine: more than a core can serve.
pub const MAX_LEGS: usize = 8_000;
/// Rooms of one engine: as many, for a room may be waited in alone.
pub const MAX_ROOMS: usize = 8_000;
/// Longest digit and longest pause between two; RFC 4733's duration field holds 8.19 s.
const MAX_DIGIT_MS: u32 = 8_000;
/// Longest tone: an hour.
const MAX_TONE_MS: u32 = 3_600_000;

/// What all legs of an engine have in common.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Stands in our SDP.
    pub public_address: IpAddr,
    pub inactivity: InactivityLimits,
}

/// What a recording records.
#[derive(Clone, Debug)]
pub enum RecordingOf {
    Room(Id),
    Leg(Id),
}

/// Where a leg is ticked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Outside of rooms, in this phase.
    Alone(usize),
    /// In the room of this number.
    Room(usize),
}

#[derive(Debug)]
pub struct Engine {
    config: Config,
    legs: Legs,
    keys: HashMap<Id, LegKey>,
    /// By the leg's slot.
    places: Vec<Place>,
    alone: [Vec<LegKey>; PHASES],
    rooms: Vec<Option<Room>>,
    room_numbers: HashMap<Id, usize>,
    /// Room numbers by phase.
    schedule: [Vec<usize>; PHASES],
    /// Legs and rooms by phase.
    load: [usize; PHASES],
    costs: [TickCost; PHASES],
    scratch: Scratch,
    output: Output,
}

impl Engine {
    pub fn new(config: Config) -> Engine {
        Engine {
            config,
            legs: Legs::default(),
            keys: HashMap::new(),
            places: Vec::new(),
            alone: Default::default(),
            rooms: Vec::new(),
            room_numbers: HashMap::new(),
            schedule: Default::default(),
            load: [0; PHASES],
            costs: [TickCost::default(); PHASES],
            scratch: Scratch::default(),
            output: Output::default(),
        }
    }

    /// What has come about since its parts were last taken.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    pub fn legs(&self) -> usize {
        self.legs.count()
    }

    pub fn leg_key(&self, leg: &Id) -> Option<LegKey> {
        self.keys.get(leg).copied()
    }

    // Datagrams

    /// Takes a datagram from a leg's RTP port.
    pub fn receive(&mut self, leg: LegKey, datagram: &[u8], from: SocketAddr, arrival: Duration) {
        self.legs
            .guard(leg, |leg| leg.receive(datagram, from, arrival));
    }

    /// Takes a datagram from a leg's RTCP port.
    pub fn receive_rtcp(
        &mut self,
        leg: LegKey,
        datagram: &[u8],
        from: SocketAddr,
        arrival: Duration,
    ) {
        self.legs
            .guard(leg, |leg| leg.receive_rtcp(datagram, from, arrival));
    }

    // Ticks

    /// Mixes the rooms of a phase and ticks the legs outside of rooms. Called every [`SUB_TICK`], phase after
    /// phase; `now` is when this sub-tick is due.
    pub fn tick(&mut self, phase: usize, now: Duration) {
        let Engine {
            legs,
            rooms,
            scratch,
            output,
            ..
        } = self;
        for number in &self.schedule[phase] {
            if let Some(room) = &mut rooms[*number] {
                room.tick(legs, scratch, now, output);
            }
        }
        for key in &self.alone[phase] {
            legs.guard(*key, |leg| {
                leg.listen(now, &mut output.events);
                leg.send(*key, None, now, output);
            });
        }
        while let Some(key) = self.legs.take_broken() {
            if let Some(leg) = self.legs.get(key) {
                let id = leg.id().clone();
                self.fail("leg", id.as_str(), "internal error: the leg is closed");
                self.close_leg(key, RecordingEnd::LegClosed, now);
            }
        }
    }

    /// What a tick of a phase has cost, for the statistics of its legs.
    pub fn note_cost(&mut self, phase: usize, mix: Duration, send: Duration) {
        /// Weight of the newest value: about the last second.
        const SMOOTHING: f64 = 1.0 / 50.0;
        let cost = &mut self.costs[phase];
        cost.mix_us += (mix.as_secs_f64() * 1e6 - cost.mix_us) * SMOOTHING;
        cost.send_us += (send.as_secs_f64() * 1e6 - cost.send_us) * SMOOTHING;
    }

    // Commands

    /// Opens a leg whose RTP port is `rtp_port` (RTCP on the one above): answers `offer`, or makes an offer.
    /// `None` if it is refused.
    pub fn open_leg(
        &mut self,
        leg: &Id,
        offer: Option<&str>,
        rtp_port: u16,
        entropy: Entropy,
        now: Duration,
    ) -> Option<LegKey> {
        if self.keys.contains_key(leg) {
            self.refuse(
                leg,
                LegRefusal::WrongState,
                "a leg of this name is open".into(),
            );
            return None;
        }
        if self.legs.count() >= MAX_LEGS {
            self.refuse(
                leg,
                LegRefusal::TooManyLegs,
                format!("{MAX_LEGS} legs are open on this thread"),
            );
            return None;
        }
        let local = LocalMedia {
            address: self.config.public_address,
            rtp_port,
            session_id: entropy.session_id,
        };
        let mut fresh = Leg::new(leg.clone(), local, entropy, self.config.inactivity, now);
        let event = match offer {
            None => Event::LegOffered {
                leg: leg.clone(),
                sdp: fresh.offer(),
            },
            Some(offer) => match fresh.answer(offer, now) {
                Ok((sdp, direction)) => Event::LegAnswered {
                    leg: leg.clone(),
                    sdp,
                    direction,
                },
                Err(refusal) => {
                    self.refuse_sdp(leg, &refusal);
                    return None;
                }
            },
        };
        self.output.events.push(event);
        Some(self.insert_leg(Box::new(fresh)))
    }

    /// Takes in a leg, fresh or from another engine, outside of rooms.
    pub fn insert_leg(&mut self, leg: Box<Leg>) -> LegKey {
        let id = leg.id().clone();
        let key = self.legs.insert(leg);
        let known = self.keys.insert(id, key);
        assert!(known.is_none(), "a leg is inserted twice");
        if self.places.len() <= key.slot() {
            self.places.resize(key.slot() + 1, Place::Alone(0));
        }
        self.put_alone(key);
        key
    }

    /// Gives a leg away, to another engine. It leaves its room.
    pub fn take_leg(&mut self, leg: &Id) -> Option<Box<Leg>> {
        let key = self.leg_key(leg)?;
        self.lift(key);
        self.keys.remove(leg);
        self.legs.remove(key)
    }

    /// Does what needs nothing from the driver; other commands are the driver's, and refused here.
    pub fn handle(&mut self, command: Command, now: Duration) {
        if let Err(reason) = self.try_handle(&command, now) {
            let (name, subject) = command.label();
            self.fail(name, &subject, &reason);
        }
    }

    fn try_handle(&mut self, command: &Command, now: Duration) -> Result<(), String> {
        match command {
            Command::ApplySdp { leg, kind, sdp } => self.apply_sdp(leg, *kind, sdp, now),
            Command::OfferLeg { leg } => match self.leg(leg) {
                Some(found) => {
                    let sdp = found.offer();
                    self.output.events.push(Event::LegOffered {
                        leg: leg.clone(),
                        sdp,
                    });
                }
                None => self.refuse(leg, LegRefusal::UnknownLeg, "no such leg".into()),
            },
            Command::CloseLeg { leg } => {
                let key = self.leg_key(leg).ok_or("no such leg")?;
                self.close_leg(key, RecordingEnd::LegClosed, now);
            }
            Command::OpenRoom { room } => self.open_room(room)?,
            Command::CloseRoom { room } => self.close_room(room)?,
            Command::Join { leg, room } => self.join(leg, room)?,
            Command::Leave { leg } => {
                let key = self.leg_key(leg).ok_or("no such leg")?;
                if let Place::Room(_) = self.places[key.slot()] {
                    self.lift(key);
                    self.put_alone(key);
                }
            }
            Command::SetGain {
                room,
                listener,
                speaker,
                gain,
            } => {
                let gain = Gain::new(*gain).ok_or("a gain is between 0 and 4")?;
                let listener = self.leg_key(listener).ok_or("no such listener")?;
                let speaker = match speaker {
                    Some(speaker) => Some(self.leg_key(speaker).ok_or("no such speaker")?),
                    None => None,
                };
                self.room(room)
                    .ok_or("no such room")?
                    .set_gain(listener, speaker, gain)?;
            }
            Command::StopPlay { leg, play } => {
                let key = self.leg_key(leg).ok_or("no such leg")?;
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.stop_play(play, &mut self.output.events);
                }
            }
            Command::SendDigits {
                leg,
                digits,
                duration_ms,
                pause_ms,
            } => {
                if *duration_ms > MAX_DIGIT_MS || *pause_ms > MAX_DIGIT_MS {
                    return Err(format!("a digit or pause lasts at most {MAX_DIGIT_MS} ms"));
                }
                let [duration, pause] =
                    [duration_ms, pause_ms].map(|ms| Duration::from_millis(u64::from(*ms)));
                self.leg(leg)
                    .ok_or("no such leg")?
                    .send_digits(digits, duration, pause)?;
            }
            Command::StopRecording { recording } => {
                if !self.stop_recording(recording, RecordingEnd::Stopped) {
                    return Err("no such recording".into());
                }
            }
            _ => return Err("not a command for one engine".into()),
        }
        Ok(())
    }

    fn apply_sdp(&mut self, leg: &Id, kind: SdpKind, sdp: &str, now: Duration) {
        let Some(found) = self.leg(leg) else {
            return self.refuse(leg, LegRefusal::UnknownLeg, "no such leg".into());
        };
        let applied = match kind {
            SdpKind::Offer => found
                .answer(sdp, now)
                .map(|(sdp, direction)| Event::LegAnswered {
                    leg: leg.clone(),
                    sdp,
                    direction,
                }),
            SdpKind::Answer => found.accept(sdp, now).map(|direction| Event::LegApplied {
                leg: leg.clone(),
                direction,
            }),
        };
        match applied {
            Ok(event) => self.output.events.push(event),
            Err(refusal) => self.refuse_sdp(leg, &refusal),
        }
    }

    fn close_leg(&mut self, key: LegKey, reason: RecordingEnd, now: Duration) {
        let room = self.room_of(key);
        let cost = self.cost_of(key);
        self.lift(key);
        let output = &mut self.output;
        let stats = self.legs.guard(key, |leg| {
            leg.close(key, reason, now, output);
            leg.stats(room, cost)
        });
        if let Some(leg) = self.legs.remove(key) {
            self.keys.remove(leg.id());
        }
        self.output
            .events
            .extend(stats.map(|stats| Event::LegClosed {
                leg: stats.leg.clone(),
                stats,
            }));
        self.output.closed.push(key);
    }

    fn open_room(&mut self, room: &Id) -> Result<(), String> {
        if self.room_numbers.contains_key(room) {
            return Ok(());
        }
        if self.room_numbers.len() >= MAX_ROOMS {
            return Err(format!("{MAX_ROOMS} rooms are open on this thread"));
        }
        let number = match self.rooms.iter().position(Option::is_none) {
            Some(number) => number,
            None => {
                self.rooms.push(None);
                self.rooms.len() - 1
            }
        };
        let phase = self.quietest_phase();
        self.rooms[number] = Some(Room::new(room.clone(), phase));
        self.room_numbers.insert(room.clone(), number);
        self.schedule[phase].push(number);
        self.load[phase] += 1;
        Ok(())
    }

    fn close_room(&mut self, room: &Id) -> Result<(), String> {
        let number = *self.room_numbers.get(room).ok_or("no such room")?;
        let members: Vec<LegKey> = self.rooms[number].iter().flat_map(Room::members).collect();
        for key in members {
            self.lift(key);
            self.put_alone(key);
        }
        self.room_numbers.remove(room);
        if let Some(mut room) = self.rooms[number].take() {
            room.close(RecordingEnd::RoomClosed, &mut self.output.recorded);
            self.schedule[room.phase()].retain(|scheduled| *scheduled != number);
            self.load[room.phase()] -= 1;
        }
        Ok(())
    }

    fn join(&mut self, leg: &Id, room: &Id) -> Result<(), String> {
        let key = self.leg_key(leg).ok_or("no such leg")?;
        let number = *self.room_numbers.get(room).ok_or("no such room")?;
        if self.places[key.slot()] != Place::Room(number) {
            if self.rooms[number].as_ref().is_none_or(Room::is_full) {
                return Err("the room is full".into());
            }
            self.lift(key);
            self.places[key.slot()] = Place::Room(number);
            if let Some(room) = &mut self.rooms[number] {
                room.enter(key);
                self.load[room.phase()] += 1;
            }
            self.legs.guard(key, Leg::enter_room);
        }
        self.output.events.push(Event::LegJoined {
            leg: leg.clone(),
            room: room.clone(),
        });
        Ok(())
    }

    /// Queues a play; one on a leg that is not there ends at once.
    pub fn play(&mut self, leg: &Id, play: &Id, sound: Sound, looped: bool) {
        match self.leg(leg) {
            Some(found) => {
                if !found.play(play.clone(), sound, looped) {
                    self.fail("play", play.as_str(), "too many plays wait on this leg");
                }
            }
            None => {
                let reason = PlayEnd::LegClosed;
                self.output.events.push(Event::PlayEnded {
                    leg: leg.clone(),
                    play: play.clone(),
                    reason,
                });
            }
        }
    }

    /// Begins to record; what can't be recorded ends at once.
    pub fn start_recording(&mut self, recording: &Id, of: &RecordingOf, limits: RecordingLimits) {
        let recorder = Recorder::new(recording.clone(), limits);
        let (recorders, missing) = match of {
            RecordingOf::Room(room) => (
                self.room(room).map(Room::recorders),
                RecordingEnd::RoomClosed,
            ),
            RecordingOf::Leg(leg) => (self.leg(leg).map(Leg::recorders), RecordingEnd::LegClosed),
        };
        let reason = match recorders.map(|recorders| recorders.push(recorder)) {
            Some(true) => return,
            Some(false) => {
                self.fail(
                    "start_recording",
                    recording.as_str(),
                    "too many recordings run here",
                );
                RecordingEnd::Stopped
            }
            None => missing,
        };
        self.output.recorded.push(Recorded::End {
            recording: recording.clone(),
            reason,
        });
    }

    /// Ends a recording; `false` if there is no such one.
    pub fn stop_recording(&mut self, recording: &Id, reason: RecordingEnd) -> bool {
        let recorded = &mut self.output.recorded;
        if self
            .rooms
            .iter_mut()
            .flatten()
            .any(|room| room.recorders().stop(recording, reason, recorded))
        {
            return true;
        }
        let keys: Vec<LegKey> = self.legs.keys().collect();
        keys.into_iter().any(|key| {
            let leg = self.legs.get_mut(key);
            leg.is_some_and(|leg| leg.recorders().stop(recording, reason, recorded))
        })
    }

    /// Ends everything, because the engine ends.
    pub fn shut_down(&mut self, now: Duration) {
        for room in self.rooms.iter_mut().flatten() {
            room.close(RecordingEnd::Shutdown, &mut self.output.recorded);
        }
        let keys: Vec<LegKey> = self.legs.keys().collect();
        keys.into_iter()
            .for_each(|key| self.close_leg(key, RecordingEnd::Shutdown, now));
    }

    // Reports

    pub fn stats(&self) -> Vec<LegStats> {
        let stats = |key| {
            Some(
                self.legs
                    .get(key)?
                    .stats(self.room_of(key), self.cost_of(key)),
            )
        };
        self.legs.keys().filter_map(stats).collect()
    }

    pub fn leg_snapshots(&self) -> Vec<LegSnapshot> {
        self.legs
            .keys()
            .filter_map(|key| Some(self.legs.get(key)?.snapshot(self.room_of(key))))
            .collect()
    }

    pub fn rooms(&self) -> impl Iterator<Item = &Id> {
        self.room_numbers.keys()
    }

    // Places

    fn leg(&mut self, leg: &Id) -> Option<&mut Leg> {
        let key = self.leg_key(leg)?;
        self.legs.get_mut(key)
    }

    fn room(&mut self, room: &Id) -> Option<&mut Room> {
        let number = *self.room_numbers.get(room)?;
        self.rooms[number].as_mut()
    }

    fn room_of(&self, key: LegKey) -> Option<Id> {
        match self.places[key.slot()] {
            Place::Alone(_) => None,
            Place::Room(number) => self.rooms[number].as_ref().map(|room| room.id().clone()),
        }
    }

    fn cost_of(&self, key: LegKey) -> TickCost {
        match self.places[key.slot()] {
            Place::Alone(phase) => self.costs[phase],
            Place::Room(number) => self.rooms[number]
                .as_ref()
                .map_or(TickCost::default(), |room| self.costs[room.phase()]),
        }
    }

    fn quietest_phase(&self) -> usize {
        (0..PHASES)
            .min_by_key(|phase| self.load[*phase])
            .unwrap_or(0)
    }

    /// Takes a leg from where it is ticked; it has to be put somewhere or removed then.
    fn lift(&mut self, key: LegKey) {
        match self.places[key.slot()] {
            Place::Alone(phase) => {
                if let Some(at) = self.alone[phase].iter().position(|alone| *alone == key) {
                    self.alone[phase].swap_remove(at);
                    self.load[phase] -= 1;
                }
            }
            Place::Room(number) => {
                let farewell = self.legs.guard(key, Leg::leave_room).flatten();
                if let Some(room) = &mut self.rooms[number] {
                    room.exit(key, farewell);
                    self.load[room.phase()] -= 1;
                }
            }
        }
    }

    fn put_alone(&mut self, key: LegKey) {
        let phase = self.quietest_phase();
        self.places[key.slot()] = Place::Alone(phase);
        self.alone[phase].push(key);
        self.load[phase] += 1;
    }

    // Refusals

    fn refuse(&mut self, leg: &Id, reason: LegRefusal, detail: String) {
        self.output.events.push(Event::LegRefused {
            leg: leg.clone(),
            reason,
            detail,
        });
    }

    fn refuse_sdp(&mut self, leg: &Id, refusal: &Refusal) {
        let reason = match refusal {
            Refusal::Malformed(_) => LegRefusal::MalformedSdp,
            Refusal::NoCommonCodec(_) => LegRefusal::NoCommonCodec,
            Refusal::WrongState => LegRefusal::WrongState,
        };
        self.refuse(leg, reason, refusal.to_string());
    }

    fn fail(&mut self, command: &str, subject: &str, reason: &str) {
        self.output.events.push(Event::CommandFailed {
            command: command.into(),
            subject: subject.into(),
            reason: reason.into(),
        });
    }
}

/// The tone that a `play` asks for; an error says what is wrong with it.
pub fn tone(spec: &ToneSpec) -> Result<Sound, &'static str> {
    if !(1.0..4_000.0).contains(&spec.frequency_hz) {
        return Err("a tone has 1 to 3,999 Hz");
    }
    if !(-127.0..=-3.0).contains(&spec.level_dbfs) {
        return Err("a tone has -127 to -3 dBFS");
    }
    if spec.duration_ms > MAX_TONE_MS {
        return Err("a tone lasts an hour at most");
    }
    let duration = Duration::from_millis(u64::from(spec.duration_ms));
    Ok(Sound::Tone(Tone::new(
        spec.frequency_hz as f32,
        duration,
        spec.level_dbfs as f32,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leg::Entropy;

    fn id(name: &str) -> Id {
        Id::new(name).expect("an id")
    }

    #[test]
    fn a_leg_whose_code_panics_is_closed_and_its_room_goes_on() {
        let inactivity = InactivityLimits {
            first: Duration::MAX,
            later: Duration::MAX,
        };
        let public_address = IpAddr::from([192, 0, 2, 1]);
        let mut engine = Engine::new(Config {
            public_address,
            inactivity,
        });
        let entropy = Entropy {
            ssrc: 1,
            seq: 1,
            timestamp: 1,
            session_id: 1,
        };
        engine.handle(Command::OpenRoom { room: id("room") }, Duration::ZERO);
        for name in ["bad", "good"] {
            engine
                .open_leg(&id(name), None, 10_000, entropy, Duration::ZERO)
                .expect("a leg");
            engine.handle(
                Command::Join {
                    leg: id(name),
                    room: id("room"),
                },
                Duration::ZERO,
            );
        }
        let bad = engine.leg_key(&id("bad")).expect("a leg");
        let outcome = engine
            .legs
            .guard(bad, |_| panic!("a mistake of ours, on purpose"));
        assert!(outcome.is_none());
        (0..PHASES).for_each(|phase| engine.tick(phase, Duration::ZERO));
        assert!(engine.leg_key(&id("bad")).is_none() && engine.leg_key(&id("good")).is_some());
        let of_bad =
            |event: &&Event| matches!(event, Event::LegClosed { leg, .. } if *leg == id("bad"));
        assert_eq!(engine.output().events.iter().filter(of_bad).count(), 1);
        assert_eq!(engine.output().closed, [bad]);
        assert_eq!(engine.stats().len(), 1);
    }
}
