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
        Self { log, selection, head, follow: None, piece: 64 }
    }

    /// Reads what the log has now, then waits for more, up to the selection's end.
    pub(crate) fn following(log: Arc<dyn EventLog>, selection: Selection, closing: Closing) -> Self {
        let head = log.follow();
        let selection = Selection { from: selection.from.max(1), reverse: false, ..selection };
        Self { log, selection, head, follow: Some(closing), piece: 64 }
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
            let (asked, end) = (piece.limit, piece.to);
            let events = if piece.is_filtered() {
                read(&self.log, piece).await?
            } else {
                read_block(&self.log, piece).await?
            };
            self.selection.limit -= events.len();
            // A filter that finds fewer than asked for has looked to the end.
            let last = events.last().map(|event| event.position);
            let last = last.filter(|_| events.len() == asked || !self.selection.is_filtered());
            match (reverse, last) {
                (false, last) => self.selection.from = last.unwrap_or(end) + 1,
                (true, last) => self.selection.to = last.unwrap_or(1) - 1,
            }
            if !events.is_empty() {
                self.adapt(&events);
                return Ok(Some(events));
            }
        }
    }

    /// Chooses the size of the next piece by that of the last one. It grows
    /// slowly, for the next events may be larger.
    fn adapt(&mut self, events: &[Event]) {
        let bytes: usize = events.iter().map(|event| event.envelope.data.len() + 512).sum();
        let fitting = PIECE_BYTES * events.len() / bytes.max(1);
        self.piece = fitting.clamp(1, 2 * self.piece.min(512));
    }
}

/// Reads from the one block with which an unfiltered selection begins. Blocks
/// are bounded and shared between readers.
async fn read_block(log: &Arc<dyn EventLog>, selection: Selection) -> Result<Vec<Event>, LogError> {
    let log = log.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let Selection { from, to, reverse, limit, .. } = selection;
        let Some(block) = log.block(if reverse { to } else { from })? else { return Ok(Vec::new()) };
        let start = block.heads.partition_point(|head| head.position < from);
        let end = block.heads.partition_point(|head| head.position <= to);
        let heads = block.heads.get(start..end).unwrap_or_default().iter();
        Ok(match reverse {
            false => heads.take(limit).map(|head| block.event(head)).collect(),
            true => heads.rev().take(limit).map(|head| block.event(head)).collect(),
        })
    });
    // It fails only when reading panicked, or when the runtime is going down.
    reading.await.map_err(|_| LogError::Closed)?
}

/// Reads a selection off the async workers: a filter may have to look through
/// much of the log.
pub(crate) async fn read(log: &Arc<dyn EventLog>, selection: Selection) -> Result<Vec<Event>, LogError> {
    let log = log.clone();
    let reading = tokio::task::spawn_blocking(move || log.read(&selection));
    // It fails only when reading panicked, or when the runtime is going down.
    reading.await.map_err(|_| LogError::Closed)?
}
