//! The one place that asks the machine for the time.
//!
//! Everything else takes a time as an argument or asks here, so that a test or
//! a replay never depends on when it runs. Where somebody may want to tell the time
//! himself, a [`Clock`] is asked.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

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

/// A wall clock: the machine's, or one that stands still until somebody moves it. Cheap
/// to clone; all clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<watch::Sender<Timestamp>>>);

impl Clock {
    /// One that shows this time until it is moved.
    pub fn standing(at: Timestamp) -> Self {
        Self(Some(Arc::new(watch::Sender::new(at))))
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.0.as_ref().map_or_else(now, |told| *told.borrow())
    }

    /// Moves one that stands; never back. The machine's goes by itself.
    pub fn move_to(&self, at: Timestamp) {
        if let Some(told) = &self.0 {
            told.send_if_modified(|now| std::mem::replace(now, at.max(*now)) < at);
        }
    }

    /// When it will show a time, if it goes by itself; at once, if it has.
    pub fn when(&self, at: Timestamp) -> Option<Instant> {
        if self.0.is_some() {
            return None;
        }
        let micros = at.as_micros().saturating_sub(now().as_micros());
        instant().checked_add(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }

    /// Tells when it is moved.
    pub fn follow(&self) -> Moves {
        Moves(self.0.as_ref().map(|told| told.subscribe()))
    }
}

/// When a clock is moved.
pub struct Moves(Option<watch::Receiver<Timestamp>>);

impl Moves {
    /// Takes note of all moves so far.
    pub fn note(&mut self) {
        if let Some(told) = &mut self.0 {
            told.borrow_and_update();
        }
    }

    /// Waits for the next move; for ever, if nobody moves it.
    pub async fn next(&mut self) {
        match &mut self.0 {
            Some(told) => {
                if told.changed().await.is_err() {
                    // Nobody is left who could.
                    std::future::pending().await
                }
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_that_stands_is_moved_forward_and_says_so() {
        let at = Timestamp::from_micros;
        let clock = Clock::standing(at(10));
        let mut moves = clock.follow();
        clock.clone().move_to(at(20));
        moves.next().await;
        assert_eq!(clock.now(), at(20));
        clock.move_to(at(15));
        clock.move_to(at(30));
        moves.note();
        assert_eq!((clock.now(), clock.when(at(40))), (at(30), None));
        assert!(Clock::default().now() > at(40) && Clock::default().when(at(40)).is_some());
    }
}
