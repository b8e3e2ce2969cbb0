//! How many events of a type name which version of its schema, since when and until when.

use std::collections::BTreeMap;

use crate::{
    event::{Block, Head, Position, Timestamp},
    log::{EventLog, LogError},
};

/// An event of some type and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Where it stands.
    pub position: Position,
    /// When it was recorded.
    pub recorded: Timestamp,
}

/// The events of some type and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// How many there are.
    pub events: u64,
    /// The first of them.
    pub first: Use,
    /// The last of them.
    pub last: Use,
}

/// The usage of a type's versions, by `dataschema`; empty for events that name none.
pub(super) type Usages = BTreeMap<String, Usage>;

/// The log up to some position, counted. The log never changes, so what is counted stays so.
#[derive(Default)]
pub(super) struct Census {
    /// Up to here.
    pub(super) to: Position,
    pub(super) types: BTreeMap<String, Usages>,
}

impl Census {
    /// Counts what has come, block by block, as long as `go_on` says. Decodes no data.
    pub(super) fn advance(&mut self, log: &dyn EventLog, go_on: impl Fn() -> bool) -> Result<(), LogError> {
        while go_on() {
            let Some(block) = log.block(self.to + 1)? else { break };
            self.add(&block);
            self.to = block.last();
        }
        Ok(())
    }

    fn add(&mut self, block: &Block) {
        // By type; most have one version in a block, so each is looked for in a short list.
        let mut counted: Vec<Vec<(&str, Usage)>> = vec![Vec::new(); block.names.len()];
        for head in &block.heads[block.between(self.to + 1, Position::MAX)] {
            let dataschema = block.dataschema(head).unwrap_or_default();
            let versions = &mut counted[head.event_type as usize];
            let one = of(head);
            match versions.iter_mut().rev().find(|(name, _)| *name == dataschema) {
                Some((_, usage)) => *usage = usage.and(one),
                None => versions.push((dataschema, one)),
            }
        }
        for (event_type, versions) in block.names.iter().zip(counted) {
            for (dataschema, usage) in versions {
                // Looked for first, so that nothing is copied for what is known.
                match self.types.get_mut(event_type).and_then(|versions| versions.get_mut(dataschema)) {
                    Some(before) => *before = before.and(usage),
                    None => {
                        let versions = self.types.entry(event_type.clone()).or_default();
                        versions.insert(dataschema.to_owned(), usage);
                    }
                }
            }
        }
    }
}

fn of(head: &Head) -> Usage {
    let one = Use { position: head.position, recorded: Timestamp::from_micros(head.recorded) };
    Usage { events: 1, first: one, last: one }
}

impl Usage {
    /// Together with events that come later.
    fn and(self, later: Self) -> Self {
        Self { events: self.events + later.events, first: self.first, last: later.last }
    }
}
