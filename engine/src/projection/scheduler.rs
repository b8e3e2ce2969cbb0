//! A small pool of threads that steps all runners fairly.
//!
//! A runner is a future that gives way often: after each block, and inside a
//! block whenever the guest has used up a slice of time. So a handful of
//! threads serves any number of runners, and a guest that loops for ever costs
//! its neighbours no more than a slice.
//!
//! Runners at the head of the log come before those that replay. One thread
//! more than replays may use is always there, so that an event never waits for
//! a commit of somebody's long replay to end. It is the first to be woken, and
//! the others give way to it and to all that answers, where the system lets
//! them.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use async_task::{Runnable, Task};
use tokio::runtime::{self, Handle, Runtime};

/// After so many live steps in a row one replaying step is let in, so that a
/// busy head slows replays down but never stops them.
const LIVE_STEPS_IN_A_ROW: u32 = 16;

/// Which of the queues a runner waits in. The runner moves itself.
#[derive(Debug, Default)]
pub struct Class {
    live: AtomicBool,
    last: bool,
}

/// The queues, by who comes first.
#[derive(Clone, Copy)]
enum Queue {
    Live,
    Replaying,
    Last,
}

impl Class {
    /// A runner that comes after all others, whatever it does.
    pub fn last() -> Self {
        Self { live: AtomicBool::default(), last: true }
    }

    /// Live runners come first.
    pub fn set_live(&self, live: bool) {
        self.live.store(live, Ordering::Relaxed);
    }

    fn queue(&self) -> Queue {
        match self.last {
            true => Queue::Last,
            false if self.live.load(Ordering::Relaxed) => Queue::Live,
            false => Queue::Replaying,
        }
    }
}

/// The pool. Dropping it ends its threads; runners that have not finished are
/// then never stepped again, so stop them first.
pub struct Scheduler {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Where replays read ahead, on threads that give way as well.
    background: Option<Runtime>,
}

#[derive(Default)]
struct Shared {
    queues: Mutex<Queues>,
    /// Wakes the thread that never replays.
    live_work: Condvar,
    /// Wakes the others.
    work: Condvar,
}

#[derive(Default)]
struct Queues {
    live: VecDeque<Runnable>,
    replaying: VecDeque<Runnable>,
    /// Stepped where a replay would be, when there is none.
    last: VecDeque<Runnable>,
    /// The thread that never replays waits, and nobody has woken it yet.
    live_thread_rests: bool,
    live_in_a_row: u32,
    closed: bool,
}

impl Scheduler {
    /// Starts `replay_threads` threads and one more, for which the tokio runtime
    /// from which this is called keeps time. The others have one of their own.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(replay_threads: usize) -> std::io::Result<Self> {
        let lowered = lowered_priority();
        let background = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("background")
            .enable_time()
            .on_thread_start(move || give_way_to_others(lowered))
            .build()?;
        let (foreground, behind) = (Handle::current(), background.handle().clone());
        let mut scheduler =
            Self { shared: Arc::default(), threads: Vec::new(), background: Some(background) };
        for index in 0..=replay_threads.max(1) {
            let may_replay = index > 0;
            let runtime = if may_replay { &behind } else { &foreground };
            let (shared, runtime) = (Arc::clone(&scheduler.shared), runtime.clone());
            let thread = std::thread::Builder::new().name(format!("runner-{index}")).spawn(move || {
                let _entered = runtime.enter();
                if may_replay {
                    give_way_to_others(lowered);
                }
                shared.step_until_closed(may_replay);
            })?;
            scheduler.threads.push(thread);
        }
        Ok(scheduler)
    }

    /// Queues a runner. The task must be kept: dropping it cancels the runner.
    pub fn spawn<F>(&self, class: Arc<Class>, runner: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let schedule = move |runnable| shared.push(class.queue(), runnable);
        let (runnable, task) = async_task::spawn(runner, schedule);
        runnable.schedule();
        task
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let left = {
            let mut queues = self.shared.lock();
            queues.closed = true;
            self.shared.live_work.notify_all();
            self.shared.work.notify_all();
            let Queues { live, replaying, last, .. } = &mut *queues;
            [live, replaying, last].map(std::mem::take)
        };
        // Outside the lock: dropping a runner may wake others.
        drop(left);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
        if let Some(background) = self.background.take() {
            // A block that is still being read ahead is of use to nobody.
            background.shutdown_background();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, queue: Queue, runnable: Runnable) {
        let mut queues = self.lock();
        if queues.closed {
            drop(queues);
            return;
        }
        let waiting = match queue {
            Queue::Live => &mut queues.live,
            Queue::Replaying => &mut queues.replaying,
            Queue::Last => &mut queues.last,
        };
        waiting.push_back(runnable);
        let wake = match matches!(queue, Queue::Live) && std::mem::take(&mut queues.live_thread_rests) {
            true => &self.live_work,
            false => &self.work,
        };
        drop(queues);
        wake.notify_one();
    }

    fn step_until_closed(&self, may_replay: bool) {
        while let Some(runnable) = self.next(may_replay) {
            // A panic of the host inside one runner must not take the thread,
            // and with it all other runners, along.
            let step = std::panic::AssertUnwindSafe(|| runnable.run());
            if std::panic::catch_unwind(step).is_err() {
                tracing::error!("a runner panicked; its version stops, the others go on");
            }
        }
    }

    /// The next step; `None` when closed.
    fn next(&self, may_replay: bool) -> Option<Runnable> {
        let mut queues = self.lock();
        loop {
            if queues.closed {
                return None;
            }
            if let Some(next) = queues.take(may_replay) {
                return Some(next);
            }
            queues.live_thread_rests |= !may_replay;
            let woken = if may_replay { &self.work } else { &self.live_work };
            queues = woken.wait(queues).unwrap_or_else(PoisonError::into_inner);
            // Woken by itself too.
            queues.live_thread_rests &= may_replay;
        }
    }
}

