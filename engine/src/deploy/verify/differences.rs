//! A difference, told: what it means, the event, the rows.

use std::{ops::ControlFlow, sync::Arc};

use super::{fold::Made, ways::Way};
use crate::{
    event::Position,
    log::EventLog,
    plugin::description::Description,
    projection::{Halt, Version},
    state::{
        self, RowDifference, StateError, View,
        catalog::{EventNamed, FoundDifference, RowFound},
        key, value,
    },
};

/// How many rows that differ are kept.
const ROWS: usize = 5;

/// A state that is compared with another.
pub(super) enum Side {
    Made(Made),
    Stands(Arc<Version>, Arc<View>),
}

impl Side {
    fn view(&self) -> &View {
        match self {
            Self::Made(made) => &made.view,
            Self::Stands(_, view) => view,
        }
    }

    fn description(&self) -> &Description {
        match self {
            Self::Made(made) => made.version.plugin().description(),
            Self::Stands(version, _) => version.plugin().description(),
        }
    }
}

/// Rows that differ.
#[derive(Default)]
pub(super) struct Rows {
    count: u64,
    first: Vec<RowFound>,
    /// A row that is in two partitions, in words: no others are looked for.
    twice: Option<String>,
}

impl Rows {
    /// Of two states of the same code. Indexes follow from rows, so they are looked at only where
    /// all of these are the same.
    pub(super) fn of(before: &Side, after: &Side) -> Result<Self, StateError> {
        let mut rows = Self::default();
        let tables = &before.description().tables;
        for indexes in [false, true] {
            for (number, table) in tables.iter().enumerate() {
                if table.index_of.is_some() != indexes || (indexes && rows.count > 0) {
                    continue;
                }
                match rows.add(&table.name, number as u32, before.view(), after.view()) {
                    Err(StateError::TwoPartitions { table, key }) => {
                        rows.twice = Some(format!("row {key} of table \"{table}\""));
                        return Ok(rows);
                    }
                    added => added?,
                }
            }
        }
        Ok(rows)
    }

    fn add(&mut self, table: &str, number: u32, before: &View, after: &View) -> Result<(), StateError> {
        state::compare((before, Some(number)), (after, Some(number)), |difference| {
            self.count += 1;
            if self.first.len() < ROWS {
                self.first.push(shown(table, difference));
            }
            ControlFlow::Continue(())
        })?;
        Ok(())
    }
}

/// What cannot be shown as JSON, such as a damaged row, is shown by its bytes.
fn shown(table: &str, RowDifference { key, before, after }: RowDifference<'_>) -> RowFound {
    let bytes = |bytes: &[u8]| format!("0x{}", key::hex(bytes)).into();
    let value = |shown: &[u8]| value::to_json(shown).unwrap_or_else(|_| bytes(shown));
    RowFound {
        table: table.to_owned(),
        key: key::shown(key).unwrap_or_else(|_| bytes(key)),
        before: before.map(value),
        after: after.map(value),
    }
}

/// Something stays in an instance, and finds its way into a table.
pub(super) fn outside_its_tables(
    log: &dyn EventLog,
    position: Position,
    ways: [Way; 2],
    rows: Rows,
) -> FoundDifference {
    let [before, after] = ways.map(|way| format!("folded {}", way.words()));
    let leaks = "depends on how it is run: it keeps something outside its tables";
    let summary = match (rows.twice, rows.count) {
        (Some(row), _) => {
            format!("{row} is in two partitions: it is changed at events with different partition keys")
        }
        (None, 0) => format!("which events it can fold {leaks}"),
        (None, _) => format!("what it folds {leaks}"),
    };
    FoundDifference {
        summary,
        before,
        after,
        event: event(log, position),
        count: rows.count,
        rows: rows.first,
    }
}

/// In one of the ways, it cannot fold what it has folded before.
pub(super) fn halted(log: &dyn EventLog, way: Way, halt: &Halt) -> FoundDifference {
    let words = way.words();
    let event = halt.event.as_ref().and_then(|fault| event(log, fault.position));
    FoundDifference {
        summary: format!("it folded this history before, but folded {words} it halts: {}", halt.reason),
        before: "as it stands".to_owned(),
        after: format!("folded {words}"),
        event,
        count: 0,
        rows: Vec::new(),
    }
}

/// What stands is not what history makes.
pub(super) fn of_state(intact: bool, rows: Rows) -> FoundDifference {
    let why = match intact {
        true => {
            "what stands is not what its code makes of history, however that is folded: a file was damaged, or \
                 something outside its tables has had a part in it"
        }
        false => "what stands is not what was committed: a file was damaged",
    };
    FoundDifference {
        summary: format!("{why}; to have it folded anew, remove its file, purge it, and put the file back"),
        before: "folded again".to_owned(),
        after: "as it stands".to_owned(),
        event: None,
        count: rows.count,
        rows: rows.first,
    }
}

/// The ways came to different ends, but not when they were folded once more.
pub(super) fn not_again(ways: impl Iterator<Item = Way>) -> FoundDifference {
    let ways: Vec<_> = ways.map(Way::words).collect();
    FoundDifference {
        summary: format!(
            "folded {}, it came to different ends, but not when it was folded once more to find out where: what \
             differs depends on chance",
            ways.join(", ")
        ),
        before: String::new(),
        after: String::new(),
        event: None,
        count: 0,
        rows: Vec::new(),
    }
}

/// An event of the log, named. One that cannot be read is left out: the difference is told all the
/// same.
fn event(log: &dyn EventLog, position: Position) -> Option<EventNamed> {
    let block = log.block(position).ok()??;
    let event = block.event(block.heads.get((position - block.first()) as usize)?);
    let envelope = event.envelope;
    Some(EventNamed { position, id: envelope.id, r#type: envelope.event_type, subject: envelope.subject })
}
