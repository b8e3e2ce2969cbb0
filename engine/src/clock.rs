//! The one place that asks the machine for the time.
//!
//! Everything else takes a time as an argument or asks here, so that a test or
//! a replay never depends on when it runs.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::event::Timestamp;

/// The wall clock, in microseconds since the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// A point on the steady clock, for measuring how long something takes.
#[allow(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn instant() -> Instant {
    Instant::now()
}
