//! What is deleted, and when: versions that nobody will go back to.

use std::sync::Weak;

use super::{Context, Supervisor};
use crate::{
    clock,
    deploy::{PurgeError, view::ViewState},
    state::{
        StateError,
        catalog::{Station, VersionRecord},
    },
};

impl Supervisor {
    /// Forgets what was live before the newest `keep`, and what has failed: a
    /// version has succeeded since.
    pub(super) fn prune(&self, keep: usize) -> Result<(), StateError> {
        let mut old = self.context.catalog.versions(&self.name)?;
        let failed = old.extract_if(.., |version| version.station == Station::Failed).collect::<Vec<_>>();
        old.retain(|version| matches!(version.station, Station::Standby | Station::Retired));
        old.sort_by_key(|version| std::cmp::Reverse(version.promoted));
        old.iter().skip(keep).chain(&failed).try_for_each(|version| self.forget(version))
    }

    pub(super) fn forget(&self, version: &VersionRecord) -> Result<(), StateError> {
        let Context { catalog, store, host, .. } = &*self.context;
        catalog.forget(&self.name, &version.digest, clock::now())?;
        store.drop_state(&self.name, &version.digest);
        let kept = catalog.all_versions()?;
        let upcasters = version.upcasters().iter().map(|one| &one.component);
        for component in upcasters.chain([&version.component]) {
            if !kept.iter().any(|other| other.needs(component)) {
                store.drop_component(component);
                host.forget_code(component);
            }
        }
        Ok(())
    }

    /// Deletes everything of a retired plug-in.
    pub(super) async fn purge(&mut self) -> Result<(), PurgeError> {
        if !self.view.get().retired || self.live.is_some() || !self.candidates.is_empty() {
            return Err(PurgeError::InUse { name: self.name.clone() });
        }
        // First, so that whatever is left after a crash is no more than a record.
        self.context.store.purge_reaction(&self.name)?;
        self.left = Weak::new();
        for version in self.context.catalog.versions(&self.name)? {
            self.forget(&version)?;
        }
        self.view.update(|view| *view = ViewState::unknown());
        Ok(())
    }
}
