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
    /// How far it has come.
    pub position: Position,
    /// How far it has to go.
    pub to: Position,
}

/// All that are under way.
#[derive(Default)]
pub(super) struct Folds(Mutex<Vec<Underway>>);

struct Underway {
    version: Weak<Version>,
    to: Position,
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
        let version = Arc::downgrade(version);
        self.lock().push(Underway { version: Weak::clone(&version), to });
        Following { folds: self, version }
    }

    fn of(&self, name: &str) -> Vec<Fold> {
        let underway = self.lock();
        let folds = underway.iter().filter_map(|Underway { version, to }| {
            let version = version.upgrade().filter(|version| version.name() == name)?;
            let position = version.progress().borrow().position;
            Some(Fold { version: version.digest().to_owned(), position, to: *to })
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
