//! The history of a real repository.

use std::path::Path;

use anyhow::{Context as _, Result};
use projectionist::event::{Envelope, cloudevents};
use projectionist_tests::history::History;

/// It is laid end to end so often, so that a fold takes seconds.
const COPIES: usize = 10;

/// Its commits are laid end to end so often.
const COPIES_OF_COMMITS: usize = 40;

/// Copies of the history end to end, their ids made distinct.
pub(crate) fn events(file: &Path) -> impl Iterator<Item = Result<Envelope>> {
    let history = History { file: file.to_owned(), real: true };
    let lines: Vec<String> = history.lines().collect();
    (0..COPIES).flat_map(move |copy| {
        let events = lines.iter().map(move |line| {
            let mut event = cloudevents::from_slice(line.as_bytes()).context("the history holds no event")?;
            event.id = format!("{copy}-{}", event.id);
            Ok(event)
        });
        events.collect::<Vec<_>>()
    })
}

/// Copies of the commits, each as `made` has it.
pub(crate) fn commits(
    file: &Path,
    made: impl Fn(&mut Envelope) -> Result<()>,
) -> Result<impl Iterator<Item = Result<Envelope>>> {
    let history = History { file: file.to_owned(), real: true };
    let mut commits = Vec::new();
    for line in history.lines() {
        let mut event = cloudevents::from_slice(line.as_bytes()).context("the history holds no event")?;
        if event.event_type == "git.commit.authored" {
            made(&mut event)?;
            commits.push(event);
        }
    }
    Ok((0..COPIES_OF_COMMITS).flat_map(move |copy| {
        let copied = |event: &Envelope| Ok(Envelope { id: format!("{copy}-{}", event.id), ..event.clone() });
        commits.iter().map(copied).collect::<Vec<_>>()
    }))
}
