//! Timers that are set, moved and cancelled, and those that are due.

use super::Runner;
use crate::{
    clock,
    event::{Block, Head, TIMER_DUE},
    log::{Append, AppendError},
    plugin::TimerChange,
    projection::Halt,
    reaction::outbox,
    state::{BookEntry, Timer},
};

/// How many events of timers are appended together, at most.
const TOGETHER: usize = 1000;

impl Runner {
    /// Appends the events of timers that are due.
    pub(super) async fn fire(&mut self) -> Result<(), Halt> {
        loop {
            let due = self.timers.take_due(clock::now(), TOGETHER);
            if due.is_empty() {
                return Ok(());
            }
            if self.eventual_since.is_some() {
                // That a timer was set must not be forgotten once its event is there.
                self.save().map_err(Halt::of_host)?;
            }
            let events = due.into_iter().map(|timer| timer.event).collect();
            match self.log.append(Append { events, ..Append::default() }).await {
                Ok(_) => {}
                Err(AppendError::Log(error)) => return Err(Halt::of_host(error)),
                // Each was checked when it was set.
                Err(refusal) => return Err(Halt::of_host(format!("a timer's event was refused: {refusal}"))),
            }
        }
    }

    /// The timers that an answer sets, as they are kept; or why one cannot be.
    pub(super) fn timers_of(
        &self,
        event: &Block,
        changes: Vec<TimerChange>,
    ) -> Result<Vec<BookEntry>, String> {
        let Some(head) = event.heads.first() else { return Ok(Vec::new()) };
        let entry = |(index, TimerChange { key, at }): (usize, TimerChange)| {
            let Some(due) = at else { return Ok(BookEntry::TimerGone(key)) };
            let event = outbox::of_timer(self.version.name(), (event, head), (index, &key, due));
            let batch = Append { events: vec![event], ..Append::default() };
            self.log
                .check(&batch)
                .map_err(|refusal| format!("its timer {key:?} cannot be set: {refusal}"))?;
            let event = batch.events.into_iter().next().expect("there is one");
            Ok(BookEntry::TimerSet(Timer { key, due, event }))
        };
        changes.into_iter().enumerate().map(entry).collect()
    }

    /// What is written into the books holds from now on.
    pub(super) fn apply_timer(&mut self, entry: &BookEntry) {
        match entry {
            BookEntry::TimerSet(timer) => self.timers.set(timer.clone()),
            BookEntry::TimerGone(key) => self.timers.cancel(key),
            _ => {}
        }
    }
}

/// Whether an event is another reaction's timer, which is nobody else's business.
pub(super) fn is_timer_of_another(own_source: &str, events: &Block, head: &Head) -> bool {
    let name = |index: u32| events.names[index as usize].as_str();
    name(head.event_type) == TIMER_DUE && name(head.source) != own_source
}
