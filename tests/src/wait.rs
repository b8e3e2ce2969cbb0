//! Waiting until something holds.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up. Generous, for a test
/// fails on what is wrong, not on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Asks again and again until there is something.
///
/// # Panics
/// When there is nothing after [`PATIENCE`]; says `what` was waited for.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Asks again and again until it is so.
#[track_caller]
pub fn until_true(what: &str, mut ask: impl FnMut() -> bool) {
    until(what, || ask().then_some(()));
}

/// A point on the steady clock.
#[allow(clippy::disallowed_methods, reason = "only for deadlines and for spreading kills over time")]
pub fn now() -> Instant {
    Instant::now()
}
