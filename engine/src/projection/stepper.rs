//! Folds one event after the other, apart from all that runs, says what each has
//! changed, and takes it back.
//!
//! The state is a view that others have committed, with the changes in memory on top, so
//! nothing is written anywhere. One instance folds all events, also where the version has
//! several partitions: which partition a row is in changes nothing about it.

use std::{collections::VecDeque, sync::Arc};

use super::version::{EventAtFault, Halt};
use crate::{
    event::{Block, Event, Partition, Position},
    plugin::{ApplyError, Changes, Instance, Plugin, PluginError, Printed, description::OnFailure},
    state::{Change, Gathered, Known, StateError, Uncommitted, View},
};

/// At most so many steps can be taken back …
const KEPT_STEPS: usize = 10_000;
/// … and of these only as many as need no more bytes than this.
const KEPT_BYTES: usize = 32 << 20;

/// What one event did.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The event.
    pub event: Event,
    /// The rows that it wrote, by table and key; entries of indexes among them. Nothing
    /// where the event failed.
    pub changes: Vec<RowChange>,
    /// What the plug-in printed meanwhile.
    pub printed: Printed,
    /// Why the event could not be folded, if it could not.
    pub failure: Option<Failure>,
}

/// A row that an event wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// The table's number.
    pub table: u32,
    /// The key, encoded.
    pub key: Vec<u8>,
    /// Its value before; none: there was no such row.
    pub before: Option<Vec<u8>>,
    /// Its value afterwards; none: there is no such row any more.
    pub after: Option<Vec<u8>>,
}

impl RowChange {
    /// Whether the value is another one now.
    pub fn is_change(&self) -> bool {
        self.before != self.after
    }

    fn bytes(&self) -> usize {
        let value = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + self.key.len() + value(&self.before) + value(&self.after)
    }
}

/// Why an event could not be folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub reason: String,
    /// The version halts there; otherwise it goes on, and the event is a dead letter.
    pub halts: bool,
}

impl Step {
    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        let changes: usize = self.changes.iter().map(RowChange::bytes).sum();
        let printed: usize = self.printed.lines.iter().map(|(_, line)| line.len()).sum();
        self.event.envelope.data.len() + changes + printed + 256
    }

    /// Why the version goes no further, if it does not.
    pub fn halt(&self) -> Option<Halt> {
        let failure = self.failure.as_ref().filter(|failure| failure.halts)?;
        let envelope = &self.event.envelope;
        let (id, event_type) = (envelope.id.clone(), envelope.event_type.clone());
        let event = EventAtFault { position: self.event.position, id, event_type };
        Some(Halt { event: Some(event), reason: failure.reason.clone(), host: false })
    }
}

/// Folds one event after the other, and takes them back.
pub struct Stepper {
    plugin: Plugin,
    state: Arc<Uncommitted<View>>,
    flushed: Gathered,
    instance: Option<Instance>,
    /// The instance has folded an event.
    used: bool,
    position: Position,
    /// The last steps, to be taken back.
    done: VecDeque<Done>,
    done_bytes: usize,
    floor: Position,
}

/// What taking a step back needs.
struct Done {
    position: Position,
    /// The rows that the step has written, with their values before.
    before: Vec<(u32, Vec<u8>, Option<Vec<u8>>)>,
    bytes: usize,
}

impl Stepper {
    /// From a state of the plug-in on, which stays as it is.
    pub fn new(plugin: &Plugin, base: Arc<View>) -> Self {
        let (flushed, position) = (Gathered::default(), base.position());
        let known = Arc::new(Known::of(position == 0));
        Self {
            plugin: plugin.apart(),
            state: Arc::new(Uncommitted::new(base, known, flushed.clone())),
            flushed,
            instance: None,
            used: false,
            position,
            done: VecDeque::new(),
            done_bytes: 0,
            floor: position,
        }
    }

    /// The plug-in.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Up to where events are folded.
    pub fn position(&self) -> Position {
        self.position
    }

    /// It can be taken back to here.
    pub fn floor(&self) -> Position {
        self.floor
    }

