//! Timers that are due.

use super::Runner;
use crate::{
    clock,
    log::{Append, AppendError},
    projection::Halt,
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
}
