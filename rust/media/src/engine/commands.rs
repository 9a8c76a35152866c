//! What the server asks for, and what it is told when that can't be.

use std::time::Duration;

use plenary_codec::Rate;

use crate::leg::{Entropy, Leg};
use crate::legs::LegKey;
use crate::messages::{
    Command, Event, Id, LegRefusal, LegTerms, PlayEnd, RecordingEnd, SdpKind, ToneSpec,
};
use crate::mixer::Gain;
use crate::player::Sound;
use crate::recorder::{Recorded, Recorder, RecordingLimits};
use crate::room::Room;
use crate::sdp::{LocalMedia, Refusal};
use crate::tone::Tone;

use super::{Engine, Entrance, MAX_DIGIT_MS, MAX_LEGS, MAX_ROOMS, MAX_TONE_MS, Place, RecordingOf};

/// Why we make no offer to a browser.
const NO_OFFER: &str = "it is the browser that makes offers";

impl Engine {
    // Commands

    /// Opens a leg: answers `offer`, or makes an offer, on `terms`. `None` if it is refused.
    pub fn open_leg(
        &mut self,
        leg: &Id,
        offer: Option<&str>,
        terms: &LegTerms,
        entrance: Entrance,
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
            rtp_port: match entrance {
                Entrance::Port(port) => port,
                Entrance::Gate(host) => host.address.port(),
            },
            session_id: entropy.session_id,
        };
        let mut fresh = Leg::new(
            leg.clone(),
            local,
            terms,
            entropy,
            self.config.identity.clone(),
            self.config.inactivity,
            now,
        );
        if let Entrance::Gate(host) = entrance {
            fresh.await_browser(host, terms);
        }
        let event = match offer {
            None => match fresh.offer() {
                Some(sdp) => Event::LegOffered {
                    leg: leg.clone(),
                    sdp,
                },
                None => {
                    self.refuse(leg, LegRefusal::WrongState, NO_OFFER.into());
                    return None;
                }
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
        let muxed = fresh.rtcp_mux();
        let key = self.insert_leg(Box::new(fresh));
        self.output.muxed.push((key, muxed));
        Some(key)
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
                Some(found) => match found.offer() {
                    Some(sdp) => self.output.events.push(Event::LegOffered {
                        leg: leg.clone(),
                        sdp,
                    }),
                    None => self.refuse(leg, LegRefusal::WrongState, NO_OFFER.into()),
                },
                None => self.refuse(leg, LegRefusal::UnknownLeg, "no such leg".into()),
            },
            // What is to end and is not there has ended already.
            Command::CloseLeg { leg } => {
                if let Some(key) = self.leg_key(leg) {
                    self.close_leg(key, RecordingEnd::LegClosed, now);
                }
            }
            Command::OpenRoom { room } => self.open_room(room)?,
            Command::CloseRoom { room } => self.close_room(room),
            Command::Join { leg, room } => self.join(leg, room)?,
            Command::Leave { leg } => {
                if let Some(key) = self.leg_key(leg)
                    && let Place::Room(_) = self.places[key.slot()]
                {
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
            Command::SetMuted { leg, muted } => {
                self.leg(leg).ok_or("no such leg")?.set_muted(*muted);
            }
            Command::SetProcessing { leg, switches } => {
                self.leg(leg).ok_or("no such leg")?.set_processing(switches);
            }
            Command::StopPlay { leg, play } => {
                if let Some(key) = self.leg_key(leg)
                    && let Some(leg) = self.legs.get_mut(key)
                {
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
                self.stop_recording(recording, RecordingEnd::Stopped);
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
        let (ufrag, muxed) = (found.ufrag().map(str::to_owned), found.rtcp_mux());
        match applied {
            Ok(event) => {
                let key = self.keys.get(leg).copied();
                self.output.ufrags.extend(key.zip(ufrag));
                self.output.muxed.extend(key.map(|key| (key, muxed)));
                self.output.events.push(event);
            }
            Err(refusal) => self.refuse_sdp(leg, &refusal),
        }
    }

    pub(super) fn close_leg(&mut self, key: LegKey, reason: RecordingEnd, now: Duration) {
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
                stats: Box::new(stats),
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

    fn close_room(&mut self, room: &Id) {
        let Some(number) = self.room_numbers.remove(room) else {
            return;
        };
        let members: Vec<LegKey> = self.rooms[number].iter().flat_map(Room::members).collect();
        for key in members {
            self.lift(key);
            self.put_alone(key);
        }
        if let Some(mut room) = self.rooms[number].take() {
            room.close(RecordingEnd::RoomClosed, &mut self.output.recorded);
            self.schedule[room.phase()].retain(|scheduled| *scheduled != number);
            self.load[room.phase()] -= 1;
        }
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
    pub fn start_recording(
        &mut self,
        recording: &Id,
        of: &RecordingOf,
        rate: Rate,
        limits: RecordingLimits,
    ) {
        let recorder = Recorder::new(recording.clone(), rate, limits);
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

    /// Ends a recording, if it is here.
    pub fn stop_recording(&mut self, recording: &Id, reason: RecordingEnd) {
        let recorded = &mut self.output.recorded;
        if self
            .rooms
            .iter_mut()
            .flatten()
            .any(|room| room.recorders().stop(recording, reason, recorded))
        {
            return;
        }
        let keys: Vec<LegKey> = self.legs.keys().collect();
        for key in keys {
            if let Some(leg) = self.legs.get_mut(key)
                && leg.recorders().stop(recording, reason, recorded)
            {
                return;
            }
        }
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
            Refusal::EncryptionRequired(_) => LegRefusal::EncryptionRequired,
            Refusal::EncryptionRefused(_) => LegRefusal::EncryptionRefused,
            Refusal::WrongState => LegRefusal::WrongState,
        };
        self.refuse(leg, reason, refusal.to_string());
    }

    pub(super) fn fail(&mut self, command: &str, subject: &str, reason: &str) {
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
