//! When a runner flushes its instance and when it commits, and how durably.
//!
//! State can always be folded again from the log, so commits need not be
//! durable one by one. A live version commits after each block without fsync,
//! so that readers see it at once, and durably at least once a second. A
//! replaying one commits seldom: by bytes of dirty state and by seconds. An instance
//! that may hold less of that than is worth a commit is flushed in between.

use std::time::{Duration, Instant};

use crate::{clock, plugin::Settings, state::Durability};

/// How long commits may go without fsync, from the first of them on. It also
/// bounds how long pages that those commits freed stay unused.
const DURABLE_EVERY: Duration = Duration::from_secs(1);

/// How long a version may have read past events that do not concern it until
/// it writes down where it stands: all it spares is to read past them again.
const PASSED_EVERY: Duration = Duration::from_secs(60);

/// A commit that has taken long is followed by none for so many times as long:
/// the larger the state, the more a commit has to take along to be worth it.
const COMMITS_SHARE: u32 = 4;

/// Which share of its memory an instance may fill with changes, as they are
/// flushed, unless its settings say. To flush too early costs: what is clean may
/// be dropped, and read again.
const DIRTY_SHARE: u64 = 4;

/// However crowded it is, an instance is not flushed for less than such a share of
/// its memory: it must be something else that takes it up.
const LEAST_SHARE: u64 = 64;

/// How long a live version that has fallen behind the head keeps its readers
/// waiting for the next commit.
const VISIBLE_EVERY: Duration = Duration::from_millis(20);

/// Decides about commits by what has been done since the last one.
pub(super) struct CommitPolicy {
    bytes: u64,
    flush_bytes: u64,
    /// An instance with more memory than that may run out of it the next time it
    /// asks for some: vectors grow by doubling.
    crowded: u64,
    memory_limit: u64,
    interval: Duration,
    last: Instant,
    took: Duration,
    /// Since when there are commits that a power loss would take back.
    volatile_since: Option<Instant>,
    /// Since when it has come on without a commit.
    passed_since: Option<Instant>,
}

impl CommitPolicy {
    pub(super) fn new(Settings { limits, policies, .. }: &Settings) -> Self {
        Self {
            bytes: policies.commit_bytes,
            flush_bytes: policies.flush_bytes.unwrap_or(limits.memory / DIRTY_SHARE),
            crowded: limits.memory / 2,
            memory_limit: limits.memory,
            interval: policies.commit_interval,
            last: clock::instant(),
            took: Duration::ZERO,
            volatile_since: None,
            passed_since: None,
        }
    }

    /// Whether a replaying version should commit now.
    pub(super) fn replaying(&self, uncommitted_bytes: u64) -> bool {
        uncommitted_bytes >= self.bytes || self.last.elapsed() >= self.interval.max(COMMITS_SHARE * self.took)
    }

    /// Whether a live version should commit now.
    pub(super) fn live(&self, at_head: bool, uncommitted_bytes: u64) -> bool {
        at_head || uncommitted_bytes >= self.bytes || self.last.elapsed() >= VISIBLE_EVERY
    }

    /// Whether an instance should be flushed, commit or not.
    pub(super) fn flush_due(&self, dirty_bytes: u64) -> bool {
        dirty_bytes >= self.flush_bytes
    }

    /// An instance begins, with little memory.
    pub(super) fn started(&mut self) {
        self.crowded = self.memory_limit / 2;
    }

    /// An instance has come to so much memory with so many changes in it, or by
    /// flushing them.
    ///
    /// Changes may take many times as much in it as when they are flushed. How many
    /// times, its memory tells when it is crowded: from then on no more changes
    /// gather in it than at that time. Memory does not become less again.
    pub(super) fn grown(&mut self, dirty_bytes: u64, memory: u64) {
        if memory > self.crowded {
            self.flush_sooner(dirty_bytes);
            self.crowded = memory.midpoint(self.memory_limit);
        }
    }

    /// An instance has failed, with so many changes in so much memory: perhaps
    /// because it could not have more.
    pub(super) fn failed(&mut self, dirty_bytes: u64, memory: u64) {
        if memory > self.memory_limit / 4 {
            self.flush_sooner(dirty_bytes / 2);
        }
    }

