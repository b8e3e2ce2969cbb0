//! The search for the one event at fault.
//!
//! A trap tells which call it happened in, not which event. So after a failure
//! the runner goes back to its checkpoint and asks here how far it may go: up
//! to the call at fault, commit, then half of it, and half of that, each time
//! with a fresh instance, until a single event fails by itself.

use crate::event::Position;

/// The events among which the one at fault must be: `first..=last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suspect {
    first: Position,
    last: Position,
}

/// What a failure means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// This event fails by itself.
    Event(Position),
    /// Look again among these.
    Among(Suspect),
}

impl Suspect {
    /// A call with the events of `first..=last` failed; the guest may have said
    /// which of them it was. `isolated`: the state before it was committed and
    /// the instance fresh, so that no other event can be the cause.
    pub(super) fn after_failure(
        first: Position,
        last: Position,
        named: Option<Position>,
        isolated: bool,
    ) -> Finding {
        let suspect = match named.filter(|position| (first..=last).contains(position)) {
            Some(position) => Self { first: position, last: position },
            None => Self { first, last },
        };
        match isolated && first == last {
            true => Finding::Event(first),
            false => Finding::Among(suspect),
        }
    }

    /// The last position of the next call, for a runner that stands before
    /// `next`.
    pub(super) fn call_end(&self, next: Position) -> Position {
        match next < self.first {
            true => self.first - 1,
            false => next + (self.last.max(next) - next) / 2,
        }
    }

    /// Whether the runner, standing at `position`, has passed all suspects.
    pub(super) fn passed(&self, position: Position) -> bool {
        position >= self.last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Plays a runner over a log in which one event always traps.
        #[test]
        fn the_one_event_at_fault_is_found(culprit in 1_u64..5_000, call in 1_u64..5_000, names: bool) {
            let (mut checkpoint, mut suspect, mut calls) = (0, None::<Suspect>, 0);
            let found = loop {
                let next = checkpoint + 1;
                let end = suspect.map_or(next + call - 1, |suspect| suspect.call_end(next));
                calls += 1;
                prop_assert!(calls < 6_000);
                if !(next..=end).contains(&culprit) {
                    checkpoint = end;
                    suspect = suspect.filter(|suspect| !suspect.passed(end));
                    continue;
                }
                let isolated = suspect.is_some();
                match Suspect::after_failure(next, end, names.then_some(culprit), isolated) {
                    Finding::Event(position) => break position,
                    Finding::Among(among) => suspect = Some(among),
                }
            };
            prop_assert_eq!(found, culprit);
        }
    }
}
