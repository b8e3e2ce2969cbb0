//! Code folded over history apart from all that runs: with a state of its own that is
//! deleted when nobody looks at it any more.

use std::sync::Arc;

use tempfile::TempDir;

use super::{NoVersion, NotServed, supervisor::Context};
use crate::{
    event::Position,
    plugin::{Plugin, PluginError, Settings, SettingsError, description::Kind},
    projection::{self, Halt, Phase, Version},
    state::{StateError, View, catalog::VersionRecord},
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
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Its state.
    pub fn view(&self) -> &View {
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
    #[error("\"{name}\" is a reaction: what it makes of history are effects, and these happen once")]
    Reaction {
        /// The name asked for.
        name: String,
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
        halt: Halt,
    },
    /// The store failed.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Context {
    /// Loads a version that is kept.
    pub(super) async fn load(&self, record: &VersionRecord) -> Result<Arc<Plugin>, StandingError> {
        let wasm = self.store.component(&record.component).map_err(|source| {
            let version = record.digest.clone();
            StandingError::Component { version, source }
        })?;
        let settings = Settings::parse(&record.settings)?;
        self.host.load(&record.name, &wasm, &settings).await.map_err(StandingError::Plugin)
    }

    /// Folds the log up to a position, in a room of its own.
    pub(super) async fn fold_apart(
        &self,
        digest: &str,
        plugin: Arc<Plugin>,
        to: Position,
    ) -> Result<Standing, StandingError> {
        let name = plugin.name().to_owned();
        if plugin.kind() == Kind::Reaction {
            return Err(StandingError::Reaction { name });
        }
        let (room, state) = self.store.open_room(digest, &plugin)?;
        let version = Arc::new(Version::new(&name, digest, plugin, Arc::new(state)).up_to(to));
        let run = projection::start(&self.scheduler, Arc::clone(&version), Arc::clone(&self.log), false);
        let mut progress = version.progress();
        let ended = progress.wait_for(|progress| matches!(progress.phase, Phase::Live | Phase::Halted(_)));
        let phase = ended.await.map(|progress| progress.phase.clone());
        run.stop().await;
        let halt = match phase {
            Ok(Phase::Halted(halt)) => halt,
            Ok(_) => return Ok(Standing { view: version.state().view()?, version, _room: Some(room) }),
            Err(_) => Halt::of_host("its runner has ended"),
        };
        Err(StandingError::Halted { name, version: digest.to_owned(), to, halt })
    }
}
