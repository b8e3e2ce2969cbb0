//! Whether a version's state is what its code makes of history, and nothing else.
//!
//! - [`Verifier`] (here): one verification at a time, over all names.
//! - `judge.rs`: a verification, from its beginning to the verdict.
//! - `ways.rs`: in which ways history is folded again; `fold.rs`: one such fold.
//! - `search.rs`: the first event after which two ways differ.
//! - `differences.rs`: a difference, told. `progress.rs`: how far it is.
//! - `idle.rs`: verifications that begin by themselves.
//!
//! What is verified goes on undisturbed: history is folded apart, after all else that has work.
//! It is always folded from its beginning.

mod differences;
mod fold;
mod idle;
mod judge;
mod progress;
mod search;
mod ways;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use utoipa::ToSchema;

use self::{judge::Judge, progress::Progress};
use super::{StandingError, choose::choose, registry::Registry};
use crate::{
    clock,
    event::{Position, Timestamp},
    plugin::description::Kind,
    state::{
        StateError,
        catalog::{Station, Verdict, Verification, VersionRecord},
    },
};

/// How soon it is noticed that a version is gone.
const LOOK: Duration = Duration::from_millis(250);

/// A verification that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Underway {
    /// The plug-in's name.
    pub name: String,
    /// The version's digest.
    pub version: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub began: Timestamp,
    /// What is being done, in words.
    pub step: String,
    /// How far the fold that is at work has come.
    pub folded: Position,
    /// Up to where history is folded again; 0 as long as that is not known.
    pub position: Position,
}

/// How the verification of a version stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VerificationStatus {
    /// The version's digest.
    pub version: String,
    /// The verification that is under way, if it is of this version.
    pub underway: Option<Underway>,
    /// What came of the last one.
    pub last: Option<Verification>,
}

/// Why nothing is verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no such version, or it cannot be verified.
    #[error(transparent)]
    Standing(#[from] StandingError),
    /// Another one is under way.
    #[error(
        "\"{}\" is being verified, version {}; one is verified after the other: try again when that is done",
        underway.name, super::choose::short(&underway.version)
    )]
    Busy {
        /// The one that is under way.
        underway: Box<Underway>,
    },
}

impl From<StateError> for VerifyError {
    fn from(error: StateError) -> Self {
        Self::Standing(error.into())
    }
}

/// Verifies, one version at a time.
pub(super) struct Verifier {
    registry: Arc<Registry>,
    job: Mutex<Option<Job>>,
}

struct Job {
    name: String,
    version: String,
    began: Timestamp,
    progress: Arc<Progress>,
    task: JoinHandle<()>,
}

impl Job {
    fn underway(&self) -> Underway {
        let doing = self.progress.get();
        Underway {
            name: self.name.clone(),
            version: self.version.clone(),
            began: self.began,
            folded: doing.folded(),
            position: doing.position,
            step: doing.step,
        }
    }
}

