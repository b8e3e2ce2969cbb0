//! Appending batches to a log that may take less at once than a batch holds.
//!
//! What it takes is its own affair: a server says so only when it refuses. So
//! a batch that is refused for its size is appended in two halves, and these
//! likewise; what the log has said is kept in mind for the batches to come.

use anyhow::Result;
use bytes::Bytes;
use reqwest::{Method, header};
use serde::Deserialize;

use super::{
    client::{Client, Problem},
    log::{LINES, Log},
    ndjson::{Batch, Places},
    text,
};
use crate::{
    cli::exit::{Exit, Failure},
    event::{Envelope, Position},
    log::{Append, AppendError, Condition, EventLog, LogSettings},
};

/// What became of some events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Outcome {
    /// The highest position among them.
    pub position: Position,
    /// How many of them the log already had.
    pub known: u64,
}

/// Appends batches to a log.
pub struct Appender<'a> {
    log: &'a Log,
    /// How many events and how many bytes it takes at once, as far as is known.
    most_events: usize,
    most_bytes: usize,
}

impl<'a> Appender<'a> {
    /// An appender that knows of no limits yet.
    pub fn new(log: &'a Log) -> Self {
        Self { log, most_events: usize::MAX, most_bytes: usize::MAX }
    }

    /// Appends a batch, in one part if the log takes it; each part becomes
    /// durable by itself and is then `told`, with how many events it has. An
    /// error says at which line.
    pub async fn append(&mut self, batch: Batch, mut told: impl FnMut(u64, Outcome)) -> Result<()> {
        let Batch { events, text, places, .. } = batch;
        let mut waiting = vec![Part { events, text: text.into(), places }];
        while let Some(mut part) = waiting.pop() {
            let events = part.events.len();
            let fits = events <= self.most_events && part.text.len() <= self.most_bytes;
            let sent = match fits || events < 2 {
                true => self.send(&mut part).await?,
                false => Sent::TooLarge,
            };
            match sent {
                Sent::Appended(outcome) => told(events as u64, outcome),
                Sent::TooLarge => {
                    let second = part.split();
                    waiting.extend([second, part]);
                }
            }
        }
        Ok(())
    }

    async fn send(&mut self, part: &mut Part) -> Result<Sent> {
        match self.log {
            Log::Server(client) => self.post(client, part).await,
            Log::Folder { log, settings, .. } => write(&**log, settings, part).await,
        }
    }

    async fn post(&mut self, client: &Client, part: &Part) -> Result<Sent> {
        let request = client.request(Method::POST, &["events"]).header(header::CONTENT_TYPE, LINES);
        let error = match client.json(request.body(part.text.clone())).await {
            Ok(outcome) => return Ok(Sent::Appended(outcome)),
            Err(error) => error,
        };
        let Some(problem) = error.downcast_ref::<Problem>() else { return Err(error) };
        let event = problem.event().or((part.events.len() == 1).then_some(0));
        match (problem.is_too_large(), event) {
            (true, Some(event)) => {
                let size = problem.number("size").unwrap_or(part.text.len());
                let setting = Some(problem.text("setting")).filter(|setting| !setting.is_empty());
                Err(match (problem.number("limit"), setting) {
                    (Some(limit), Some(setting)) => part.too_large(event, size, limit, setting).into(),
                    _ => error.context(part.place(event)),
                })
            }
            (true, None) => {
                match (problem.text("unit"), problem.number("limit")) {
                    ("events", Some(limit)) => self.most_events = limit,
                    ("bytes", Some(limit)) => self.most_bytes = limit,
                    // Somebody on the way, who does not say what is possible.
                    _ => self.most_bytes = part.text.len() / 2,
                }
                Ok(Sent::TooLarge)
            }
            (false, Some(event)) => Err(error.context(part.places.of(event))),
            (false, None) => Err(error.context(part.places.range())),
        }
    }
}

/// What the log said.
enum Sent {
    Appended(Outcome),
    /// Nothing of it was appended, but smaller parts may be.
    TooLarge,
}

/// Some consecutive events of a batch.
struct Part {
    events: Vec<Envelope>,
    /// Their lines, for a server; otherwise empty.
    text: Bytes,
    places: Places,
}

impl Part {
    /// Splits off the second half.
    fn split(&mut self) -> Self {
        let first = self.events.len() / 2;
        let ends = self.text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let bytes = ends.map(|(at, _)| at + 1).nth(first.saturating_sub(1)).unwrap_or_default();
        Self {
            events: self.events.split_off(first),
            text: self.text.split_off(bytes),
            places: self.places.split_off(first),
        }
    }

    /// Where an event stands, and which one it is.
    fn place(&self, event: usize) -> String {
        let id = self.events.get(event).map(|event| event.id.as_str()).unwrap_or_default();
        format!("{}: the event \"{}\"", self.places.of(event), text::printable(id))
    }

    /// The error for one event that is larger than the log ever takes.
    fn too_large(&self, event: usize, size: usize, limit: usize, setting: &str) -> Failure {
        let message = format!(
            "{} has {}; the log takes at most {}",
            self.place(event),
            text::count(size as u64, "byte"),
            text::number(limit as u64)
        );
        let hint = format!(
            "raise the limit: --{setting} of `projectionist serve`, or {setting} in the settings file"
        );
        Failure::new(Exit::Input, message).hint(hint)
    }
}

/// Appends to the log of a folder.
async fn write(log: &dyn EventLog, settings: &LogSettings, part: &mut Part) -> Result<Sent> {
    match settings.check_sizes(&part.events) {
        Err(AppendError::TooLarge { event: Some(event), size, limit, setting: Some(setting), .. }) => {
            return Err(part.too_large(event, size, limit, setting).into());
        }
        Err(AppendError::TooLarge { event: None, size, limit, setting: Some(setting), .. }) => {
            return match part.events.len() {
                1 => Err(part.too_large(0, size, limit, setting).into()),
                _ => Ok(Sent::TooLarge),
            };
        }
        // The log says it better.
        Ok(()) | Err(_) => {}
    }
    let append = Append { events: std::mem::take(&mut part.events), condition: Condition::default() };
    match log.append(append).await {
        Ok(appended) => {
            Ok(Sent::Appended(Outcome { position: appended.position, known: appended.known as u64 }))
        }
        Err(AppendError::Log(error)) => Err(error.into()),
        Err(AppendError::Invalid { index, reason }) => {
            Err(Failure::new(Exit::Input, format!("{}: {reason}", part.places.of(index))).into())
        }
        Err(AppendError::Misfit { index, misfit }) => {
            Err(Failure::new(Exit::Input, format!("{}: {misfit}", part.places.of(index))).into())
        }
        Err(error @ AppendError::TooLarge { event: Some(index), .. }) => {
            Err(Failure::new(Exit::Input, format!("{}: {error}", part.places.of(index))).into())
        }
        Err(error) => Err(Failure::new(Exit::Input, format!("{}: {error}", part.places.range())).into()),
    }
}
