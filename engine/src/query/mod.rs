//! Reading what versions have folded.
//!
//! - [`read_table`], [`read_key`], [`read_named`] (`table.rs`): rows of a table as JSON, one
//!   page at a time, or one of them.
//! - `key.rs`: what a path or a parameter means by a key.
//! - `cursor.rs`: where a page goes on.
//! - [`call`] (`call.rs`): the queries that a plug-in's author wrote.
//! - [`compare`] (`compare.rs`): two versions beside one another.
//! - [`reflect`] (`reflect.rs`): the same question to another version, at the same position.
//! - [`StepsPage`], [`HistoryPage`] (`steps.rs`): what events did, all in all or to one row.
//! - [`wait`] (`wait.rs`): waiting for a position, to read your own writes.
//! - [`WhatIf`] (`what_if.rs`): other histories beside the real one.
//! - [`QueryError`] (`error.rs`).
//!
//! Everything is read from one view of a version's state, so an answer is of one position, which
//! it names. Not here: how it travels (`http`), and how keys and values are
//! encoded (`state::key`, `state::value`).

mod call;
mod compare;
mod cursor;
mod error;
mod key;
mod reflect;
mod steps;
mod table;
#[cfg(test)]
mod tests;
mod wait;
mod what_if;

pub use call::{Answer, AskError, call};
pub use compare::{
    Compared, Comparison, DEFAULT_SAMPLES, Folded, MAX_SAMPLES, RowComparison, TableComparison, compare,
    compared, list_differences,
};
pub use error::QueryError;
pub use reflect::{Question, ReflectError, reflect};
pub use steps::{
    FailureDocument, HistoryEntry, HistoryPage, OutputLine, StepDocument, StepsPage, TableChange, find_row,
    shown_change, shown_step,
};
pub use table::{
    DEFAULT_LIMIT, MAX_LIMIT, Row, TablePage, TableRead, key_text, read_key, read_named, read_table,
    shown_row,
};
pub use wait::{WaitError, wait};
pub use what_if::{ScenarioOutcome, WhatIf};
