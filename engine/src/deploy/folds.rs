//! How far history is folded apart just now, for those who wait for what comes of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Deployer, NotServed};
use crate::{event::Position, projection::Version};

/// A fold of history that is under way apart from all that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fold {
    /// The digest of the version whose code folds.
    pub version: String,
    /// About how far it has come, committed or not.
    pub position: Position,
    /// How far it has to go.
    pub to: Position,
}

/// All that are under way.
#[derive(Default)]
pub(super) struct Folds(Mutex<Vec<Underway>>);

struct Underway {
    version: Weak<Version>,
    from: Position,
    to: Position,
}

impl Underway {
    fn shown(&self, version: &Version) -> Fold {
        let committed = version.progress().borrow().position;
        // Of positions that it has no event at it knows only with a commit, which may be seconds away.
        let position = committed.max(self.from + version.folded()).min(self.to);
        Fold { version: version.digest().to_owned(), position, to: self.to }
    }
}

/// Ends with the fold, however that ends.
pub(super) struct Following<'a> {
    folds: &'a Folds,
    version: Weak<Version>,
}

impl Folds {
    fn lock(&self) -> MutexGuard<'_, Vec<Underway>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of a version that folds up to a position, as long as what this returns is there.
    pub(super) fn follow(&self, version: &Arc<Version>, to: Position) -> Following<'_> {
        let from = version.state().checkpoint().position;
        let version = Arc::downgrade(version);
        self.lock().push(Underway { version: Weak::clone(&version), from, to });
        Following { folds: self, version }
    }

    fn of(&self, name: &str) -> Vec<Fold> {
        let underway = self.lock();
        let folds = underway.iter().filter_map(|underway| {
            let version = underway.version.upgrade().filter(|version| version.name() == name)?;
            Some(underway.shown(&version))
        });
        folds.collect()
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.folds.lock().retain(|underway| !underway.version.ptr_eq(&self.version));
    }
}

impl Deployer {
    /// How far history is folded apart with code of a name, for comparisons and looks at the past.
    pub fn folds(&self, name: &str) -> Result<Vec<Fold>, NotServed> {
        match self.registry.view(name) {
            Some(_) => Ok(self.registry.context().folds.of(name)),
            None => Err(NotServed::Unknown { name: name.to_owned() }),
        }
    }
}
