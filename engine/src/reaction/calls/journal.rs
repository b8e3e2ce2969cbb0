//! Writes calls into the journal: those that come while others are being written go
//! together, with one fsync.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::{runtime, sync::oneshot};

use crate::{
    event::Position,
    state::{Call, PartitionState, StateError},
};

/// The journal of a reaction.
pub(super) struct Journal {
    state: PartitionState,
    queue: Mutex<Queue>,
    /// No event behind this one has made a call.
    last: AtomicU64,
    runtime: runtime::Handle,
}

/// A call that is being written; answers when it is durable.
pub(super) type Written = oneshot::Receiver<Result<(), String>>;
type Answer = Result<Result<(), String>, oneshot::error::RecvError>;

#[derive(Default)]
struct Queue {
    calls: Vec<Call>,
    /// Who waits until they are written.
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
    /// Somebody writes, and will write these too.
    writing: bool,
}

impl Journal {
    /// # Panics
    /// Outside a tokio runtime.
    pub(super) fn new(state: PartitionState) -> Self {
        // Where it cannot be read, those who look for a call are told.
        let last = state.last_call().unwrap_or(Some(Position::MAX)).unwrap_or(0);
        Self::with(state, last)
    }

    /// One that another writes into.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(super) fn of_another(state: PartitionState) -> Self {
        Self::with(state, Position::MAX)
    }

    fn with(state: PartitionState, last: Position) -> Self {
        Self { state, queue: Mutex::default(), last: last.into(), runtime: runtime::Handle::current() }
    }

    /// A call that was made before.
    pub(super) fn call(&self, position: Position, number: u32) -> Result<Option<Call>, StateError> {
        match self.may_have(position) {
            true => self.state.call(position, number),
            false => Ok(None),
        }
    }

    /// All calls that an event has made before, by their numbers.
    pub(super) fn calls(&self, position: Position) -> Result<Vec<Call>, StateError> {
        match self.may_have(position) {
            true => self.state.calls(position),
            false => Ok(Vec::new()),
        }
    }

    /// Most events have made none, and need not be looked for.
    fn may_have(&self, position: Position) -> bool {
        position <= self.last.load(Ordering::Relaxed)
    }

    /// Lets a call be written.
    pub(super) fn submit(self: &Arc<Self>, call: Call) -> Written {
        self.last.fetch_max(call.position, Ordering::Relaxed);
        let (sender, written) = oneshot::channel();
        let is_first = {
            let mut queue = self.queue();
            queue.calls.push(call);
            queue.waiting.push(sender);
            !std::mem::replace(&mut queue.writing, true)
        };
        if is_first {
            let journal = Arc::clone(self);
            self.runtime.spawn_blocking(move || journal.write());
        }
        written
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

/// Waits until a call is durable.
pub(super) async fn written(written: impl Future<Output = Answer>) -> Result<(), String> {
    written.await.unwrap_or_else(|_| Err("the journal was not written: the program ends".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Timestamp, state::CallOutcome};

    /// A version that makes its tables anew reads what the one at work goes on writing.
    #[tokio::test]
    async fn what_another_writes_is_read() {
        let state = PartitionState::in_memory(&[]).unwrap();
        let (own, another) = (Arc::new(Journal::new(state.clone())), Journal::of_another(state));
        assert_eq!(another.call(7, 1).unwrap(), None);
        let call = Call {
            position: 7,
            number: 1,
            method: "POST".to_owned(),
            url: "https://mail.example/send".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            outcome: CallOutcome::Failed { reason: "it was down".to_owned() },
            made: Timestamp::from_micros(1),
            took: 2,
            attempts: 1,
        };
        written(own.submit(call.clone())).await.unwrap();
        assert_eq!(own.call(7, 1).unwrap(), Some(call.clone()));
        assert_eq!(another.calls(7).unwrap(), [call]);
    }
}
