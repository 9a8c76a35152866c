//! The server's commands, taken apart into orders for the threads that have the leg or room.

use std::collections::HashMap;

use plenary_codec::Rate;
use plenary_media::engine::{RecordingOf, tone};
use plenary_media::messages::{
    Command, Event, Id, LegRefusal, LegTerms, PlayEnd, RecordingEnd, SdpKind, ToneSpec, Transport,
};
use plenary_media::player::Sound;
use plenary_media::recorder::RecordingLimits;

use crate::jobs::{Job, Order};
use crate::recording::{Backlog, Task};
use crate::server::Connection;
use crate::wire::Batch;

use super::{Control, LEGS_MAX, Recording};

/// What is wrong with any other rate.
const NO_RATE: &str = "a rate is 8000, 16000 or 48000";

impl Control {
    pub(super) fn perform(&mut self, batch: Batch) {
        for mistake in &batch.mistakes {
            self.fail("unknown", "", mistake);
        }
        self.gather_legs(&batch.commands);
        let hints = joins_of(&batch.commands);
        for command in batch.commands {
            let greeted = self.server.as_ref().is_some_and(Connection::is_greeted);
            if greeted || matches!(command, Command::Hello { .. }) {
                self.obey(command, &hints);
            } else {
                let (name, subject) = command.label();
                self.fail(name, &subject, "the first message is hello");
            }
        }
        self.dispatch();
    }

    fn obey(&mut self, command: Command, hints: &HashMap<Id, Id>) {
        match command {
            Command::Hello {
                version,
                engine,
                acked,
            } => self.greet(version, &engine, acked),
            Command::Ack { seq } => self.journal.acknowledge(seq),
            Command::Shutdown {} => self.ending = true,
            Command::OpenLeg {
                leg,
                sdp,
                room_hint,
                terms,
            } => {
                let hint = hints.get(&leg).or(room_hint.as_ref()).cloned();
                self.open_leg(leg, sdp, hint, terms);
            }
            Command::Join { leg, room } => {
                if let (Some(from), Some(to)) = (self.legs.get(&leg), self.rooms.get(&room)) {
                    self.move_leg(&leg, *from, *to);
                }
                self.order_leg(leg.clone(), Command::Join { leg, room });
            }
            Command::OpenRoom { room } => {
                let quietest = self.quietest();
                let thread = *self.rooms.entry(room.clone()).or_insert(quietest);
                self.orders[thread].push(Order::Command(Command::OpenRoom { room }));
            }
            Command::CloseRoom { room } => {
                if let Some(thread) = self.rooms.remove(&room) {
                    self.orders[thread].push(Order::Command(Command::CloseRoom { room }));
                }
            }
            Command::SetGain { ref room, .. } => match self.rooms.get(room) {
                Some(thread) => self.orders[*thread].push(Order::Command(command)),
                None => self.fail("set_gain", room.as_str(), "no such room"),
            },
            Command::ApplySdp { ref leg, .. } | Command::OfferLeg { ref leg } => {
                match self.legs.get(leg) {
                    Some(thread) => self.orders[*thread].push(Order::Command(command)),
                    None => self.refuse(leg.clone(), LegRefusal::UnknownLeg, "no such leg".into()),
                }
            }
            // What is to end and is not there has ended: it was refused, or its end is on its way to the server.
            Command::CloseLeg { ref leg }
            | Command::Leave { ref leg }
            | Command::StopPlay { ref leg, .. } => {
                if self.legs.contains_key(leg) {
                    self.order_leg(leg.clone(), command);
                }
            }
            Command::SendDigits { ref leg, .. }
            | Command::SetMuted { ref leg, .. }
            | Command::SetProcessing { ref leg, .. } => self.order_leg(leg.clone(), command),
            Command::LoadPrompt { prompt, rate, pcm } => match Rate::from_hz(rate) {
                Some(rate) => self.prompts.load(prompt, rate, pcm.0),
                None => self.fail("load_prompt", prompt.as_str(), NO_RATE),
            },
            Command::Play {
                leg,
                play,
                prompt,
                tone,
                looped,
            } => self.play(leg, play, prompt, tone, looped),
            Command::StartRecording {
                recording,
                room,
                leg,
                path,
                rate,
                max_duration_ms,
                end_of_silence_ms,
            } => {
                let Some(rate) = Rate::from_hz(rate) else {
                    return self.fail("start_recording", recording.as_str(), NO_RATE);
                };
                let of = match (room, leg) {
                    (Some(room), None) => RecordingOf::Room(room),
                    (None, Some(leg)) => RecordingOf::Leg(leg),
                    _ => {
                        return self.fail(
                            "start_recording",
                            recording.as_str(),
                            "name a room or a leg",
                        );
                    }
                };
                let limits = RecordingLimits {
                    max_duration_ms,
                    end_of_silence_ms,
                };
                self.record(recording, of, path, rate, limits);
            }
            Command::StopRecording { recording } => {
                let found = self
                    .recordings
                    .get(&recording)
                    .map(|found| found.of.clone());
                if let Some(thread) = found.and_then(|of| self.thread_of(&of)) {
                    self.orders[thread].push(Order::Command(Command::StopRecording { recording }));
                }
            }
            Command::GetStats { request } => self.report_stats(request),
        }
    }

    // Legs

