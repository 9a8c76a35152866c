//! The gain matrix of a room, as rows that listeners share.
//!
//! A row says how loud a listener hears each speaker: a base for everyone, and exceptions. Listeners with the
//! same row form a mix class; what is mixed and encoded for one of them serves all. Most rooms have one class.

use crate::legs::LegKey;
use crate::mixer::Gain;

/// One listener's gains; the listener's own voice is never in what he hears, whatever stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    base: Gain,
    /// Sorted by speaker; none equals the base.
    exceptions: Vec<(LegKey, Gain)>,
}

impl Default for Row {
    fn default() -> Row {
        Row {
            base: Gain::UNITY,
            exceptions: Vec::new(),
        }
    }
}

impl Row {
    #[inline]
    pub fn gain(&self, speaker: LegKey) -> Gain {
        if self.exceptions.is_empty() {
            return self.base;
        }
        match self
            .exceptions
            .binary_search_by_key(&speaker, |(leg, _)| *leg)
        {
            Ok(at) => self.exceptions[at].1,
            Err(_) => self.base,
        }
    }

    /// Everyone at the same gain.
    pub fn is_plain(&self) -> bool {
        self.exceptions.is_empty()
    }

    pub fn base(&self) -> Gain {
        self.base
    }

    /// `speaker` of `None` sets the gain of everyone who has no exception.
    fn set(&mut self, speaker: Option<LegKey>, gain: Gain) {
        match speaker {
            None => {
                self.base = gain;
                self.exceptions.retain(|(_, exception)| *exception != gain);
            }
            Some(speaker) => {
                self.forget(speaker);
                if gain != self.base {
                    let at = self.exceptions.partition_point(|(leg, _)| *leg < speaker);
                    self.exceptions.insert(at, (speaker, gain));
                }
            }
        }
    }

    fn forget(&mut self, speaker: LegKey) {
        if let Ok(at) = self
            .exceptions
            .binary_search_by_key(&speaker, |(leg, _)| *leg)
        {
            self.exceptions.remove(at);
        }
    }
}

/// Number of a mix class in its [`Matrix`].
pub type Class = u16;

#[derive(Debug, Default)]
struct Entry {
    row: Row,
    listeners: u32,
}

/// The classes of a room. Class 0 always is the default row. A class that loses its last listener keeps its
/// row and number until [`Matrix::tidy`], so that the next tick can still ramp from it.
#[derive(Debug)]
pub struct Matrix {
    classes: Vec<Entry>,
}

impl Default for Matrix {
    fn default() -> Matrix {
        Matrix {
            classes: vec![Entry::default()],
        }
    }
}

impl Matrix {
    /// Numbers below this are classes.
    pub fn classes(&self) -> usize {
        self.classes.len()
    }

    #[inline]
    pub fn row(&self, class: Class) -> &Row {
        &self.classes[usize::from(class)].row
    }

    /// A new listener with the default row.
    pub fn enter(&mut self) -> Class {
        self.classes[0].listeners += 1;
        0
    }

    pub fn exit(&mut self, class: Class) {
        self.classes[usize::from(class)].listeners -= 1;
    }

    /// The class of a listener of `class` after one more gain is set; `None` if there are too many classes.
    pub fn change(&mut self, class: Class, speaker: Option<LegKey>, gain: Gain) -> Option<Class> {
        let mut row = self.row(class).clone();
        row.set(speaker, gain);
        let found = self.classes.iter().position(|entry| entry.row == row);
        let number = match found {
            Some(number) => number,
            None if self.classes.len() >= usize::from(Class::MAX) => return None,
            None => {
                self.classes.push(Entry { row, listeners: 0 });
                self.classes.len() - 1
            }
        };
        self.classes[number].listeners += 1;
        self.exit(class);
        Some(number as Class)
    }

    /// A speaker is gone for good.
    pub fn forget(&mut self, speaker: LegKey) {
        self.classes
            .iter_mut()
            .for_each(|entry| entry.row.forget(speaker));
    }

