//! Two versions of a name at one position.

use std::{sync::Arc, time::Duration};

use super::{
    Deployer,
    apart::{Standing, StandingError},
    choose::choose,
};
use crate::{
    event::Position,
    log::Moment,
    plugin::{Settings, description::Kind},
    projection::{Hold, Phase, Version},
    state::{
        StateError,
        catalog::{Station, VersionRecord},
    },
};

/// How soon to look again whether two versions stand at one position.
const LOOK: Duration = Duration::from_millis(1);

/// What the live version is compared with.
pub enum Other {
    /// The version whose digest begins like this; the newest candidate where nothing is said.
    Kept(Option<String>),
    /// A component that nobody has deployed.
    Component {
        /// Its bytes.
        wasm: Vec<u8>,
        /// The text of its settings file; absent: the live version's.
        settings: Option<String>,
    },
}

impl Deployer {
    /// The live version and another one at the same position: `at`, or where the live one
    /// stands. What does not stand there already is folded apart, so nothing of what runs is
    /// touched, but that a candidate waits while it is looked at.
    pub async fn beside_live(
        &self,
        name: &str,
        other: Other,
        at: Option<Moment>,
    ) -> Result<[Standing; 2], StandingError> {
        let at = at.map(|moment| moment.position(&*self.registry.context().log)).transpose()?;
        let live = self.live(name)?;
        if live.plugin().kind() != Kind::Projection {
            return Err(StandingError::NoProjection { name: name.to_owned(), kind: live.plugin().kind() });
        }
        let record = match other {
            Other::Component { wasm, settings } => return self.beside_file(live, &wasm, settings, at).await,
            Other::Kept(digest) => self.kept(name, digest.as_deref())?,
        };
        if let Some(at) = at {
            return Ok([self.live_at(&live, at).await?, self.kept_at(&record, at).await?]);
        }
        if let Some(running) = self.registry.running(name, &record.digest) {
            return self.abreast(name, live, running).await;
        }
        let view = live.state().view()?;
        let other = self.kept_at(&record, view.position()).await?;
        Ok([Standing::of(live, view), other])
    }

    /// The live version and a component that nobody has deployed.
    async fn beside_file(
        &self,
        live: Arc<Version>,
        wasm: &[u8],
        settings: Option<String>,
        at: Option<Position>,
    ) -> Result<[Standing; 2], StandingError> {
        let context = self.registry.context();
        let settings = match settings {
            Some(text) => Settings::parse(&text)?,
            None => live.plugin().settings().clone(),
        };
        let code = context.code_of(live.name(), wasm, &settings).await.map_err(StandingError::Plugin)?;
        let live = match at {
            Some(at) => self.live_at(&live, at).await?,
            None => {
                let view = live.state().view()?;
                Standing::of(live, view)
            }
        };
        let other = context.fold_apart(code, live.view().position()).await?;
        Ok([live, other])
    }

    /// A version that runs, as it stood at a position.
    pub(super) async fn live_at(
        &self,
        version: &Arc<Version>,
        at: Position,
    ) -> Result<Standing, StandingError> {
        let view = version.state().view()?;
        if view.position() == at {
            return Ok(Standing::of(Arc::clone(version), view));
        }
        let record = self.kept(version.name(), Some(version.digest()))?;
        self.kept_at(&record, at).await
    }

    /// A version that is kept, as it stood at a position.
    async fn kept_at(&self, record: &VersionRecord, at: Position) -> Result<Standing, StandingError> {
        let context = self.registry.context();
        let head = context.log.head();
        if at > head {
            return Err(StandingError::Future { at, head });
        }
        let rests = || record.station == Station::Standby && !self.is_at_work(&record.name, &record.digest);
        context.fold_apart_from(context.code(record).await?, at, rests).await
    }

    /// The version of a name whose digest begins like `digest`; the newest candidate where
    /// nothing is said.
    pub(super) fn kept(&self, name: &str, digest: Option<&str>) -> Result<VersionRecord, StandingError> {
        let versions = self.registry.context().catalog.versions(name)?;
        Ok(choose(name, versions, digest, Station::Candidate)?)
    }

    /// Whether a version runs, or is about to.
    fn is_at_work(&self, name: &str, digest: &str) -> bool {
        let Some(view) = self.registry.view(name).map(|view| view.get()) else { return false };
        view.live.is_some_and(|live| live.digest() == digest)
            || view.candidates.iter().any(|candidate| candidate.digest == digest)
    }

    /// The live version and one that follows the log beside it, as soon as both stand at one
    /// position.
    async fn abreast(
        &self,
        name: &str,
        live: Arc<Version>,
        other: Arc<Version>,
    ) -> Result<[Standing; 2], StandingError> {
        if live.digest() == other.digest() {
            let view = live.state().view()?;
            return Ok([Standing::of(Arc::clone(&live), Arc::clone(&view)), Standing::of(live, view)]);
        }
        self.has_caught_up(&other)?;
        let hold: Hold = other.hold().await;
        loop {
            let view = live.state().view()?;
            let position = view.position();
            hold.at(position);
            // Its partitions come to the position or, where one was beyond it, stay there.
            while other.state().reach().start < position {
                self.has_caught_up(&other)?;
                tokio::time::sleep(LOOK).await;
            }
            match other.state().view() {
                Ok(own) if own.position() == position => {
                    return Ok([Standing::of(live, view), Standing::of(Arc::clone(&other), own)]);
                }
                Ok(_) | Err(StateError::Apart { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            // It was beyond: the live one gets there too, unless it has halted or ended.
            while live.state().view()?.position() < other.state().reach().end {
                let ended = matches!(live.progress().borrow().phase, Phase::Halted(_) | Phase::Stopped);
                if ended {
                    let view = live.state().view()?;
                    let record = self.kept(name, Some(other.digest()))?;
                    let other = self.kept_at(&record, view.position()).await?;
                    return Ok([Standing::of(live, view), other]);
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Whether a version follows the log, so that it soon comes to where it is held.
    fn has_caught_up(&self, version: &Version) -> Result<(), StandingError> {
        let (name, digest) = (version.name().to_owned(), version.digest().to_owned());
        let progress = version.progress().borrow().clone();
        let head = self.registry.context().log.head();
        match progress.phase {
            Phase::Live => Ok(()),
            Phase::Halted(halt) => {
                Err(StandingError::Halted { name, version: digest, to: head, halt: Box::new(halt) })
            }
            Phase::CatchUp | Phase::Stopped => {
                Err(StandingError::OnItsWay { name, version: digest, position: progress.position, head })
            }
        }
    }
}
