//! What is done to what the peer says before it is mixed: noise suppression and loudness, each if it is asked for; and
//! whether there is anybody at all, unless all is to be heard that he sends: music, or a room.
//!
//! A peer that sends nothing but the noise of its room is not mixed: a hundred of them would be a storm, and each would
//! need an encode of his own, as he must not hear himself. It takes [`IDLE`] of noise. The first frame that could be a
//! voice is heard again itself, and what came before it, too faint to be told from noise, is given back by the gate.

use plenary_codec::{Frame, Rate};
use plenary_voice::level::{SILENCE_DBFS, rms_dbfs};
use plenary_voice::{Activity, Gate, NoiseSuppressor, Normaliser};

use crate::messages::Switches;
use crate::mixer;

/// Frames of noise after which a leg is as good as silent (1 s): pauses between words and sentences are shorter, and
/// nobody hears the room around a speaker come and go.
const IDLE: u32 = 50;

/// Who talks louder than this is heard without being listened to closely, but for one frame in [`CLOSELY`]: it is what
/// costs most of a voice of G.711. Well above all noise that is learned, so that a pause is never missed.
const LOUD_DBFS: f32 = -30.0;
const CLOSELY: u32 = 4;

/// Ticks without a frame after which nothing more is learned from them (2 s).
const NOTHING: u32 = 100;

#[derive(Debug)]
pub struct Processing {
    /// For the gate, for who talks is told, or for the normaliser, which takes nothing but voices for loud or soft.
    activity: Option<Activity>,
    /// What is no voice is not mixed, and talking is told.
    tells_voices: bool,
    suppressor: Option<NoiseSuppressor>,
    normaliser: Option<Normaliser>,
    /// While the leg is as good as silent, and until the gate is in time again.
    gate: Option<Box<Gate>>,
    level_dbfs: f32,
    /// Frames in a row that were noise.
    noise: u32,
    /// Frames in a row that were loud.
    loud: u32,
    /// Ticks in a row without a frame.
    nothing: u32,
    /// The suppressor came or went: what comes next does not follow the last sample.
    cut: bool,
    last: i16,
    /// As it was told.
    talking: bool,
    turn: Option<bool>,
}

impl Processing {
    pub fn new(switches: &Switches) -> Processing {
        let mut processing = Processing {
            activity: None,
            tells_voices: false,
            suppressor: None,
            normaliser: None,
            gate: None,
            level_dbfs: SILENCE_DBFS,
            noise: 0,
            loud: 0,
            nothing: 0,
            cut: false,
            last: 0,
            talking: false,
            turn: None,
        };
        processing.set(switches);
        processing
    }

    pub fn set(&mut self, switches: &Switches) {
        let (suppress, normalise) = (switches.noise_suppression, switches.normaliser);
        if suppress != self.suppressor.is_some() {
            // A frame of another rate makes it begin anew.
            self.suppressor = suppress.then(|| NoiseSuppressor::new(Rate::Narrow));
            self.cut = true;
        }
        if normalise != self.normaliser.is_some() {
            self.normaliser = normalise.then(Normaliser::new);
            self.cut = true;
        }
        self.tells_voices = switches.voice_activity;
        if !self.tells_voices && self.noise == IDLE {
            // What the gate has kept out was not heard: what comes next begins at nothing.
            (self.gate, self.noise) = (None, 0);
            (self.cut, self.last) = (true, 0);
        }
        let listens = self.tells_voices || normalise;
        if listens != self.activity.is_some() {
            self.activity = listens.then(Activity::new);
            self.loud = 0;
        }
    }

    /// Works on a frame; whether it is to be mixed.
    pub fn frame(&mut self, frame: &mut Frame) -> bool {
        if let Some(suppressor) = &mut self.suppressor {
            suppressor.process(frame);
        }
        let heard = self.hear(frame) || !self.tells_voices;
        self.tell();
        if let Some(normaliser) = &mut self.normaliser {
            let talking = self.activity.as_ref().is_some_and(Activity::is_talking);
            normaliser.process(frame, talking);
        }
        if std::mem::take(&mut self.cut) {
            mixer::fade_in(frame);
            mixer::add_tail(frame, self.last);
        }
        self.last = frame.last().copied().unwrap_or(0);
        self.noise = if heard { 0 } else { (self.noise + 1).min(IDLE) };
        let idle = self.noise == IDLE;
        if idle && self.gate.is_none() {
            self.gate = Some(Box::default());
        }
        let Some(gate) = &mut self.gate else {
            return true;
        };
        let open = gate.process(frame, !idle);
        if gate.is_in_time() {
            self.gate = None;
        }
        open
    }

    fn hear(&mut self, frame: &Frame) -> bool {
        self.nothing = 0;
        let Some(activity) = &mut self.activity else {
            self.level_dbfs = rms_dbfs(frame);
            return true;
        };
        if activity.is_talking() {
            self.level_dbfs = rms_dbfs(frame);
            self.loud = if self.level_dbfs > LOUD_DBFS {
                self.loud + 1
            } else {
                0
            };
            if !self.loud.is_multiple_of(CLOSELY) {
                return true;
            }
        }
        let heard = activity.frame(frame);
        self.level_dbfs = activity.level_dbfs();
        heard
    }

    /// Notes whether talking began or ended.
    fn tell(&mut self) {
        let activity = self.activity.as_ref().filter(|_| self.tells_voices);
        let talking = activity.is_some_and(Activity::is_talking);
        self.turn = (talking != self.talking).then_some(talking);
        self.talking = talking;
    }

    /// A tick without a frame.
    #[inline]
    pub fn silence(&mut self) {
        if self.nothing >= NOTHING {
            self.turn = None;
            return;
        }
        if let Some(suppressor) = self.suppressor.as_mut().filter(|_| self.nothing == 0) {
            // It gives everything some milliseconds late: the end of this word must not begin the next.
            suppressor.process(&mut Frame::silence(suppressor.rate()));
        }
        if let Some(activity) = &mut self.activity {
            activity.silence();
        }
        self.tell();
        self.level_dbfs = SILENCE_DBFS;
        (self.cut, self.last) = (false, 0);
        (self.gate, self.noise) = (None, 0);
        self.nothing += 1;
        if self.nothing == NOTHING && self.talking {
            self.nothing = 0;
        }
    }

    /// `Some` if talking began or ended in this tick.
    pub fn turn(&self) -> Option<bool> {
        self.turn
    }

    pub fn is_talking(&self) -> bool {
        self.talking
    }

    pub fn level_dbfs(&self) -> f32 {
        self.level_dbfs
    }

    pub fn tells_voices(&self) -> bool {
        self.tells_voices
    }

    pub fn suppresses_noise(&self) -> bool {
        self.suppressor.is_some()
    }

    /// Of the normaliser, if there is one.
    pub fn gain_db(&self) -> Option<f32> {
        self.normaliser.as_ref().map(Normaliser::gain_db)
    }
}
