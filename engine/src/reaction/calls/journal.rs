//! Writes calls into the journal: those that come while others are being written go
//! together, with one fsync.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::{
    event::Position,
    state::{Call, PartitionState, StateError},
};

/// The journal of a reaction.
pub(super) struct Journal {
    state: PartitionState,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    calls: Vec<Call>,
    /// Who waits until they are written.
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
    /// Somebody writes, and will write these too.
    writing: bool,
}

impl Journal {
    pub(super) fn new(state: PartitionState) -> Self {
        Self { state, queue: Mutex::default() }
    }

    /// A call that was made before.
    pub(super) fn call(&self, position: Position, number: u32) -> Result<Option<Call>, StateError> {
        self.state.call(position, number)
    }

    /// Writes a call; it is durable when this returns.
    pub(super) async fn note(self: &Arc<Self>, call: Call) -> Result<(), String> {
        let (sender, written) = oneshot::channel();
        let is_first = {
            let mut queue = self.queue();
            queue.calls.push(call);
            queue.waiting.push(sender);
            !std::mem::replace(&mut queue.writing, true)
        };
        if is_first {
            let journal = Arc::clone(self);
            tokio::task::spawn_blocking(move || journal.write());
        }
        written.await.unwrap_or_else(|_| Err("the journal was not written: the program ends".to_owned()))
    }

    fn write(&self) {
        loop {
            let (calls, waiting) = {
                let mut queue = self.queue();
                if queue.calls.is_empty() {
                    queue.writing = false;
                    return;
                }
                (std::mem::take(&mut queue.calls), std::mem::take(&mut queue.waiting))
            };
            let written = self.state.note_calls(&calls).map_err(|error| error.to_string());
            for sender in waiting {
                // Whoever waited may have gone away.
                let _ = sender.send(written.clone());
            }
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
