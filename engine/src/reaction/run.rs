//! A reaction at work: started, and stopped.

use std::sync::Arc;

use async_task::Task;
use tokio::sync::watch;

use super::{handle::Handle, runner::Runner};
use crate::{
    log::EventLog,
    projection::{Class, Scheduler, Version},
};

/// A reaction at work. Dropping it ends it at its next step, which loses nothing but
/// what has not been committed.
pub struct Run {
    version: Arc<Version>,
    handle: Handle,
    stop: watch::Sender<bool>,
    task: Task<()>,
}

impl Run {
    /// What it runs.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// What others hold of it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Commits durably what has been handled and ends. Events that are being handled
    /// are handled again by whoever comes next.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // One that panicked has ended already, and has said so.
        let _ = self.task.fallible().await;
    }
}

/// Starts a reaction.
pub fn start(scheduler: &Scheduler, version: Arc<Version>, log: Arc<dyn EventLog>) -> Run {
    let stop = watch::Sender::new(false);
    let class = Arc::new(Class::default());
    // What it is behind, somebody waits for.
    class.set_live(true);
    let (handle, told) = Handle::new();
    let runner = Runner::new(Arc::clone(&version), log, told, stop.subscribe());
    let task = scheduler.spawn(class, runner.follow());
    Run { version, handle, stop, task }
}
