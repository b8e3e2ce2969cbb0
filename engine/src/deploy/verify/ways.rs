//! In which ways history is folded again.
//!
//! They are chosen so that the work stays in proportion to the log: how often a call is made or
//! an instance begun has a bound, and only a short log is folded event by event.

use crate::{
    event::Position,
    plugin::{Plugin, Settings},
    projection::Manner,
};

/// Small blocks are so small, unless they are always smaller, or the log has more events than
/// `CALLS` of these.
const SMALL_BLOCK: u64 = 7;
/// About so many calls are made at most where blocks are small.
const CALLS: u64 = 100_000;
/// About so many instances are begun where they are begun anew by force.
const RESTARTS: u64 = 500;
/// A log that is no longer is also folded event by event, each in a fresh instance.
const SHORT_LOG: Position = 5_000;

/// A way to fold history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Blocks of so many events.
    Blocks(u64),
    /// An instance begun anew after so many positions, and a commit after each call.
    Restarts(u64),
    /// So many partitions.
    Partitions(usize),
    /// Each event in an instance of its own: nothing but tables is there from one to the next.
    Alone,
}

impl Way {
    /// How to fold history again up to a position.
    pub(super) fn all(plugin: &Plugin, to: Position) -> Vec<Self> {
        // Odd, so that they end elsewhere than blocks of the log.
        let usual = plugin.settings().policies.block_events as u64;
        let blocks = usual.min((to / CALLS).max(SMALL_BLOCK) | 1);
        let restarts = (to / RESTARTS).max(2) | 1;
        let mut ways = vec![Self::Blocks(blocks), Self::Restarts(restarts)];
        if plugin.description().partition_by.is_some() {
            ways.push(Self::Partitions(if plugin.partitions() == 1 { 3 } else { 1 }));
        }
        if to <= SHORT_LOG {
            ways.push(Self::Alone);
        }
        ways
    }

    /// In words, behind "folded".
    pub(super) fn words(self) -> String {
        match self {
            Self::Blocks(events) => format!("in blocks of {events} events"),
            Self::Restarts(every) => format!("with a fresh instance every {every} events"),
            Self::Partitions(1) => "in 1 partition".to_owned(),
            Self::Partitions(count) => format!("in {count} partitions"),
            Self::Alone => "event by event, each in a fresh instance".to_owned(),
        }
    }

    /// A version's settings, altered for it.
    pub(super) fn settings(self, mut settings: Settings) -> Settings {
        let policies = &mut settings.policies;
        match self {
            Self::Blocks(events) => policies.block_events = usize::try_from(events).unwrap_or(usize::MAX),
            Self::Restarts(_) => policies.commit_bytes = 1,
            Self::Partitions(count) => policies.partitions = Some(count),
            Self::Alone => (policies.block_events, policies.partitions) = (1, Some(1)),
        }
        settings
    }

    /// How a version is run in it.
    pub(super) fn manner(self) -> Manner {
        let restart_every = match self {
            Self::Restarts(every) => Some(every),
            Self::Alone => Some(1),
            Self::Blocks(_) | Self::Partitions(_) => None,
        };
        Manner { restart_every, last: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_and_the_manner_are_those_of_the_way() {
        let own = Settings::parse("[values]\na = 1\n[policies]\npartitions = 4\n").unwrap();
        let altered = |way: Way| way.settings(own.clone()).policies;
        assert_eq!(altered(Way::Blocks(7)).block_events, 7);
        assert_eq!(altered(Way::Partitions(1)).partitions, Some(1));
        assert_eq!(altered(Way::Restarts(3)).commit_bytes, 1);
        assert_eq!((altered(Way::Alone).block_events, altered(Way::Alone).partitions), (1, Some(1)));
        for way in [Way::Blocks(7), Way::Restarts(3), Way::Partitions(1), Way::Alone] {
            assert_eq!(way.settings(own.clone()).values, own.values, "what the code reads stays as it is");
            assert!(way.manner().last, "it comes after all others");
        }
        let restarts = |way: Way| way.manner().restart_every;
        assert_eq!([Way::Blocks(7), Way::Restarts(3), Way::Alone].map(restarts), [None, Some(3), Some(1)]);
    }
}
