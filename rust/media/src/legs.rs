//! The legs of one engine, and the wall between them: a leg whose code panics is marked and closed, its room
//! and the other legs go on.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::leg::Leg;

/// A leg of one engine, cheap to copy. Never reused: a key of a leg that is gone finds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// By slot: something may have happened to the leg beside its ticks. Apart from the legs, so that to ask thousands that
    /// only listen touches none of them.
    stirred: Vec<bool>,
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
            self.stirred.push(true);
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
        self.stir(key);
        self.entry(key)
    }

    fn stir(&mut self, key: LegKey) {
        if let Some(stirred) = self.stirred.get_mut(key.slot as usize) {
            *stirred = true;
        }
    }

    /// Whether anything but [`Legs::tick`] had to do with a leg since it was last asked.
    #[inline]
    pub fn take_stirred(&mut self, key: LegKey) -> bool {
        let stirred = self.stirred.get_mut(key.slot as usize);
        stirred.is_none_or(std::mem::take)
    }

    /// Brings in the memory of legs that are about to be ticked, see [`Leg::touch`].
    #[inline]
    pub fn touch(&self, keys: impl Iterator<Item = LegKey>, now: Duration) {
        let legs = keys.filter_map(|key| self.get(key));
        black_box(legs.fold(0, |sum, leg| sum ^ leg.touch(now)));
    }

    #[inline]
    fn entry(&mut self, key: LegKey) -> Option<&mut Leg> {
        let entry = self
            .slots
            .get_mut(key.slot as usize)
            .filter(|entry| entry.generation == key.generation)?;
        entry.leg.as_deref_mut()
    }

    /// Above all slots that were ever in use.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The leg of a slot.
    pub fn at(&self, slot: usize) -> Option<(LegKey, &Leg)> {
        let entry = self.slots.get(slot)?;
        let key = LegKey {
            slot: slot as u32,
            generation: entry.generation,
        };
        Some((key, entry.leg.as_deref()?))
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
        self.stir(key);
        self.tick(key, work)
    }

    /// The same for what is done in every tick.
    #[inline]
    pub fn tick<R>(&mut self, key: LegKey, work: impl FnOnce(&mut Leg) -> R) -> Option<R> {
        let leg = self.entry(key)?;
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
