//! How far a verification is, for those who ask.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::{event::Position, projection::Version};

/// How far a verification is.
#[derive(Default)]
pub(super) struct Progress(Mutex<Doing>);

/// What a verification does.
#[derive(Clone, Default)]
pub(super) struct Doing {
    /// Up to where history is folded again.
    pub(super) position: Position,
    /// What is being done, in words.
    pub(super) step: String,
    /// The fold that is at work.
    fold: Weak<Version>,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Doing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// History will be folded up to here.
    pub(super) fn up_to(&self, position: Position) {
        self.lock().position = position;
    }

    /// Something else is begun.
    pub(super) fn step(&self, step: String) {
        let mut doing = self.lock();
        doing.step = step;
        doing.fold = Weak::new();
    }

    /// This version folds.
    pub(super) fn follow(&self, version: &Arc<Version>) {
        self.lock().fold = Arc::downgrade(version);
    }

    pub(super) fn get(&self) -> Doing {
        self.lock().clone()
    }
}

impl Doing {
    /// How far the fold that is at work has come.
    pub(super) fn folded(&self) -> Position {
        self.fold.upgrade().map_or(0, |version| version.progress().borrow().position)
    }
}
