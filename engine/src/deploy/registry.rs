//! One supervisor a name, and how to reach it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    PurgeError,
    supervisor::{Context, Message, OrderError, Supervisor},
    view::View,
};
use crate::projection::Version;

/// All supervisors of the process.
pub(super) struct Registry {
    context: Arc<Context>,
    names: Mutex<BTreeMap<String, Entry>>,
    closed: watch::Sender<bool>,
}

struct Entry {
    mailbox: mpsc::UnboundedSender<Message>,
    view: Arc<View>,
    task: JoinHandle<()>,
}

impl Registry {
    pub(super) fn new(context: Context) -> Arc<Self> {
        Arc::new(Self {
            context: Arc::new(context),
            names: Mutex::default(),
            closed: watch::Sender::new(false),
        })
    }

    pub(super) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Becomes true when nothing more is to be told.
    pub(super) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All names of which there is something.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.lock();
        let known = names.iter().filter(|(_, entry)| !entry.view.is_unknown());
        known.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn view(&self, name: &str) -> Option<Arc<View>> {
        let view = self.lock().get(name).map(|entry| Arc::clone(&entry.view))?;
        (!view.is_unknown()).then_some(view)
    }

    /// A version of a name that runs: the live one, or one beside it.
    pub(super) fn running(&self, name: &str, digest: &str) -> Option<Arc<Version>> {
        let view = self.view(name)?.get();
        let candidates = view.candidates.into_iter().filter_map(|candidate| candidate.version);
        view.live.into_iter().chain(candidates).find(|version| version.digest() == digest)
    }

    /// Starts the supervisor of a name, if it does not run yet.
    pub(super) fn know(&self, name: &str) {
        self.entry(name, |_| {});
    }

    /// Tells a name's supervisor; one that does not run yet is started.
    pub(super) fn tell(&self, name: &str, message: Message) {
        if *self.closed.borrow() {
            return;
        }
        self.entry(name, |entry| {
            // It ends only at the close.
            let _ = entry.mailbox.send(message);
        });
    }

    fn entry<T>(&self, name: &str, with: impl FnOnce(&Entry) -> T) -> T {
        let mut names = self.lock();
        if names.get(name).is_none_or(|entry| entry.task.is_finished()) {
            let (mailbox, messages) = mpsc::unbounded_channel();
            let view = Arc::new(View::default());
            let supervisor = Supervisor::new(name, Arc::clone(&self.context), Arc::clone(&view), messages);
            let task = tokio::spawn(supervisor.run());
            names.insert(name.to_owned(), Entry { mailbox, view, task });
        }
        with(&names[name])
    }

    /// Waits until all supervisors have started what was live.
    pub(super) async fn recovered(&self) {
        let names: Vec<_> = self.lock().keys().cloned().collect();
        self.ask(&names, Message::Recovered).await;
    }

    /// Waits until nothing of these names is being loaded.
    pub(super) async fn loaded(&self, names: &[String]) {
        self.ask(names, Message::Loaded).await;
    }

    async fn ask(&self, names: &[String], message: impl Fn(oneshot::Sender<()>) -> Message) {
        let waits: Vec<_> = names
            .iter()
            .map(|name| {
                let (done, wait) = oneshot::channel();
                self.tell(name, message(done));
                wait
            })
            .collect();
        for wait in waits {
            // A supervisor that has ended answers by dropping its end.
            let _ = wait.await;
        }
    }

    /// Has a name's supervisor forget all of it. The supervisor stays: its file
    /// may be put back at this very moment, and that message must not be lost.
    pub(super) async fn purge(&self, name: &str) -> Result<(), PurgeError> {
        let unknown = || PurgeError::Unknown { name: name.to_owned() };
        let (reply, answer) = oneshot::channel();
        {
            let names = self.lock();
            let entry = names.get(name).filter(|entry| !entry.view.is_unknown()).ok_or_else(unknown)?;
            entry.mailbox.send(Message::Purge(reply)).map_err(|_| unknown())?;
        }
        answer.await.map_err(|_| unknown())?
    }

