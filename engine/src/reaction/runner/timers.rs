//! Timers that are due.

use super::Runner;
use crate::{
    event::Timestamp,
    projection::Halt,
    reaction::outbox::{self, Sent},
};

/// How many events of timers are appended together, at most.
const TOGETHER: usize = 1000;

impl Runner {
    /// Appends the events of timers that are due by now.
    pub(super) async fn fire(&mut self, now: Timestamp) -> Result<(), Halt> {
        loop {
            let due = self.timers.take_due(now, TOGETHER);
            if due.is_empty() {
                return Ok(());
            }
            // What the event leads to that has set a timer is in the log before the timer's.
            self.send_all().await?;
            if self.eventual_since.is_some() {
                // That a timer was set must not be forgotten once its event is there.
                self.save().map_err(Halt::of_host)?;
            }
            let events: Vec<_> = due.into_iter().map(|timer| (0, vec![timer.event])).collect();
            let sent = outbox::append(&*self.log, &events).await.map_err(Halt::of_host)?;
            for ((_, events), sent) in events.iter().zip(sent) {
                if let Sent::Refused(reason) = sent {
                    // Each was checked when it was set: somebody has taken its id, or the log
                    // takes less than it did.
                    let id = &events[0].id;
                    tracing::error!(plugin = self.version.name(), id, reason, "a timer's event was refused");
                    self.told.update(|activity| activity.refused_timers += 1);
                }
            }
        }
    }
}
