//! When a runner commits, and how durably.
//!
//! State can always be folded again from the log, so commits need not be
//! durable one by one. A live version commits after each block without fsync,
//! so that readers see it at once, and durably at least once a second. A
//! replaying one commits seldom: by bytes of dirty state and by seconds.

use std::time::{Duration, Instant};

use crate::{clock, plugin::Policies, state::Durability};

/// How long a live version's commits may go without fsync. It also bounds how
/// long pages that those commits freed stay unused.
const DURABLE_EVERY: Duration = Duration::from_secs(1);

/// How long a live version that has fallen behind the head keeps its readers
/// waiting for the next commit.
const VISIBLE_EVERY: Duration = Duration::from_millis(20);

/// Decides about commits by what has been done since the last one.
pub(super) struct CommitPolicy {
    bytes: u64,
    interval: Duration,
    last: Instant,
    last_durable: Instant,
    /// There are commits that a power loss would take back.
    volatile: bool,
}

impl CommitPolicy {
    pub(super) fn new(policies: &Policies) -> Self {
        let now = clock::instant();
        Self {
            bytes: policies.commit_bytes,
            interval: policies.commit_interval,
            last: now,
            last_durable: now,
            volatile: false,
        }
    }

    /// Whether a replaying version should commit now.
    pub(super) fn replaying(&self, dirty_bytes: u64) -> bool {
        dirty_bytes >= self.bytes || self.last.elapsed() >= self.interval
    }

    /// Whether a live version should commit now.
    pub(super) fn live(&self, at_head: bool, dirty_bytes: u64) -> bool {
        at_head || dirty_bytes >= self.bytes || self.last.elapsed() >= VISIBLE_EVERY
    }

    /// With which durability the next commit is due.
    pub(super) fn durability(&self, live: bool) -> Durability {
        match live && self.last_durable.elapsed() < DURABLE_EVERY {
            true => Durability::Eventual,
            false => Durability::Durable,
        }
    }

    pub(super) fn committed(&mut self, durability: Durability) {
        self.last = clock::instant();
        self.volatile = matches!(durability, Durability::Eventual);
        if !self.volatile {
            self.last_durable = self.last;
        }
    }

    /// When commits that are visible but not durable must be made so.
    pub(super) fn durable_due(&self) -> Option<Instant> {
        self.volatile.then(|| self.last_durable + DURABLE_EVERY)
    }
}