impl Verifier {
    pub(super) fn new(registry: Arc<Registry>) -> Arc<Self> {
        Arc::new(Self { registry, job: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Job>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Verifies by itself what has not been for so long, whenever there is nothing else to do; what
    /// says nothing of its own after `every`, or never.
    pub(super) fn verify_when_idle(self: &Arc<Self>, every: Option<Duration>) {
        tokio::spawn(idle::verify_when_idle(Arc::clone(self), every));
    }

    /// Begins to verify a version, the live one unless another is meant; or tells of its
    /// verification that is under way.
    pub(super) fn begin(
        self: &Arc<Self>,
        name: &str,
        version: Option<&str>,
    ) -> Result<Underway, VerifyError> {
        let record = self.find(name, version)?;
        let running = self.registry.running(name, &record.digest);
        let kind = running.as_ref().map_or(Kind::Projection, |version| version.plugin().kind());
        if kind != Kind::Projection {
            return Err(StandingError::NoProjection { name: name.to_owned(), kind }.into());
        }
        let mut job = self.lock();
        if let Some(job) = &*job {
            let underway = job.underway();
            return match (job.name.as_str(), &job.version) == (name, &record.digest) {
                true => Ok(underway),
                false => Err(VerifyError::Busy { underway: Box::new(underway) }),
            };
        }
        let (began, progress) = (clock::now(), Arc::new(Progress::default()));
        progress.step("beginning".to_owned());
        let (name, version) = (name.to_owned(), record.digest.clone());
        let work = Arc::clone(self).work(record, began, Arc::clone(&progress));
        let begun = job.insert(Job { name, version, began, progress, task: tokio::spawn(work) });
        Ok(begun.underway())
    }

    /// How the verification of a version stands, of the live one unless another is meant.
    pub(super) fn status(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<VerificationStatus, StandingError> {
        let version = self.find(name, version)?.digest;
        let is_it = |underway: &Underway| (&*underway.name, &underway.version) == (name, &version);
        // First, so that one that ends meanwhile is the last, if not under way.
        let underway = self.lock().as_ref().map(Job::underway).filter(is_it);
        let last = self.registry.context().catalog.verification(name, &version)?;
        Ok(VerificationStatus { version, underway, last })
    }

    /// Ends what is under way, when the registry closes.
    pub(super) async fn close(&self) {
        let job = self.lock().take();
        if let Some(job) = job {
            // It has noticed the same. One that panicked has said so.
            let _ = job.task.await;
        }
    }

    fn find(&self, name: &str, version: Option<&str>) -> Result<VersionRecord, StandingError> {
        let context = self.registry.context();
        match (self.registry.view(name), version) {
            (None, _) => return Err(super::NotServed::Unknown { name: name.to_owned() }.into()),
            (Some(view), None) => drop(view.live(name, || context.log.head())?),
            (Some(_), Some(_)) => {}
        }
        Ok(choose(name, context.catalog.versions(name)?, version, Station::Live)?)
    }

    async fn work(self: Arc<Self>, record: VersionRecord, began: Timestamp, progress: Arc<Progress>) {
        let _ends = Ends(&self);
        let context = self.registry.context();
        let begun = clock::instant();
        tracing::info!(plugin = record.name, version = record.digest, "verifying");
        let judge = Judge { registry: &self.registry, record: &record, progress: &progress };
        let mut verification = tokio::select! {
            verification = judge.judge(began) => verification,
            () = self.gone(&record) => {
                tracing::info!(plugin = record.name, version = record.digest, "the verification is broken off");
                return;
            }
        };
        verification.micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        tell(&record.name, &verification);
        if let Err(error) = context.catalog.set_verification(&record.name, &verification) {
            tracing::error!(plugin = record.name, %error, "what came of the verification is not kept");
        }
    }

    /// Returns when a version is forgotten, or the registry closes.
    async fn gone(&self, record: &VersionRecord) {
        let mut closed = self.registry.closed();
        let is_kept = || {
            let found = self.registry.context().catalog.version(&record.name, &record.digest);
            // A catalog that cannot be read has its own way of saying so.
            found.map_or(true, |found| found.is_some())
        };
        while is_kept() {
            tokio::select! {
                _ = closed.wait_for(|closed| *closed) => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

/// Lets the next one begin, however this one ends.
struct Ends<'a>(&'a Verifier);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.lock().take();
    }
}

fn tell(name: &str, Verification { version, verdict, position, difference, reason, .. }: &Verification) {
    match verdict {
        Verdict::Verified => tracing::info!(plugin = name, version, position, "verified"),
        Verdict::Differs => {
            let summary = difference.as_ref().map(|difference| difference.summary.as_str());
            let event = difference.as_ref().and_then(|difference| difference.event.as_ref());
            let event = event.map(|event| event.position);
            tracing::error!(plugin = name, version, position, event, summary, "folded again, it differs");
        }
        Verdict::Failed => tracing::error!(plugin = name, version, reason, "it could not be verified"),
    }
}
