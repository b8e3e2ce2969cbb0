//! The fold: events in, state out.
//!
//! - [`Version`] (`version.rs`): one version of a projection, as all others
//!   see it: its tables, and how far it has come.
//! - [`Code`] (`code.rs`): what a version is given events by, and what folds them.
//! - [`Run`] (`run.rs`): a runner at work, started and stopped.
//! - `runner.rs`: the loop that folds the log into a version, from its
//!   checkpoint to the head and on.
//! - `rounds.rs`: how the partitions of a version keep together, each of which
//!   has a runner of its own.
//! - `source.rs`: which events a call gets; `division.rs`: the log's blocks
//!   divided among partitions. `call_size.rs`: how many at most.
//!   `commit.rs`: when a runner commits, and how durably.
//! - [`Upcasters`] (`upcast.rs`): old events in their newest shape.
//! - `suspect.rs`: the search for the one event at fault after a failure.
//! - [`Stepper`] (`stepper.rs`): folds one event at a time apart from what runs, says what each
//!   has changed, and takes it back; [`Walk`] (`walk.rs`): along the log.
//! - [`Scheduler`] (`scheduler.rs`): the few threads on which all runners take
//!   their steps in turn.
//!
//! Not here: which versions there are and which one is live (`deploy`), the
//! sandbox (`plugin`), the storage (`log`, `state`).

mod call_size;
mod code;
mod commit;
mod division;
mod reader;
mod rounds;
mod run;
mod runner;
mod scheduler;
mod source;
mod stepper;
mod suspect;
mod upcast;
mod version;
mod walk;

pub use code::Code;
pub(crate) use division::Division;
pub use run::{Run, fold, start};
pub use scheduler::{Class, Scheduler};
pub(crate) use source::Source;
pub use stepper::{Failure, RowChange, Step, Stepper};
pub use upcast::{Upcaster, UpcasterConflict, Upcasters};
pub use version::{EventAtFault, Halt, Hold, Manner, Phase, Progress, Version};
pub use walk::Walk;
