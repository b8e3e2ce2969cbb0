//! The state of one version: that of its partitions, and what readers see of it.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwapOption;

use super::{
    DeadLetter, error::StateError, meta::Checkpoint, partition::PartitionState, places::Places,
    snapshot::Snapshot, view::View,
};
use crate::event::Position;

/// The state of one version: one partition, or several that were folded side by
/// side.
///
/// Readers share a [`View`] that is renewed when all partitions stand at one
/// position, so they never see a mixture of two.
pub struct VersionState {
    // Before the files that they read from, so that these are closed last.
    view: ArcSwapOption<View>,
    latest: Mutex<Vec<Latest>>,
    /// Outlives views: a key stays in its partition.
    places: Arc<Places>,
    partitions: Box<[PartitionState]>,
}

/// A partition as it was last told of.
struct Latest {
    snapshot: Arc<Snapshot>,
    /// Up to where it holds.
    position: Position,
}

impl VersionState {
    /// Of these partitions, in their order, all with the same tables.
    pub fn new(partitions: impl Into<Box<[PartitionState]>>) -> Result<Self, StateError> {
        let partitions = partitions.into();
        let latest = |partition: &PartitionState| {
            let snapshot = Arc::new(partition.snapshot()?);
            let position = snapshot.checkpoint().position;
            Ok(Latest { snapshot, position })
        };
        let latest = partitions.iter().map(latest).collect::<Result<Vec<_>, StateError>>()?;
        let places = Arc::default();
        let view = ArcSwapOption::new(together(&latest, &places));
        Ok(Self { view, latest: Mutex::new(latest), places, partitions })
    }

    /// State that lives as long as the process, for `run` and for tests.
    pub fn in_memory(tables: &[String], partitions: usize) -> Result<Self, StateError> {
        let partitions = (0..partitions).map(|_| PartitionState::in_memory(tables));
        Self::new(partitions.collect::<Result<Vec<_>, _>>()?)
    }

    /// The partitions, in order; most often one.
    pub fn partitions(&self) -> &[PartitionState] {
        &self.partitions
    }

    /// What readers see: all tables at one position. After a crash partitions
    /// may stand apart until they have caught up with one another
    /// ([`StateError::Apart`]).
    pub fn view(&self) -> Result<Arc<View>, StateError> {
        self.view.load_full().ok_or_else(|| {
            let Range { start: from, end: to } = self.reach();
            StateError::Apart { from, to }
        })
    }

    /// Each partition as it was last told of, wherever it stands: for counts,
    /// not for answers. Its position is that of the last.
    pub fn parts(&self) -> Arc<View> {
        self.view.load_full().unwrap_or_else(|| {
            let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::new(view(&latest, &self.places))
        })
    }

    /// From the position of the partition that is least far to that of the one that is
    /// furthest: views are of positions where these two meet.
    pub(crate) fn reach(&self) -> Range<Position> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let positions = || latest.iter().map(|latest| latest.position);
        positions().min().unwrap_or(0)..positions().max().unwrap_or(0)
    }

    /// Tells that a partition has come to `position`, and what its state is
    /// there if it has changed. Answers the position of the new view, if this
    /// brought the partitions together.
    pub(crate) fn advance(
        &self,
        partition: usize,
        position: Position,
        snapshot: Option<Arc<Snapshot>>,
    ) -> Option<Position> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let own = &mut latest[partition];
        // One that has gone back to its checkpoint comes past what it told before.
        if position < own.position {
            return None;
        }
        own.position = position;
        if let Some(snapshot) = snapshot {
            own.snapshot = snapshot;
        }
        let view = together(&latest, &self.places)?;
        self.view.store(Some(view));
        Some(position)
    }

    /// Where readers see it.
    pub fn checkpoint(&self) -> Checkpoint {
        self.parts().checkpoint()
    }

    /// All dead letters, oldest first. One that no partition could take for its
    /// own was kept by each, and counts once.
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>, StateError> {
        let mut letters = Vec::new();
        for partition in &self.partitions {
            letters.extend(partition.dead_letters()?);
        }
        letters.sort_by_key(|letter| letter.position);
        letters.dedup_by_key(|letter| letter.position);
        Ok(letters)
    }

    /// How many dead letters there are.
    pub fn dead_letter_count(&self) -> Result<u64, StateError> {
        match &*self.partitions {
            [partition] => partition.dead_letter_count(),
            _ => Ok(self.dead_letters()?.len() as u64),
        }
    }

    /// How much of the disk the files take; 0 for state in memory.
    pub fn size_bytes(&self) -> u64 {
        self.partitions.iter().map(PartitionState::size_bytes).sum()
    }
}

/// The view, if all partitions stand at one position.
fn together(latest: &[Latest], places: &Arc<Places>) -> Option<Arc<View>> {
    let same = latest.windows(2).all(|pair| pair[0].position == pair[1].position);
    same.then(|| Arc::new(view(latest, places)))
}

fn view(latest: &[Latest], places: &Arc<Places>) -> View {
    let position = latest.iter().map(|latest| latest.position).min().unwrap_or(0);
    View::new(latest.iter().map(|latest| Arc::clone(&latest.snapshot)), Arc::clone(places), position)
}
