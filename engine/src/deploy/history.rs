//! What became of one row, event by event.

use super::{
    apart::StandingError,
    steps::{Breakpoint, RowKey, StepsRead, Walker},
};
use crate::{
    event::{BlockBuilder, Event, Position},
    log::Selection,
    plugin::description::PartitionBy,
    projection::{Halt, RowChange, Step, Stepper},
    state::key::{self, Part},
};

/// How many events of a subject are read at once.
const PORTION: usize = 1_024;

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
        if self.plugin().description().partition_by == Some(PartitionBy::Subject) {
            let mut subjects = read.subject.clone().into_iter().collect::<Vec<_>>();
            if subjects.is_empty() {
                let parts = key::decode(&read.row.key).unwrap_or_default().into_iter();
                subjects.extend(parts.filter_map(|part| match part {
                    Part::String(text) => Some(text),
                    _ => None,
                }));
            }
            for subject in subjects {
                if let Some(history) = self.of_subject(read, subject, position).await? {
                    return Ok(history);
                }
            }
        }
        let breakpoints = vec![Breakpoint::Change(read.row.clone())];
        let HistoryRead { from, reverse, limit, .. } = *read;
        let steps = self.steps(&StepsRead { from, to: position, reverse, limit, breakpoints }).await?;
        let changes = steps.steps.into_iter().filter_map(|step| change(&read.row, step)).collect();
        Ok(History { changes, subject: None, position, next: steps.next })
    }

    /// The same, folded of the events of a subject alone; none where that does not lead to the
    /// row as it stands.
    async fn of_subject(
        &self,
        read: &HistoryRead,
        subject: String,
        position: Position,
    ) -> Result<Option<History>, StandingError> {
        let Some(version) = &self.running else { return Ok(None) };
        let view = version.state().view()?;
        if position > view.position() {
            return Ok(None);
        }
        let log = &self.registry.context().log;
        let beginning = self.beginning()?;
        let mut stepper = Stepper::new(self.plugin(), beginning.shared_view());
        let mut source = self.source();
        let mut selection = Selection {
            to: view.position(),
            types: source.types().unwrap_or_default().to_vec(),
            subject: Some(subject.clone()),
            limit: PORTION,
            ..Selection::default()
        };
        let mut changes = Vec::new();
        loop {
            let events = log.read(&selection).map_err(|error| self.halted(position, Halt::of_host(error)))?;
            for event in &events {
                let mut block = BlockBuilder::new();
                block.push(event.position, event.recorded, event.version, &event.envelope);
                let block = source.newest(block.build()).await.map_err(|halt| self.halted(position, halt))?;
                if block.is_empty() {
                    continue;
                }
                let step = stepper.step(&block).await.map_err(|halt| self.halted(position, halt))?;
                let Some(step) = step.filter(|step| step.halt().is_none()) else { return Ok(None) };
                changes.extend(change(&read.row, step));
            }
            let Some(last) = events.last().filter(|_| events.len() == PORTION) else { break };
            selection.from = last.position + 1;
            tokio::task::yield_now().await;
        }
        let RowKey { table, key } = &read.row;
        if changes.is_empty() || stepper.get(*table, key)? != view.get(*table, key)? {
            return Ok(None);
        }
        changes.retain(|(event, _)| (read.from..=position).contains(&event.position));
        if read.reverse {
            changes.reverse();
        }
        let next = changes.get(read.limit).map(|(event, _)| event.position);
        changes.truncate(read.limit);
        Ok(Some(History { changes, subject: Some(subject), position, next }))
    }
}

/// What a step changed about a row.
fn change(row: &RowKey, mut step: Step) -> Option<(Event, RowChange)> {
    let is_it = |change: &RowChange| change.table == row.table && change.key == row.key && change.is_change();
    let index = step.changes.iter().position(is_it)?;
    Some((step.event, step.changes.swap_remove(index)))
}