    /// The value under a key.
    pub fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.state.get(table, key)
    }

    /// About how many bytes the changes take that it keeps in memory.
    pub fn bytes(&self) -> u64 {
        self.flushed.lock().bytes() + self.done_bytes as u64
    }

    /// Notes that up to `position` there are no more events for the plug-in.
    pub fn pass(&mut self, position: Position) {
        self.position = self.position.max(position);
    }

    /// Folds an event, the only one of a block, or what it has been split into, which the step
    /// shows as the first of these. After one at which the version halts it stands where it was.
    ///
    /// # Errors
    /// If the plug-in cannot be started, or the state cannot be read.
    pub async fn step(&mut self, block: &Block) -> Result<Option<Step>, Halt> {
        let Some(head) = block.heads.first() else { return Ok(None) };
        let folded = match self.fold(block).await? {
            // An instance may hold on to too much of what came before.
            Err(_) if self.used => self.fold(block).await?,
            folded => folded,
        };
        let mut step = Step {
            event: block.event(head),
            changes: Vec::new(),
            printed: Printed::default(),
            failure: None,
        };
        match folded {
            Ok(changes) => step.changes = self.written(&changes).map_err(Halt::of_host)?,
            Err(reason) => {
                let halts = self.plugin.on_failure() == OnFailure::Halt;
                step.failure = Some(Failure { reason, halts });
            }
        }
        step.printed = self.plugin.output().take();
        if step.failure.as_ref().is_none_or(|failure| !failure.halts) {
            self.took(head.position, &step.changes);
        }
        Ok(Some(step))
    }

    /// Folds a block without looking at what each event does; that cannot be taken back. Answers
    /// whether it could: if not, it stands where it was.
    ///
    /// # Errors
    /// If the plug-in cannot be started.
    pub async fn leap(&mut self, block: &Block) -> Result<bool, Halt> {
        let Ok(changes) = self.fold(block).await? else { return Ok(false) };
        self.flushed.lock().add(changes.iter().map(Change::from));
        self.pass(block.last());
        (self.floor, self.done_bytes) = (self.position, 0);
        self.done.clear();
        Ok(true)
    }

    /// Takes steps back, so that it stands at `position`; no further than it can.
    /// Answers whether it stands there.
    pub fn back_to(&mut self, position: Position) -> bool {
        if position >= self.position {
            return position == self.position;
        }
        while let Some(done) = self.done.pop_back_if(|done| done.position > position) {
            let before = |(table, key, value): &(u32, Vec<u8>, Option<Vec<u8>>)| {
                self.flushed.lock().add([Change { table: *table, key, value: value.as_deref() }].into_iter());
            };
            done.before.iter().for_each(before);
            self.done_bytes -= done.bytes;
        }
        // It remembers what is no more.
        self.instance = None;
        self.position = position.max(self.floor);
        self.position == position
    }

    /// Lets the instance fold an event and hand over what it has changed.
    async fn fold(&mut self, block: &Block) -> Result<Result<Changes, String>, Halt> {
        self.plugin.output().take();
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                self.used = false;
                let started = self.plugin.start(Arc::clone(&self.state) as _, Partition::WHOLE).await;
                started.map_err(|error| Halt {
                    event: None,
                    host: matches!(error, PluginError::Host { .. }),
                    reason: error.to_string(),
                })?
            }
        };
        match instance.apply(block).await {
            Ok(_) => {}
            Err(ApplyError::Failure { message, .. }) => return Ok(Err(message)),
            Err(ApplyError::Trap { reason }) => return Ok(Err(format!("it {reason}"))),
        }
        match instance.flush().await {
            Ok(changes) => {
                self.used = true;
                self.instance = Some(instance);
                Ok(Ok(changes))
            }
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Adds changes to the state; answers them with the values before.
    fn written(&mut self, changes: &Changes) -> Result<Vec<RowChange>, StateError> {
        let row = |(table, key, after): (u32, &[u8], Option<&[u8]>)| {
            let before = self.state.get(table, key)?;
            Ok(RowChange { table, key: key.to_vec(), before, after: after.map(<[u8]>::to_vec) })
        };
        let rows = changes.iter().map(row).collect::<Result<Vec<_>, StateError>>()?;
        self.flushed.lock().add(changes.iter().map(Change::from));
        Ok(rows)
    }

    /// A step has been taken.
    fn took(&mut self, position: Position, changes: &[RowChange]) {
        self.position = position;
        let before = |row: &RowChange| (row.table, row.key.clone(), row.before.clone());
        let bytes = changes.iter().map(RowChange::bytes).sum();
        let before = changes.iter().map(before).collect();
        self.done.push_back(Done { position, before, bytes });
        self.done_bytes += bytes;
        while self.done.len() > KEPT_STEPS || self.done_bytes > KEPT_BYTES {
            let Some(forgotten) = self.done.pop_front() else { break };
            self.done_bytes -= forgotten.bytes;
            self.floor = forgotten.position;
        }
    }
}
