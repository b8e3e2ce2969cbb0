//! The one task that decides about the versions of a name.
//!
//! Everything that happens to a name comes through its mailbox or from its
//! candidate, one after the other, so no two decisions ever meet. The order
//! within a decision is always: the catalog (durable), then the view (what
//! readers see), then what is left to clear away.

mod candidates;
mod forget;
mod live;
mod orders;
mod reaction;
mod recast;
#[cfg(test)]
mod tests;
mod upcaster;

pub(super) use orders::{Delivery, Ordered};
pub use orders::{OrderError, Wish};
use std::sync::{Arc, Weak};

use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::{
    PurgeError,
    candidate::{Candidate, News, Replaying},
    folder::Sighting,
    folds::Folds,
    store::Store,
    upcasters::{AtWork, Identity, Lineup},
    view::{FailedView, View, ViewState},
    work::{Folding, Work},
};
use crate::{
    clock,
    log::EventLog,
    plugin::{Deploy, Host, Output, Settings, version_digest},
    projection::{Halt, Scheduler, Version},
    state::{
        StateError, VersionState,
        catalog::{Catalog, Order, Replay, Station, VersionRecord},
    },
};

/// What all supervisors share.
pub(super) struct Context {
    pub(super) host: Host,
    pub(super) scheduler: Scheduler,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) catalog: Catalog,
    pub(super) store: Store,
    pub(super) upcasters: AtWork,
    /// Snapshots are taken one at a time.
    pub(super) snapshotting: Arc<Semaphore>,
    /// What is folded apart.
    pub(super) folds: Folds,
}

/// What a supervisor can be told.
pub(super) enum Message {
    /// The files are there, with this content.
    Found(Sighting),
    /// The files are there but cannot be read.
    Unreadable(String),
    /// The component's file is gone.
    Gone,
    /// Somebody has sent a component, to be deployed or put on trial.
    Deploy(Delivery),
    /// Somebody wants something done with a version.
    Order(Ordered),
    /// Answered once the version that was live has been started again.
    Recovered(oneshot::Sender<()>),
    /// Answered once nothing is being loaded.
    Loaded(oneshot::Sender<()>),
    Purge(oneshot::Sender<Result<(), PurgeError>>),
    Close,
}

/// Decides about the versions of one name.
pub(super) struct Supervisor {
    name: String,
    context: Arc<Context>,
    view: Arc<View>,
    mailbox: mpsc::UnboundedReceiver<Message>,
    live: Option<Work>,
    /// Of those that are not held, there is one at most.
    candidates: Vec<Candidate>,
    /// The state of a reaction, as long as anybody holds it: its file is only opened
    /// once.
    left: Weak<VersionState>,
    /// An upcaster that did not work beside the others.
    refused: Option<String>,
    /// Who is to be told when nothing is being loaded.
    waiting: Vec<oneshot::Sender<()>>,
    /// The upcasters that are at work.
    lineup: watch::Receiver<Lineup>,
}

/// Why a decision could not be carried out.
enum Trouble {
    /// The version is at fault.
    Version(String),
    /// The host's own storage is.
    Host(StateError),
}

impl From<StateError> for Trouble {
    fn from(error: StateError) -> Self {
        Self::Host(error)
    }
}

