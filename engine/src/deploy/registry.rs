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
    supervisor::{Context, Message, Supervisor},
    view::View,
};

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

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Becomes true when nothing more is to be told.
    pub(super) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    pub(super) fn view(&self, name: &str) -> Option<Arc<View>> {
        self.lock().get(name).map(|entry| Arc::clone(&entry.view))
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
            // It ends only after a purge or at the close.
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
        let waits: Vec<_> = self
            .names()
            .iter()
            .map(|name| {
                let (done, wait) = oneshot::channel();
                self.tell(name, Message::Recovered(done));
                wait
            })
            .collect();
        for wait in waits {
            // A supervisor that has ended answers by dropping its end.
            let _ = wait.await;
        }
    }

    pub(super) async fn purge(&self, name: &str) -> Result<(), PurgeError> {
        let unknown = || PurgeError::Unknown { name: name.to_owned() };
        let (reply, answer) = oneshot::channel();
        let mailbox = self.lock().get(name).map(|entry| entry.mailbox.clone()).ok_or_else(unknown)?;
        mailbox.send(Message::Purge(reply)).map_err(|_| unknown())?;
        answer.await.map_err(|_| unknown())??;
        self.lock().remove(name);
        Ok(())
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
