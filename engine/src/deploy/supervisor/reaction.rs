//! How a version of a reaction takes over: it goes on where the one before stood,
//! with the state that it left.

use std::sync::Arc;

use super::{Context, Supervisor};
use crate::{
    clock,
    plugin::{Plugin, description::Kind},
    projection::Version,
    state::{StateError, VersionState},
};

impl Supervisor {
    /// Why a version of this kind cannot follow the live one, if it cannot.
    pub(super) fn other_kind(&self, kind: Kind) -> Result<Option<String>, StateError> {
        let live = self.live.as_ref().map(|live| live.version().plugin().kind());
        Ok(live.filter(|live| *live != kind).map(|live| {
            format!(
                "the live version of \"{}\" is a {live}, and this is none: give the file another name, or remove it \
                 first and purge what it has left",
                self.name
            )
        }))
    }

    /// A loaded version of a reaction takes over at once. The old one ends first, so
    /// that no event is handled by both.
    pub(super) async fn relieve(&mut self, digest: String, plugin: Arc<Plugin>) -> Result<(), StateError> {
        let old = self.live.take();
        let old = match old {
            None => None,
            Some(run) => {
                let version = Arc::clone(run.version());
                run.stop().await;
                Some(version)
            }
        };
        let Context { catalog, store, .. } = &*self.context;
        let left = old.as_ref().map(|old| Arc::clone(old.state())).or_else(|| self.left.upgrade());
        let state = match left {
            Some(left) => handed_on(&left, plugin.tables()),
            None => store.open_state(&digest, &plugin),
        };
        let promoted = state.and_then(|state| {
            catalog.promote(&self.name, &digest, clock::now(), None)?;
            Ok(Arc::new(state))
        });
        let state = match promoted {
            Ok(state) => state,
            Err(error) => {
                self.live = old.map(|old| self.work(old));
                self.give_up_for_now(&error.to_string(), None);
                return Ok(());
            }
        };
        tracing::info!(plugin = self.name, version = digest, "promoted");
        let version = Arc::new(Version::new(&self.name, &digest, plugin, state));
        let keep = version.plugin().settings().policies.keep;
        self.live = Some(self.work(Arc::clone(&version)));
        self.view.update(|view| {
            view.live = Some(version);
            view.candidate = None;
        });
        self.prune(keep)
    }
}

/// The state of one version for the next, which may have other tables.
fn handed_on(state: &VersionState, tables: &[String]) -> Result<VersionState, StateError> {
    let partitions = state.partitions().iter().map(|partition| partition.with_tables(tables));
    VersionState::new(partitions.collect::<Result<Vec<_>, _>>()?)
}