    fn flush_sooner(&mut self, dirty_bytes: u64) {
        let least = self.memory_limit / LEAST_SHARE;
        self.flush_bytes = self.flush_bytes.min(dirty_bytes.max(least));
    }

    /// With which durability the next commit is due. One that ends a replay, or
    /// a part of it, is durable; others only now and then, and never the first
    /// after a rest: readers would wait for its fsync.
    pub(super) fn durability(&self, ends_replay: bool) -> Durability {
        let due = self.volatile_since.is_some_and(|since| since.elapsed() >= DURABLE_EVERY);
        match !ends_replay && !due {
            true => Durability::Eventual,
            false => Durability::Durable,
        }
    }

    /// Nothing had to be committed to come on.
    pub(super) fn passed(&mut self) {
        self.last = clock::instant();
        self.passed_since.get_or_insert(self.last);
    }

    /// A commit has taken so long.
    pub(super) fn committed(&mut self, durability: Durability, took: Duration) {
        self.last = clock::instant();
        self.took = took;
        match durability {
            Durability::Eventual => {
                self.volatile_since.get_or_insert(self.last);
            }
            Durability::Durable => (self.volatile_since, self.passed_since) = (None, None),
        }
    }

    /// When what is visible but not durable must be made so.
    pub(super) fn durable_due(&self) -> Option<Instant> {
        let volatile = self.volatile_since.map(|since| since + DURABLE_EVERY);
        volatile.or(self.passed_since.map(|since| since + PASSED_EVERY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_version_is_visible_at_once_and_durable_within_a_second() {
        let mut policy = CommitPolicy::new(&Settings::default());
        assert_eq!(policy.durability(true), Durability::Durable);
        assert_eq!((policy.durability(false), policy.durable_due()), (Durability::Eventual, None));
        policy.committed(Durability::Eventual, Duration::ZERO);
        let due = policy.durable_due();
        policy.committed(Durability::Eventual, Duration::ZERO);
        assert!(due.is_some() && policy.durable_due() == due, "it counts from the first of them");
        policy.volatile_since = policy.volatile_since.and_then(|since| since.checked_sub(DURABLE_EVERY));
        assert_eq!(policy.durability(false), Durability::Durable);
        policy.committed(Durability::Durable, Duration::ZERO);
        assert_eq!((policy.durability(false), policy.durable_due()), (Durability::Eventual, None));
    }

    #[test]
    fn an_instance_is_flushed_before_it_runs_out_of_memory() {
        let mut policy = CommitPolicy::new(&Settings::default());
        let limit = policy.memory_limit;
        policy.grown(limit / 8, limit / 2);
        assert!(!policy.flush_due(limit / 8) && policy.flush_due(limit / 4));
        policy.grown(limit / 10, limit / 5 * 3);
        assert!(policy.flush_due(limit / 10) && !policy.flush_due(limit / 11), "it is crowded");
        policy.grown(limit / 12, limit / 5 * 3);
        assert!(!policy.flush_due(limit / 11), "it has not grown");
        policy.grown(limit / 20, limit);
        assert!(policy.flush_due(limit / 20) && !policy.flush_due(limit / 21), "it has grown all the same");
        policy.started();
        policy.failed(limit / 20, limit / 5);
        assert!(!policy.flush_due(limit / 21), "it had memory left");
        policy.failed(limit / 20, limit / 3);
        assert!(policy.flush_due(limit / 40) && !policy.flush_due(limit / 41));
        policy.grown(0, limit);
        assert!(
            policy.flush_due(limit / 64) && !policy.flush_due(limit / 65),
            "not its changes take its memory"
        );
    }

    #[test]
    fn what_was_read_past_is_written_down_later() {
        let mut policy = CommitPolicy::new(&Settings::default());
        policy.passed();
        let due = policy.durable_due();
        policy.passed();
        assert!(due.is_some() && policy.durable_due() == due, "it counts from the first time");
        policy.committed(Durability::Eventual, Duration::ZERO);
        assert!(policy.durable_due() < due, "what was committed meanwhile does not wait so long");
        policy.committed(Durability::Durable, Duration::ZERO);
        assert_eq!(policy.durable_due(), None);
    }
}
