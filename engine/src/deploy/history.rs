//! What became of one row, event by event.

use super::{
    apart::StandingError,
    steps::{Breakpoint, RowKey, StepsRead, Walker},
    subject::{OfSubject, change},
};
use crate::{
    event::{Event, Position},
    projection::RowChange,
};

/// Which part of a row's past.
#[derive(Clone, Debug)]
pub struct HistoryRead {
    /// The row.
    pub row: RowKey,
    /// The subject that the row belongs to, if that is known.
    pub subject: Option<String>,
    /// The first position.
    pub from: Position,
    /// The last position; where the version stands, if nothing is said.
    pub to: Option<Position>,
    /// Newest first.
    pub reverse: bool,
    /// At most so many events.
    pub limit: usize,
}

/// What became of a row.
#[derive(Debug)]
pub struct History {
    /// The events that changed it, and what it was before and afterwards.
    pub changes: Vec<(Event, RowChange)>,
    /// The subject of whose events alone this was folded; none: of all.
    pub subject: Option<String>,
    /// The last position that it tells of.
    pub position: Position,
    /// Where to go on, if there may be more.
    pub next: Option<Position>,
}

impl Walker {
    /// Each event that changed a row.
    ///
    /// Where the projection is partitioned by subject and the row belongs to one, as its key
    /// tells or `read` says, only the events of that subject are folded. Whether that is so is
    /// checked by what comes out: the row as it stands.
    pub async fn history(&self, read: &HistoryRead) -> Result<History, StandingError> {
        let stands = match &self.running {
            Some(version) => version.state().view()?.position(),
            None => self.head(),
        };
        let position = read.to.unwrap_or(stands).min(self.head());
        let subject = read.subject.as_deref();
        if let Some(found) = self.changes_of_subject(&read.row, subject, position).await? {
            return Ok(read.part_of(found, position));
        }
        let breakpoints = vec![Breakpoint::Change(read.row.clone())];
        let HistoryRead { from, reverse, limit, .. } = *read;
        let steps = self.steps(&StepsRead { from, to: position, reverse, limit, breakpoints }).await?;
        let changes = steps.steps.into_iter().filter_map(|step| change(&read.row, step)).collect();
        Ok(History { changes, subject: None, position, next: steps.next })
    }
}

impl HistoryRead {
    /// What is wanted of a row's whole history.
    fn part_of(&self, found: OfSubject, position: Position) -> History {
        let OfSubject { subject, mut changes } = found;
        changes.retain(|(event, _)| (self.from..=position).contains(&event.position));
        if self.reverse {
            changes.reverse();
        }
        let next = changes.get(self.limit).map(|(event, _)| event.position);
        changes.truncate(self.limit);
        History { changes, subject: Some(subject), position, next }
    }
}
