//! The engine as a whole: the log, the versions over it, the folder they come
//! from.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    clock,
    deploy::{Deployer, DeployerSettings},
    event::Timestamp,
    log::{EventLog, LogError, LogSettings, embedded::EmbeddedLog},
    plugin::{Host, HostSettings, PluginError},
    projection::Scheduler,
    schema::{CheckedLog, Schemas},
    state::{SchemaStore, StateError},
};

/// Where the engine keeps its data and how much it may use.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Log, state, catalog, components and compile cache; made if missing.
    pub data: PathBuf,
    /// The plug-ins folder, watched; made if missing.
    pub plugins: PathBuf,
    /// How many replays may run at the same time.
    pub replay_threads: usize,
    /// Limits and sizes of the log.
    pub log: LogSettings,
    /// Whether events of types without a schema are refused.
    pub require_schemas: bool,
    /// Bytes of cache that each version's store may use.
    pub state_cache_bytes: usize,
    /// Bytes of stack that a guest may use.
    pub guest_stack_bytes: usize,
    /// Verify by itself what has not been verified for so long, when there is nothing else to do,
    /// and whose own settings say nothing of it; none: never.
    pub verify_every: Option<Duration>,
}

impl EngineSettings {
    /// The defaults over two folders.
    pub fn new(data: PathBuf, plugins: PathBuf) -> Self {
        Self {
            data,
            plugins,
            replay_threads: std::thread::available_parallelism().map_or(1, usize::from),
            log: LogSettings::default(),
            require_schemas: false,
            state_cache_bytes: 64 << 20,
            guest_stack_bytes: HostSettings::default().max_stack,
            verify_every: None,
        }
    }
}

/// Why the engine did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A folder cannot be made.
    #[error("the folder {} cannot be made", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Threads cannot be started.
    #[error("the machine gives no threads for the runners: {0}")]
    Threads(std::io::Error),
    /// The log does not open.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The catalog does not open.
    #[error(transparent)]
    State(#[from] StateError),
    /// The sandbox does not start.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// A running engine.
pub struct Engine {
    /// Where events are appended, if they fit, and read.
    pub log: Arc<dyn EventLog>,
    /// What events must fit.
    pub schemas: Arc<Schemas>,
    /// All plug-ins and their versions.
    pub deployer: Arc<Deployer>,
    /// How large a batch of events may be.
    pub max_batch_bytes: usize,
    /// When it began to open.
    pub started: Timestamp,
}

impl Engine {
    /// Opens the log, starts the versions that were live, watches the folder.
    pub async fn open(settings: EngineSettings) -> Result<Self, OpenError> {
        let started = clock::now();
        for path in [&settings.data, &settings.plugins] {
            std::fs::create_dir_all(path)
                .map_err(|source| OpenError::Folder { path: path.clone(), source })?;
        }
        let max_batch_bytes = settings.log.max_batch_bytes;
        let (log, schemas) = open_log(&settings.data, settings.log, settings.require_schemas)?;
        let host = Host::new(HostSettings {
            cache_dir: Some(settings.data.join("cache")),
            max_stack: settings.guest_stack_bytes,
        })?;
        let scheduler = Scheduler::new(settings.replay_threads).map_err(OpenError::Threads)?;
        let deployer = DeployerSettings {
            plugins: settings.plugins,
            data: settings.data,
            state_cache_bytes: settings.state_cache_bytes,
            verify_every: settings.verify_every,
        };
        let deployer = Arc::new(Deployer::start(deployer, host, scheduler, Arc::clone(&log)).await?);
        Ok(Self { log, schemas, deployer, max_batch_bytes, started })
    }

    /// Stops all runners; everything folded and acknowledged is durable.
    pub async fn close(&self) {
        self.deployer.close().await;
    }
}

/// Opens the log of a data folder, which takes only events that fit their schemas, and these.
pub fn open_log(
    data: &Path,
    settings: LogSettings,
    require_schemas: bool,
) -> Result<(Arc<dyn EventLog>, Arc<Schemas>), OpenError> {
    let log: Arc<dyn EventLog> = Arc::new(EmbeddedLog::open(data, settings)?);
    let store = SchemaStore::open(&data.join("schemas.redb"))?;
    let schemas = Arc::new(Schemas::open(store, Arc::clone(&log), require_schemas)?);
    Ok((Arc::new(CheckedLog::new(log, Arc::clone(&schemas))), schemas))
}