impl Supervisor {
    pub(super) fn new(
        name: &str,
        context: Arc<Context>,
        view: Arc<View>,
        mailbox: mpsc::UnboundedReceiver<Message>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            lineup: context.upcasters.follow(),
            context,
            view,
            mailbox,
            live: None,
            candidates: Vec::new(),
            left: Weak::new(),
            refused: None,
            waiting: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) {
        if let Err(error) = self.recover().await {
            self.say(&error);
        }
        loop {
            let done = tokio::select! {
                message = self.mailbox.recv() => match message {
                    None | Some(Message::Close) => return self.close().await,
                    Some(Message::Found(sighting)) => self.found(sighting).await,
                    Some(Message::Gone) => self.gone().await,
                    Some(Message::Unreadable(reason)) => {
                        tracing::error!(plugin = self.name, reason);
                        self.view.update(|view| {
                            view.unreadable = Some(reason);
                            view.unknown = false;
                        });
                        Ok(())
                    }
                    Some(Message::Deploy(delivery)) => {
                        // Whoever asked may have gone away.
                        let _ = delivery.reply.send(self.deliver(delivery.sighting, delivery.order, delivery.hold).await);
                        Ok(())
                    }
                    Some(Message::Order(ordered)) => {
                        let _ = ordered.reply.send(self.carry_out(ordered.wish).await);
                        Ok(())
                    }
                    Some(Message::Recovered(reply)) => {
                        let _ = reply.send(());
                        Ok(())
                    }
                    Some(Message::Loaded(reply)) => {
                        self.waiting.push(reply);
                        Ok(())
                    }
                    Some(Message::Purge(reply)) => {
                        // Whoever asked may have gone away.
                        let _ = reply.send(self.purge().await);
                        Ok(())
                    }
                },
                Ok(()) = self.lineup.changed() => self.lineup_changed().await,
                (index, news) = Candidate::news(&mut self.candidates, &self.name) => match self.act_on(index, news).await {
                    // What failed was perhaps to take the place of what is due to be made anew.
                    Ok(()) => self.recast().await,
                    failed => failed,
                },
            };
            if let Err(error) = done {
                self.say(&error);
            }
            if !self.candidates.iter().any(Candidate::is_loading) {
                // Whoever asked may have gone away.
                for reply in self.waiting.drain(..) {
                    let _ = reply.send(());
                }
            }
        }
    }

    fn say(&self, error: &StateError) {
        tracing::error!(plugin = self.name, %error, "the deployment cannot go on");
        let reason = format!("the host's storage failed: {error}");
        self.view.update(|view| view.failed = Some(FailedView { reason, output: None }));
    }

    /// Starts a version that serves.
    fn work(&mut self, version: Arc<Version>) -> Work {
        let work = Work::start(&self.context, version);
        self.view.update(|view| view.reaction = work.handle().cloned());
        if work.handle().is_some() {
            self.left = Arc::downgrade(work.version().state());
        }
        work
    }

    /// The files have changed, or are seen for the first time.
    async fn found(&mut self, sighting: Sighting) -> Result<(), StateError> {
        self.view.update(|view| {
            view.unreadable = None;
            view.retired = false;
            view.unknown = false;
        });
        let settings = Settings::parse(&sighting.settings);
        let identity = match &settings {
            Ok(settings) => self.identify(&sighting.wasm, settings).await?,
            Err(_) => {
                let digest = digest_of_unreadable_settings(&sighting);
                Identity::plain(digest, self.context.upcasters.now().mark())
            }
        };
        let (digest, file) = (identity.digest.clone(), identity.base().to_owned());
        let same =
            |candidate: &Candidate| candidate.digest == digest && candidate.settings == sighting.settings;
        if self.candidates.iter().any(same) {
            return self.context.catalog.set_file(&self.name, Some(&file));
        }
        // After a restart it is seen again, which is no wish of anybody's.
        let is_new = self.context.catalog.file(&self.name)?.as_deref() != Some(&*file);
        if let Some(live) = self.live_digest().filter(|live| *live == digest) {
            if is_new {
                self.abandon_candidate(None).await?;
                self.context.catalog.set_file(&self.name, Some(&file))?;
            }
            self.view.update(|view| view.failed = None);
            return self.reconfigure(&live, &sighting.settings).await;
        }
        let recorded = self.context.catalog.version(&self.name, &digest)?;
        let is_set_aside =
            |recorded: &VersionRecord| matches!(recorded.station, Station::Standby | Station::Retired);
        if !is_new && recorded.as_ref().is_none_or(is_set_aside) {
            let live = self.context.catalog.live(&self.name)?.filter(|_| self.live_digest().is_some());
            if let Some(live) = live.filter(|live| live.base() == file) {
                // The same but for upcasters.
                return self.reconfigure(&live.digest, &sighting.settings).await;
            }
            tracing::info!(
                plugin = self.name,
                version = digest,
                "the file holds a version that something else was put in the place of; it stays so until the file changes"
            );
            return Ok(());
        }
        let has_failed = recorded.as_ref().is_some_and(|recorded| recorded.station == Station::Failed);
        let known = recorded.filter(|recorded| recorded.settings == sighting.settings);
        if let Some(known) = known.as_ref().filter(|_| has_failed) {
            if is_new {
                self.abandon_candidate(None).await?;
                self.context.catalog.set_file(&self.name, Some(&file))?;
            }
            let reason = known.reason.as_deref().unwrap_or_default();
            tracing::warn!(plugin = self.name, version = digest, reason, "this version has failed before");
            self.show_failed(reason, None);
            return Ok(());
        }
        self.abandon_candidate(Some(&digest)).await?;
        self.stop_candidate(&digest).await;
        let underway = known.filter(|known| known.station == Station::Candidate);
        let manual = settings.as_ref().is_ok_and(|settings| settings.policies.deploy == Deploy::Manual);
        // Where none answers there is nothing to be careful of.
        let held = manual && self.live_digest().is_some();
        let record = if let Some(underway) = underway {
            underway
        } else {
            if has_failed {
                // Other settings may let it succeed; it starts from nothing.
                self.context.store.drop_state(&self.name, &digest);
            }
            self.record_deployment(&sighting, identity, held, Order::default(), true)?
        };
        match settings {
            Ok(settings) => {
                tracing::info!(plugin = self.name, version = digest, file = %sighting.path.display(), "a new version");
                self.load(&record, settings, sighting.wasm);
                Ok(())
            }
            Err(error) => self.fail(&digest, &error.to_string(), None, None),
        }
    }

