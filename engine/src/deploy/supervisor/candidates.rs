//! Versions on their way: loaded, replaying, on trial, given up for something newer.

use std::sync::Arc;

use super::{Context, Supervisor};
use crate::{
    clock,
    deploy::{
        candidate::{Candidate, News, Replaying, Stage},
        work::{Folding, Projecting},
    },
    plugin::{PluginError, Settings, description::Kind},
    projection::{Code, Version},
    state::{
        StateError, VersionState,
        catalog::{Station, VersionRecord},
    },
};

impl Supervisor {
    /// Begins to check and compile a version.
    pub(super) fn load(&mut self, record: &VersionRecord, settings: Settings, wasm: Vec<u8>) {
        self.view.update(|view| {
            view.failed = None;
            view.put_candidate(&record.digest, None);
        });
        let (context, name) = (Arc::clone(&self.context), self.name.clone());
        let (digest, upcast) = (record.digest.clone(), record.upcast.clone());
        let load = async move {
            let plugin = context.host.load(&name, &wasm, &settings).await?;
            Ok(Code::new(&digest, plugin).upcast_by(context.upcasters_of(upcast.as_ref()).await?))
        };
        let stage = Stage::Loading(tokio::spawn(load));
        let VersionRecord { digest, settings, held, .. } = record.clone();
        self.candidates.push(Candidate { digest, settings, held, stage });
    }

    /// Begins to check and compile a version that is kept.
    pub(super) fn load_kept(&mut self, record: VersionRecord) -> Result<(), StateError> {
        let wasm = match self.context.store.component(&record.component) {
            Ok(wasm) => wasm,
            Err(error) => {
                let reason = format!("its component {} cannot be read: {error}", record.component);
                if error.kind() == std::io::ErrorKind::NotFound {
                    return self.fail(&record.digest, &reason, None, None);
                }
                self.give_up_for_now(&record.digest, &reason, None);
                return Ok(());
            }
        };
        match Settings::parse(&record.settings) {
            Ok(settings) => {
                self.load(&record, settings, wasm);
                Ok(())
            }
            Err(error) => self.fail(&record.digest, &error.to_string(), None, None),
        }
    }

    /// Candidates that the last process left and that no file in the plug-ins folder brings back
    /// go on where they were.
    pub(super) fn resume_candidates(&mut self) -> Result<(), StateError> {
        let file = self.context.catalog.file(&self.name)?;
        let mut versions = self.context.catalog.versions(&self.name)?;
        versions.retain(|version| {
            let from_file = file.as_deref().is_none_or(|file| file == version.base());
            version.station == Station::Candidate && (version.held || !from_file)
        });
        versions.into_iter().try_for_each(|version| self.load_kept(version))
    }

    pub(super) async fn act_on(&mut self, index: usize, news: News) -> Result<(), StateError> {
        let candidate = self.candidates.remove(index);
        match (news, candidate) {
            (News::Loaded(Ok(code)), candidate) => self.loaded(candidate, code).await,
            (News::Loaded(Err(error @ PluginError::Host { .. })), Candidate { digest, .. }) => {
                self.give_up_for_now(&digest, &error.to_string(), None);
                Ok(())
            }
            (News::Loaded(Err(error)), Candidate { digest, .. }) => {
                self.fail(&digest, &error.to_string(), None, None)
            }
            (
                News::CaughtUp,
                Candidate { digest, settings, held: true, stage: Stage::Replaying(mut replaying) },
            ) => {
                tracing::info!(plugin = self.name, version = digest, "has caught up, and is on trial");
                replaying.caught_up();
                let stage = Stage::OnTrial(replaying);
                self.candidates.push(Candidate { digest, settings, held: true, stage });
                Ok(())
            }
            (News::CaughtUp, Candidate { stage: Stage::Replaying(replaying), .. }) => {
                self.caught_up(replaying).await
            }
            (
                News::Halted(halt),
                Candidate { digest, stage: Stage::Replaying(replaying) | Stage::OnTrial(replaying), .. },
            ) => {
                let (replay, output) =
                    (replaying.replay(), replaying.run.version().plugin().output().clone());
                replaying.run.stop().await;
                self.halted(&digest, &halt, replay, output)
            }
            // Only what is loaded can catch up or halt, and nothing comes to the end of all positions.
            (News::CaughtUp | News::Halted(_), candidate) => {
                self.candidates.push(candidate);
                Ok(())
            }
        }
    }

