//! What became of one row, folded of the events of its subject alone.
//!
//! A projection that is partitioned by subject promises that each row belongs to one. Whether it
//! does, and which subject that is, is checked by what comes out: the row as it stands.

use std::sync::Arc;

use super::{
    Deployer,
    apart::StandingError,
    steps::{RowKey, Walker},
};
use crate::{
    event::{Block, BlockBuilder, Event, Position},
    log::{Moment, Selection},
    plugin::description::{Description, PartitionBy},
    projection::{Halt, RowChange, Source, Step, Stepper, Version},
    state::{
        StateError, View,
        key::{self, Part},
    },
};

/// How many events of a subject are read at once.
const PORTION: usize = 1_024;
/// About so many bytes of them are folded at once, where nobody asks what each did.
const BLOCK_BYTES: usize = 1 << 20;
/// A row of a subject with more events is read from a whole state, which several partitions fold.
const MOST_EVENTS: usize = 100_000;

/// What became of a row.
pub(super) struct OfSubject {
    /// The subject of whose events alone this was folded.
    pub(super) subject: String,
    /// Each event that changed the row, up to where the version stands, and what it changed.
    pub(super) changes: Vec<(Event, RowChange)>,
}

/// A row as it stood.
pub struct RowAt {
    /// The version that made it.
    pub version: Arc<Version>,
    /// At which position.
    pub position: Position,
    /// Which row.
    pub row: RowKey,
    /// Its value; none: there was no such row.
    pub value: Option<Vec<u8>>,
}

/// The fold of one subject's events, up to where the version stands.
struct Alone<'a> {
    walker: &'a Walker,
    row: &'a RowKey,
    /// Where the version stands.
    view: Arc<View>,
    stepper: Stepper,
    source: Source,
    selection: Selection,
}

impl<'a> Alone<'a> {
    /// None: the version does not run, or has not come to `position`.
    fn begin(
        walker: &'a Walker,
        row: &'a RowKey,
        subject: &str,
        position: Position,
    ) -> Result<Option<Self>, StandingError> {
        let Some(version) = &walker.running else { return Ok(None) };
        let view = version.state().view()?;
        if position > view.position() {
            return Ok(None);
        }
        let source = walker.source();
        let selection = Selection {
            from: 1,
            to: view.position(),
            types: source.types().unwrap_or_default().to_vec(),
            subject: Some(subject.to_owned()),
            limit: PORTION,
            ..Selection::default()
        };
        let stepper = Stepper::new(walker.plugin(), walker.beginning()?.shared_view());
        Ok(Some(Self { walker, row, view, stepper, source, selection }))
    }

    /// The next events; none are left when there are none.
    async fn read(&mut self) -> Result<Vec<Event>, StandingError> {
        if self.selection.from > self.selection.to {
            return Ok(Vec::new());
        }
        // Others may run between two portions.
        tokio::task::yield_now().await;
        let events = self.walker.registry.context().log.read(&self.selection);
        let events = events.map_err(|error| self.halted(Halt::of_host(error)))?;
        let last = events.last().filter(|_| events.len() == PORTION);
        self.selection.from = last.map_or(Position::MAX, |last| last.position + 1);
        Ok(events)
    }

    /// Events in their newest shape.
    async fn newest(&mut self, block: BlockBuilder) -> Result<Block, StandingError> {
        self.source.newest(block.build()).await.map_err(|halt| self.walker.halted(self.view.position(), halt))
    }

