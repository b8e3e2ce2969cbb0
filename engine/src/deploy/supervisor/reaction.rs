//! How a version of a reaction takes over: with the state that the one before has left,
//! or with tables that it has made anew of all of history.

use std::sync::Arc;

use super::{Context, Supervisor};
use crate::{
    clock,
    deploy::{
        candidate::{Candidate, Replaying, Stage},
        work::Folding,
    },
    plugin::description::{Kind, NewVersion},
    projection::{Code, Version},
    reaction,
    state::{
        StateError, VersionState,
        catalog::{Replay, Station, VersionRecord},
    },
};

impl Supervisor {
    /// Why a version of this kind cannot follow the live one, if it cannot.
    pub(super) fn other_kind(&self, kind: Kind) -> Option<String> {
        let live = self.live.as_ref().map(|live| live.version().plugin().kind());
        let live = live.or_else(|| self.view.get().upcaster.map(|_| Kind::Upcaster));
        live.filter(|live| *live != kind).map(|live| {
            format!(
                "the live version of \"{}\" is a {live}, and this is none: give the file another name, or remove it \
                 first and purge what it has left",
                self.name
            )
        })
    }

    /// A loaded version of a reaction takes over, at once or when it has made its tables
    /// anew; one that is held waits until it is told to.
    pub(super) async fn follow_on(&mut self, candidate: Candidate, code: Code) -> Result<(), StateError> {
        if candidate.held {
            // Also one that makes its tables anew: what it would begin with goes on changing.
            self.candidates.push(Candidate { stage: Stage::Ready(code), ..candidate });
            return Ok(());
        }
        if code.plugin().description().new_version == Some(NewVersion::Rebuild)
            && let Some(old) = self.left_state()?
        {
            return self.rebuild(candidate, code, old);
        }
        self.relieve(code).await
    }

    /// The state of the version at work, or of the one that was last.
    fn left_state(&self) -> Result<Option<Arc<VersionState>>, StateError> {
        let live = self.live.as_ref().map(|live| Arc::clone(live.version().state()));
        match live.or_else(|| self.left.upgrade()) {
            Some(state) => Ok(Some(state)),
            None => Ok(self.context.store.left_by_reaction(&self.name)?.map(Arc::new)),
        }
    }

    /// Lets a loaded version make its tables anew, beside the one at work.
    fn rebuild(
        &mut self,
        candidate: Candidate,
        code: Code,
        old: Arc<VersionState>,
    ) -> Result<(), StateError> {
        let (store, digest, plugin) = (&self.context.store, &candidate.digest, code.plugin());
        let opened = self.open_candidate(digest, || {
            let state = store.open_rebuild(digest, plugin)?;
            if !reaction::is_spoilt(&state)? {
                return Ok(state);
            }
            drop(state);
            store.drop_state(&self.name, digest);
            store.open_rebuild(digest, plugin)
        });
        self.begin(candidate, code, opened, |version, context| {
            let Context { scheduler, log, .. } = &**context;
            Folding::Reaction(reaction::rebuild(scheduler, version, Arc::clone(log), old))
        });
        Ok(())
    }

    /// A version has made its tables anew. The one at work ends first, so that no event is
    /// handled by both.
    pub(super) async fn take_over_rebuilt(&mut self, candidate: Replaying) -> Result<(), StateError> {
        let replay = candidate.replay();
        let Folding::Reaction(rebuild) = candidate.run else { return Ok(()) };
        let version = Arc::clone(rebuild.version());
        let old = self.end_live().await;
        let state = match rebuild.take_over().await {
            Ok(state) => Arc::new(state),
            Err(halt) => {
                self.live = old.map(|old| self.work(old));
                return self.halted(version.digest(), &halt, replay, version.plugin().output().clone());
            }
        };
        // From here the old version's tables are gone.
        self.promote(version.code().clone(), state, Some(replay))?;
        let digest = version.digest().to_owned();
        drop(version);
        self.context.store.drop_state(&self.name, &digest);
        Ok(())
    }

    /// A loaded version takes over at once, with the state that is left. The one at work
    /// ends first, so that no event is handled by both.
    pub(super) async fn relieve(&mut self, code: Code) -> Result<(), StateError> {
        let (digest, plugin) = (code.digest(), code.plugin());
        let old = self.end_live().await;
        let store = &self.context.store;
        let left = old.as_ref().map(|old| Arc::clone(old.state())).or_else(|| self.left.upgrade());
        let state = match left {
            Some(left) => handed_on(&left, plugin.tables(), digest),
            None => {
                store.open_state(digest, plugin).and_then(|state| handed_on(&state, plugin.tables(), digest))
            }
        };
        match state {
            Ok(state) => self.promote(code, Arc::new(state), None),
            Err(error) => {
                self.live = old.map(|old| self.work(old));
                self.give_up_for_now(code.digest(), &error.to_string(), None);
                Ok(())
            }
        }
    }

    async fn end_live(&mut self) -> Option<Arc<Version>> {
        let run = self.live.take()?;
        let version = Arc::clone(run.version());
        run.stop().await;
        Some(version)
    }

    /// A version that has taken over the state is at work from now on.
    fn promote(
        &mut self,
        code: Code,
        state: Arc<VersionState>,
        replay: Option<Replay>,
    ) -> Result<(), StateError> {
        let digest = code.digest().to_owned();
        self.context.catalog.promote(&self.name, &digest, clock::now(), replay)?;
        tracing::info!(plugin = self.name, version = digest, "promoted");
        let version = Arc::new(Version::new(code, state));
        let keep = version.plugin().settings().policies.keep;
        self.live = Some(self.work(Arc::clone(&version)));
        self.view.update(|view| {
            view.live = Some(version);
            view.drop_candidate(&digest);
        });
        self.prune(keep)
    }

    /// A process that ended when a version had taken over the state, but before the
    /// catalog knew, is made up for.
    pub(super) fn finish_takeover(&self) -> Result<(), StateError> {
        let Context { catalog, store, .. } = &*self.context;
        let Some(owner) = store.reaction_owner(&self.name)? else { return Ok(()) };
        let versions = catalog.versions(&self.name)?;
        let is_owner = |version: &&VersionRecord| version.digest == owner;
        let other_is_live =
            versions.iter().any(|version| version.station == Station::Live && !is_owner(&version));
        match versions.iter().find(is_owner).map(|version| version.station) {
            Some(Station::Candidate | Station::Standby) if other_is_live => {
                catalog.promote(&self.name, &owner, clock::now(), None)
            }
            _ => Ok(()),
        }
    }
}

/// The state of one version for the next, which may have other tables.
fn handed_on(state: &VersionState, tables: &[String], owner: &str) -> Result<VersionState, StateError> {
    let partitions = state.partitions().iter().map(|partition| partition.handed_on(tables, Some(owner)));
    VersionState::new(partitions.collect::<Result<Vec<_>, _>>()?)
}
