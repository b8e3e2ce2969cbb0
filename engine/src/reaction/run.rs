//! A reaction at work: started, and stopped.

use std::{future, sync::Arc};

use async_task::Task;
use tokio::{runtime, sync::watch};

use super::{
    calls::{Caller, Script},
    handle::Handle,
    runner::Runner,
};
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

    /// Commits durably what has been handled and ends. Events that are being handled get some
    /// seconds; whoever comes next handles those again that have not come to their end.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // One that panicked has ended already, and has said so.
        let _ = self.task.fallible().await;
    }
}

/// Starts a reaction.
///
/// # Panics
/// Outside a tokio runtime.
pub fn start(scheduler: &Scheduler, version: Arc<Version>, log: Arc<dyn EventLog>) -> Run {
    start_with(scheduler, version, log, None)
}

/// Starts a reaction whose calls reach nobody: the script answers them.
///
/// # Panics
/// Outside a tokio runtime.
pub fn start_scripted(
    scheduler: &Scheduler,
    version: Arc<Version>,
    log: Arc<dyn EventLog>,
    script: Arc<dyn Script>,
) -> Run {
    start_with(scheduler, version, log, Some(script))
}

fn start_with(
    scheduler: &Scheduler,
    version: Arc<Version>,
    log: Arc<dyn EventLog>,
    script: Option<Arc<dyn Script>>,
) -> Run {
    let stop = watch::Sender::new(false);
    let class = Arc::new(Class::default());
    // What it is behind, somebody waits for.
    class.set_live(true);
    let caller = Caller::new(Arc::clone(&version), script);
    let (handle, told) = Handle::new(Arc::clone(&caller));
    let runner = Runner::new(Arc::clone(&version), log, caller, told, stop.subscribe());
    let task = scheduler.spawn(class, within(runtime::Handle::current(), runner.follow()));
    Run { version, handle, stop, task }
}

/// Runs something within a runtime, on whichever thread: calls need what not all of the
/// scheduler's threads keep.
pub(super) fn within<F: Future>(runtime: runtime::Handle, future: F) -> impl Future<Output = F::Output> {
    let mut future = Box::pin(future);
    future::poll_fn(move |context| {
        let _entered = runtime.enter();
        future.as_mut().poll(context)
    })
}