    /// Folds some events at once; answers whether that could be done.
    async fn fold(&mut self, events: &[Event]) -> Result<bool, StandingError> {
        let mut events = events.iter().peekable();
        while events.peek().is_some() {
            let (mut block, mut bytes) = (BlockBuilder::new(), 0);
            let most = self.walker.plugin().settings().policies.block_events;
            for event in events.by_ref().take(most) {
                push(&mut block, event);
                bytes += event.envelope.data.len();
                if bytes > BLOCK_BYTES {
                    break;
                }
            }
            let block = self.newest(block).await?;
            if !block.is_empty() && !self.stepper.leap(&block).await.map_err(|halt| self.halted(halt))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The row as it is now.
    fn value(&self) -> Result<Option<Vec<u8>>, StateError> {
        self.stepper.get(self.row.table, &self.row.key)
    }

    /// Whether it has come to the row as it stands.
    fn holds(&self) -> Result<bool, StateError> {
        Ok(self.value()? == self.view.get(self.row.table, &self.row.key)?)
    }

    fn halted(&self, halt: Halt) -> StandingError {
        self.walker.halted(self.view.position(), halt)
    }
}

impl Walker {
    /// The subjects that a row may belong to: that which is said, or each that is a part of its key.
    fn subjects(&self, row: &RowKey, subject: Option<&str>) -> Vec<String> {
        match (self.plugin().description().partition_by, subject) {
            (Some(PartitionBy::Subject), Some(subject)) => vec![subject.to_owned()],
            (Some(PartitionBy::Subject), None) => texts(&row.key),
            _ => Vec::new(),
        }
    }

    /// What became of a row; none where it does not follow from the events of one subject.
    pub(super) async fn changes_of_subject(
        &self,
        row: &RowKey,
        subject: Option<&str>,
        position: Position,
    ) -> Result<Option<OfSubject>, StandingError> {
        for subject in self.subjects(row, subject) {
            if let Some(changes) = self.changes_by(row, &subject, position).await? {
                return Ok(Some(OfSubject { subject, changes }));
            }
        }
        Ok(None)
    }

    async fn changes_by(
        &self,
        row: &RowKey,
        subject: &str,
        position: Position,
    ) -> Result<Option<Vec<(Event, RowChange)>>, StandingError> {
        let Some(mut alone) = Alone::begin(self, row, subject, position)? else { return Ok(None) };
        let mut changes = Vec::new();
        loop {
            let events = alone.read().await?;
            if events.is_empty() {
                break;
            }
            for event in &events {
                let mut block = BlockBuilder::new();
                push(&mut block, event);
                let block = alone.newest(block).await?;
                if block.is_empty() {
                    continue;
                }
                let step = alone.stepper.step(&block).await.map_err(|halt| alone.halted(halt))?;
                let Some(step) = step.filter(|step| step.halt().is_none()) else { return Ok(None) };
                changes.extend(change(row, step));
            }
        }
        Ok((!changes.is_empty() && alone.holds()?).then_some(changes))
    }

    /// The row as it stood at a position; none where it does not follow from the events of one subject.
    async fn value_of_subject(
        &self,
        row: &RowKey,
        position: Position,
    ) -> Result<Option<Option<Vec<u8>>>, StandingError> {
        for subject in self.subjects(row, None) {
            if let Some(value) = self.value_by(row, &subject, position).await? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    async fn value_by(
        &self,
        row: &RowKey,
        subject: &str,
        position: Position,
    ) -> Result<Option<Option<Vec<u8>>>, StandingError> {
        let Some(mut alone) = Alone::begin(self, row, subject, position)? else { return Ok(None) };
        let (mut value, mut folded) = (None, 0);
        loop {
            let events = alone.read().await?;
            folded += events.len();
            if events.is_empty() || folded > MOST_EVENTS {
                break;
            }
            let (before, after) = events.split_at(events.partition_point(|event| event.position <= position));
            if !alone.fold(before).await? {
                return Ok(None);
            }
            if !before.is_empty() {
                value = alone.value()?;
            }
            if !alone.fold(after).await? {
                return Ok(None);
            }
        }
        // A row that is nowhere may just as well be another subject's.
        let is_of = value.is_some() || alone.value()?.is_some();
        Ok((is_of && folded <= MOST_EVENTS && alone.holds()?).then_some(value))
    }
}

impl Deployer {
    /// A row as it stood at a moment, of the live version or of the one that is named by how its digest
    /// begins, folded of its subject's events alone. None: where that cannot be, or a state of that
    /// moment is at hand; then [`Deployer::standing`] has it. `find` says which row is meant.
    pub async fn row_at<E: From<StandingError>>(
        &self,
        name: &str,
        version: Option<&str>,
        at: Moment,
        find: impl FnOnce(&Description) -> Result<RowKey, E>,
    ) -> Result<Option<RowAt>, E> {
        let Some(running) = self.running_version(name, version)? else { return Ok(None) };
        let position = at.position(&*self.registry.context().log).map_err(StandingError::from)?;
        let stands = running.state().checkpoint().position;
        let by_subject = running.plugin().description().partition_by == Some(PartitionBy::Subject);
        if !by_subject || position >= stands || self.has_at_hand(running.digest(), position) {
            return Ok(None);
        }
        let row = find(running.plugin().description())?;
        let walker = self.walker_of(Arc::clone(&running))?;
        let found = walker.value_of_subject(&row, position).await?;
        Ok(found.map(|value| RowAt { version: running, position, row, value }))
    }

    /// The version that is meant, if it runs.
    fn running_version(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<Option<Arc<Version>>, StandingError> {
        match version {
            None => Ok(Some(self.live(name)?)),
            Some(digest) if self.is_lent(digest) => Ok(None),
            Some(_) => Ok(self.registry.running(name, &self.kept(name, version)?.digest)),
        }
    }
}

fn push(block: &mut BlockBuilder, event: &Event) {
    block.push(event.position, event.recorded, event.version, &event.envelope);
}

/// The parts of a key that are text.
fn texts(key: &[u8]) -> Vec<String> {
    let parts = key::decode(key).unwrap_or_default().into_iter();
    let texts = parts.filter_map(|part| match part {
        Part::String(text) => Some(text),
        _ => None,
    });
    texts.collect()
}

/// What a step changed about a row.
pub(super) fn change(row: &RowKey, mut step: Step) -> Option<(Event, RowChange)> {
    let is_it = |change: &RowChange| change.table == row.table && change.key == row.key && change.is_change();
    let index = step.changes.iter().position(is_it)?;
    Some((step.event, step.changes.swap_remove(index)))
}
