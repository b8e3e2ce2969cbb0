//! Versions of a name: which there are, which one is live, how one takes over.
//!
//! - [`Deployer`] (here): the handle that everybody else holds.
//! - `watch.rs`, `folder.rs`: what changes in the plug-ins folder, once it
//!   stands still.
//! - `registry.rs`: one supervisor a name, and how to reach it.
//! - `supervisor.rs`: the one task that decides about the versions of a name:
//!   load, replay beside the live one, promote, fail, retire;
//!   `supervisor/forget.rs`: what is deleted, and when;
//!   `supervisor/reaction.rs`: how a reaction takes over;
//!   `supervisor/candidates.rs`: versions on their way; `supervisor/orders.rs`: what people ask for;
//!   `candidate.rs`: a version on its way to take over, or on trial.
//! - [`Plan`] (`plan.rs`): what would be done, before it is; `choose.rs`: which version is meant.
//! - `work.rs`: a version at work, a projection or a reaction.
//! - `apart.rs`: code folded over history apart from all that runs ([`Standing`]); [`Fold`] (`folds.rs`): how far.
//!   `compare.rs`: two versions of a name at one position; `past.rs`: looking back;
//!   `what_if.rs`: what a version would have made of other histories;
//!   [`verify`]: whether a version's state is what its code makes of history.
//! - `upcasters.rs`: which upcasters are at work, and what that makes of a version;
//!   `supervisor/upcaster.rs`: how one comes to be; `supervisor/recast.rs`: what is made anew then.
//! - `snapshots.rs`: states that are kept in the background, to look back.
//! - `mirror.rs`: reads that are asked of a candidate as well ([`MirrorStatus`]).
//! - [`Walker`] (`steps.rs`): what a version did with each event; `history.rs`: what became of
//!   one row; [`RowAt`] (`subject.rs`): the same, of its subject's events alone; `walks.rs`: where
//!   those who look stand.
//! - `store.rs`: where code and state of versions lie on disk.
//! - `view.rs`: what readers see of a name, switched in one step.
//! - [`status`]: the same as documents for people and machines.
//!
//! Not here: how a version folds (`projection`) and how it is read (`query`).

mod apart;
mod candidate;
mod choose;
mod compare;
mod folder;
mod folds;
mod history;
mod mirror;
mod past;
mod plan;
mod registry;
mod snapshots;
pub mod status;
mod steps;
mod store;
mod subject;
mod supervisor;
mod upcasters;
pub mod verify;
mod view;
mod walks;
mod watch;
mod what_if;
mod work;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, watch as channel};

pub use self::{
    apart::{Standing, StandingError},
    choose::NoVersion,
    compare::Other,
    folder::plugins_in,
    folds::Fold,
    history::{History, HistoryRead},
    mirror::{MirrorDifference, MirrorError, MirrorStatus, MirroredRead, Reflection},
    plan::{Action, Plan, PlanError},
    steps::{Breakpoint, RowKey, Steps, StepsRead, Walker},
    subject::RowAt,
    supervisor::{OrderError, Wish},
    what_if::{Outcome, Scenario, WhatIfError},
};
use self::{
    folder::Sighting,
    folds::Folds,
    mirror::Mirrors,
    past::Past,
    registry::Registry,
    status::{DeploymentStatus, PluginStatus},
    store::Store,
    supervisor::{Delivery, Message, Ordered},
    upcasters::AtWork,
    verify::{Underway, VerificationStatus, Verifier, VerifyError},
    walks::Walks,
    watch::Looked,
};
use crate::{
    event::Position,
    log::EventLog,
    plugin::Host,
    projection::{Scheduler, Version},
    reaction,
    state::{
        StateError,
        catalog::{Catalog, Order},
    },
};

/// Where a deployer finds what it needs.
pub struct DeployerSettings {
    /// The plug-ins folder, watched.
    pub plugins: PathBuf,
    /// The data folder: components, state and catalog of all versions.
    pub data: PathBuf,
    /// Bytes of cache that each version's store may use.
    pub state_cache_bytes: usize,
    /// Verify by itself what has not been verified for so long, when there is nothing else to do,
    /// and whose own settings say nothing of it; none: never.
    pub verify_every: Option<Duration>,
}