    fn live_digest(&self) -> Option<String> {
        let live = self.live.as_ref().map(|live| live.version().digest().to_owned());
        live.or_else(|| self.view.get().upcaster.map(|upcaster| upcaster.digest))
    }

    /// What a component is with the upcasters that are at work.
    async fn identify(&self, wasm: &[u8], settings: &Settings) -> Result<Identity, StateError> {
        let base = version_digest(wasm, settings);
        let live = self.live.as_ref().map(|live| live.version());
        let is_live = |record: &VersionRecord| live.is_some_and(|live| live.digest() == record.digest);
        let known = self.context.catalog.versions(&self.name)?;
        let known = known.iter().any(|record| record.base() == base && is_live(record));
        let described = live.filter(|_| known).map(|live| live.plugin().description());
        Ok(self.context.identify(&self.name, wasm, settings, described).await)
    }

    /// Keeps the code and records that a deployment has begun.
    fn record_deployment(
        &self,
        sighting: &Sighting,
        identity: Identity,
        held: bool,
        order: Order,
        from_file: bool,
    ) -> Result<VersionRecord, StateError> {
        let component = self.context.store.keep_component(&sighting.wasm).unwrap_or_else(|error| {
            tracing::error!(plugin = self.name, %error, "the component could not be kept: a restart will look for its file");
            String::new()
        });
        let version = VersionRecord {
            name: self.name.clone(),
            digest: identity.digest.clone(),
            station: Station::Candidate,
            component,
            settings: sighting.settings.clone(),
            file: sighting.path.display().to_string(),
            size: sighting.wasm.len() as u64,
            created: clock::now(),
            promoted: None,
            reason: None,
            held,
            upcast: identity.upcast.clone(),
        };
        self.context.catalog.deploy(version.clone(), order, from_file)?;
        self.note_upcasters(&identity.mark)?;
        Ok(version)
    }

