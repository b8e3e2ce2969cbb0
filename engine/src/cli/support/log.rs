//! The log, behind a server or opened here. Appending to it: `append.rs`.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use futures_util::StreamExt;
use reqwest::header;
use serde::Deserialize;

use super::{
    client::{Client, Place},
    presence::Claim,
};
use crate::{
    cli::{
        exit::{Exit, Failure},
        settings::Settings,
    },
    engine,
    event::{Position, cloudevents},
    log::{EventLog, LogSettings, Selection},
};

/// The media type of events, one a line.
pub(super) const LINES: &str = "application/x-ndjson";

/// How many events are read from a folder's log at once.
const PIECE: usize = 256;

/// A log to append to and to read from.
pub enum Log {
    /// That of a running server.
    Server(Client),
    /// That of a data folder on which no server works.
    Folder {
        /// The log itself, which takes only events that fit their schemas.
        log: Arc<dyn EventLog>,
        /// Its limits.
        settings: LogSettings,
        /// Keeps servers away meanwhile.
        _claim: Claim,
    },
}

impl Log {
    /// The log of the server that is named or works on the data folder, or else
    /// that of the folder. `create`: also a folder that is not there yet.
    pub async fn open(place: &Place, settings: &Settings, create: bool) -> Result<Self> {
        if let Some(client) = place.server(settings)? {
            return Ok(Self::Server(client));
        }
        let folder = place.folder(settings);
        if !create && !folder.is_dir() {
            let failure =
                Failure::new(Exit::NotFound, format!("there is no data folder {}", folder.display()));
            return Err(failure.hint("name the folder with --data, or a server with --url http://…").into());
        }
        let claim = Claim::take(&folder).await?;
        let required = settings.require_schemas.unwrap_or(false);
        let settings = settings.log_settings();
        let log = open_log(&folder, settings.clone(), required).await?;
        Ok(Self::Folder { log, settings, _claim: claim })
    }

    /// Whether appends need the lines as they were read.
    pub fn takes_text(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// The position of the last event.
    pub async fn head(&self) -> Result<Position> {
        #[derive(Deserialize)]
        struct Page {
            position: Position,
        }
        match self {
            Self::Server(client) => {
                let request = client.get(&["events"]).query(&[("limit", "1"), ("reverse", "true")]);
                Ok(client.json::<Page>(request).await?.position)
            }
            Self::Folder { log, .. } => Ok(log.head()),
        }
    }

    /// Hands the selected events to `take`, one JSON document at a time, without
    /// the line break. `follow`: waits for more at the head, until the server ends.
    pub async fn read(
        &self,
        selection: &Selection,
        follow: bool,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Server(client) => read_server(client, selection, follow, take).await,
            Self::Folder { log, .. } => {
                let mut line = Vec::new();
                let mut rest = Selection { to: selection.to.min(log.head()), ..selection.clone() };
                while rest.limit > 0 && rest.from <= rest.to {
                    let events = log.read(&Selection { limit: rest.limit.min(PIECE), ..rest.clone() })?;
                    let Some(last) = events.last().map(|event| event.position) else { break };
                    for event in &events {
                        line.clear();
                        cloudevents::to_json(event, &mut line);
                        take(&line)?;
                    }
                    rest.limit -= events.len();
                    match rest.reverse {
                        true => rest.to = last - 1,
                        false => rest.from = last + 1,
                    }
                }
                Ok(())
            }
        }
    }
}

/// Opens a folder's log, which may take a moment: the end of it is read.
async fn open_log(folder: &Path, settings: LogSettings, require_schemas: bool) -> Result<Arc<dyn EventLog>> {
    let path = folder.to_owned();
    let open = move || engine::open_log(&path, settings, require_schemas);
    let opened = tokio::task::spawn_blocking(open).await?;
    let (log, _) =
        opened.with_context(|| format!("the event log in {} cannot be opened", folder.display()))?;
    Ok(log)
}

async fn read_server(
    client: &Client,
    selection: &Selection,
    follow: bool,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let request = client.get(&["events"]).header(header::ACCEPT, LINES).query(&parameters(selection, follow));
    let mut chunks = client.send(request).await?.bytes_stream();
    let mut rest = Vec::new();
    while let Some(chunk) = chunks.next().await {
        rest.extend_from_slice(&chunk.map_err(|error| client.unreachable(&error))?);
        let mut taken = 0;
        while let Some(length) = rest[taken..].iter().position(|byte| *byte == b'\n') {
            take(&rest[taken..taken + length])?;
            taken += length + 1;
        }
        rest.drain(..taken);
    }
    Ok(())
}

/// A selection as the server's query parameters. What is the default is left out.
fn parameters(selection: &Selection, follow: bool) -> Vec<(&'static str, String)> {
    let default = Selection::default();
    let mut parameters = Vec::new();
    let mut add = |name, value: String, is_default: bool| {
        if !is_default {
            parameters.push((name, value));
        }
    };
    add("from", selection.from.to_string(), selection.from == default.from);
    add("to", selection.to.to_string(), selection.to == default.to);
    add("limit", selection.limit.to_string(), selection.limit == default.limit);
    add("reverse", "true".into(), !selection.reverse);
    add("follow", "true".into(), !follow);
    for event_type in &selection.types {
        add("type", event_type.clone(), false);
    }
    for tag in &selection.tags {
        add("tag", tag.clone(), false);
    }
    if let Some(subject) = &selection.subject {
        add("subject", subject.clone(), false);
    }
    if let Some(id) = &selection.correlation {
        add("correlation", id.clone(), false);
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_a_parameter() {
        assert!(parameters(&Selection::default(), false).is_empty());
        let selection = Selection {
            from: 5,
            types: vec!["a".into(), "b".into()],
            subject: Some("s".into()),
            limit: 3,
            ..Selection::default()
        };
        let text: Vec<_> =
            parameters(&selection, true).iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(text, ["from=5", "limit=3", "follow=true", "type=a", "type=b", "subject=s"]);
    }
}
