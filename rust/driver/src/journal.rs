//! Events on their way to the server: numbered, kept until the server says that it has them.

use std::collections::VecDeque;

use plenary_media::messages::Event;
use serde::Serialize;

/// Events kept for a server that does not take them: with ten a second, almost two hours.
pub const MAX_EVENTS: usize = 65_536;

#[derive(Debug)]
struct Entry {
    seq: u64,
    /// The event in msgpack, `seq` included.
    bytes: Vec<u8>,
    /// May go first when there are too many.
    passing: bool,
}

#[derive(Serialize)]
struct Numbered<'a> {
    seq: u64,
    #[serde(flatten)]
    event: &'a Event,
}

/// What has happened and is not acknowledged, oldest first. Numbers begin with 1.
#[derive(Debug, Default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    last: u64,
    passing: usize,
}

impl Journal {
    pub fn push(&mut self, event: &Event) {
        self.last += 1;
        let bytes = rmp_serde::to_vec_named(&Numbered {
            seq: self.last,
            event,
        })
        .unwrap_or_else(|error| unreachable!("an event can always be written: {error}"));
        let passing = matches!(event, Event::Talking { .. } | Event::Stats { .. });
        self.passing += usize::from(passing);
        self.entries.push_back(Entry {
            seq: self.last,
            bytes,
            passing,
        });
        if self.entries.len() > MAX_EVENTS {
            let goes = match self.passing {
                0 => 0,
                _ => self
                    .entries
                    .iter()
                    .position(|entry| entry.passing)
                    .unwrap_or(0),
            };
            if let Some(gone) = self.entries.remove(goes) {
                self.passing -= usize::from(gone.passing);
            }
        }
    }

    /// Number of the newest event; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Number of the newest event that is kept; 0 if none is.
    pub fn newest(&self) -> u64 {
        self.entries.back().map_or(0, |entry| entry.seq)
    }

    /// The server has all events up to `seq`.
    pub fn acknowledge(&mut self, seq: u64) {
        while let Some(entry) = self.entries.front().filter(|entry| entry.seq <= seq) {
            self.passing -= usize::from(entry.passing);
            self.entries.pop_front();
        }
    }

    /// The events after `seq`: number and msgpack of each.
    pub fn after(&self, seq: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let from = self.entries.partition_point(|entry| entry.seq <= seq);
        self.entries
            .range(from..)
            .map(|entry| (entry.seq, entry.bytes.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plenary_media::messages::Id;

    fn digits_sent() -> Event {
        Event::DigitsSent {
            leg: Id::new("a").expect("an id"),
        }
    }

    fn talking() -> Event {
        Event::Talking {
            leg: Id::new("a").expect("an id"),
            talking: true,
        }
    }

    fn numbers(journal: &Journal, after: u64) -> Vec<u64> {
        journal.after(after).map(|(seq, _)| seq).collect()
    }

    #[test]
    fn events_are_numbered_from_one_and_kept_until_acknowledged() {
        let mut journal = Journal::default();
        (0..4).for_each(|_| journal.push(&digits_sent()));
        assert_eq!(numbers(&journal, 0), [1, 2, 3, 4]);
        journal.acknowledge(2);
        assert_eq!(numbers(&journal, 0), [3, 4]);
        assert_eq!(numbers(&journal, 3), [4]);
    }

    #[test]
    fn an_event_carries_its_number_and_type() {
        let mut journal = Journal::default();
        journal.push(&digits_sent());
        let (_, bytes) = journal.after(0).next().expect("an event");
        assert!(bytes.windows(3).any(|window| window == b"seq"));
        assert!(bytes.windows(11).any(|window| window == b"digits_sent"));
    }

    #[test]
    fn who_talks_is_forgotten_before_anything_else_when_there_are_too_many() {
        let mut journal = Journal::default();
        journal.push(&digits_sent());
        journal.push(&talking());
        (0..MAX_EVENTS).for_each(|_| journal.push(&digits_sent()));
        let kept = numbers(&journal, 0);
        assert_eq!(kept.len(), MAX_EVENTS);
        assert_eq!(kept[..2], [3, 4]);
    }
}
