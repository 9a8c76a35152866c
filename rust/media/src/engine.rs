//! The engine of one thread: its legs and rooms, and the commands that change them.
//!
//! Time runs in sub-ticks of 2.5 ms. Each room, and each leg outside of rooms, has one of eight phases and is
//! mixed in every eighth sub-tick, so that what is sent is spread over the 20 ms. Between two sub-ticks the
//! driver hands in datagrams and commands; a batch of commands handed in there is applied whole.
//!
//! Everything that results is in [`Engine::output`]. Nothing here blocks, reads a clock or knows a socket.

mod commands;
mod effort;

pub use commands::tone;
use effort::Effort;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use plenary_transport::dtls::Identity;
use plenary_transport::webrtc::{Host, Proto};

use crate::leg::{Heard, InactivityLimits, Leg, TickCost};
use crate::legs::{LegKey, Legs};
use crate::messages::{Id, LegSnapshot, LegStats, RecordingEnd};
use crate::output::Output;
use crate::room::{Room, Scratch};
use crate::stopwatch::Stopwatch;

/// Sub-ticks of a tick. With half as many, a full core takes a millisecond longer from a packet to its mix; with
/// twice as many, waking up begins to cost.
pub const PHASES: usize = 8;
/// Distance of two sub-ticks.
pub const SUB_TICK: Duration = Duration::from_micros(2_500);
/// Legs of one engine: more than a core can serve.
pub const MAX_LEGS: usize = 12_000;
/// Rooms of one engine: as many, for a room may be waited in alone.
pub const MAX_ROOMS: usize = 8_000;
/// Longest digit and longest pause between two; RFC 4733's duration field holds 8.19 s.
const MAX_DIGIT_MS: u32 = 8_000;
/// Longest tone: an hour.
const MAX_TONE_MS: u32 = 3_600_000;

/// What all legs of an engine have in common.
#[derive(Clone, Debug)]
pub struct Config {
    /// Stands in our SDP.
    pub public_address: IpAddr,
    pub inactivity: InactivityLimits,
    /// To measure single pieces of work with; without one, their costs are not known.
    pub stopwatch: Option<Stopwatch>,
    /// Certificate of this process for DTLS-SRTP with phones; without one there is none.
    pub identity: Option<Arc<Identity>>,
}

/// Where a leg's peer reaches us.
#[derive(Clone, Copy, Debug)]
pub enum Entrance<'a> {
    /// At an RTP port of its own, and at the one above it for RTCP.
    Port(u16),
    /// Through a port for all browsers.
    Gate(&'a Host),
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
    effort: Effort,
    scratch: Scratch,
    output: Output,
}

impl Engine {
    pub fn new(config: Config) -> Engine {
        let stopwatch = config.stopwatch;
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
            effort: Effort::default(),
            scratch: Scratch::default(),
            output: Output {
                effort: Effort::default().complexity(),
                stopwatch,
                ..Output::default()
            },
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
        let Engine { legs, output, .. } = self;
        legs.guard(leg, |it| {
            it.receive(leg, datagram, from, arrival, output);
        });
    }

    /// Takes a datagram from a leg's RTCP port.
    pub fn receive_rtcp(
        &mut self,
        leg: LegKey,
        datagram: &[u8],
        from: SocketAddr,
        arrival: Duration,
    ) {
        let Engine { legs, output, .. } = self;
        legs.guard(leg, |it| {
            it.receive_rtcp(leg, datagram, from, arrival, output);
        });
    }

    /// Takes a datagram for a leg of a browser.
    pub fn receive_webrtc(
        &mut self,
        leg: LegKey,
        proto: Proto,
        datagram: &[u8],
        from: SocketAddr,
        arrival: Duration,
    ) {
        let output = &mut self.output;
        self.legs.guard(leg, |found| {
            found.receive_webrtc(leg, (proto, datagram, from), arrival, output);
        });
    }

    /// What the checks of a leg's browser call us; `None` if its peer is none.
    pub fn ufrag_of(&self, leg: LegKey) -> Option<&str> {
        self.legs.get(leg)?.ufrag()
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
        output.crowd.begin(phase);
        for number in &self.schedule[phase] {
            if let Some(room) = &mut rooms[*number] {
                room.tick(legs, scratch, now, output);
            }
        }
        for key in &self.alone[phase] {
            legs.guard(*key, |leg| {
                leg.listen(now, output);
                leg.send(*key, Heard::Nothing, now, output);
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
        if phase == 0 {
            let busy_us: f64 = self.costs.iter().map(|it| it.mix_us + it.send_us).sum();
            self.output.effort = self.effort.adapt(busy_us);
        }
    }

    // Reports

    pub fn stats(&self) -> Vec<LegStats> {
        self.stats_of(0..self.slots()).collect()
    }

    /// Of the legs in some slots, see [`LegKey::slot`].
    pub fn stats_of(&self, slots: Range<usize>) -> impl Iterator<Item = LegStats> {
        let legs = slots.filter_map(|slot| self.legs.at(slot));
        legs.map(|(key, leg)| leg.stats(self.room_of(key), self.cost_of(key)))
    }

    /// Above all slots that were ever in use.
    pub fn slots(&self) -> usize {
        self.legs.slots()
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
                if let Some(room) = &mut self.rooms[number] {
                    room.release(key, &mut self.legs);
                    let leave = |leg: &mut Leg| leg.leave_room(room.rate());
                    let farewell = self.legs.guard(key, leave).flatten();
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leg::Entropy;
    use crate::messages::{Command, Event, LegTerms};

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
            stopwatch: None,
            identity: None,
        });
        let entropy = Entropy {
            seq: 1,
            timestamp: 1,
            session_id: 1,
            secret: [1; 32],
        };
        engine.handle(Command::OpenRoom { room: id("room") }, Duration::ZERO);
        for name in ["bad", "good"] {
            engine
                .open_leg(
                    &id(name),
                    None,
                    &LegTerms::default(),
                    Entrance::Port(10_000),
                    entropy,
                    Duration::ZERO,
                )
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
