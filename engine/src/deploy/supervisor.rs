//! The one task that decides about the versions of a name.
//!
//! Everything that happens to a name comes through its mailbox or from its
//! candidate, one after the other, so no two decisions ever meet. The order
//! within a decision is always: the catalog (durable), then the view (what
//! readers see), then what is left to clear away.

mod forget;
mod live;
mod reaction;

use std::sync::{Arc, Weak};

use tokio::sync::{mpsc, oneshot};

use super::{
    PurgeError,
    candidate::{Candidate, News, Replaying, Stage},
    folder::Sighting,
    store::Store,
    view::{CandidateView, FailedView, View, ViewState},
    work::{Folding, Work},
};
use crate::{
    clock,
    log::EventLog,
    plugin::{Host, Output, Plugin, PluginError, Settings, description::Kind, version_digest},
    projection::{self, Halt, Scheduler, Version},
    state::{
        StateError, VersionState,
        catalog::{Catalog, Replay, Station, VersionRecord},
    },
};

/// What all supervisors share.
pub(super) struct Context {
    pub(super) host: Host,
    pub(super) scheduler: Scheduler,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) catalog: Catalog,
    pub(super) store: Store,
}

/// What a supervisor can be told.
pub(super) enum Message {
    /// The files are there, with this content.
    Found(Sighting),
    /// The files are there but cannot be read.
    Unreadable(String),
    /// The component's file is gone.
    Gone,
    /// Answered once the version that was live has been started again.
    Recovered(oneshot::Sender<()>),
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
    candidate: Option<Candidate>,
    /// The state of a reaction, as long as anybody holds it: its file is only opened
    /// once.
    left: Weak<VersionState>,
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
        Self { name: name.to_owned(), context, view, mailbox, live: None, candidate: None, left: Weak::new() }
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
                    Some(Message::Recovered(reply)) => {
                        let _ = reply.send(());
                        Ok(())
                    }
                    Some(Message::Purge(reply)) => {
                        // Whoever asked may have gone away.
                        let _ = reply.send(self.purge().await);
                        Ok(())
                    }
                },
                news = Candidate::news(&mut self.candidate, &self.name) => self.act_on(news).await,
            };
            if let Err(error) = done {
                self.say(&error);
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
        let work = Work::start(&self.context.scheduler, version, Arc::clone(&self.context.log));
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
        let digest = match &settings {
            Ok(settings) => version_digest(&sighting.wasm, settings),
            Err(_) => digest_of_unreadable_settings(&sighting),
        };
        let same =
            |candidate: &Candidate| candidate.digest == digest && candidate.settings == sighting.settings;
        if self.candidate.as_ref().is_some_and(same) {
            return Ok(());
        }
        if let Some(live) = self.live_digest().filter(|live| *live == digest) {
            self.abandon_candidate(None).await?;
            self.view.update(|view| view.failed = None);
            return self.reconfigure(&live, &sighting.settings).await;
        }
        let recorded = self.context.catalog.version(&self.name, &digest)?;
        let has_failed = recorded.as_ref().is_some_and(|recorded| recorded.station == Station::Failed);
        let known = recorded.filter(|recorded| recorded.settings == sighting.settings);
        if let Some(known) = known.as_ref().filter(|_| has_failed) {
            self.abandon_candidate(None).await?;
            let reason = known.reason.as_deref().unwrap_or_default();
            tracing::warn!(plugin = self.name, version = digest, reason, "this version has failed before");
            self.show_failed(reason, None);
            return Ok(());
        }
        self.abandon_candidate(Some(&digest)).await?;
        if known.is_none_or(|known| known.station != Station::Candidate) {
            if has_failed {
                // Other settings may let it succeed; it starts from nothing.
                self.context.store.drop_state(&self.name, &digest);
            }
            self.record_deployment(&sighting, &digest)?;
        }
        self.view.update(|view| {
            view.failed = None;
            view.candidate = Some(CandidateView::Loading);
        });
        let settings = match settings {
            Ok(settings) => settings,
            Err(error) => return self.fail(&digest, &error.to_string(), None, None),
        };
        tracing::info!(plugin = self.name, version = digest, file = %sighting.path.display(), "a new version");
        let (host, name, text) = (self.context.host.clone(), self.name.clone(), sighting.settings.clone());
        let load = async move { host.load(&name, &sighting.wasm, &settings).await };
        self.candidate =
            Some(Candidate { digest, settings: text, stage: Stage::Loading(tokio::spawn(load)) });
        Ok(())
    }

    fn live_digest(&self) -> Option<String> {
        self.live.as_ref().map(|live| live.version().digest().to_owned())
    }

    /// Keeps the code and records that a deployment has begun.
    fn record_deployment(&self, sighting: &Sighting, digest: &str) -> Result<(), StateError> {
        let component = self.context.store.keep_component(&sighting.wasm).unwrap_or_else(|error| {
            tracing::error!(plugin = self.name, %error, "the component could not be kept: a restart will look for its file");
            String::new()
        });
        self.context.catalog.deploy(VersionRecord {
            name: self.name.clone(),
            digest: digest.to_owned(),
            station: Station::Candidate,
            component,
            settings: sighting.settings.clone(),
            file: sighting.path.display().to_string(),
            size: sighting.wasm.len() as u64,
            created: clock::now(),
            promoted: None,
            reason: None,
        })?;
        Ok(())
    }

    async fn act_on(&mut self, news: News) -> Result<(), StateError> {
        let Some(Candidate { digest, settings, stage }) = self.candidate.take() else { return Ok(()) };
        match (news, stage) {
            (News::Loaded(Ok(plugin)), _) => match self.other_kind(plugin.kind())? {
                Some(reason) => self.fail(&digest, &reason, None, None),
                None if plugin.kind() == Kind::Upcaster => {
                    let reason = "it is an upcaster, and this server does not apply upcasters yet";
                    self.fail(&digest, reason, None, None)
                }
                None if plugin.kind() == Kind::Reaction => self.follow_on(digest, settings, plugin).await,
                None => self.replay(digest, settings, plugin),
            },
            (News::Loaded(Err(error @ PluginError::Host { .. })), _) => {
                self.give_up_for_now(&error.to_string(), None);
                Ok(())
            }
            (News::Loaded(Err(error)), _) => self.fail(&digest, &error.to_string(), None, None),
            (News::CaughtUp, Stage::Replaying(replaying)) => match replaying.run {
                Folding::Projection(_) => self.take_over(replaying).await,
                Folding::Reaction(_) => self.take_over_rebuilt(replaying).await,
            },
            (News::Halted(halt), Stage::Replaying(replaying)) => {
                let (replay, output) =
                    (replaying.replay(), replaying.run.version().plugin().output().clone());
                replaying.run.stop().await;
                self.halted(&digest, &halt, replay, output)
            }
            // Only what is loaded can catch up or halt.
            (News::CaughtUp | News::Halted(_), Stage::Loading(_)) => Ok(()),
        }
    }

    /// Lets a loaded candidate fold all of history.
    fn replay(&mut self, digest: String, settings: String, plugin: Arc<Plugin>) -> Result<(), StateError> {
        let state = self.open_candidate(&digest, || self.context.store.open_state(&digest, &plugin));
        self.begin(digest, settings, plugin, state, |version, Context { scheduler, log, .. }| {
            Folding::Projection(projection::start(scheduler, version, Arc::clone(log), false))
        });
        Ok(())
    }

    /// A loaded version folds history from now on; or, if its state could not be opened, the
    /// host has failed.
    fn begin(
        &mut self,
        digest: String,
        settings: String,
        plugin: Arc<Plugin>,
        opened: Result<VersionState, StateError>,
        start: impl FnOnce(Arc<Version>, &Context) -> Folding,
    ) {
        let begun = opened.and_then(|state| {
            let events = state.checkpoint().events;
            let before = self.context.catalog.begin_replay(&self.name, &digest, events, clock::now())?;
            Ok((Arc::new(state), before))
        });
        let (state, before) = match begun {
            Ok(begun) => begun,
            Err(error) => return self.give_up_for_now(&error.to_string(), None),
        };
        let version = Arc::new(Version::new(&self.name, &digest, plugin, state));
        let run = start(Arc::clone(&version), &self.context);
        self.view.update(|view| view.candidate = Some(CandidateView::Replaying(version)));
        self.candidate =
            Some(Candidate { digest, settings, stage: Stage::Replaying(Replaying::new(run, before)) });
    }

    /// The state of a version that folds history, or did so in an earlier process.
    fn open_candidate(
        &self,
        digest: &str,
        open: impl Fn() -> Result<VersionState, StateError>,
    ) -> Result<VersionState, StateError> {
        open().or_else(|error| match error {
            // What the log says can be folded again.
            StateError::Damaged { .. } => {
                tracing::warn!(plugin = self.name, %error, "folded again from the first event");
                self.context.store.drop_state(&self.name, digest);
                open()
            }
            error => Err(error),
        })
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
            view.candidate = None;
        });
        if let Folding::Projection(run) = candidate.run {
            self.live = Some(Work::Projection(run));
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
            true => self.give_up_for_now(&halt.to_string(), Some(output)),
            false => self.fail(digest, &halt.to_string(), Some(replay), Some(output))?,
        }
        Ok(())
    }

    /// The host is at fault, not the candidate: it stays one, and the next
    /// start or touch of its file lets it go on.
    fn give_up_for_now(&mut self, reason: &str, output: Option<Output>) {
        tracing::error!(plugin = self.name, reason, "the candidate cannot go on for now");
        self.view.update(|view| view.candidate = None);
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
        self.view.update(|view| view.candidate = None);
        self.show_failed(reason, output);
        self.context.store.drop_state(&self.name, digest);
        Ok(())
    }

    fn show_failed(&self, reason: &str, output: Option<Output>) {
        let failed = FailedView { reason: reason.to_owned(), output };
        self.view.update(|view| view.failed = Some(failed));
    }

    /// Something newer has come, or the file is the live version's again. A
    /// candidate that the last process left at `keep` goes on where it was.
    async fn abandon_candidate(&mut self, keep: Option<&str>) -> Result<(), StateError> {
        if let Some(candidate) = self.candidate.take() {
            stop_candidate(candidate).await;
            self.view.update(|view| view.candidate = None);
        }
        let mut versions = self.context.catalog.versions(&self.name)?;
        versions.retain(|version| version.station == Station::Candidate && Some(&*version.digest) != keep);
        versions.iter().try_for_each(|version| self.forget(version))
    }

    /// The file has been removed: nothing serves the name; the state stays.
    async fn gone(&mut self) -> Result<(), StateError> {
        if let Some(candidate) = self.candidate.take() {
            stop_candidate(candidate).await;
        }
        if let Some(live) = self.live.take() {
            live.stop().await;
        }
        let any = self.context.catalog.retire(&self.name, clock::now())?;
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
            view.candidate = None;
            view.unreadable = None;
            view.retired = true;
        });
        Ok(())
    }

    async fn close(&mut self) {
        if let Some(candidate) = self.candidate.take() {
            stop_candidate(candidate).await;
        }
        if let Some(live) = self.live.take() {
            live.stop().await;
        }
    }
}

async fn stop_candidate(candidate: Candidate) {
    match candidate.stage {
        Stage::Loading(task) => task.abort(),
        Stage::Replaying(replaying) => replaying.run.stop().await,
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
