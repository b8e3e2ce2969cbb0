//! What is shown of a reaction's calls.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use http::StatusCode;

use super::BreakerStatus;
use crate::{
    clock,
    event::{Position, Timestamp},
};

/// How many different refusals are shown, the latest.
const REFUSALS: usize = 20;

/// What a reaction's calls have come to since it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallsStatus {
    /// How often what happened.
    pub counts: Counts,
    /// Hosts whose last call has failed.
    pub breakers: Vec<BreakerStatus>,
    /// What it has wanted to call and may not, the latest last.
    pub refusals: Vec<Refusal>,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Responses with a status below 400.
    pub answered: u64,
    /// Responses with a status from 400.
    pub declined: u64,
    /// Calls that no response came to.
    pub failed: u64,
    /// Calls that were answered from the journal.
    pub replayed: u64,
    /// Calls that were not made, since the host is left alone.
    pub blocked: u64,
    /// Calls that were not made, since they are not allowed.
    pub refused: u64,
    /// Calls that were made again, as others than the first time, or were not.
    pub changed: u64,
}

/// A call that was not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which, and why.
    pub reason: String,
    /// For which event, the last time.
    pub position: Position,
    /// When, the last time.
    pub last: Timestamp,
    /// How many times.
    pub count: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    answered: AtomicU64,
    declined: AtomicU64,
    failed: AtomicU64,
    replayed: AtomicU64,
    blocked: AtomicU64,
    refused: AtomicU64,
    changed: AtomicU64,
    refusals: Mutex<Vec<Refusal>>,
}

impl Counters {
    /// A call was made; the status of its response, if there is one.
    pub(super) fn made(&self, status: Option<StatusCode>) {
        let counter = match status {
            Some(status) if status.as_u16() < 400 => &self.answered,
            Some(_) => &self.declined,
            None => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn changed(&self) {
        self.changed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn replayed(&self) {
        self.replayed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn blocked(&self) {
        self.blocked.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, position: Position, reason: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let known = refusals.iter().position(|refusal| refusal.reason == reason);
        let count = known.map_or(0, |index| refusals.remove(index).count) + 1;
        if refusals.len() == REFUSALS {
            refusals.remove(0);
        }
        refusals.push(Refusal { reason: reason.to_owned(), position, last: clock::now(), count });
    }

    pub(super) fn status(&self, breakers: Vec<BreakerStatus>) -> CallsStatus {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = Counts {
            answered: read(&self.answered),
            declined: read(&self.declined),
            failed: read(&self.failed),
            replayed: read(&self.replayed),
            blocked: read(&self.blocked),
            refused: read(&self.refused),
            changed: read(&self.changed),
        };
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        CallsStatus { counts, breakers, refusals }
    }
}
