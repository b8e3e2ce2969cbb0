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
    /// The upcasters at work are others.
    pub(super) async fn lineup_changed(&mut self) -> Result<(), StateError> {
        self.try_refused_again()?;
        if self.live_digest().is_none() && self.context.catalog.live(&self.name)?.is_some() {
            // It could not be started, perhaps for want of an upcaster that is there again.
            self.recover_live().await?;
        }
        self.recast().await
    }

    /// Makes versions anew that are others with the upcasters at work, if that has not been done
    /// for these upcasters yet.
    pub(super) async fn recast(&mut self) -> Result<(), StateError> {
        let lineup = self.lineup.borrow_and_update().clone();
        let mark = lineup.mark();
        let made_with = self.context.catalog.upcasters(&self.name)?;
        if !lineup.is_complete() || made_with.as_deref() == Some(&*mark) {
            return Ok(());
        }
        if lineup.has(&self.name) {
            return Ok(());
        }
        let note = match lineup.names().as_slice() {
            [] => "no upcaster is at work any more".to_owned(),
            names => format!("the upcasters at work have changed: {}", names.join(", ")),
        };
        let versions = self.context.catalog.versions(&self.name)?;
        let live = versions.iter().find(|version| version.station == Station::Live);
        // What answers is made anew only where nothing is about to take its place; it may have to be later.
        let mut owed = live.is_some();
        let is_on_its_way = self.recast_next(&versions, &note).await?;
        if let Some(live) = live.filter(|_| !is_on_its_way) {
            self.recast_one(live, &note).await?;
            owed = false;
        }
        let held = versions.iter().filter(|version| version.station == Station::Candidate && version.held);
        for held in held {
            self.recast_one(held, &note).await?;
        }
        match owed {
            true => Ok(()),
            false => self.context.catalog.set_upcasters(&self.name, Some(&mark)),
        }
    }

    /// Notes that a version has been made with these upcasters.
    pub(super) fn note_upcasters(&self, mark: &str) -> Result<(), StateError> {
        let (catalog, made_with) = (&self.context.catalog, self.context.catalog.upcasters(&self.name)?);
        let is_first = catalog.versions(&self.name)?.len() == 1;
        match made_with {
            Some(made_with) if made_with == mark => Ok(()),
            _ if is_first => catalog.set_upcasters(&self.name, Some(mark)),
            // The others are made with other ones.
            _ => catalog.set_upcasters(&self.name, None),
        }
    }

    /// Somebody has said what is to be, with the upcasters that are at work.
    pub(super) fn agree_upcasters(&self) -> Result<(), StateError> {
        // Where they have just changed, that is still to be acted upon.
        match self.lineup.has_changed() {
            Ok(false) => self.context.catalog.set_upcasters(&self.name, Some(&self.lineup.borrow().mark())),
            _ => Ok(()),
        }
    }

    /// Makes anew what is about to take over, or what the file holds and could not be folded as it
    /// was. Answers whether something is about to take over then.
    async fn recast_next(&mut self, versions: &[VersionRecord], note: &str) -> Result<bool, StateError> {
        let is_next = |version: &&VersionRecord| version.station == Station::Candidate && !version.held;
        if let Some(next) = versions.iter().find(is_next) {
            self.recast_one(next, note).await?;
            return Ok(true);
        }
        let file = self.context.catalog.file(&self.name)?;
        let has_failed = |version: &&VersionRecord| {
            version.station == Station::Failed && file.as_deref() == Some(version.base())
        };
        match versions.iter().rfind(has_failed) {
            Some(failed) => self.recast_one(failed, note).await,
            None => Ok(false),
        }
    }

    /// Answers whether it is another version with the upcasters at work, which is on its way then.
    async fn recast_one(&mut self, record: &VersionRecord, note: &str) -> Result<bool, StateError> {
        // What cannot be read any more has said so where it was found out.
        let Ok(settings) = Settings::parse(&record.settings) else { return Ok(false) };
        let wasm = match self.context.store.component(&record.component) {
            Ok(wasm) if blake3::hash(&wasm).to_hex().as_str() == record.component => wasm,
            _ => {
                tracing::error!(
                    plugin = self.name,
                    version = record.digest,
                    "cannot be made anew with the upcasters at work, since its component cannot be read any more: put \
                     its file into the plug-ins folder again"
                );
                return Ok(false);
            }
        };
        let identity = self.identify(&wasm, &settings).await?;
        if identity.digest == record.digest {
            return Ok(false);
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
        if matches!(known, Some(Station::Live | Station::Failed)) {
            // It would come to what it came to.
            return Ok(false);
        }
        // A process that was killed may have done that much.
        let is_new = known != Some(Station::Candidate);
        if is_new {
            tracing::info!(plugin = self.name, version = anew.digest, held, note, "made anew");
            self.context.catalog.deploy(anew.clone(), order.clone(), false)?;
        }
        // First the one is on record, then the other is not: no kill leaves neither.
        match record.station {
            Station::Candidate if record.held => self.abort(&record.digest, order).await?,
            Station::Candidate => {
                self.stop_candidate(&record.digest).await;
                if record.promoted.is_none() {
                    self.forget(record)?;
                }
            }
            _ => {}
        }
        if is_new {
            self.load(&anew, settings, wasm);
        }
        Ok(true)
    }
}
