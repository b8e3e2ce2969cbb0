//! A plug-in that changes one row at events of several partitions, which a plug-in must not.

use projectionist_sdk::prelude::*;

/// How many events there were.
#[derive(Projection)]
pub struct Astray {
    /// By subject, as it may be.
    events: Table<String, u64>,
    /// In one row, which belongs to no partition.
    all: Table<String, u64>,
}

#[projection(partition_by = subject)]
impl Astray {
    #[on_any]
    fn any(&mut self, event: &Event) {
        *self.events.entry(event.subject()) += 1;
        *self.all.entry("all") += 1;
    }
}