    fn open_leg(&mut self, leg: Id, offer: Option<String>, hint: Option<Id>, terms: LegTerms) {
        if self.legs.contains_key(&leg) {
            // Said again, by a server that has not seen the answer: it gets one for the leg that there is.
            let again = match offer {
                Some(sdp) => Command::ApplySdp {
                    leg: leg.clone(),
                    kind: SdpKind::Offer,
                    sdp,
                },
                None => Command::OfferLeg { leg: leg.clone() },
            };
            return self.order_leg(leg, again);
        }
        if self.legs.len() >= LEGS_MAX {
            let detail = format!("{LEGS_MAX} legs are open");
            return self.refuse(leg, LegRefusal::TooManyLegs, detail);
        }
        let sockets = match terms.transport {
            Transport::Rtp => match self.links.ports.open() {
                Ok(sockets) => Some(sockets),
                Err(detail) => return self.refuse(leg, LegRefusal::NoPorts, detail),
            },
            Transport::Webrtc if self.links.takes_browsers => None,
            Transport::Webrtc => {
                let detail = "no port for browsers is configured".into();
                return self.refuse(leg, LegRefusal::WebrtcOff, detail);
            }
        };
        let known = hint.and_then(|room| self.rooms.get(&room).copied());
        let thread = known.unwrap_or_else(|| self.quietest());
        self.legs.insert(leg.clone(), thread);
        self.orders[thread].push(Order::Open {
            leg,
            offer,
            terms,
            sockets,
        });
    }

    /// Moves the legs that a batch joins to rooms of other threads, before the batch is taken apart: so it can
    /// be applied whole.
    fn gather_legs(&mut self, commands: &[Command]) {
        for (leg, room) in joins_of(commands) {
            if let (Some(from), Some(to)) = (self.legs.get(&leg), self.rooms.get(&room)) {
                self.move_leg(&leg, *from, *to);
            }
        }
    }

    fn move_leg(&mut self, leg: &Id, from: usize, to: usize) {
        if from == to {
            return;
        }
        self.dispatch();
        let parcel = self.ask(from, |reply| Job::Take {
            leg: leg.clone(),
            reply,
        });
        // It may have closed meanwhile, which a notice will tell.
        if let Some(parcel) = parcel {
            self.legs.insert(leg.clone(), to);
            self.orders[to].push(Order::Put(parcel));
        }
    }

    fn order_leg(&mut self, leg: Id, command: Command) {
        match self.legs.get(&leg) {
            Some(thread) => self.orders[*thread].push(Order::Command(command)),
            None => {
                let (name, subject) = command.label();
                self.fail(name, &subject, "no such leg");
            }
        }
    }

    fn play(
        &mut self,
        leg: Id,
        play: Id,
        prompt: Option<Id>,
        spec: Option<ToneSpec>,
        looped: bool,
    ) {
        let sound = match (prompt, spec) {
            (Some(prompt), None) => match self.prompts.get(&prompt) {
                Some((pcm, rate)) => Sound::Prompt { pcm, rate },
                None => return self.end_play(leg, play, PlayEnd::UnknownPrompt),
            },
            (None, Some(spec)) => match tone(&spec) {
                Ok(sound) => sound,
                Err(reason) => return self.fail("play", play.as_str(), reason),
            },
            _ => return self.fail("play", play.as_str(), "name a prompt or a tone"),
        };
        match self.legs.get(&leg) {
            Some(thread) => self.orders[*thread].push(Order::Play {
                leg,
                play,
                sound,
                looped,
            }),
            None => self.end_play(leg, play, PlayEnd::LegClosed),
        }
    }

    fn end_play(&mut self, leg: Id, play: Id, reason: PlayEnd) {
        self.journal.push(&Event::PlayEnded { leg, play, reason });
    }

    // Recordings

    fn record(
        &mut self,
        recording: Id,
        of: RecordingOf,
        path: String,
        rate: Rate,
        limits: RecordingLimits,
    ) {
        if self.recordings.contains_key(&recording) {
            return; // said again by a server that does not know whether it was heard
        }
        let Some(thread) = self.thread_of(&of) else {
            let reason = match of {
                RecordingOf::Room(_) => RecordingEnd::RoomClosed,
                RecordingOf::Leg(_) => RecordingEnd::LegClosed,
            };
            let detail = "it never began: there is nothing of this name to record".into();
            self.journal.push(&Event::RecordingEnded {
                recording,
                reason,
                duration_ms: 0,
                bytes: 0,
                detail,
            });
            return;
        };
        let backlog = Backlog::new(rate);
        drop(self.links.writer.send(Task::Open {
            recording: recording.clone(),
            of: of.clone(),
            path: path.clone(),
            rate,
            backlog: backlog.clone(),
        }));
        self.recordings.insert(
            recording.clone(),
            Recording {
                path,
                of: of.clone(),
            },
        );
        self.orders[thread].push(Order::Record {
            recording,
            of,
            rate,
            limits,
            backlog,
        });
    }

    pub(super) fn thread_of(&self, of: &RecordingOf) -> Option<usize> {
        match of {
            RecordingOf::Room(room) => self.rooms.get(room).copied(),
            RecordingOf::Leg(leg) => self.legs.get(leg).copied(),
        }
    }
}

/// The last room that each leg joins in a batch.
fn joins_of(commands: &[Command]) -> HashMap<Id, Id> {
    let joins = commands.iter().filter_map(|command| match command {
        Command::Join { leg, room } => Some((leg.clone(), room.clone())),
        _ => None,
    });
    joins.collect()
}
