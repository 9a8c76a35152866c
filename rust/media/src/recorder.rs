//! What is recorded, as blocks of samples for whoever writes the file.
//!
//! A recording begins with the first sound and is continuous from then on: silence is written too. It ends
//! by itself at its longest duration or after enough silence.

use crate::messages::{Event, Id, RecordingEnd};
use crate::mixer::{FRAME, FRAME_MS, Frame};
use crate::output::Output;

/// Samples handed out together: 100 ms, so that little is lost when the process is killed.
pub const BLOCK: usize = 5 * FRAME;
/// Recordings of one room or leg at a time.
pub const MAX_RECORDERS: usize = 4;
/// Root mean square below which a frame counts as silence: about -50 dBFS.
const SILENCE_RMS: i64 = 100;
const SAMPLES_PER_MS: u64 = FRAME as u64 / FRAME_MS;

/// What became of a recording.
#[derive(Debug, PartialEq)]
pub enum Recorded {
    /// The next samples.
    Block { recording: Id, pcm: Vec<i16> },
    /// Nothing follows.
    End { recording: Id, reason: RecordingEnd },
}

/// When a recording ends by itself; 0 means never.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RecordingLimits {
    pub max_duration_ms: u64,
    pub end_of_silence_ms: u64,
}

/// One recording on its way to a file.
#[derive(Debug)]
pub struct Recorder {
    recording: Id,
    limits: RecordingLimits,
    block: Vec<i16>,
    samples: u64,
    silent_ms: u64,
}

/// What the frame just written meant for a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// It was the first that is written.
    pub begun: bool,
    /// It was the last; [`Recorder::finish`] the recording.
    pub ended: Option<RecordingEnd>,
}

impl Recorder {
    pub fn new(recording: Id, limits: RecordingLimits) -> Recorder {
        Recorder {
            recording,
            limits,
            block: Vec::with_capacity(BLOCK),
            samples: 0,
            silent_ms: 0,
        }
    }

    /// Takes the next 20 ms; full blocks go to `recorded`.
    pub fn write(&mut self, frame: &Frame, recorded: &mut Vec<Recorded>) -> Progress {
        let silent = is_silent(frame);
        if self.samples == 0 && silent {
            return Progress::default();
        }
        let begun = self.samples == 0;
        let room = match self.limits.max_duration_ms {
            0 => u64::MAX,
            limit => limit.saturating_mul(SAMPLES_PER_MS) - self.samples,
        };
        let take = room.min(FRAME as u64) as usize;
        self.block.extend_from_slice(&frame[..take]);
        self.samples += take as u64;
        self.silent_ms = if silent { self.silent_ms + FRAME_MS } else { 0 };
        if self.block.len() >= BLOCK {
            self.flush(recorded);
        }
        let limit = self.limits.end_of_silence_ms;
        let ended = if room <= FRAME as u64 {
            Some(RecordingEnd::Duration)
        } else {
            (limit > 0 && self.silent_ms >= limit).then_some(RecordingEnd::Silence)
        };
        Progress { begun, ended }
    }

    /// Hands out what is left and says that it was the last.
    pub fn finish(mut self, reason: RecordingEnd, recorded: &mut Vec<Recorded>) {
        self.flush(recorded);
        recorded.push(Recorded::End {
            recording: self.recording,
            reason,
        });
    }

    fn flush(&mut self, recorded: &mut Vec<Recorded>) {
        if self.block.is_empty() {
            return;
        }
        let pcm = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        recorded.push(Recorded::Block {
            recording: self.recording.clone(),
            pcm,
        });
    }
}

/// The recordings of one room or leg.
#[derive(Debug, Default)]
pub struct Recorders {
    recorders: Vec<Recorder>,
}

impl Recorders {
    pub fn is_empty(&self) -> bool {
        self.recorders.is_empty()
    }

    /// Names of the recordings.
    pub fn names(&self) -> impl Iterator<Item = &Id> {
        self.recorders.iter().map(|recorder| &recorder.recording)
    }

