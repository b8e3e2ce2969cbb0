//! How many events a call into a plug-in gets.

use std::time::Duration;

/// A call that takes longer is followed by smaller ones.
const LONG: Duration = Duration::from_millis(40);
/// A call that takes less is followed by larger ones.
const SHORT: Duration = Duration::from_millis(15);
/// How many events the first call gets.
const FIRST: usize = 64;

/// Adapts to how long calls take, so that readers do not wait for slow plug-ins
/// and fast ones are seldom called.
pub(super) struct CallSize {
    events: usize,
    most: usize,
}

impl CallSize {
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { events: FIRST.min(most), most }
    }

    /// How many events the next call gets at most.
    pub(super) fn events(&self) -> usize {
        self.events
    }

    /// A call was allowed so many events and took so long.
    pub(super) fn adapt(&mut self, events: usize, took: Duration) {
        if took > LONG {
            self.events = (events / 2).max(1);
        } else if took < SHORT && events * 2 >= self.events {
            self.events = (self.events * 2).min(self.most);
        }
    }

    /// As at the beginning.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.most);
    }
}
