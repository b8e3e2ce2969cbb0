//! What several commands share.
//!
//! - `text.rs`: numbers, durations and sizes for people.
//! - `table.rs`: aligned tables; `json_table.rs`: JSON as such a table.
//! - `output.rs`: standard output, which may close at any time.
//! - `progress.rs`: the progress bar; `waiting.rs`: for answers that history is folded for.
//! - `ndjson.rs`: lines of events from files and standard input; `ahead.rs`:
//!   unpacking them on a thread of its own.
//! - `presence.rs`: how a server and the other commands on a data folder find
//!   each other.
//! - `client.rs`: HTTP to a running server, and its problems as our errors.
//! - `component.rs`: a component's file; `comparison.rs`: how two versions differ;
//!   `listing.rs`: listings handed on as they come.
//! - `verification.rs`: what came of a verification.
//! - `difference.rs`: what has become of a value, field by field.
//! - `order.rs`: promote, roll back, abort: the plan first, then the deed.
//! - `freshness.rs`: how fresh an answer must be, or of when.
//! - `folders.rs`: folders that the command line names.
//! - `log.rs`: the log, behind a server or opened here; `append.rs`: appending
//!   to it, in as many parts as it takes.
//! - `values.rs`: numbers and sizes on the command line.

pub mod ahead;
pub mod append;
pub mod client;
pub mod comparison;
pub mod component;
pub mod difference;
pub mod folders;
pub mod freshness;
pub mod json_table;
pub mod listing;
pub mod log;
pub mod ndjson;
pub mod order;
pub mod output;
pub mod presence;
pub mod progress;
pub mod table;
pub mod text;
pub mod values;
pub mod verification;
pub mod waiting;