/// Why a name cannot be read from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// There never was a plug-in of this name.
    #[error("there is no projection \"{name}\": put {name}.wasm into the plug-ins folder, or check the name")]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// Its first version still replays, or the partitions of the live one catch
    /// up with one another after a crash.
    #[error("\"{name}\" is not ready: it replays, and is at position {position} of {head}")]
    Replaying {
        /// The name asked for.
        name: String,
        /// How far it is.
        position: Position,
        /// How far it has to go.
        head: Position,
    },
    /// It is an upcaster.
    #[error(
        "\"{name}\" is an upcaster: it gives events their newest shape for others, and has nothing to be read"
    )]
    Upcaster {
        /// The name asked for.
        name: String,
    },
    /// No version has ever succeeded, or the live one could not be started.
    #[error("\"{name}\" has no version that works: {reason}")]
    Failed {
        /// The name asked for.
        name: String,
        /// Why the last one failed.
        reason: String,
    },
    /// Its file has been removed.
    #[error("\"{name}\" is retired, since its file was removed; put it back to have it served again")]
    Retired {
        /// The name asked for.
        name: String,
    },
}

/// Why a plug-in was not purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// There never was a plug-in of this name.
    #[error("there is no projection \"{name}\"")]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// Its file is there.
    #[error(
        "\"{name}\" is in use: remove {name}.wasm from the plug-ins folder first; a second later it is retired and can be purged"
    )]
    InUse {
        /// The name asked for.
        name: String,
    },
    /// The store failed.
    #[error(transparent)]
    State(#[from] StateError),
}

/// All plug-ins and their versions. Cheap to share.
pub struct Deployer {
    registry: Arc<Registry>,
    past: Arc<Past>,
    verifier: Arc<Verifier>,
    looked: channel::Receiver<Looked>,
    mirrors: Mirrors,
    walks: Arc<Walks>,
}

impl Deployer {
    /// Starts the versions that were live when the process last ended, and the
    /// watch over the plug-ins folder.
    pub async fn start(
        settings: DeployerSettings,
        host: Host,
        scheduler: Scheduler,
        log: Arc<dyn EventLog>,
    ) -> Result<Self, StateError> {
        let catalog = Catalog::open(&settings.data.join("catalog.redb"))?;
        let store = Store::new(&settings.data, settings.state_cache_bytes);
        // A catalog that is new has forgotten nothing: what is there is taken up again.
        if !catalog.deployments(1)?.is_empty() {
            store.tidy(&catalog.all_versions()?);
        }
        let snapshotting = Arc::new(Semaphore::new(1));
        let context = supervisor::Context {
            host,
            scheduler,
            log,
            catalog,
            store,
            upcasters: AtWork::default(),
            snapshotting,
            folds: Folds::default(),
        };
        let registry = Registry::new(context);
        let names = registry.context().catalog.names()?;
        for name in &names {
            registry.know(name);
        }
        registry.recovered().await;
        registry.context().upcasters.complete();
        registry.context().host.forget_unused_code();
        let looked = channel::Sender::new(Looked::default());
        let receiver = looked.subscribe();
        tokio::spawn(watch::watch_folder(settings.plugins, Arc::clone(&registry), names, looked));
        let verifier = Verifier::new(Arc::clone(&registry));
        verifier.verify_when_idle(settings.verify_every);
        let (past, mirrors, walks) = (Past::start(), Mirrors::default(), Arc::default());
        Ok(Self { registry, past, verifier, looked: receiver, mirrors, walks })
    }

    /// The version that answers for a name.
    pub fn live(&self, name: &str) -> Result<Arc<Version>, NotServed> {
        match self.registry.view(name) {
            Some(view) => view.live(name, || self.registry.context().log.head()),
            None => Err(NotServed::Unknown { name: name.to_owned() }),
        }
    }

