//! The legs of one engine, and the wall between them: a leg whose code panics is marked and closed, its room
//! and the other legs go on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::leg::Leg;

/// A leg of one engine, cheap to copy. Never reused: a key of a leg that is gone finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegKey {
    slot: u32,
    generation: u32,
}

impl LegKey {
    /// As one number, for an event queue of the operating system.
    pub fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    pub fn from_u64(number: u64) -> LegKey {
        LegKey {
            slot: number as u32,
            generation: (number >> 32) as u32,
        }
    }

    /// Small number for tables beside the engine's own; reused after the leg is gone.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    leg: Option<Box<Leg>>,
}

/// Legs by key.
#[derive(Debug, Default)]
pub struct Legs {
    slots: Vec<Slot>,
    free: Vec<u32>,
    broken: Vec<LegKey>,
}

impl Legs {
    pub fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn insert(&mut self, leg: Box<Leg>) -> LegKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let entry = &mut self.slots[slot as usize];
        assert!(entry.leg.is_none(), "a free slot holds a leg");
        entry.leg = Some(leg);
        LegKey {
            slot,
            generation: entry.generation,
        }
    }

    pub fn remove(&mut self, key: LegKey) -> Option<Box<Leg>> {
        let entry = self
            .slots
            .get_mut(key.slot as usize)
            .filter(|entry| entry.generation == key.generation)?;
        let leg = entry.leg.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(key.slot);
        Some(leg)
    }

    #[inline]
    pub fn get(&self, key: LegKey) -> Option<&Leg> {
        let entry = self
            .slots
            .get(key.slot as usize)
            .filter(|entry| entry.generation == key.generation)?;
        entry.leg.as_deref()
    }

    #[inline]
    pub fn get_mut(&mut self, key: LegKey) -> Option<&mut Leg> {
        let entry = self
            .slots
            .get_mut(key.slot as usize)
            .filter(|entry| entry.generation == key.generation)?;
        entry.leg.as_deref_mut()
    }

    pub fn keys(&self) -> impl Iterator<Item = LegKey> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.leg.is_some())
            .map(|(slot, entry)| LegKey {
                slot: slot as u32,
                generation: entry.generation,
            })
    }

    /// Lets `work` do something with a leg. A panic in it condemns the leg (see [`Legs::take_broken`]);
    /// `None` then, or if there is no such leg.
    #[inline]
    pub fn guard<R>(&mut self, key: LegKey, work: impl FnOnce(&mut Leg) -> R) -> Option<R> {
        let leg = self.get_mut(key)?;
        match catch_unwind(AssertUnwindSafe(|| work(leg))) {
            Ok(result) => Some(result),
            Err(_) => {
                self.broken.push(key);
                None
            }
        }
    }

    /// A leg that panicked since the last call; its state is not to be trusted.
    pub fn take_broken(&mut self) -> Option<LegKey> {
        self.broken.pop()
    }
}
