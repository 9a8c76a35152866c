//! Prompts and tones that one leg hears, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use plenary_codec::{Frame, Rate};

use crate::coder::Converter;
use crate::messages::{Event, Id, PlayEnd};
use crate::mixer::ramp;
use crate::tone::Tone;

/// Plays of one leg that may wait, the one being heard included.
pub const MAX_PLAYS: usize = 32;

/// What is played.
#[derive(Clone, Debug)]
pub enum Sound {
    Prompt { pcm: Arc<[i16]>, rate: Rate },
    Tone(Tone),
}

/// A prompt on its way from its own rate to the leg's, a frame at a time.
#[derive(Debug)]
struct Conversion {
    converter: Converter,
    frame: Frame,
    /// Samples of the frame that were heard already.
    heard: usize,
    /// Samples of the prompt's end that the resampler still holds back.
    tail: usize,
}

impl Conversion {
    fn new(from: Rate, to: Rate) -> Conversion {
        let converter = Converter::new(from, to);
        let tail = converter.latency();
        Conversion {
            converter,
            frame: Frame::silence(to),
            heard: to.frame(),
            tail,
        }
    }
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
    conversion: Option<Box<Conversion>>,
}

impl Play {
    fn rewind(&mut self) {
        self.position = 0;
        self.conversion = None;
        self.tone = match &self.sound {
            Sound::Prompt { .. } => None,
            Sound::Tone(tone) => Some(tone.clone()),
        };
    }

    /// Writes the next samples at `rate` and gives how many; fewer than asked for at the end.
    fn fill(&mut self, rate: Rate, pcm: &mut [i16]) -> usize {
        if let Some(tone) = &mut self.tone {
            return tone.fill(rate, pcm);
        }
        let Sound::Prompt {
            pcm: prompt,
            rate: from,
        } = &self.sound
        else {
            return 0;
        };
        if *from == rate {
            return read(prompt, &mut self.position, rate, pcm);
        }
        let conversion = match &mut self.conversion {
            Some(conversion) if conversion.frame.rate() == rate => conversion,
            other => other.insert(Box::new(Conversion::new(*from, rate))),
        };
        let mut filled = 0;
        while filled < pcm.len() {
            if conversion.heard == conversion.frame.len() {
                let mut source = Frame::silence(*from);
                let wrote = read(prompt, &mut self.position, *from, &mut source);
                let mut wanted = wrote * rate.frame() / from.frame();
                if wrote < source.len() {
                    let tail = conversion.tail.min(rate.frame() - wanted);
                    conversion.tail -= tail;
                    wanted += tail;
                }
                if wanted == 0 {
                    break;
                }
                conversion.converter.convert(&source, &mut conversion.frame);
                // What is wanted of the last frame is its beginning, and is moved to its end.
                conversion.heard = rate.frame() - wanted;
                conversion
                    .frame
                    .copy_within(..wanted, rate.frame() - wanted);
            }
            let ready = &conversion.frame[conversion.heard..];
            let take = ready.len().min(pcm.len() - filled);
            pcm[filled..filled + take].copy_from_slice(&ready[..take]);
            conversion.heard += take;
            filled += take;
        }
        filled
    }
}

/// Copies the next samples of a prompt, which rises from nothing and falls to nothing; gives how many.
fn read(prompt: &[i16], position: &mut usize, rate: Rate, pcm: &mut [i16]) -> usize {
    let ramp = ramp(rate.frame());
    let take = pcm.len().min(prompt.len() - *position);
    for (i, sample) in pcm[..take].iter_mut().enumerate() {
        let at = *position + i;
        let edge = (at + 1).min(prompt.len() - at).min(ramp);
        *sample = (i32::from(prompt[at]) * edge as i32 / ramp as i32) as i16;
    }
    *position += take;
    take
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
            conversion: None,
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
        let (rate, mut filled) = (frame.rate(), 0);
        while let Some(play) = self.plays.front_mut() {
            let wrote = play.fill(rate, &mut frame[filled..]);
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

    fn id(name: &str) -> Id {
        Id::new(name).expect("an id")
    }

    const FRAME: usize = Rate::Narrow.frame();

    fn prompt(samples: usize) -> Sound {
        prompt_at(Rate::Narrow, samples)
    }

    fn prompt_at(rate: Rate, samples: usize) -> Sound {
        let pcm = vec![1000; samples].into();
        Sound::Prompt { pcm, rate }
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
        let (mut first, mut second, mut events) = (Frame::default(), Frame::default(), Vec::new());
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
        let mut frame = Frame::default();
        player.fill(&id("leg"), &mut frame, &mut Vec::new());
        assert!(
            frame
                .windows(2)
                .all(|pair| (pair[0] - pair[1]).abs() <= 1000 / ramp(FRAME) as i16)
        );
        assert!(frame[0] <= 25 && frame[FRAME - 1] <= 25 && frame[ramp(FRAME)] == 1000);
    }

    #[test]
    fn a_loop_goes_on_until_it_is_stopped_and_an_empty_one_ends() {
        let mut player = Player::default();
        player.push(id("empty"), prompt(0), true);
        player.push(id("loop"), prompt(70), true);
        let (mut frame, mut events) = (Frame::default(), Vec::new());
        for _ in 0..100 {
            player.fill(&id("leg"), &mut frame, &mut events);
        }
        assert_eq!(finished(&events), ["empty"]);
        assert_eq!(player.stop(&id("loop")), Some(true));
        assert_eq!(player.stop(&id("loop")), None);
    }

    #[test]
    fn a_prompt_is_as_long_and_as_loud_at_every_rate() {
        for (from, to) in Rate::ALL
            .into_iter()
            .flat_map(|from| Rate::ALL.map(|to| (from, to)))
        {
            let mut player = Player::default();
            player.push(id("p"), prompt_at(from, from.per_ms() * 70), false);
            let mut heard = Vec::new();
            let mut events = Vec::new();
            while events.is_empty() {
                let mut frame = Frame::silence(to);
                player.fill(&id("leg"), &mut frame, &mut events);
                heard.extend_from_slice(&frame);
            }
            let ms = |ms: usize| ms * to.per_ms();
            assert!(
                heard[ms(10)..ms(60)]
                    .iter()
                    .all(|s| (980..1_020).contains(s))
            );
            // No more than the resampler's latency later, and to the end.
            assert!(heard[ms(75)..].iter().all(|sample| sample.abs() < 30));
            let steps = heard.windows(2).map(|pair| (pair[0] - pair[1]).abs());
            assert!(steps.max() < Some(60), "{from:?} {to:?}");
        }
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
