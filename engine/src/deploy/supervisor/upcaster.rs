//! How an upcaster comes to be at work: it folds nothing, so it takes over as soon as it is loaded.

use std::sync::Arc;

use super::Supervisor;
use crate::{
    clock,
    deploy::{
        candidate::{Candidate, Stage},
        view::UpcasterView,
    },
    plugin::Plugin,
    projection::{Code, UpcasterConflict},
    state::{
        StateError,
        catalog::{Station, UpcasterRecord, VersionRecord},
    },
};

/// Why an upcaster is not at work.
enum Refused {
    Conflict(UpcasterConflict),
    Host(StateError),
}

impl From<UpcasterConflict> for Refused {
    fn from(conflict: UpcasterConflict) -> Self {
        Self::Conflict(conflict)
    }
}

impl From<StateError> for Refused {
    fn from(error: StateError) -> Self {
        Self::Host(error)
    }
}

impl Supervisor {
    /// A loaded version is at work from now on; one that is held waits until it is told to be.
    pub(super) fn employ(&mut self, candidate: Candidate, code: Code) -> Result<(), StateError> {
        if candidate.held {
            self.candidates.push(Candidate { stage: Stage::Ready(code), ..candidate });
            return Ok(());
        }
        let Candidate { digest, .. } = candidate;
        let Some(record) = self.context.catalog.version(&self.name, &digest)? else { return Ok(()) };
        let plugin = code.plugin();
        let employed = self.context.upcasters.change(|lineup| {
            let with = lineup.with(&record, plugin)?;
            self.context.catalog.promote(&self.name, &digest, clock::now(), None)?;
            Ok::<_, Refused>(with)
        });
        match employed {
            Ok(()) => {}
            Err(Refused::Conflict(conflict)) => {
                tracing::error!(plugin = self.name, version = digest, %conflict, "is not at work");
                self.view.update(|view| view.drop_candidate(&digest));
                let advice = "remove one of the two; what is left is at work then";
                self.show_failed(&format!("{conflict} ({advice})"), None);
                self.refused = Some(digest);
                return Ok(());
            }
            Err(Refused::Host(error)) => return Err(error),
        }
        tracing::info!(plugin = self.name, version = digest, "promoted");
        self.show_upcaster(&digest, plugin);
        self.prune(plugin.settings().policies.keep)
    }

    /// What did not work beside the others may do so now.
    pub(super) fn try_refused_again(&mut self) -> Result<(), StateError> {
        let Some(refused) = self.refused.take() else { return Ok(()) };
        let record = self.context.catalog.version(&self.name, &refused)?;
        match record.filter(|record| record.station == Station::Candidate) {
            Some(record) => self.load_kept(record),
            None => Ok(()),
        }
    }

    /// One that was at work when the process last ended and cannot be started: until it can, or is removed, nothing is
    /// made anew without it.
    pub(super) fn miss_upcaster(&mut self, record: &VersionRecord) -> Result<(), StateError> {
        let versions = self.context.catalog.all_versions()?;
        let is_it = |one: &UpcasterRecord| one.name == record.name && one.digest == record.digest;
        if versions.iter().any(|version| version.upcasters().iter().any(is_it)) {
            let Ok(()) = self
                .context
                .upcasters
                .change(|lineup| Ok::<_, std::convert::Infallible>(lineup.missing(&self.name)));
        }
        Ok(())
    }

    /// One that was at work when the process last ended is again.
    pub(super) fn reemploy(&mut self, record: &VersionRecord, plugin: &Arc<Plugin>) {
        match self.context.upcasters.change(|lineup| lineup.with(record, plugin)) {
            Ok(()) => self.show_upcaster(&record.digest, plugin),
            Err(conflict) => self.show_failed(&conflict.to_string(), None),
        }
    }

    /// It has other limits from now on, and does the same.
    pub(super) async fn reconfigure_upcaster(
        &mut self,
        record: VersionRecord,
        text: &str,
    ) -> Result<(), StateError> {
        match self.loaded_with(&record, text).await {
            Ok(plugin) => {
                self.context.catalog.set_settings(&self.name, &record.digest, text)?;
                self.reemploy(&VersionRecord { settings: text.to_owned(), ..record }, &plugin);
            }
            Err(reason) => self.keeps_its_settings(&reason),
        }
        Ok(())
    }

    /// It is not at work any more.
    pub(super) fn dismiss_upcaster(&mut self) {
        if !self.context.upcasters.now().has(&self.name) {
            return;
        }
        if let Err(conflict) = self.context.upcasters.change(|lineup| lineup.without(&self.name)) {
            tracing::error!(plugin = self.name, %conflict, "the other upcasters do not work without it");
        }
        self.view.update(|view| view.upcaster = None);
    }

    fn show_upcaster(&self, digest: &str, plugin: &Arc<Plugin>) {
        let upcaster = UpcasterView { digest: digest.to_owned(), plugin: Arc::clone(plugin) };
        self.view.update(|view| {
            view.upcaster = Some(upcaster);
            view.drop_candidate(digest);
        });
    }
}
