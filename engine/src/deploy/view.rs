//! What readers see of a name, switched in one step.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::NotServed;
use crate::{
    event::Position,
    plugin::{Output, Plugin},
    projection::Version,
    reaction,
    state::StateError,
};

/// The supervisor writes it, everybody else reads it.
#[derive(Default)]
pub(super) struct View(RwLock<ViewState>);

/// A name as it stands.
#[derive(Clone, Default)]
pub(super) struct ViewState {
    /// Answers for the name.
    pub(super) live: Option<Arc<Version>>,
    /// What can be asked of it, if it is a reaction.
    pub(super) reaction: Option<reaction::Handle>,
    /// What is at work, if it is an upcaster: it has no state, so nothing answers.
    pub(super) upcaster: Option<UpcasterView>,
    /// On their way to take over, or on trial; the newest last.
    pub(super) candidates: Vec<CandidateView>,
    /// The last one that failed, as long as nothing newer has come.
    pub(super) failed: Option<FailedView>,
    /// The component's file is gone.
    pub(super) retired: bool,
    /// The file is there but cannot be read.
    pub(super) unreadable: Option<String>,
    /// Neither a file nor a record is there: to readers it never existed.
    pub(super) unknown: bool,
}

impl ViewState {
    /// Of a name of which there is nothing.
    pub(super) fn unknown() -> Self {
        Self { unknown: true, ..Self::default() }
    }

    /// Shows a candidate, in the place of what was known of it.
    pub(super) fn put_candidate(&mut self, digest: &str, version: Option<Arc<Version>>) {
        self.drop_candidate(digest);
        self.candidates.push(CandidateView { digest: digest.to_owned(), version });
    }

    pub(super) fn drop_candidate(&mut self, digest: &str) {
        self.candidates.retain(|candidate| candidate.digest != digest);
    }

    /// The newest candidate that is loaded.
    pub(super) fn newest_candidate(&self) -> Option<&Arc<Version>> {
        self.candidates.iter().rev().find_map(|candidate| candidate.version.as_ref())
    }
}

/// A candidate.
#[derive(Clone)]
pub(super) struct CandidateView {
    pub(super) digest: String,
    /// None as long as it is being checked and compiled.
    pub(super) version: Option<Arc<Version>>,
}

/// An upcaster that is at work.
#[derive(Clone)]
pub(super) struct UpcasterView {
    pub(super) digest: String,
    pub(super) plugin: Arc<Plugin>,
}

/// A version that failed.
#[derive(Clone)]
pub(super) struct FailedView {
    pub(super) reason: String,
    /// What it said last, where it got so far.
    pub(super) output: Option<Output>,
}

impl View {
    fn read(&self) -> RwLockReadGuard<'_, ViewState> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self) -> ViewState {
        self.read().clone()
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.read().unknown
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut ViewState)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The version that answers, or why there is none.
    pub(super) fn live(
        &self,
        name: &str,
        head: impl FnOnce() -> Position,
    ) -> Result<Arc<Version>, NotServed> {
        let live = self.read().live.clone();
        if let Some(live) = live {
            // After a crash its partitions first have to come to one position.
            return match live.state().view() {
                Err(StateError::Apart { from: position, to: head }) => {
                    Err(NotServed::Replaying { name: name.to_owned(), position, head })
                }
                _ => Ok(live),
            };
        }
        let view = self.get();
        let name = name.to_owned();
        if view.upcaster.is_some() {
            return Err(NotServed::Upcaster { name });
        }
        if !view.candidates.is_empty() {
            let newest = view.newest_candidate();
            let position = newest.map_or(0, |version| version.state().checkpoint().position);
            return Err(NotServed::Replaying { name, position, head: head() });
        }
        match (view.retired, view.failed, view.unreadable) {
            (true, _, _) => Err(NotServed::Retired { name }),
            (_, Some(failed), _) => Err(NotServed::Failed { name, reason: failed.reason }),
            (_, _, Some(reason)) => Err(NotServed::Failed { name, reason }),
            _ => Err(NotServed::Unknown { name }),
        }
    }
}
