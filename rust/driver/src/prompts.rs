//! Prompts by name, as long as there is room; those not played for the longest time go first.

use std::collections::HashMap;
use std::sync::Arc;

use plenary_codec::Rate;
use plenary_media::messages::Id;

/// Memory for prompts: 4.6 hours of speech at 8 kHz.
pub const MAX_BYTES: usize = 256 * 1024 * 1024;

#[derive(Debug)]
struct Prompt {
    pcm: Arc<[i16]>,
    rate: Rate,
    used: u64,
}

/// A cache: what it no longer has, the server loads again.
#[derive(Debug, Default)]
pub struct Prompts {
    prompts: HashMap<Id, Prompt>,
    bytes: usize,
    /// Counts uses.
    clock: u64,
}

impl Prompts {
    pub fn load(&mut self, name: Id, rate: Rate, pcm: Vec<i16>) {
        self.clock += 1;
        if let Some(known) = self.prompts.get_mut(&name) {
            known.used = self.clock;
            return;
        }
        self.bytes += 2 * pcm.len();
        self.prompts.insert(
            name,
            Prompt {
                pcm: pcm.into(),
                rate,
                used: self.clock,
            },
        );
        while self.bytes > MAX_BYTES
            && let Some(oldest) = self.prompts.iter().min_by_key(|(_, prompt)| prompt.used)
        {
            let oldest = oldest.0.clone();
            self.bytes -= self
                .prompts
                .remove(&oldest)
                .map_or(0, |prompt| 2 * prompt.pcm.len());
        }
    }

    pub fn get(&mut self, name: &Id) -> Option<(Arc<[i16]>, Rate)> {
        self.clock += 1;
        let prompt = self.prompts.get_mut(name)?;
        prompt.used = self.clock;
        Some((prompt.pcm.clone(), prompt.rate))
    }

    pub fn names(&self) -> impl Iterator<Item = &Id> {
        self.prompts.keys()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_not_played_for_longest_goes_when_memory_is_full() {
        let name = |text| Id::new(text).expect("an id");
        let third = MAX_BYTES / 2 / 3;
        let mut prompts = Prompts::default();
        prompts.load(name("a"), Rate::Narrow, vec![0; third]);
        prompts.load(name("b"), Rate::Narrow, vec![0; third]);
        prompts.load(name("b"), Rate::Narrow, vec![0; third]);
        assert!(prompts.get(&name("a")).is_some());
        prompts.load(name("c"), Rate::Narrow, vec![0; third]);
        prompts.load(name("d"), Rate::Narrow, vec![0; third]);
        assert!(prompts.get(&name("b")).is_none());
        assert!(prompts.get(&name("a")).is_some());
        assert!(prompts.bytes() <= MAX_BYTES);
    }
}
