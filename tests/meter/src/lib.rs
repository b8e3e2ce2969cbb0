//! A plug-in whose answers tell whether they are of one piece.
//!
//! It counts events in steps of the setting `step`, which belongs to the
//! version. So of a state at position `p`, the total is `p` times the step of
//! the version that folded it; anything else is a mixture.

use projectionist_sdk::{prelude::*, setting};

/// How many events there were.
#[derive(Projection)]
pub struct Meter {
    /// Steps in all, and by type.
    totals: Table<String, u64>,
    /// Every event's subject, by type and position.
    events: Table<(String, u64), String>,
}

/// What the meter shows.
#[derive(Serialize)]
pub struct Reading {
    /// The version's step.
    step: u64,
    /// One step for each event.
    total: u64,
}

const ALL: &str = "all";

#[projection]
impl Meter {
    #[on_any]
    fn any(&mut self, event: &Event) {
        *self.totals.entry(ALL) += step();
        *self.totals.entry(event.event_type()) += step();
        self.events.insert((event.event_type(), event.position()), event.subject().to_owned());
    }

    /// What the meter shows.
    #[query]
    fn reading(&self) -> Reading {
        Reading { step: step(), total: self.totals.get(ALL).map_or(0, |total| *total) }
    }
}

fn step() -> u64 {
    setting("step").and_then(|step| step.parse().ok()).unwrap_or(1)
}

/// The README's example, compiled as an author would.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