    /// A candidate that may take over has caught up.
    pub(super) async fn caught_up(&mut self, replaying: Replaying) -> Result<(), StateError> {
        match replaying.run {
            Folding::Projection(_) => self.take_over(replaying).await,
            Folding::Reaction(_) => self.take_over_rebuilt(replaying).await,
        }
    }

    pub(super) async fn loaded(&mut self, candidate: Candidate, code: Code) -> Result<(), StateError> {
        let digest = candidate.digest.clone();
        let kind = code.plugin().kind();
        if let Some(reason) = self.other_kind(kind) {
            return self.fail(&digest, &reason, None, None);
        }
        match kind {
            Kind::Upcaster => self.employ(candidate, code),
            Kind::Reaction => self.follow_on(candidate, code).await,
            Kind::Projection => {
                let open = || self.context.store.open_state(&digest, code.plugin());
                let state = self.open_candidate(&digest, open);
                self.begin(candidate, code, state, |version, context| {
                    Folding::Projection(Projecting::start(context, version, false))
                });
                Ok(())
            }
        }
    }

    /// A loaded version folds history from now on; or, if its state could not be opened, the
    /// host has failed.
    pub(super) fn begin(
        &mut self,
        candidate: Candidate,
        code: Code,
        opened: Result<VersionState, StateError>,
        start: impl FnOnce(Arc<Version>, &Arc<Context>) -> Folding,
    ) {
        let digest = &candidate.digest;
        let begun = opened.and_then(|state| {
            let events = state.checkpoint().events;
            let before = self.context.catalog.begin_replay(&self.name, digest, events, clock::now())?;
            Ok((Arc::new(state), before))
        });
        let (state, before) = match begun {
            Ok(begun) => begun,
            Err(error) => return self.give_up_for_now(digest, &error.to_string(), None),
        };
        let version = Arc::new(Version::new(code, state));
        let run = start(Arc::clone(&version), &self.context);
        self.view.update(|view| view.put_candidate(digest, Some(version)));
        let stage = Stage::Replaying(Replaying::new(run, before));
        self.candidates.push(Candidate { stage, ..candidate });
    }

    /// The state of a version that folds history, or did so in an earlier process.
    pub(super) fn open_candidate(
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

    /// Ends what is done for a version on its way; its record stays.
    pub(super) async fn stop_candidate(&mut self, digest: &str) {
        let is_meant = |candidate: &mut Candidate| candidate.digest == digest;
        for candidate in self.candidates.extract_if(.., is_meant).collect::<Vec<_>>() {
            candidate.stop().await;
        }
        self.view.update(|view| view.drop_candidate(digest));
    }

    /// Something newer has come, or the file is the live version's again: candidates that were to
    /// take over are not any more. One that the last process left at `keep` goes on where it was,
    /// and so do those on trial.
    pub(super) async fn abandon_candidate(&mut self, keep: Option<&str>) -> Result<(), StateError> {
        for candidate in self.candidates.extract_if(.., |candidate| !candidate.held).collect::<Vec<_>>() {
            self.view.update(|view| view.drop_candidate(&candidate.digest));
            candidate.stop().await;
        }
        let mut versions = self.context.catalog.versions(&self.name)?;
        versions.retain(|version| {
            version.station == Station::Candidate && !version.held && Some(&*version.digest) != keep
        });
        self.context.catalog.supersede(&self.name, keep.unwrap_or_default(), clock::now())?;
        // One that was live before stands by again.
        versions.retain(|version| version.promoted.is_none());
        versions.iter().try_for_each(|version| self.forget(version))
    }
}