    /// Has a name's supervisor do what somebody wants.
    pub(super) async fn order(
        &self,
        name: &str,
        message: impl FnOnce(oneshot::Sender<Result<String, OrderError>>) -> Message,
    ) -> Result<String, OrderError> {
        let unknown = || OrderError::Unknown { name: name.to_owned() };
        let (reply, answer) = oneshot::channel();
        {
            let names = self.lock();
            let entry = names.get(name).filter(|entry| !entry.view.is_unknown()).ok_or_else(unknown)?;
            entry.mailbox.send(message(reply)).map_err(|_| unknown())?;
        }
        answer.await.map_err(|_| unknown())?
    }

    pub(super) async fn close(&self) {
        self.closed.send_replace(true);
        let entries = std::mem::take(&mut *self.lock());
        for entry in entries.values() {
            let _ = entry.mailbox.send(Message::Close);
        }
        for entry in entries.into_values() {
            // A supervisor that panicked has said so already.
            let _ = entry.task.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::view::ViewState, *};
    use tokio::sync::Semaphore;

    use crate::{
        deploy::{folder::Sighting, folds::Folds, store::Store},
        log::MemoryLog,
        plugin::{Host, HostSettings},
        projection::Scheduler,
        state::catalog::Catalog,
    };

    fn registry(data: &std::path::Path) -> Arc<Registry> {
        Registry::new(Context {
            host: Host::new(HostSettings::default()).unwrap(),
            scheduler: Scheduler::new(1).unwrap(),
            log: Arc::new(MemoryLog::default()),
            catalog: Catalog::in_memory().unwrap(),
            store: Store::new(data, 1 << 20),
            upcasters: Default::default(),
            snapshotting: Arc::new(Semaphore::new(1)),
            folds: Folds::default(),
        })
    }

    /// A file that soon fails, which is as good as any for being noticed.
    fn found() -> Message {
        let (name, path) = ("a".to_owned(), "plugins/a.wasm".into());
        Message::Found(Sighting { name, path, wasm: b"no component".to_vec(), settings: String::new() })
    }

    async fn until(registry: &Registry, what: &str, is: impl Fn(&ViewState) -> bool) {
        let until = async {
            while !registry.view("a").is_some_and(|view| is(&view.get())) {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        let patience = std::time::Duration::from_secs(60);
        tokio::time::timeout(patience, until).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
    }

    #[tokio::test]
    async fn a_file_that_is_put_back_during_a_purge_is_deployed() {
        let data = tempfile::tempdir().unwrap();
        let registry = registry(data.path());
        registry.tell("a", found());
        registry.tell("a", Message::Gone);
        until(&registry, "it is retired", |view| view.retired).await;
        // Both are on their way before the supervisor looks at either.
        let (purged, ()) = tokio::join!(registry.purge("a"), async { registry.tell("a", found()) });
        purged.unwrap();
        until(&registry, "the file is noticed", |view| view.failed.is_some()).await;
        assert_eq!(registry.context().catalog.versions("a").unwrap().len(), 1);
        registry.close().await;
    }

    #[tokio::test]
    async fn what_has_been_purged_is_unknown_until_its_file_is_back() {
        let data = tempfile::tempdir().unwrap();
        let registry = registry(data.path());
        registry.tell("a", found());
        until(&registry, "it has failed", |view| view.failed.is_some()).await;
        assert!(matches!(registry.purge("a").await, Err(PurgeError::InUse { .. })));
        registry.tell("a", Message::Gone);
        until(&registry, "it is retired", |view| view.retired).await;
        registry.purge("a").await.unwrap();
        assert!(registry.view("a").is_none() && registry.names().is_empty());
        assert!(matches!(registry.purge("a").await, Err(PurgeError::Unknown { .. })));
        // A file that came and went before anybody could read it has left nothing to remember.
        registry.tell("a", Message::Gone);
        registry.recovered().await;
        assert!(registry.names().is_empty());
        registry.tell("a", found());
        until(&registry, "it has failed again", |view| view.failed.is_some()).await;
        registry.close().await;
    }
}
