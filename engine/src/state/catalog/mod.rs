//! The catalog: which versions there are and which of a name is live, and a
//! record of every deployment. One redb file; every change of it is durable.
//!
//! - `records.rs`: what it keeps.
//! - `change.rs`: what can happen to a version. Each is one transaction, which
//!   also writes the deployment record, so neither is ever without the other.
//! - `verification.rs`: what has come of verifying a version.
//! - `tables.rs`: how records lie in the file.
//!
//! Not here: when something happens and what it means for runners (`deploy`).

mod change;
mod records;
mod tables;
#[cfg(test)]
mod tests;
mod verification;

use std::path::Path;

use redb::{Database, ReadTransaction, ReadableDatabase, backends::InMemoryBackend};

pub use self::records::{
    DeploymentAction, DeploymentOutcome, DeploymentRecord, Order, Replay, Station, UpcastRecord,
    UpcasterRecord, VersionRecord,
};
pub use self::verification::{EventNamed, FoldedAgain, FoundDifference, RowFound, Verdict, Verification};
use super::{
    error::{Origin, StateError},
    partition::{guarded, open_database},
};

/// A catalog is small.
const CACHE_BYTES: usize = 4 << 20;

/// Versions and deployments of all plug-ins, in one file.
pub struct Catalog {
    database: Database,
    origin: Origin,
}

impl Catalog {
    /// Opens the file, or makes it with the folders above it.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let origin = Origin::new(&path.display().to_string());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(origin.io("make its folder"))?;
        }
        let database = open_database(&origin, |builder| builder.create(path), CACHE_BYTES)?;
        Self::with_database(database, origin)
    }

    /// A catalog that lives as long as the process, for tests.
    pub fn in_memory() -> Result<Self, StateError> {
        let origin = Origin::new("catalog in memory");
        let memory = InMemoryBackend::new();
        let database = open_database(&origin, |builder| builder.create_with_backend(memory), CACHE_BYTES)?;
        Self::with_database(database, origin)
    }

    fn with_database(database: Database, origin: Origin) -> Result<Self, StateError> {
        guarded(&origin, || tables::initialise(&database, &origin))?;
        Ok(Self { database, origin })
    }

    /// The names of all plug-ins that have versions, sorted.
    pub fn names(&self) -> Result<Vec<String>, StateError> {
        let mut names: Vec<_> = self.all_versions()?.into_iter().map(|version| version.name).collect();
        names.dedup();
        Ok(names)
    }

    /// All versions of all plug-ins: by name, then the oldest first.
    pub fn all_versions(&self) -> Result<Vec<VersionRecord>, StateError> {
        tables::versions(&self.read()?, None, &self.origin)
    }

    /// The versions of a name, the oldest first.
    pub fn versions(&self, name: &str) -> Result<Vec<VersionRecord>, StateError> {
        tables::versions(&self.read()?, Some(name), &self.origin)
    }

    /// A version.
    pub fn version(&self, name: &str, digest: &str) -> Result<Option<VersionRecord>, StateError> {
        Ok(self.versions(name)?.into_iter().find(|version| version.digest == digest))
    }

    /// The live version of a name.
    pub fn live(&self, name: &str) -> Result<Option<VersionRecord>, StateError> {
        Ok(self.versions(name)?.into_iter().find(|version| version.station == Station::Live))
    }

    /// The last deployments of all plug-ins, the latest first.
    pub fn deployments(&self, limit: usize) -> Result<Vec<DeploymentRecord>, StateError> {
        tables::deployments(&self.read()?, None, limit, &self.origin)
    }

    /// The last deployments of a name, the latest first.
    pub fn deployments_of(&self, name: &str, limit: usize) -> Result<Vec<DeploymentRecord>, StateError> {
        tables::deployments(&self.read()?, Some(name), limit, &self.origin)
    }

    /// The version that a name's file in the plug-ins folder held when it was last acted upon: its digest without
    /// upcasters.
    pub fn file(&self, name: &str) -> Result<Option<String>, StateError> {
        tables::file(&self.read()?, name, &self.origin)
    }

    /// The upcasters that a name's versions were last made with, as [`Catalog::set_upcasters`] was told; none: they are
    /// made with several, or nothing was told.
    pub fn upcasters(&self, name: &str) -> Result<Option<String>, StateError> {
        tables::upcasters(&self.read()?, name, &self.origin)
    }

    fn read(&self) -> Result<ReadTransaction, StateError> {
        self.database.begin_read().map_err(self.origin.failed("begin to read"))
    }
}
