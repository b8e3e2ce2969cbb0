//! A selection of the log, read piece by piece, and followed at its head.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    event::{Event, Position},
    http::serve::Closing,
    log::{EventLog, LogError, Selection},
};

/// A piece should take about so much memory: enough to be quick, and little
/// enough that many readers at once do no harm.
const PIECE_BYTES: usize = 1 << 20;

/// Events of a selection, in pieces.
pub(crate) struct Feed {
    log: Arc<dyn EventLog>,
    selection: Selection,
    head: watch::Receiver<Position>,
    /// Present: wait for more at the head, until the server closes.
    follow: Option<Closing>,
    piece: usize,
}

impl Feed {
    /// Reads what the log has now.
    pub(crate) fn new(log: Arc<dyn EventLog>, selection: Selection) -> Self {
        let head = log.follow();
        let selection =
            Selection { from: selection.from.max(1), to: selection.to.min(*head.borrow()), ..selection };
        Self { log, selection, head, follow: None, piece: 256 }
    }

    /// Reads what the log has now, then waits for more, up to the selection's end.
    pub(crate) fn following(log: Arc<dyn EventLog>, selection: Selection, closing: Closing) -> Self {
        let head = log.follow();
        let selection = Selection { from: selection.from.max(1), reverse: false, ..selection };
        Self { log, selection, head, follow: Some(closing), piece: 256 }
    }

    /// The next events: at least one, or the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Event>>, LogError> {
        loop {
            let Selection { from, to, limit, reverse, .. } = self.selection;
            if from > to || limit == 0 || self.follow.as_ref().is_some_and(Closing::is_closing) {
                return Ok(None);
            }
            let head = *self.head.borrow_and_update();
            if from > head {
                let Some(closing) = &mut self.follow else { return Ok(None) };
                tokio::select! {
                    moved = self.head.changed() => moved.map_err(|_| LogError::Closed)?,
                    () = closing.closed() => return Ok(None),
                }
                continue;
            }
            let piece =
                Selection { to: to.min(head), limit: limit.min(self.piece), ..self.selection.clone() };
            let events = read(&self.log, piece.clone()).await?;
            self.selection.limit -= events.len();
            // Fewer than asked for: there are no more up to where it looked.
            let exhausted = events.len() < piece.limit;
            match (reverse, events.last()) {
                (false, Some(last)) if !exhausted => self.selection.from = last.position + 1,
                (true, Some(last)) if !exhausted => self.selection.to = last.position - 1,
                (false, _) => self.selection.from = piece.to.saturating_add(1),
                (true, _) => self.selection.to = 0,
            }
            if !events.is_empty() {
                self.adapt(&events);
                return Ok(Some(events));
            }
        }
    }

    /// Chooses the size of the next piece by that of the last one.
    fn adapt(&mut self, events: &[Event]) {
        let bytes: usize = events.iter().map(|event| event.envelope.data.len() + 512).sum();
        let fitting = PIECE_BYTES * events.len() / bytes.max(1);
        self.piece = fitting.clamp(1, 2048);
    }
}

/// Reads a selection off the async workers: a filter may have to look through
/// much of the log.
pub(crate) async fn read(log: &Arc<dyn EventLog>, selection: Selection) -> Result<Vec<Event>, LogError> {
    let log = log.clone();
    let reading = tokio::task::spawn_blocking(move || log.read(&selection));
    // It fails only when reading panicked, or when the runtime is going down.
    reading.await.map_err(|_| LogError::Closed)?
}
