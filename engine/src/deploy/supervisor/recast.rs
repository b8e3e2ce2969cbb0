//! What happens when the upcasters at work change: versions whose events they touch are made anew
//! with them, beside those that are there, and take over as any new version does.

use super::Supervisor;
use crate::{
    clock,
    plugin::{Deploy, Settings},
    state::{
        StateError,
        catalog::{Order, Station, VersionRecord},
    },
};

impl Supervisor {
    /// Makes versions anew that are others with the upcasters at work, if that has not been done
    /// for these upcasters yet.
    pub(super) async fn recast(&mut self) -> Result<(), StateError> {
        let lineup = self.lineup.borrow_and_update().clone();
        let mark = lineup.mark();
        if !lineup.is_complete() || self.context.catalog.upcasters(&self.name)? == mark {
            return Ok(());
        }
        let note = match lineup.names().as_slice() {
            [] => "no upcaster is at work any more".to_owned(),
            names => format!("the upcasters at work have changed: {}", names.join(", ")),
        };
        for record in self.due_for_recast()? {
            self.recast_one(record, &note).await?;
        }
        self.context.catalog.set_upcasters(&self.name, &mark)
    }

    /// What answers, or is about to; what is on trial; or what could not be folded as it was.
    fn due_for_recast(&self) -> Result<Vec<VersionRecord>, StateError> {
        let versions = self.context.catalog.versions(&self.name)?;
        let is_next = |version: &&VersionRecord| version.station == Station::Candidate && !version.held;
        let is_live = |version: &&VersionRecord| version.station == Station::Live;
        let file = self.context.catalog.file(&self.name)?;
        let has_failed = |version: &&VersionRecord| {
            version.station == Station::Failed && file.as_deref() == Some(version.base())
        };
        let first = versions.iter().find(is_next);
        let first =
            first.or_else(|| versions.iter().find(is_live)).or_else(|| versions.iter().rfind(has_failed));
        let held = versions.iter().filter(|version| version.station == Station::Candidate && version.held);
        Ok(first.into_iter().chain(held).cloned().collect())
    }

    async fn recast_one(&mut self, record: VersionRecord, note: &str) -> Result<(), StateError> {
        // What cannot be read any more has said so where it was found out.
        let Ok(settings) = Settings::parse(&record.settings) else { return Ok(()) };
        let wasm = match self.context.store.component(&record.component) {
            Ok(wasm) => wasm,
            Err(error) => {
                let reason = format!("its component {} cannot be read: {error}", record.component);
                self.give_up_for_now(&record.digest, &reason, None);
                return Ok(());
            }
        };
        let identity = self.identify(&wasm, &settings).await?;
        if identity.digest == record.digest {
            return Ok(());
        }
        let order = Order { actor: None, note: Some(note.to_owned()) };
        let held = match record.station {
            Station::Live => settings.policies.deploy == Deploy::Manual,
            _ => record.held,
        };
        let known = self.context.catalog.version(&self.name, &identity.digest)?.map(|known| known.station);
        let anew = VersionRecord {
            digest: identity.digest,
            upcast: identity.upcast,
            station: Station::Candidate,
            created: clock::now(),
            promoted: None,
            reason: None,
            held,
            ..record.clone()
        };
        // A process that was killed may have done that much.
        let is_new = !matches!(known, Some(Station::Live | Station::Candidate));
        if is_new {
            if known == Some(Station::Failed) {
                // It starts from nothing.
                self.context.store.drop_state(&self.name, &anew.digest);
            }
            tracing::info!(plugin = self.name, version = anew.digest, held, note, "made anew");
            self.context.catalog.deploy(anew.clone(), order.clone(), false)?;
        }
        // First the one is on record, then the other is not: no kill leaves neither.
        match record.station {
            Station::Candidate if record.held => self.abort(&record.digest, order).await?,
            Station::Candidate => {
                self.stop_candidate(&record.digest).await;
                if record.promoted.is_none() {
                    self.forget(&record)?;
                }
            }
            _ => {}
        }
        if is_new {
            self.load(&anew, settings, wasm);
        }
        Ok(())
    }
}
