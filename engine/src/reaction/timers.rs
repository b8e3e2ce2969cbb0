//! Timers: when a reaction wants to be told of something, under keys of its own.
//!
//! A timer that is due becomes an event in the log, which the reaction handles like
//! any other: in its lane, with retries, once. The event's id derives from the event
//! that set the timer, so it is there once, however often it is appended. Between the
//! two the timer may be moved or cancelled; then the event leads to nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{
    event::{Block, Head, TIMER_DUE, Timestamp},
    state::{BookEntry, Timer},
};

/// The timers of a reaction.
#[derive(Default)]
pub(super) struct Timers {
    by_key: BTreeMap<String, Timer>,
    /// Those whose event is not in the log yet, as far as is known.
    to_come: BTreeSet<(Timestamp, String)>,
}

impl Timers {
    pub(super) fn new(timers: Vec<Timer>) -> Self {
        let mut all = Self::default();
        timers.into_iter().for_each(|timer| all.set(timer));
        all
    }

    /// Sets a timer; one of the same key is moved.
    pub(super) fn set(&mut self, timer: Timer) {
        self.cancel(&timer.key);
        self.to_come.insert((timer.due, timer.key.clone()));
        self.by_key.insert(timer.key.clone(), timer);
    }

    /// There is no timer of this key any more.
    pub(super) fn cancel(&mut self, key: &str) {
        if let Some(timer) = self.by_key.remove(key) {
            self.to_come.remove(&(timer.due, timer.key));
        }
    }

    /// When the next event is to be appended.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.to_come.first().map(|(due, _)| *due)
    }

    /// Those that are due by now, at most so many; their events are about to be
    /// appended.
    pub(super) fn take_due(&mut self, now: Timestamp, most: usize) -> Vec<Timer> {
        let mut due = Vec::new();
        while due.len() < most
            && let Some((_, key)) = self.to_come.first().filter(|(due, _)| *due <= now)
        {
            due.extend(self.by_key.get(key).cloned());
            self.to_come.pop_first();
        }
        due
    }

    /// The timer whose event this is, the only one of its block; none: it has been
    /// moved, cancelled or handled since, or the event is no timer's.
    pub(super) fn of(&self, event: &Block) -> Option<&Timer> {
        let id = event.heads.first().map(|head| event.slice(head.id))?;
        self.rung(event).filter(|timer| timer.event.id.as_bytes() == id)
    }

    /// The timer of an event that may be of another version, which has set it for another
    /// time: by its key.
    pub(super) fn rung(&self, event: &Block) -> Option<&Timer> {
        let event = is_timer(event).then(|| event.events().next()).flatten()?;
        let Due { key } = serde_json::from_slice(&event.envelope.data).ok()?;
        self.by_key.get(&key)
    }

    /// What is written into the books holds from now on.
    pub(super) fn apply(&mut self, entry: &BookEntry) {
        match entry {
            BookEntry::TimerSet(timer) => self.set(timer.clone()),
            BookEntry::TimerGone(key) => self.cancel(key),
            _ => {}
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Timer> {
        self.by_key.values()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The next so many.
    pub(super) fn soonest(&self, count: usize) -> Vec<(String, Timestamp)> {
        self.to_come.iter().take(count).map(|(due, key)| (key.clone(), *due)).collect()
    }
}

/// What the host needs of an event's data.
#[derive(Deserialize)]
struct Due {
    key: String,
}

/// Whether the only event of a block is a timer's.
pub(super) fn is_timer(event: &Block) -> bool {
    event.heads.first().is_some_and(|head| event.names[head.event_type as usize] == TIMER_DUE)
}

/// Whether an event is another reaction's timer, which is nobody else's business.
pub(super) fn is_of_another(own_source: &str, events: &Block, head: &Head) -> bool {
    let name = |index: u32| events.names[index as usize].as_str();
    name(head.event_type) == TIMER_DUE && name(head.source) != own_source
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Envelope;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn timer(key: &str, due: i64) -> Timer {
        let event = Envelope {
            id: format!("{key}-{due}"),
            source: "/reactions/test".into(),
            event_type: TIMER_DUE.into(),
            subject: None,
            time: None,
            content_type: String::new(),
            data: Vec::new().into(),
            tags: Vec::new(),
            extensions: Default::default(),
        };
        Timer { key: key.into(), due: at(due), event }
    }

    #[test]
    fn timers_are_due_in_their_order_once_unless_moved_or_cancelled() {
        let mut timers =
            Timers::new(vec![timer("b", 20), timer("a", 10), timer("gone", 5), timer("moved", 1)]);
        timers.cancel("gone");
        timers.cancel("never there");
        timers.set(timer("moved", 30));
        assert_eq!((timers.len(), timers.next()), (3, Some(at(10))));
        assert_eq!(timers.take_due(at(9), 10), []);
        assert_eq!(timers.take_due(at(25), 1), [timer("a", 10)]);
        assert_eq!(timers.take_due(at(25), 10), [timer("b", 20)]);
        assert_eq!(timers.take_due(at(25), 10), [], "each once");
        // They are there until their events are handled.
        assert_eq!((timers.len(), timers.next()), (3, Some(at(30))));
        assert_eq!(timers.soonest(10), [("moved".to_owned(), at(30))]);
        timers.apply(&BookEntry::TimerGone("a".into()));
        timers.apply(&BookEntry::TimerSet(timer("b", 40)));
        assert_eq!((timers.len(), timers.soonest(10).len()), (2, 2), "what has rung can be set anew");
    }
}