    /// `false` if [`MAX_RECORDERS`] run already.
    pub fn push(&mut self, recorder: Recorder) -> bool {
        let free = self.recorders.len() < MAX_RECORDERS;
        if free {
            self.recorders.push(recorder);
        }
        free
    }

    /// Ends one recording; `false` if it is not among these.
    pub fn stop(
        &mut self,
        recording: &Id,
        reason: RecordingEnd,
        recorded: &mut Vec<Recorded>,
    ) -> bool {
        let found = self
            .recorders
            .iter()
            .position(|recorder| recorder.recording == *recording);
        found
            .map(|at| self.recorders.swap_remove(at).finish(reason, recorded))
            .is_some()
    }

    /// Ends all.
    pub fn close(&mut self, reason: RecordingEnd, recorded: &mut Vec<Recorded>) {
        self.recorders
            .drain(..)
            .for_each(|recorder| recorder.finish(reason, recorded));
    }

    /// Takes the next 20 ms of what all of them record.
    pub fn write(&mut self, frame: &Frame, output: &mut Output) {
        let mut at = 0;
        while let Some(recorder) = self.recorders.get_mut(at) {
            let progress = recorder.write(frame, &mut output.recorded);
            if progress.begun {
                output.events.push(Event::RecordingStarted {
                    recording: recorder.recording.clone(),
                });
            }
            match progress.ended {
                Some(reason) => self
                    .recorders
                    .swap_remove(at)
                    .finish(reason, &mut output.recorded),
                None => at += 1,
            }
        }
    }
}

fn is_silent(frame: &Frame) -> bool {
    let energy: i64 = frame
        .iter()
        .map(|sample| i64::from(*sample) * i64::from(*sample))
        .sum();
    energy < SILENCE_RMS * SILENCE_RMS * FRAME as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixer::SILENCE;

    const SOUND: Frame = [1000; FRAME];

    fn run(limits: RecordingLimits, frames: &[Frame]) -> (Vec<Progress>, usize) {
        let mut recorder = Recorder::new(Id::new("r").expect("an id"), limits);
        let mut recorded = Vec::new();
        let mut all = Vec::new();
        for frame in frames {
            let progress = recorder.write(frame, &mut recorded);
            all.push(progress);
            if progress.ended.is_some() {
                break;
            }
        }
        recorder.finish(RecordingEnd::Stopped, &mut recorded);
        let samples = recorded.iter().map(|r| {
            if let Recorded::Block { pcm, .. } = r {
                pcm.len()
            } else {
                0
            }
        });
        (all, samples.sum())
    }

    #[test]
    fn a_recording_begins_with_the_first_sound_and_then_keeps_silence() {
        let (progress, samples) = run(
            RecordingLimits::default(),
            &[SILENCE, SILENCE, SOUND, SILENCE, SILENCE, SOUND],
        );
        let begun: Vec<bool> = progress.iter().map(|p| p.begun).collect();
        assert_eq!(begun, [false, false, true, false, false, false]);
        assert_eq!(samples, 4 * FRAME);
    }

    #[test]
    fn the_longest_duration_is_kept_to_the_sample() {
        let limits = RecordingLimits {
            max_duration_ms: 50,
            end_of_silence_ms: 0,
        };
        let (progress, samples) = run(limits, &[SOUND; 9]);
        assert_eq!(
            progress.last().and_then(|p| p.ended),
            Some(RecordingEnd::Duration)
        );
        assert_eq!(samples, 400);
    }

    #[test]
    fn silence_ends_a_recording_only_when_it_lasts() {
        let limits = RecordingLimits {
            max_duration_ms: 0,
            end_of_silence_ms: 60,
        };
        let frames = [
            SOUND, SILENCE, SILENCE, SOUND, SILENCE, SILENCE, SILENCE, SOUND,
        ];
        let (progress, samples) = run(limits, &frames);
        assert_eq!(
            progress.last().and_then(|p| p.ended),
            Some(RecordingEnd::Silence)
        );
        assert_eq!(samples, 7 * FRAME);
    }
}
