//! How the partitions of a version keep together.
//!
//! Each folds the log by itself, and commits when it sees fit. But what readers
//! see has to be of one position. So the partitions go in rounds: all fold up to
//! one goal, which may be far away; who is there first waits for the others.
//! When all are there, readers see it, and the next round begins.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::event::Position;

/// How many positions a round has at most. Each ends with a commit, so it is as
/// long as a replay goes without one: some seconds.
const ROUND: u64 = 1 << 22;

/// The rounds of one version.
pub(super) struct Rounds {
    goal: watch::Sender<Position>,
    /// Where each partition waits, or last did.
    waits_at: Mutex<Vec<Position>>,
}

impl Rounds {
    /// Of partitions that stand at these positions. The first round brings them
    /// together; a partition that is alone needs none.
    pub(super) fn new(positions: &[Position]) -> Self {
        let goal = match positions {
            [_] => Position::MAX,
            _ => positions.iter().copied().max().unwrap_or(0),
        };
        Self { goal: watch::Sender::new(goal), waits_at: Mutex::new(vec![0; positions.len()]) }
    }

    /// Up to where the round goes.
    pub(super) fn goal(&self) -> Position {
        *self.goal.borrow()
    }

    /// The goal, as it moves.
    pub(super) fn follow(&self) -> watch::Receiver<Position> {
        self.goal.subscribe()
    }

    /// Tells that a partition has committed all up to `position` and waits. The
    /// next round begins when all do and the log goes on.
    pub(super) fn wait(&self, partition: usize, position: Position, head: Position) {
        let mut waits_at = self.waits_at.lock().unwrap_or_else(PoisonError::into_inner);
        waits_at[partition] = position;
        let goal = self.goal();
        if head > goal && waits_at.iter().all(|position| *position >= goal) {
            self.goal.send_replace(head.min(goal.saturating_add(ROUND)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_ends_when_all_are_there_and_the_next_one_when_the_log_has_more() {
        let rounds = Rounds::new(&[3, 5]);
        assert_eq!(rounds.goal(), 5, "first they come together");
        rounds.wait(1, 5, 9);
        assert_eq!(rounds.goal(), 5, "the other is not there yet");
        rounds.wait(0, 5, 9);
        assert_eq!(rounds.goal(), 9);
        rounds.wait(0, 9, 9);
        rounds.wait(1, 9, 9);
        assert_eq!(rounds.goal(), 9, "there is no more");
        rounds.wait(0, 9, 3 * ROUND);
        assert_eq!(rounds.goal(), 9 + ROUND, "not all at once");
    }

    #[test]
    fn who_is_alone_never_waits() {
        let rounds = Rounds::new(&[3]);
        rounds.wait(0, 3, 9);
        assert_eq!(rounds.goal(), Position::MAX);
    }
}
