//! The runners of a version at work: started, and stopped.

use std::sync::Arc;

use async_task::Task;
use tokio::{sync::watch, task::JoinSet};

use super::{
    division::Division,
    rounds::Rounds,
    runner::Runner,
    scheduler::{Class, Scheduler},
    source::Source,
    version::{Halt, Version},
};
use crate::{event::Partition, log::EventLog};

/// A version's runners at work. Dropping it ends them at their next step, which
/// loses nothing but what has not been committed.
pub struct Run {
    version: Arc<Version>,
    stop: watch::Sender<bool>,
    tasks: Vec<Task<()>>,
}

impl Run {
    /// What it runs.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// Commits durably what has been folded and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // One that panicked has ended already, and has said so.
            let _ = task.fallible().await;
        }
    }
}

/// Starts a version's runners. Those of one that serves readers come before
/// those that do not, even while it catches up.
pub fn start(scheduler: &Scheduler, version: Arc<Version>, log: Arc<dyn EventLog>, serves: bool) -> Run {
    let stop = watch::Sender::new(false);
    let start = |runner: Runner| {
        runner.class().set_live(serves);
        scheduler.spawn(Arc::clone(runner.class()), runner.follow())
    };
    let tasks = runners(&version, &log, &stop).map(start).collect();
    Run { version, stop, tasks }
}

/// Folds the log as it stands into a version and stops: on the caller's task,
/// or, if it has several partitions, on a task each.
pub async fn fold(version: Arc<Version>, log: Arc<dyn EventLog>) -> Result<(), Halt> {
    let stop = watch::Sender::new(false);
    let mut runners: Vec<Runner> = runners(&version, &log, &stop).collect();
    if let [alone] = runners.as_mut_slice() {
        return alone.fold().await;
    }
    // One that cannot go on ends the others with it.
    let mut folds: JoinSet<Result<(), Halt>> =
        runners.into_iter().map(|mut runner| async move { runner.fold().await }).collect();
    while let Some(fold) = folds.join_next().await {
        fold.map_err(Halt::of_host)??;
    }
    Ok(())
}

/// One runner for each partition.
fn runners(
    version: &Arc<Version>,
    log: &Arc<dyn EventLog>,
    stop: &watch::Sender<bool>,
) -> impl Iterator<Item = Runner> {
    let partitions = version.state().partitions();
    let positions: Vec<_> = partitions.iter().map(|partition| partition.checkpoint().position).collect();
    let rounds = Arc::new(Rounds::new(&positions));
    let count = partitions.len();
    let division = Arc::new(Division::new(count));
    (0..count).map(move |index| {
        let class = Arc::new(if version.manner().last { Class::last() } else { Class::default() });
        let (version, log) = (Arc::clone(version), Arc::clone(log));
        let partition = Partition { index, count };
        let source = Source::new(Arc::clone(&log), version.code(), partition, Arc::clone(&division));
        Runner::new(version, partition, source, Arc::clone(&rounds), log, class, stop.subscribe())
    })
}
