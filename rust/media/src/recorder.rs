//! What is recorded, as blocks of samples for whoever writes the file.
//!
//! A recording begins with the first sound and is continuous from then on: silence is written too. It ends
//! by itself at its longest duration or after enough silence.

use plenary_codec::{FRAME_MS, Frame, Rate};

use crate::coder::Converter;
use crate::messages::{Event, Id, RecordingEnd};
use crate::mixer;
use crate::output::Output;

/// Frames handed out together: 100 ms, so that little is lost when the process is killed.
pub const BLOCK_FRAMES: usize = 5;
/// Recordings of one room or leg at a time.
pub const MAX_RECORDERS: usize = 4;
/// Root mean square below which a frame counts as silence: about -50 dBFS.
const SILENCE_RMS: i64 = 100;

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
    /// Of what is handed out.
    rate: Rate,
    limits: RecordingLimits,
    conversion: Option<Box<Conversion>>,
    /// The last sample that was taken in.
    last: i16,
    block: Vec<i16>,
    samples: u64,
    silent_ms: u64,
}

/// What is recorded, on its way to the recording's rate.
#[derive(Debug)]
struct Conversion {
    from: Rate,
    converter: Converter,
    frame: Frame,
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
    pub fn new(recording: Id, rate: Rate, limits: RecordingLimits) -> Recorder {
        Recorder {
            recording,
            rate,
            limits,
            conversion: None,
            last: 0,
            block: Vec::with_capacity(BLOCK_FRAMES * rate.frame()),
            samples: 0,
            silent_ms: 0,
        }
    }

    /// Takes the next 20 ms, at any rate; full blocks go to `recorded`.
    pub fn write(&mut self, frame: &Frame, recorded: &mut Vec<Recorded>) -> Progress {
        let silent = is_silent(frame);
        if self.samples == 0 && silent {
            return Progress::default();
        }
        let begun = self.samples == 0;
        let per_ms = self.rate.per_ms() as u64;
        let room = match self.limits.max_duration_ms {
            0 => u64::MAX,
            limit => limit.saturating_mul(per_ms) - self.samples,
        };
        let whole = self.rate.frame() as u64;
        let take = room.min(whole) as usize;
        self.take_in(frame, take);
        self.samples += take as u64;
        self.silent_ms = if silent { self.silent_ms + FRAME_MS } else { 0 };
        if self.block.len() >= BLOCK_FRAMES * self.rate.frame() {
            self.flush(recorded);
        }
        let limit = self.limits.end_of_silence_ms;
        let ended = if room <= whole {
            Some(RecordingEnd::Duration)
        } else {
            (limit > 0 && self.silent_ms >= limit).then_some(RecordingEnd::Silence)
        };
        Progress { begun, ended }
    }

    /// Adds the first samples of a frame, at the recording's rate, to the block.
    fn take_in(&mut self, frame: &Frame, samples: usize) {
        let from = self.conversion.as_ref().map_or(self.rate, |it| it.from);
        let changed = from != frame.rate();
        if changed {
            // The filter begins anew: what it held back dies away.
            self.conversion = (frame.rate() != self.rate).then(|| {
                Box::new(Conversion {
                    from: frame.rate(),
                    converter: Converter::new(frame.rate(), self.rate),
                    frame: Frame::silence(self.rate),
                })
            });
        }
        let start = self.block.len();
        match &mut self.conversion {
            None => self.block.extend_from_slice(frame),
            Some(conversion) => {
                conversion.converter.convert(frame, &mut conversion.frame);
                self.block.extend_from_slice(&conversion.frame);
            }
        }
        if changed && self.samples > 0 {
            mixer::add_tail(&mut self.block[start..], self.last);
        }
        self.last = self.block.last().copied().unwrap_or(0);
        self.block.truncate(start + samples);
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
        let pcm = std::mem::replace(
            &mut self.block,
            Vec::with_capacity(BLOCK_FRAMES * self.rate.frame()),
        );
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

fn is_silent(frame: &[i16]) -> bool {
    let energy: i64 = frame
        .iter()
        .map(|sample| i64::from(*sample) * i64::from(*sample))
        .sum();
    energy < SILENCE_RMS * SILENCE_RMS * frame.len() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: i16 = 0;
    const SOUND: i16 = 1000;
    const FRAME: usize = Rate::Narrow.frame();

    fn run(limits: RecordingLimits, frames: &[i16]) -> (Vec<Progress>, usize) {
        let mut recorder = Recorder::new(Id::new("r").expect("an id"), Rate::Narrow, limits);
        let mut recorded = Vec::new();
        let mut all = Vec::new();
        for level in frames {
            let mut frame = Frame::default();
            frame.fill(*level);
            let progress = recorder.write(&frame, &mut recorded);
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

    #[test]
    fn whatever_rate_it_is_fed_with_a_recording_has_its_own_and_does_not_step() {
        for rate in Rate::ALL {
            let limits = RecordingLimits::default();
            let mut recorder = Recorder::new(Id::new("r").expect("an id"), rate, limits);
            let mut recorded = Vec::new();
            for n in 0..9 {
                let mut frame = Frame::silence(Rate::ALL[n / 3]);
                frame.fill(SOUND);
                if n % 3 == 0 {
                    mixer::fade_in(&mut frame);
                }
                recorder.write(&frame, &mut recorded);
            }
            recorder.finish(RecordingEnd::Stopped, &mut recorded);
            let mut pcm = Vec::new();
            for part in recorded {
                if let Recorded::Block { pcm: block, .. } = part {
                    pcm.extend(block);
                }
            }
            assert_eq!(pcm.len(), 9 * rate.frame());
            let steps = pcm.windows(2).map(|pair| (pair[0] - pair[1]).abs());
            assert!(steps.max() < Some(80), "{rate:?}");
        }
    }
}
