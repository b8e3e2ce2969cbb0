//! Listings without an end in sight, a JSON document a line, that leave as they are made.

use std::ops::ControlFlow;

use axum::body::{Body, Bytes};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::query::QueryError;

/// A listing leaves in pieces of about so many bytes.
const PIECE: usize = 64 << 10;
/// So many pieces wait for a client that reads slowly.
const WAITING: usize = 4;

/// The lines of a listing.
pub(super) struct Lines {
    piece: Vec<u8>,
    send: mpsc::Sender<Result<Bytes, QueryError>>,
}

impl Lines {
    /// Adds a line. Breaks off if whoever asked has gone away.
    pub(super) fn add(&mut self, line: &impl Serialize) -> ControlFlow<()> {
        serde_json::to_writer(&mut self.piece, line).expect("keys of JSON objects are text");
        self.piece.push(b'\n');
        if self.piece.len() < PIECE {
            return ControlFlow::Continue(());
        }
        match self.send.blocking_send(Ok(std::mem::take(&mut self.piece).into())) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// What `make` adds, as it does. Where it fails in the middle the connection is broken off, so
/// that nobody takes a part for the whole.
pub(super) fn body(make: impl FnOnce(&mut Lines) -> Result<(), QueryError> + Send + 'static) -> Body {
    let (send, receive) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut lines = Lines { piece: Vec::new(), send };
        let made = make(&mut lines);
        // Nobody is left to tell if they have gone.
        let _ = lines.send.blocking_send(made.map(|()| lines.piece.into()));
    });
    Body::from_stream(stream::unfold(receive, async |mut receive| {
        let piece = receive.recv().await?;
        Some((piece, receive))
    }))
}
