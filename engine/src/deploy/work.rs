//! A version at work or on its way, whichever kind it is of.

use std::sync::Arc;

use crate::{
    log::EventLog,
    plugin::description::Kind,
    projection::{self, Scheduler, Version},
    reaction,
};

/// A version at work.
pub(super) enum Work {
    Projection(projection::Run),
    Reaction(reaction::Run),
}

impl Work {
    /// Starts a version that serves.
    pub(super) fn start(scheduler: &Scheduler, version: Arc<Version>, log: Arc<dyn EventLog>) -> Self {
        match version.plugin().kind() {
            Kind::Projection | Kind::Upcaster => {
                Self::Projection(projection::start(scheduler, version, log, true))
            }
            Kind::Reaction => Self::Reaction(reaction::start(scheduler, version, log)),
        }
    }

    pub(super) fn version(&self) -> &Arc<Version> {
        match self {
            Self::Projection(run) => run.version(),
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
            Self::Projection(run) => run.stop().await,
            Self::Reaction(run) => run.stop().await,
        }
    }
}

/// A version that is on its way: it folds history.
pub(super) enum Folding {
    Projection(projection::Run),
    Reaction(reaction::Rebuild),
}

impl Folding {
    pub(super) fn version(&self) -> &Arc<Version> {
        match self {
            Self::Projection(run) => run.version(),
            Self::Reaction(rebuild) => rebuild.version(),
        }
    }

    /// Ends it; what it has done is durable.
    pub(super) async fn stop(self) {
        match self {
            Self::Projection(run) => run.stop().await,
            Self::Reaction(rebuild) => rebuild.stop().await,
        }
    }
}
