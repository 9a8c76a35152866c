//! Prompts and tones that one leg hears, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::messages::{Event, Id, PlayEnd};
use crate::mixer::{Frame, RAMP};
use crate::tone::Tone;

/// Plays of one leg that may wait, the one being heard included.
pub const MAX_PLAYS: usize = 32;

/// What is played: 8 kHz mono.
#[derive(Clone, Debug)]
pub enum Sound {
    Prompt(Arc<[i16]>),
    Tone(Tone),
}

#[derive(Debug)]
struct Play {
    play: Id,
    sound: Sound,
    looped: bool,
    /// Samples of a prompt that were heard already.
    position: usize,
    /// What is left of a tone.
    tone: Option<Tone>,
}

impl Play {
    fn rewind(&mut self) {
        self.position = 0;
        self.tone = match &self.sound {
            Sound::Prompt(_) => None,
            Sound::Tone(tone) => Some(tone.clone()),
        };
    }

    /// Writes the next samples and gives how many; fewer than asked for at the end.
    fn fill(&mut self, pcm: &mut [i16]) -> usize {
        if let Some(tone) = &mut self.tone {
            return tone.fill(pcm);
        }
        let Sound::Prompt(prompt) = &self.sound else {
            return 0;
        };
        let take = pcm.len().min(prompt.len() - self.position);
        for (i, sample) in pcm[..take].iter_mut().enumerate() {
            let at = self.position + i;
            let edge = (at + 1).min(prompt.len() - at).min(RAMP);
            *sample = (i32::from(prompt[at]) * edge as i32 / RAMP as i32) as i16;
        }
        self.position += take;
        take
    }
}

/// The plays of one leg.
#[derive(Debug, Default)]
pub struct Player {
    plays: VecDeque<Play>,
}

impl Player {
    pub fn is_idle(&self) -> bool {
        self.plays.is_empty()
    }

    /// Names of the plays, the one being heard first.
    pub fn plays(&self) -> impl Iterator<Item = &Id> {
        self.plays.iter().map(|play| &play.play)
    }

    /// Queues a play; `false` if [`MAX_PLAYS`] wait already.
    pub fn push(&mut self, play: Id, sound: Sound, looped: bool) -> bool {
        if self.plays.len() >= MAX_PLAYS {
            return false;
        }
        let mut play = Play {
            play,
            sound,
            looped,
            position: 0,
            tone: None,
        };
        play.rewind();
        self.plays.push_back(play);
        true
    }

    /// Takes a play out; says whether it was the one being heard, `None` if there is no such play.
    pub fn stop(&mut self, play: &Id) -> Option<bool> {
        let at = self
            .plays
            .iter()
            .position(|waiting| waiting.play == *play)?;
        self.plays.remove(at);
        Some(at == 0)
    }

    /// Writes the next 20 ms over `frame`, silence after the last play's end; plays that finish are reported
    /// for `leg`. The next play begins with the sample after the end of the one before.
    pub fn fill(&mut self, leg: &Id, frame: &mut Frame, events: &mut Vec<Event>) {
        let mut filled = 0;
        while let Some(play) = self.plays.front_mut() {
            let wrote = play.fill(&mut frame[filled..]);
            filled += wrote;
            if filled == frame.len() {
                return;
            }
            // A loop around no samples at all would never end.
            let again = play.looped && (wrote > 0 || play.position > 0);
            play.rewind();
            if !again && let Some(play) = self.plays.pop_front() {
                let reason = PlayEnd::Finished;
                events.push(Event::PlayEnded {
                    leg: leg.clone(),
                    play: play.play,
                    reason,
                });
            }
        }
        frame[filled..].fill(0);
    }

    /// Empties the queue because the leg closes.
    pub fn close(&mut self, leg: &Id, events: &mut Vec<Event>) {
        events.extend(self.plays.drain(..).map(|play| Event::PlayEnded {
            leg: leg.clone(),
            play: play.play,
            reason: PlayEnd::LegClosed,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixer::{FRAME, SILENCE};

    fn id(name: &str) -> Id {
        Id::new(name).expect("an id")
    }

    fn prompt(samples: usize) -> Sound {
        Sound::Prompt(vec![1000; samples].into())
    }

    fn finished(events: &[Event]) -> Vec<String> {
        let play = |event: &'_ Event| match event {
            Event::PlayEnded {
                play,
                reason: PlayEnd::Finished,
                ..
            } => play.as_str().to_owned(),
            other => panic!("{other:?}"),
        };
        events.iter().map(play).collect()
    }

    #[test]
    fn a_play_begins_with_the_sample_after_the_one_before() {
        let mut player = Player::default();
        assert!(
            player.push(id("a"), prompt(100), false) && player.push(id("b"), prompt(100), false)
        );
        let (mut first, mut second, mut events) = (SILENCE, SILENCE, Vec::new());
        player.fill(&id("leg"), &mut first, &mut events);
        assert_eq!(finished(&events), ["a"]);
        player.fill(&id("leg"), &mut second, &mut events);
        assert_eq!(finished(&events), ["a", "b"]);
        assert_eq!(
            (first[50], first[FRAME - 1], second[0], second[40]),
            (1000, 1000, 1000, 0)
        );
        assert!(player.is_idle());
    }

    #[test]
    fn a_prompt_rises_and_falls_within_five_milliseconds() {
        let mut player = Player::default();
        player.push(id("a"), prompt(FRAME), false);
        let mut frame = SILENCE;
        player.fill(&id("leg"), &mut frame, &mut Vec::new());
        assert!(
            frame
                .windows(2)
                .all(|pair| (pair[0] - pair[1]).abs() <= 1000 / RAMP as i16)
        );
        assert!(frame[0] <= 25 && frame[FRAME - 1] <= 25 && frame[RAMP] == 1000);
    }

    #[test]
    fn a_loop_goes_on_until_it_is_stopped_and_an_empty_one_ends() {
        let mut player = Player::default();
        player.push(id("empty"), prompt(0), true);
        player.push(id("loop"), prompt(70), true);
        let (mut frame, mut events) = (SILENCE, Vec::new());
        for _ in 0..100 {
            player.fill(&id("leg"), &mut frame, &mut events);
        }
        assert_eq!(finished(&events), ["empty"]);
        assert_eq!(player.stop(&id("loop")), Some(true));
        assert_eq!(player.stop(&id("loop")), None);
    }

    #[test]
    fn more_plays_than_the_limit_are_refused() {
        let mut player = Player::default();
        let pushed = (0..=MAX_PLAYS)
            .filter(|_| player.push(id("p"), prompt(1), false))
            .count();
        assert_eq!(pushed, MAX_PLAYS);
    }
}
