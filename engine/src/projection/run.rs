//! A runner at work: started, and stopped.

use std::sync::Arc;

use async_task::Task;
use tokio::sync::watch;

use super::{
    runner::Runner,
    scheduler::{Class, Scheduler},
    version::{Halt, Phase, Version},
};
use crate::log::EventLog;

/// A runner at work. Dropping it ends it at its next step, which loses nothing
/// but what has not been committed.
pub struct Run {
    version: Arc<Version>,
    stop: watch::Sender<bool>,
    task: Task<()>,
}

impl Run {
    /// What it runs.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// Commits durably what has been folded and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // One that panicked has ended already, and has said so.
        let _ = self.task.fallible().await;
    }
}

/// Starts a runner. One that serves readers comes before those that do not,
/// even while it catches up.
pub fn start(scheduler: &Scheduler, version: Arc<Version>, log: Arc<dyn EventLog>, serves: bool) -> Run {
    let class = Arc::new(Class::default());
    class.set_live(serves);
    let stop = watch::Sender::new(false);
    let runner = Runner::new(Arc::clone(&version), log, Arc::clone(&class), stop.subscribe());
    let task = scheduler.spawn(class, runner.follow());
    Run { version, stop, task }
}

/// Folds the log as it stands into a version and stops, on the caller's task.
pub async fn fold(version: Arc<Version>, log: Arc<dyn EventLog>) -> Result<(), Halt> {
    let (_stop, stopped) = watch::channel(false);
    let mut runner = Runner::new(Arc::clone(&version), log, Arc::default(), stopped);
    let result = runner.catch_up().await;
    version.set_phase(Phase::Stopped);
    result
}
