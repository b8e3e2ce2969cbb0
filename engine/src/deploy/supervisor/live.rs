//! The version that serves: started again with the process, and run in another
//! way when its limits or policies change.

use std::sync::Arc;

use super::{Supervisor, Trouble};
use crate::{
    plugin::{Plugin, Settings, description::Kind},
    projection::{Code, Version},
    state::{
        StateError,
        catalog::{Station, VersionRecord},
    },
};

impl Supervisor {
    /// Starts what was live, or on its way, when the process last ended.
    pub(super) async fn recover(&mut self) -> Result<(), StateError> {
        self.finish_takeover()?;
        self.recover_live().await?;
        self.resume_candidates()
    }

    pub(super) async fn recover_live(&mut self) -> Result<(), StateError> {
        let versions = self.context.catalog.versions(&self.name)?;
        if let Some(last) = versions.iter().rfind(|version| version.station == Station::Failed) {
            self.show_failed(last.reason.as_deref().unwrap_or_default(), None);
        }
        let retired = versions.iter().any(|version| version.station == Station::Retired);
        let Some(record) = versions.into_iter().find(|version| version.station == Station::Live) else {
            self.view.update(|view| view.retired = retired);
            return Ok(());
        };
        match self.restore(&record).await {
            Ok(Some(version)) => self.serve(version),
            Ok(None) => {}
            Err(Trouble::Host(error)) => return Err(error),
            Err(Trouble::Version(reason)) => {
                tracing::error!(
                    plugin = self.name,
                    version = record.digest,
                    reason,
                    "the live version does not start"
                );
                self.show_failed(&reason, None);
                self.miss_upcaster(&record)?;
            }
        }
        Ok(())
    }

    /// Code and state of a version that ran before; none of an upcaster, which is at work then.
    async fn restore(&mut self, record: &VersionRecord) -> Result<Option<Arc<Version>>, Trouble> {
        let code = self.context.code(record).await.map_err(|error| Trouble::Version(error.to_string()))?;
        if code.plugin().kind() == Kind::Upcaster {
            self.reemploy(record, code.plugin());
            return Ok(None);
        }
        let state = self.context.store.open_state(&record.digest, code.plugin())?;
        Ok(Some(Arc::new(Version::new(code, Arc::new(state)))))
    }

    pub(super) fn serve(&mut self, version: Arc<Version>) {
        self.live = Some(self.work(Arc::clone(&version)));
        self.view.update(|view| view.live = Some(version));
    }

    /// Limits or policies of the live version have changed, its result cannot.
    pub(super) async fn reconfigure(&mut self, digest: &str, settings: &str) -> Result<(), StateError> {
        let Some(record) = self.context.catalog.version(&self.name, digest)? else { return Ok(()) };
        if record.settings == settings {
            return Ok(());
        }
        tracing::info!(plugin = self.name, version = digest, "new limits or policies for the live version");
        if self.live.is_none() {
            return self.reconfigure_upcaster(record, settings).await;
        }
        match self.loaded_with(&record, settings).await {
            Ok(plugin) => {
                self.context.catalog.set_settings(&self.name, digest, settings)?;
                let Some(old) = self.live.take() else { return Ok(()) };
                let state = Arc::clone(old.version().state());
                let upcasters = Arc::clone(old.version().code().upcasters());
                old.stop().await;
                let code = Code::new(digest, plugin).upcast_by(upcasters);
                self.serve(Arc::new(Version::new(code, state)));
            }
            Err(reason) => self.keeps_its_settings(&reason),
        }
        Ok(())
    }

    /// A version that is kept, with other settings.
    pub(super) async fn loaded_with(
        &self,
        record: &VersionRecord,
        settings: &str,
    ) -> Result<Arc<Plugin>, String> {
        let settings = Settings::parse(settings).unwrap_or_default();
        let wasm = self.context.store.component(&record.component).map_err(|error| error.to_string())?;
        self.context.host.load(&self.name, &wasm, &settings).await.map_err(|error| error.to_string())
    }

    pub(super) fn keeps_its_settings(&self, reason: &str) {
        tracing::error!(plugin = self.name, reason, "the new settings do not work; the old ones stay");
    }
}