    /// A candidate has caught up. The live one stops first, so that no reader
    /// ever sees a position and then an earlier one; it answers until the
    /// switch.
    async fn take_over(&mut self, mut candidate: Replaying) -> Result<(), StateError> {
        let old = self.live.take().map(|run| (Arc::clone(run.version()), run));
        let version = Arc::clone(candidate.run.version());
        if let Some((old, run)) = old {
            run.stop().await;
            if let News::Halted(halt) = candidate.reach(old.state().checkpoint().position).await {
                self.live = Some(self.work(old));
                let (replay, output) = (candidate.replay(), version.plugin().output().clone());
                candidate.run.stop().await;
                return self.halted(version.digest(), &halt, replay, output);
            }
        }
        let replay = candidate.replay();
        let promoted = self.context.catalog.promote(&self.name, version.digest(), clock::now(), Some(replay));
        if let Err(error) = promoted {
            candidate.run.stop().await;
            let old = self.view.get().live;
            self.live = old.map(|old| self.work(old));
            return Err(error);
        }
        tracing::info!(
            plugin = self.name,
            version = version.digest(),
            events = replay.events,
            milliseconds = replay.micros / 1_000,
            "promoted"
        );
        self.view.update(|view| {
            view.live = Some(Arc::clone(&version));
            view.drop_candidate(version.digest());
        });
        if let Folding::Projection(projecting) = candidate.run {
            self.live = Some(Work::Projection(projecting));
        }
        self.prune(version.plugin().settings().policies.keep)
    }

    /// A candidate cannot go on.
    fn halted(
        &mut self,
        digest: &str,
        halt: &Halt,
        replay: Replay,
        output: Output,
    ) -> Result<(), StateError> {
        match halt.host {
            true => self.give_up_for_now(digest, &halt.to_string(), Some(output)),
            false => self.fail(digest, &halt.to_string(), Some(replay), Some(output))?,
        }
        Ok(())
    }

    /// The host is at fault, not the candidate: it stays one, and the next
    /// start or touch of its file lets it go on.
    fn give_up_for_now(&mut self, digest: &str, reason: &str, output: Option<Output>) {
        tracing::error!(plugin = self.name, version = digest, reason, "the candidate cannot go on for now");
        self.view.update(|view| view.drop_candidate(digest));
        self.show_failed(&format!("{reason} (touch the file or restart to try again)"), output);
    }

    /// A version has failed; the live one stays.
    fn fail(
        &mut self,
        digest: &str,
        reason: &str,
        replay: Option<Replay>,
        output: Option<Output>,
    ) -> Result<(), StateError> {
        tracing::error!(plugin = self.name, version = digest, reason, "failed");
        self.context.catalog.fail(&self.name, digest, reason, clock::now(), replay)?;
        self.view.update(|view| view.drop_candidate(digest));
        self.show_failed(reason, output);
        self.context.store.drop_state(&self.name, digest);
        Ok(())
    }

    fn show_failed(&self, reason: &str, output: Option<Output>) {
        let failed = FailedView { reason: reason.to_owned(), output };
        self.view.update(|view| view.failed = Some(failed));
    }

    /// The file has been removed: nothing serves the name; the state stays.
    async fn gone(&mut self) -> Result<(), StateError> {
        for candidate in self.candidates.drain(..) {
            candidate.stop().await;
        }
        if let Some(live) = self.live.take() {
            live.stop().await;
        }
        let any = self.context.catalog.retire(&self.name, clock::now())?;
        self.dismiss_upcaster();
        self.context.catalog.set_file(&self.name, None)?;
        if any {
            tracing::info!(plugin = self.name, "retired, since its file is gone");
        } else if self.context.catalog.versions(&self.name)?.is_empty() {
            // It went before anything was made of it.
            self.view.update(|view| *view = ViewState::unknown());
            return Ok(());
        }
        self.view.update(|view| {
            view.live = None;
            view.reaction = None;
            view.candidates.clear();
            view.unreadable = None;
            view.retired = true;
        });
        Ok(())
    }

    async fn close(&mut self) {
        for candidate in self.candidates.drain(..) {
            candidate.stop().await;
        }
        if let Some(live) = self.live.take() {
            live.stop().await;
        }
    }
}

/// Files whose settings cannot be read are a version too, so that the same
/// mistake is reported once.
fn digest_of_unreadable_settings(sighting: &Sighting) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"unreadable settings");
    hasher.update(&(sighting.wasm.len() as u64).to_le_bytes());
    hasher.update(&sighting.wasm);
    hasher.update(sighting.settings.as_bytes());
    hasher.finalize().to_hex().to_string()
}