    /// The version of a reaction that is at work, and what can be asked of it; `None`
    /// if the plug-in is a projection.
    pub fn reaction(&self, name: &str) -> Result<Option<(Arc<Version>, reaction::Handle)>, NotServed> {
        let version = self.live(name)?;
        let handle = self.registry.view(name).and_then(|view| view.get().reaction);
        Ok(handle.map(|handle| (version, handle)))
    }

    /// The log that all versions follow.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.registry.context().log
    }

    /// All plug-ins, by name.
    pub fn status(&self) -> Result<Vec<PluginStatus>, StateError> {
        self.registry.names().iter().filter_map(|name| self.plugin(name).transpose()).collect()
    }

    /// One plug-in; `None` if there never was one of this name.
    pub fn plugin(&self, name: &str) -> Result<Option<PluginStatus>, StateError> {
        let Some(view) = self.registry.view(name) else { return Ok(None) };
        let context = self.registry.context();
        status::of(name, &view, &context.catalog, context.log.head()).map(Some)
    }

    /// Whether the plug-ins folder has been looked at since the start, so that
    /// what stands there is known.
    pub fn has_looked(&self) -> bool {
        self.looked.borrow().through
    }

    /// Why the plug-ins folder cannot be read now, if it cannot: what is live
    /// goes on, but nothing new is deployed.
    pub fn folder_trouble(&self) -> Option<String> {
        self.looked.borrow().trouble.clone()
    }

    /// Sends a component, to be deployed under a name that is known, or to be put on trial.
    /// `settings`: the text of its settings file; absent: the live version's. Answers the version's
    /// digest at once, when it begins to be loaded.
    pub async fn deliver(
        &self,
        name: &str,
        file: PathBuf,
        wasm: Vec<u8>,
        settings: Option<String>,
        hold: bool,
        order: Order,
    ) -> Result<String, OrderError> {
        let live = self.registry.context().catalog.live(name)?;
        let settings = settings.or(live.map(|live| live.settings)).unwrap_or_default();
        let sighting = Sighting { name: name.to_owned(), path: file, wasm, settings };
        let message = |reply| Message::Deploy(Delivery { sighting, order, hold, reply });
        self.registry.order(name, message).await
    }

    /// What would be done, as things stand.
    pub fn plan(&self, name: &str, action: Action, version: Option<&str>) -> Result<Plan, OrderError> {
        if self.registry.view(name).is_none() {
            return Err(OrderError::Unknown { name: name.to_owned() });
        }
        Ok(Plan::make(&self.registry.context().catalog, name, action, version)?)
    }

    /// Does what somebody wants. Answers the digest of the version that it is done with; one that
    /// has to catch up first takes over later.
    pub async fn order(&self, name: &str, wish: Wish) -> Result<String, OrderError> {
        self.registry.order(name, |reply| Message::Order(Ordered { wish, reply })).await
    }

    /// All deployments of a name that there ever were, the latest first; at most `limit`.
    pub fn deployments(&self, name: &str, limit: usize) -> Result<Vec<DeploymentStatus>, StateError> {
        let records = self.registry.context().catalog.deployments_of(name, limit)?;
        Ok(records.into_iter().map(DeploymentStatus::from).collect())
    }

    /// Begins to verify a version, the live one unless another is meant by how its digest begins;
    /// or tells of its verification that is under way.
    pub fn verify(&self, name: &str, version: Option<&str>) -> Result<Underway, VerifyError> {
        self.verifier.begin(name, version)
    }

    /// How the verification of a version stands, of the live one unless another is meant.
    pub fn verification(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<VerificationStatus, StandingError> {
        self.verifier.status(name, version)
    }

    /// Deletes all state and code of a retired plug-in. Its deployments stay on
    /// record.
    pub async fn purge(&self, name: &str) -> Result<(), PurgeError> {
        self.registry.purge(name).await
    }

    /// Stops all runners; what they have folded is durable afterwards.
    pub async fn close(&self) {
        self.registry.close().await;
        self.verifier.close().await;
    }
}
