//! Who talks in a tick.

use plenary_codec::Frame;

use crate::legs::LegKey;

#[derive(Debug, Default)]
pub struct Talker {
    /// Index of the member.
    pub member: usize,
    pub leg: LegKey,
    pub voice: Frame,
}

/// The frames are kept for the next tick.
#[derive(Debug, Default)]
pub struct Talkers {
    talkers: Vec<Talker>,
    count: usize,
}

impl Talkers {
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// A frame for the next talker's voice.
    pub fn add(&mut self, member: usize, leg: LegKey) -> &mut Frame {
        if self.count == self.talkers.len() {
            self.talkers.push(Talker::default());
        }
        let talker = &mut self.talkers[self.count];
        self.count += 1;
        (talker.member, talker.leg) = (member, leg);
        &mut talker.voice
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Talker> {
        self.talkers[..self.count].iter()
    }
}
