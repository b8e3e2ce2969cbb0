//! Walks that stand somewhere in a version's past, kept for a while: who asks for some
//! steps asks for the next ones soon.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::apart::Standing;
use crate::{clock, event::Position, projection::Walk};

/// How many are kept at most …
const MOST: usize = 4;
/// … and for how long.
const KEPT: Duration = Duration::from_secs(60);
/// A walk that is so far behind goes on …
const NEAR: Position = 5_000;
/// … or so many times less far than from the beginning, since history folds so much faster
/// in blocks than step by step.
const FASTER: Position = 16;

/// A walk, and what it began with.
pub(super) struct Way {
    digest: String,
    pub(super) walk: Walk,
    /// How many steps it was asked for.
    pub(super) taken: usize,
    used: Instant,
    // Last, so that nobody reads from it when it is deleted.
    _standing: Standing,
}

impl Way {
    pub(super) fn new(digest: String, walk: Walk, standing: Standing) -> Self {
        Self { digest, walk, taken: 0, used: clock::instant(), _standing: standing }
    }

    /// How many steps it is at most from a position; none: it cannot come there.
    fn distance(&self, position: Position) -> Option<Position> {
        match position >= self.walk.position() {
            true => Some(position - self.walk.position()),
            false => (position >= self.walk.stepper().floor()).then_some(0),
        }
    }
}

/// The walks that are kept.
#[derive(Default)]
pub(super) struct Walks(Mutex<Vec<Way>>);

impl Walks {
    /// Takes the walk of a version from which it is least far to a position, if it is worth it.
    pub(super) fn take(&self, digest: &str, position: Position) -> Option<Way> {
        let mut ways = self.lock();
        let distances = ways.iter().enumerate().filter(|(_, way)| way.digest == digest);
        let distances = distances.filter_map(|(index, way)| Some((way.distance(position)?, index)));
        let (distance, index) = distances.min()?;
        (distance <= NEAR.max(position / FASTER)).then(|| ways.swap_remove(index))
    }

    /// Keeps a walk for a while.
    pub(super) fn keep(self: &Arc<Self>, mut way: Way) {
        way.used = clock::instant();
        let too_many = {
            let mut ways = self.lock();
            ways.push(way);
            let oldest = (0..ways.len()).min_by_key(|index| ways[*index].used);
            oldest.filter(|_| ways.len() > MOST).map(|oldest| ways.swap_remove(oldest))
        };
        // Its files are deleted outside the lock.
        drop(too_many);
        let walks = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(KEPT).await;
            if let Some(walks) = walks.upgrade() {
                let is_old = |way: &mut Way| way.used.elapsed() >= KEPT;
                let old: Vec<Way> = walks.lock().extract_if(.., is_old).collect();
                drop(old);
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Way>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