impl Queues {
    fn take(&mut self, may_replay: bool) -> Option<Runnable> {
        if !may_replay {
            return self.live.pop_front();
        }
        let replays_turn = self.live.is_empty() || self.live_in_a_row >= LIVE_STEPS_IN_A_ROW;
        let mut next = || self.replaying.pop_front().or_else(|| self.last.pop_front());
        if let Some(runnable) = replays_turn.then(&mut next).flatten() {
            self.live_in_a_row = 0;
            return Some(runnable);
        }
        self.live_in_a_row += 1;
        self.live.pop_front()
    }
}

/// The priority of the process, lowered. Threads inherit that of the one that
/// starts them, so it must not be lowered thread by thread.
fn lowered_priority() -> i32 {
    #[cfg(target_os = "linux")]
    let own = rustix::process::getpriority_process(None).unwrap_or(0);
    #[cfg(not(target_os = "linux"))]
    let own = 0;
    (own + 10).min(19)
}

/// Gives the calling thread a lower priority: whatever else wants a processor gets
/// it first. Elsewhere than on Linux that would be the priority of the whole process.
#[cfg_attr(
    not(target_os = "linux"),
    expect(unused_variables, reason = "threads have no priority of their own")
)]
fn give_way_to_others(lowered: i32) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, lowered) {
        tracing::debug!(%error, "replays run with the priority of everything else");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::mpsc,
        task::{Context, Poll},
    };

    use super::*;

    async fn give_way() {
        let mut given = false;
        poll_fn(|context: &mut Context<'_>| {
            if std::mem::replace(&mut given, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[tokio::test]
    async fn live_runners_pass_replays_that_never_end() {
        let scheduler = Scheduler::new(1).unwrap();
        let replays: Vec<_> = (0..8)
            .map(|_| {
                scheduler.spawn(Arc::default(), async {
                    loop {
                        give_way().await;
                    }
                })
            })
            .collect();
        let class = Arc::new(Class::default());
        class.set_live(true);
        let live = scheduler.spawn(class, async {
            for _ in 0..10_000 {
                give_way().await;
            }
            7
        });
        assert_eq!(live.await, 7);
        drop(replays);
    }

    #[tokio::test]
    async fn replays_go_on_beside_a_live_runner_that_never_rests() {
        let scheduler = Scheduler::new(1).unwrap();
        let class = Arc::new(Class::default());
        class.set_live(true);
        let busy: Vec<_> = (0..2)
            .map(|_| {
                scheduler.spawn(Arc::clone(&class), async {
                    loop {
                        give_way().await;
                    }
                })
            })
            .collect();
        let replay = scheduler.spawn(Arc::default(), async {
            for _ in 0..1_000 {
                give_way().await;
            }
            "done"
        });
        assert_eq!(replay.await, "done");
        drop(busy);
    }

    #[tokio::test]
    async fn who_comes_last_is_not_stepped_while_there_are_replays() {
        let scheduler = Scheduler::new(1).unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let replays: Vec<_> = (0..2)
            .map(|_| {
                let done = Arc::clone(&done);
                scheduler.spawn(Arc::default(), async move {
                    while !done.load(Ordering::Relaxed) {
                        give_way().await;
                    }
                })
            })
            .collect();
        let stepped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stepped);
        let last =
            scheduler.spawn(Arc::new(Class::last()), async move { seen.store(true, Ordering::Relaxed) });
        let replay = scheduler.spawn(Arc::default(), async {
            for _ in 0..1_000 {
                give_way().await;
            }
        });
        replay.await;
        assert!(!stepped.load(Ordering::Relaxed), "it took its turn before replays that had work");
        done.store(true, Ordering::Relaxed);
        last.await;
        drop(replays);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn replays_give_way_and_so_does_what_they_leave_to_other_threads() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let scheduler = Scheduler::new(1).unwrap();
        let (own, aside) = scheduler
            .spawn(Arc::default(), async move {
                let aside = Handle::current().spawn_blocking(priority);
                (priority(), aside.await.unwrap())
            })
            .await;
        let lowered = (priority() + 10).min(19);
        assert_eq!((own, aside), (lowered, lowered));
    }

    #[tokio::test]
    async fn a_panic_leaves_the_threads_standing() {
        let scheduler = Scheduler::new(1).unwrap();
        for _ in 0..4 {
            scheduler.spawn(Arc::default(), async { panic!("on purpose") }).detach();
        }
        let (send, receive) = mpsc::channel();
        scheduler.spawn(Arc::default(), async move { send.send(1).unwrap() }).detach();
        assert_eq!(tokio::task::spawn_blocking(move || receive.recv()).await.unwrap(), Ok(1));
    }
}
