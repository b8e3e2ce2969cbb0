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

/// How long a version may have read past events that do not concern it until
/// it writes down where it stands: all it spares is to read past them again.
const PASSED_EVERY: Duration = Duration::from_secs(60);

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
    /// It has come on without a commit.
    passed: bool,
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
            passed: false,
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

    /// With which durability the next commit is due. One that ends a replay, or
    /// a part of it, is durable; others only now and then.
    pub(super) fn durability(&self, ends_replay: bool) -> Durability {
        match !ends_replay && self.last_durable.elapsed() < DURABLE_EVERY {
            true => Durability::Eventual,
            false => Durability::Durable,
        }
    }

    /// Nothing had to be committed to come on.
    pub(super) fn passed(&mut self) {
        self.last = clock::instant();
        self.passed = true;
    }

    pub(super) fn committed(&mut self, durability: Durability) {
        self.last = clock::instant();
        self.volatile = matches!(durability, Durability::Eventual);
        if !self.volatile {
            self.last_durable = self.last;
            self.passed = false;
        }
    }

    /// When what is visible but not durable must be made so.
    pub(super) fn durable_due(&self) -> Option<Instant> {
        match (self.volatile, self.passed) {
            (true, _) => Some(self.last_durable + DURABLE_EVERY),
            (false, true) => Some(self.last_durable + PASSED_EVERY),
            (false, false) => None,
        }
    }
}
