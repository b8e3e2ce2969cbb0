//! A version at work or on its way, whichever kind it is of.

use std::sync::Arc;

use super::{snapshots::Snapshots, supervisor::Context};
use crate::{
    plugin::description::Kind,
    projection::{self, Version},
    reaction,
};

/// A projection that folds, of which snapshots are taken.
pub(super) struct Projecting {
    run: projection::Run,
    snapshots: Snapshots,
}

impl Projecting {
    /// Starts a version. One that serves readers comes before those that do not.
    pub(super) fn start(context: &Arc<Context>, version: Arc<Version>, serves: bool) -> Self {
        let snapshots = Snapshots::of(context, &version);
        let run = projection::start(&context.scheduler, version, Arc::clone(&context.log), serves);
        Self { run, snapshots }
    }

    async fn stop(self) {
        drop(self.snapshots);
        self.run.stop().await;
    }
}

/// A version at work.
pub(super) enum Work {
    Projection(Projecting),
    Reaction(reaction::Run),
}

impl Work {
    /// Starts a version that serves.
    pub(super) fn start(context: &Arc<Context>, version: Arc<Version>) -> Self {
        match version.plugin().kind() {
            Kind::Projection | Kind::Upcaster => Self::Projection(Projecting::start(context, version, true)),
            Kind::Reaction => {
                Self::Reaction(reaction::start(&context.scheduler, version, Arc::clone(&context.log)))
            }
        }
    }

    pub(super) fn version(&self) -> &Arc<Version> {
        match self {
            Self::Projection(projecting) => projecting.run.version(),
            Self::Reaction(run) => run.version(),
        }
    }

    /// What others hold of it, if it is a reaction.
    pub(super) fn handle(&self) -> Option<&reaction::Handle> {
        match self {
            Self::Projection(_) => None,
            Self::Reaction(run) => Some(run.handle()),
        }
    }

    /// Ends it; what it has done is durable.
    pub(super) async fn stop(self) {
        match self {
            Self::Projection(projecting) => projecting.stop().await,
            Self::Reaction(run) => run.stop().await,
        }
    }
}

/// A version that is on its way: it folds history.
pub(super) enum Folding {
    Projection(Projecting),
    Reaction(reaction::Rebuild),
}

impl Folding {
    pub(super) fn version(&self) -> &Arc<Version> {
        match self {
            Self::Projection(projecting) => projecting.run.version(),
            Self::Reaction(rebuild) => rebuild.version(),
        }
    }

    /// Ends it; what it has done is durable.
    pub(super) async fn stop(self) {
        match self {
            Self::Projection(projecting) => projecting.stop().await,
            Self::Reaction(rebuild) => rebuild.stop().await,
        }
    }
}
