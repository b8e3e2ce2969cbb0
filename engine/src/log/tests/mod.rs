//! Tests of the logs against a plain model.
//!
//! - `model.rs`: the log as a vector, and random appends and selections.
//! - `agree.rs`: memory and embedded log answer as the model does, whatever
//!   the block sizes and however often the log is opened anew.
//! - `promises.rs`: one scenario each.
//! - `rare.rs`: going from rare event to rare event.
//! - `crash.rs`: a storage that loses what was not synced.
//! - `speed.rs`: measurements, run by hand.

mod agree;
mod crash;
mod model;
mod promises;
mod rare;
mod speed;

use super::{
    Append, AppendError, Appended, Condition, Criterion, EmbeddedLog, EventLog, LogError, LogSettings,
    MemoryLog, Selection,
};
use crate::event::{Attribute, Envelope, Event, Position};

/// Runs an append to its end; the embedded log answers from its own thread.
pub(super) fn append(log: &dyn EventLog, batch: Append) -> Result<Appended, AppendError> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(log.append(batch))
}

/// A small event about a subject.
pub(super) fn event(id: impl ToString, event_type: &str, subject: &str) -> Envelope {
    Envelope {
        id: id.to_string(),
        source: "/test".to_owned(),
        event_type: event_type.to_owned(),
        subject: (!subject.is_empty()).then(|| subject.to_owned()),
        time: None,
        content_type: "application/json".to_owned(),
        data: "{\"n\": 1}".into(),
        tags: Vec::new(),
        extensions: Default::default(),
    }
}

pub(super) fn batch(events: impl IntoIterator<Item = Envelope>) -> Append {
    Append { events: events.into_iter().collect(), condition: Condition::default() }
}

fn all(log: &dyn EventLog) -> Vec<Event> {
    log.read(&Selection::default()).unwrap()
}

/// Small blocks, so that little is needed to seal many.
pub(super) fn small_blocks(block_events: usize) -> LogSettings {
    LogSettings {
        block_events,
        storage_cache_bytes: 1 << 20,
        block_cache_bytes: 4096,
        ..LogSettings::default()
    }
}
