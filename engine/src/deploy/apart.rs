//! Code folded over history apart from all that runs: with a state of its own that is
//! deleted when nobody looks at it any more.

use std::sync::Arc;

use tempfile::TempDir;

use super::{NoVersion, NotServed, supervisor::Context};
use crate::{
    event::Position,
    log::{EventLog, LogError},
    plugin::{Plugin, PluginError, Settings, SettingsError, description::Kind},
    projection::{self, Code, Halt, Phase, Version},
    state::{StateError, VersionState, View, catalog::VersionRecord},
};

/// A version's state at one position, for as long as somebody looks at it.
pub struct Standing {
    view: Arc<View>,
    version: Arc<Version>,
    // Last, so that what it holds is closed before it is deleted.
    _room: Option<TempDir>,
}

impl Standing {
    /// Of a version that runs, as it stands.
    pub(super) fn of(version: Arc<Version>, view: Arc<View>) -> Self {
        Self { view, version, _room: None }
    }

    /// The version.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// Its state.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Its state, to be shared with those who do not outlive this.
    pub(super) fn shared_view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }
}

/// Why a version's state at a position cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// The name has no version that answers.
    #[error(transparent)]
    NotServed(#[from] NotServed),
    /// The log does not reach so far.
    #[error("position {at} has not happened yet: the log is at {head}")]
    Future {
        /// The position asked for.
        at: Position,
        /// The log's last position.
        head: Position,
    },
    /// The name has no such version.
    #[error(transparent)]
    NoVersion(#[from] NoVersion),
    /// The version has not caught up yet.
    #[error("version {version} of \"{name}\" is on its way: it is at position {position} of {head}")]
    OnItsWay {
        /// The name asked for.
        name: String,
        /// The version's digest.
        version: String,
        /// How far it is.
        position: Position,
        /// How far it has to go.
        head: Position,
    },
    /// A reaction has acted upon what it was given; that cannot be done apart.
    #[error(
        "\"{name}\" is of kind {kind}: only what projections make of history can be made again and looked at"
    )]
    NoProjection {
        /// The name asked for.
        name: String,
        /// What it is.
        kind: Kind,
    },
    /// The settings cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The component cannot be used.
    #[error(transparent)]
    Plugin(PluginError),
    /// The component of a version that is kept cannot be read.
    #[error("the component of version {version} cannot be read: {source}")]
    Component {
        /// The version's digest.
        version: String,
        /// Why.
        source: std::io::Error,
    },
    /// The code could not fold history.
    #[error("version {version} of \"{name}\" cannot fold history up to position {to}: it halts {halt}")]
    Halted {
        /// The name asked for.
        name: String,
        /// The version's digest.
        version: String,
        /// How far it had to go.
        to: Position,
        /// Why it did not.
        halt: Box<Halt>,
    },
    /// The store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Context {
    /// Loads a version that is kept.
    pub(super) async fn code(&self, record: &VersionRecord) -> Result<Code, StandingError> {
        let settings = Settings::parse(&record.settings)?;
        self.code_with(record, &settings).await
    }

    /// The same with other settings.
    pub(super) async fn code_with(
        &self,
        record: &VersionRecord,
        settings: &Settings,
    ) -> Result<Code, StandingError> {
        let wasm = self.component(record)?;
        let plugin = self.host.load(&record.name, &wasm, settings).await.map_err(StandingError::Plugin)?;
        let upcasters = self.upcasters_of(record.upcast.as_ref()).await.map_err(StandingError::Plugin)?;
        Ok(Code::new(&record.digest, plugin).upcast_by(upcasters))
    }

    /// The component of a version that is kept.
    fn component(&self, record: &VersionRecord) -> Result<Vec<u8>, StandingError> {
        self.store.component(&record.component).map_err(|source| {
            let version = record.digest.clone();
            StandingError::Component { version, source }
        })
    }

    /// Folds the log up to a position, in a room of its own: from the version's nearest snapshot
    /// before it, or from the first event.
    pub(super) async fn fold_apart(&self, code: Code, to: Position) -> Result<Standing, StandingError> {
        self.fold_apart_from(code, to, || false).await
    }

    /// The same, or from the version's own state while that `rests`: nobody writes to it.
    pub(super) async fn fold_apart_from(
        &self,
        code: Code,
        to: Position,
        rests: impl Fn() -> bool,
    ) -> Result<Standing, StandingError> {
        is_projection(code.plugin())?;
        let opened = self.store.open_room(code.digest(), code.plugin(), to, rests)?;
        self.fold_in(opened, Arc::clone(&self.log), code, to).await
    }

    /// Folds another history than the log's, from its first event.
    pub(super) async fn fold_other(
        &self,
        log: Arc<dyn EventLog>,
        code: Code,
        to: Position,
    ) -> Result<Standing, StandingError> {
        is_projection(code.plugin())?;
        let room = self.store.room()?;
        let state = self.store.open_in(&room, code.digest(), code.plugin())?;
        self.fold_in((room, state), log, code, to).await
    }

    async fn fold_in(
        &self,
        (room, state): (TempDir, VersionState),
        log: Arc<dyn EventLog>,
        code: Code,
        to: Position,
    ) -> Result<Standing, StandingError> {
        let version = Arc::new(Version::new(code, Arc::new(state)).up_to(to));
        let following = self.folds.follow(&version, to);
        self.run_over(log, &version, to).await?;
        drop(following);
        Ok(Standing { view: version.state().view()?, version, _room: Some(room) })
    }

    /// Runs a version until it has folded all up to its limit, `to`.
    pub(super) async fn run_to(&self, version: &Arc<Version>, to: Position) -> Result<(), StandingError> {
        self.run_over(Arc::clone(&self.log), version, to).await
    }

    async fn run_over(
        &self,
        log: Arc<dyn EventLog>,
        version: &Arc<Version>,
        to: Position,
    ) -> Result<(), StandingError> {
        let run = projection::start(&self.scheduler, Arc::clone(version), log, false);
        let mut progress = version.progress();
        let ended = progress.wait_for(|progress| matches!(progress.phase, Phase::Live | Phase::Halted(_)));
        let phase = ended.await.map(|progress| progress.phase.clone());
        run.stop().await;
        let halt = match phase {
            Ok(Phase::Halted(halt)) => halt,
            Ok(_) => return Ok(()),
            Err(_) => Halt::of_host("its runner has ended"),
        };
        let (name, version) = (version.name().to_owned(), version.digest().to_owned());
        Err(StandingError::Halted { name, version, to, halt: Box::new(halt) })
    }
}

/// Only what projections make of history can be made again and looked at.
fn is_projection(plugin: &Plugin) -> Result<(), StandingError> {
    match plugin.kind() {
        Kind::Projection => Ok(()),
        kind => Err(StandingError::NoProjection { name: plugin.name().to_owned(), kind }),
    }
}
