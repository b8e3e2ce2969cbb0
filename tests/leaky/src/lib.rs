//! A plug-in that keeps something outside its tables, which a plug-in must not.
//!
//! It counts the events that its instance has seen in a static, and writes that number down
//! whenever an event of type `mark` comes. A fresh instance begins to count anew. One of type
//! `check` is only folded by an instance that has seen others before.

use std::sync::atomic::{AtomicU64, Ordering};

use projectionist_sdk::prelude::*;

static SEEN: AtomicU64 = AtomicU64::new(0);

/// What it wrote down.
#[derive(Projection)]
pub struct Leaky {
    /// By subject: how many events it has seen, or thinks so.
    marks: Table<String, u64>,
    /// By subject: how many events there were.
    events: Table<String, u64>,
}

#[projection]
impl Leaky {
    #[on_any]
    fn any(&mut self, event: &Event) {
        let seen = SEEN.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(event.event_type() != "check" || seen > 1, "it has seen nothing before");
        *self.events.entry(event.subject()) += 1;
        if event.event_type() == "mark" {
            self.marks.insert(event.subject(), seen);
        }
    }
}
