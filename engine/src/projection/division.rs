//! Events of the log, divided once for all partitions of a version.
//!
//! Each partition reads the log by itself, in calls of as many events as the
//! others, mostly. Whichever comes to some events first divides them, the others
//! find their parts ready: choosing a partition's events takes a look at all of
//! them, and a copy of what it gets.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::event::{Block, Head, Position};

/// How many bytes of divided events are kept for partitions that are behind. One
/// that is so far ahead that this is full divides for itself, which slows it down.
const KEPT_BYTES: usize = 32 << 20;

/// Divided events of one version.
pub(crate) struct Division {
    /// How far any partition has read.
    read_to: AtomicU64,
    recent: Mutex<Recent>,
}

struct Recent {
    /// From where on each partition last asked for events.
    at: Vec<Position>,
    divided: Vec<Arc<Divided>>,
}

/// Consecutive events, divided.
struct Divided {
    first: Position,
    last: Position,
    bytes: usize,
    /// One for each partition.
    parts: OnceLock<Vec<Block>>,
}

impl Division {
    /// Among so many partitions.
    pub(crate) fn new(partitions: usize) -> Self {
        let recent = Mutex::new(Recent { at: vec![0; partitions], divided: Vec::new() });
        Self { read_to: AtomicU64::new(0), recent }
    }

    /// Tells that a partition reads the log up to `position`; whether it is the
    /// first one there.
    pub(super) fn leads(&self, position: Position) -> bool {
        self.read_to.fetch_max(position, Ordering::Relaxed) < position
    }

    /// A partition's events of `range` (indexes into the block's heads), as far as
    /// their types are wanted.
    pub(super) fn part(
        &self,
        partition: usize,
        block: &Block,
        range: Range<usize>,
        wanted: impl Fn(&str) -> bool,
    ) -> Block {
        let heads = &block.heads[range.clone()];
        let (Some(first), Some(last)) = (heads.first(), heads.last()) else { return Block::default() };
        let bytes = block.bytes.len() * range.len() / block.len() + range.len() * size_of::<Head>();
        let (divided, partitions) = {
            let mut recent = self.lock();
            recent.at[partition] = first.position;
            (recent.divided(first.position, last.position, bytes), recent.at.len())
        };
        // Who comes while they are being divided waits for that.
        divided.parts.get_or_init(|| block.divide(range, wanted, partitions))[partition].clone()
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    /// The entry of some events, which is kept if there is room.
    fn divided(&mut self, first: Position, last: Position, bytes: usize) -> Arc<Divided> {
        let needed_from = self.at.iter().copied().min().unwrap_or(0);
        self.divided.retain(|divided| divided.last >= needed_from);
        let known = self.divided.iter().find(|divided| (divided.first, divided.last) == (first, last));
        if let Some(divided) = known {
            return Arc::clone(divided);
        }
        let divided = Arc::new(Divided { first, last, bytes, parts: OnceLock::new() });
        let kept: usize = self.divided.iter().map(|divided| divided.bytes).sum();
        if kept + bytes <= KEPT_BYTES {
            self.divided.push(Arc::clone(&divided));
        }
        divided
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{BlockBuilder, Envelope, Timestamp};

    fn block(positions: std::ops::RangeInclusive<Position>, bytes: usize) -> Block {
        let mut builder = BlockBuilder::new();
        for position in positions {
            let envelope = Envelope {
                id: position.to_string(),
                source: "/test".into(),
                event_type: "test".into(),
                subject: Some(format!("subject-{}", position % 5)),
                time: None,
                content_type: String::new(),
                data: vec![0; bytes].into(),
                tags: Vec::new(),
                extensions: Default::default(),
            };
            builder.push(position, Timestamp::from_micros(0), 0, &envelope);
        }
        builder.build()
    }

    fn kept(division: &Division) -> Vec<Position> {
        division.lock().divided.iter().map(|divided| divided.first).collect()
    }

    fn part(division: &Division, partition: usize, block: &Block) -> usize {
        division.part(partition, block, 0..block.len(), |_| true).len()
    }

    #[test]
    fn events_are_divided_once_and_kept_until_the_last_has_passed_them() {
        let division = Division::new(2);
        let block = block(1..=31, 0);
        let ranges = [0..10, 10..30, 30..31];
        let first = ranges.clone().map(|range| division.part(0, &block, range, |_| true));
        assert_eq!(kept(&division), [1, 11, 31]);
        for (range, first) in ranges.into_iter().zip(first) {
            // Divided already, so nobody asks what is wanted.
            let second = division.part(1, &block, range.clone(), |_| unreachable!());
            assert_eq!(first.len() + second.len(), range.len());
        }
        assert_eq!(kept(&division), [31]);
    }

    #[test]
    fn who_goes_on_in_other_steps_misses_nothing() {
        let division = Division::new(2);
        let block = block(1..=9, 0);
        let all = division.part(0, &block, 0..9, |_| true).len();
        let steps = [0..3, 3..9].map(|range| division.part(1, &block, range, |_| true).len());
        assert_eq!(all + steps.iter().sum::<usize>(), 9);
    }

    #[test]
    fn who_is_far_ahead_keeps_nothing_for_the_others() {
        let division = Division::new(2);
        let large = KEPT_BYTES / 2 - 1_000;
        let all = |partition| -> usize {
            (1..=4).map(|at| part(&division, partition, &block(at..=at, large))).sum()
        };
        let ahead = all(0);
        assert_eq!(kept(&division), [1, 2]);
        let behind = all(1);
        assert_eq!((ahead + behind, kept(&division)), (4, vec![4]));
    }
}
