//! What people ask for: a component deployed or put on trial, a version promoted, rolled back to
//! or given up.

use tokio::sync::oneshot;

use super::Supervisor;
use crate::{
    clock,
    deploy::{
        Action, PlanError,
        candidate::{Candidate, Stage},
        folder::Sighting,
        plan::Plan,
    },
    plugin::{Settings, SettingsError},
    state::{
        StateError,
        catalog::{Order, Station},
    },
};

/// A component that somebody has sent.
pub(in crate::deploy) struct Delivery {
    pub(in crate::deploy) sighting: Sighting,
    pub(in crate::deploy) order: Order,
    /// On trial.
    pub(in crate::deploy) hold: bool,
    /// The version's digest.
    pub(in crate::deploy) reply: oneshot::Sender<Result<String, OrderError>>,
}

/// What somebody wants, and whom to tell.
pub(in crate::deploy) struct Ordered {
    pub(in crate::deploy) wish: Wish,
    /// The version's digest.
    pub(in crate::deploy) reply: oneshot::Sender<Result<String, OrderError>>,
}

/// What somebody wants done with a version.
pub struct Wish {
    /// What.
    pub action: Action,
    /// With the version whose digest begins like this; by default the newest that it can be.
    pub version: Option<String>,
    /// Only if this is still the plan.
    pub plan: Option<String>,
    /// Who wants it, and why.
    pub order: Order,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is no such plug-in.
    #[error("there is no plug-in \"{name}\": put {name}.wasm into the plug-ins folder first")]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// Its file has been removed.
    #[error("\"{name}\" is retired, since its file was removed; put it back first")]
    Retired {
        /// The name asked for.
        name: String,
    },
    /// There is nothing that it could be done with.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Production has moved on since it was planned.
    #[error(
        "production has moved on since plan {planned}: what answers, or what was to take its place, is another \
         version by now; look at the new plan, {now}"
    )]
    Stale {
        /// The plan that was agreed to.
        planned: String,
        /// The plan as it would be now.
        now: String,
    },
    /// The settings cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The version answers already.
    #[error("version {version} of \"{name}\" is {station} already")]
    Known {
        /// The plug-in's name.
        name: String,
        /// The version's digest.
        version: String,
        /// Where it is.
        station: Station,
    },
    /// The store failed.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Supervisor {
    /// Deploys a component that somebody has sent, or puts it on trial.
    pub(super) async fn deliver(
        &mut self,
        sighting: Sighting,
        order: Order,
        held: bool,
    ) -> Result<String, OrderError> {
        self.in_service()?;
        let settings = Settings::parse(&sighting.settings)?;
        let identity = self.identify(&sighting.wasm, &settings).await?;
        let digest = identity.digest.clone();
        let recorded = self.context.catalog.version(&self.name, &digest)?;
        match recorded.map(|recorded| recorded.station) {
            Some(station @ (Station::Live | Station::Candidate)) => {
                return Err(OrderError::Known { name: self.name.clone(), version: digest, station });
            }
            // It starts from nothing.
            Some(Station::Failed) => self.context.store.drop_state(&self.name, &digest),
            _ => {}
        }
        if !held {
            self.abandon_candidate(Some(&digest)).await?;
        }
        let record = self.record_deployment(&sighting, identity, held, order, false)?;
        tracing::info!(plugin = self.name, version = digest, held, "a new version was sent");
        self.load(&record, settings, sighting.wasm);
        Ok(digest)
    }

    /// Does what somebody wants, if it is still the plan.
    pub(super) async fn carry_out(&mut self, wish: Wish) -> Result<String, OrderError> {
        self.in_service()?;
        let Wish { action, version, plan: planned, order } = wish;
        let plan = Plan::make(&self.context.catalog, &self.name, action, version.as_deref())?;
        if let Some(planned) = planned.filter(|planned| *planned != plan.id) {
            return Err(OrderError::Stale { planned, now: plan.id });
        }
        let digest = plan.version.digest.clone();
        tracing::info!(
            plugin = self.name,
            version = digest,
            ?action,
            actor = order.actor,
            note = order.note,
            "told to"
        );
        self.agree_upcasters()?;
        match action {
            Action::Promote => self.promote_candidate(&digest, plan.version.held, order).await?,
            Action::RollBack => {
                self.abandon_candidate(None).await?;
                self.context.catalog.roll_back(&self.name, &digest, clock::now(), order)?;
                self.load_kept(plan.version)?;
            }
            Action::Abort => self.abort(&digest, order).await?,
        }
        Ok(digest)
    }

    fn in_service(&self) -> Result<(), OrderError> {
        match self.view.get().retired {
            true => Err(OrderError::Retired { name: self.name.clone() }),
            false => Ok(()),
        }
    }

    /// A candidate takes over, at once if it has caught up.
    async fn promote_candidate(&mut self, digest: &str, held: bool, order: Order) -> Result<(), StateError> {
        if held {
            self.abandon_candidate(Some(digest)).await?;
            self.context.catalog.release(&self.name, digest, clock::now(), order)?;
        }
        let Some(index) = self.candidates.iter().position(|candidate| candidate.digest == digest) else {
            // The host had given it up for a while.
            let record = self.context.catalog.version(&self.name, digest)?;
            return record.map_or(Ok(()), |record| self.load_kept(record));
        };
        let Candidate { digest, settings, stage, .. } = self.candidates.remove(index);
        match stage {
            Stage::OnTrial(replaying) => self.caught_up(replaying).await,
            Stage::Ready(code) => {
                let stage = Stage::Ready(code.clone());
                self.loaded(Candidate { digest, settings, held: false, stage }, code).await
            }
            stage @ (Stage::Loading(_) | Stage::Replaying(_)) => {
                self.candidates.push(Candidate { digest, settings, held: false, stage });
                Ok(())
            }
        }
    }

    /// A candidate is given up.
    pub(super) async fn abort(&mut self, digest: &str, order: Order) -> Result<(), StateError> {
        self.stop_candidate(digest).await;
        let Some(record) = self.context.catalog.version(&self.name, digest)? else { return Ok(()) };
        if self.context.catalog.abort(&self.name, digest, clock::now(), order)? {
            self.forget(&record)?;
        }
        Ok(())
    }
}