    /// How loud the loudest of the others hears `speaker`, who himself listens with `own`: what a recording
    /// of the room keeps of him. At most unity; unity too if nobody else is there.
    pub fn loudest(&self, speaker: LegKey, own: Class) -> Gain {
        let others = self.classes.iter().enumerate().filter(|(number, entry)| {
            let himself = u32::from(*number == usize::from(own));
            entry.listeners > himself
        });
        let loudest = others.map(|(_, entry)| entry.row.gain(speaker)).max();
        loudest.unwrap_or(Gain::UNITY).min(Gain::UNITY)
    }

    /// Drops classes without listeners and merges equal ones; returns the new number for each old one, or
    /// nothing if all stays as it was.
    pub fn tidy(&mut self) -> Option<Vec<Class>> {
        let untidy = |(number, entry): (usize, &Entry)| {
            number > 0
                && (entry.listeners == 0
                    || self.classes[..number]
                        .iter()
                        .any(|other| other.row == entry.row))
        };
        if !self.classes.iter().enumerate().any(untidy) {
            return None;
        }
        let mut kept: Vec<Entry> = Vec::with_capacity(self.classes.len());
        let mut numbers = Vec::with_capacity(self.classes.len());
        for (number, entry) in self.classes.drain(..).enumerate() {
            if number > 0 && entry.listeners == 0 {
                numbers.push(0);
            } else if let Some(same) = kept.iter().position(|other| other.row == entry.row) {
                kept[same].listeners += entry.listeners;
                numbers.push(same as Class);
            } else {
                numbers.push(kept.len() as Class);
                kept.push(entry);
            }
        }
        self.classes = kept;
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u64) -> LegKey {
        LegKey::from_u64(slot)
    }

    fn gain(factor: f64) -> Gain {
        Gain::new(factor).expect("in range")
    }

    #[test]
    fn listeners_with_the_same_gains_share_a_class_however_they_got_there() {
        let mut matrix = Matrix::default();
        let (ann, bob) = (matrix.enter(), matrix.enter());
        let ann = matrix
            .change(ann, Some(key(7)), gain(0.0))
            .expect("a class");
        let ann = matrix
            .change(ann, Some(key(3)), gain(2.0))
            .expect("a class");
        let bob = matrix
            .change(bob, Some(key(3)), gain(2.0))
            .expect("a class");
        let bob = matrix
            .change(bob, Some(key(7)), gain(0.0))
            .expect("a class");
        assert_eq!(ann, bob);
        assert_eq!(matrix.row(ann).gain(key(7)), Gain::MUTE);
        assert_eq!(matrix.row(ann).gain(key(8)), Gain::UNITY);
    }

    #[test]
    fn taking_an_exception_back_leads_to_the_default_class_and_tidying_drops_the_rest() {
        let mut matrix = Matrix::default();
        let ann = matrix.enter();
        let muted = matrix
            .change(ann, Some(key(7)), gain(0.0))
            .expect("a class");
        let plain = matrix
            .change(muted, Some(key(7)), gain(1.0))
            .expect("a class");
        assert_eq!(plain, 0);
        assert_eq!(matrix.tidy(), Some(vec![0, 0]));
        assert_eq!(matrix.tidy(), None);
    }

    #[test]
    fn a_recording_keeps_who_is_muted_for_all_out_and_amplifies_nobody() {
        let mut matrix = Matrix::default();
        let (ann, _bob) = (matrix.enter(), matrix.enter());
        assert_eq!(matrix.loudest(key(1), ann), Gain::UNITY);
        let bob = matrix.change(0, Some(key(1)), gain(0.0)).expect("a class");
        assert_eq!(matrix.loudest(key(1), ann), Gain::MUTE);
        matrix
            .change(bob, Some(key(1)), gain(3.0))
            .expect("a class");
        assert_eq!(matrix.loudest(key(1), ann), Gain::UNITY);
    }

    #[test]
    fn who_is_gone_leaves_no_row_behind() {
        let mut matrix = Matrix::default();
        let ann = matrix.enter();
        let ann = matrix
            .change(ann, Some(key(7)), gain(0.5))
            .expect("a class");
        matrix.forget(key(7));
        let numbers = matrix.tidy().expect("equal classes are merged");
        assert_eq!(numbers[usize::from(ann)], 0);
        assert!(matrix.row(0).is_plain());
    }
}
