//! State: what versions have folded so far, and the books kept about them.
//!
//! - [`VersionState`] (`version.rs`): the state of one version: that of its
//!   partitions, of which most versions have one.
//! - [`PartitionState`] (`partition.rs`, `commit.rs`): the state of one
//!   partition, one redb file: tables, checkpoint and digest, which change
//!   together in one transaction or not at all.
//! - [`View`] (`view.rs`): a version's state as it stood at one position, its
//!   partitions read as one; [`Snapshot`] (`snapshot.rs`): one of them;
//!   `places.rs`: in which of them a key was found.
//! - [`Gathered`] (`memtable.rs`, `records.rs`): changes that are flushed but not committed;
//!   [`Uncommitted`] (`uncommitted.rs`): a partition's state with them;
//!   [`Known`] (`known.rs`): which keys it can have.
//! - [`compare`] (`compare.rs`): two views beside one another.
//! - [`Digest`] (`digest.rs`): a hash of all entries, kept up change by change.
//! - [`DeadLetter`] (`dead_letter.rs`): an event that could not be folded.
//! - [`Books`] (`books.rs`): what a reaction has handled above its checkpoint, what it
//!   has still to append and to try again. [`Call`] (`journal.rs`): what it has called,
//!   and what came of it.
//! - `succession.rs`: how a reaction's file goes from one version to the next.
//! - [`StateFolder`] (`folder.rs`): where their files lie; [`KeptState`] (`kept.rs`): states that are
//!   kept to look back. `tidy.rs`: which of them are deleted at a start.
//! - [`catalog`]: which versions there are, which one is live, how it came to be.
//! - [`SchemaStore`] (`schemas.rs`): registered schemas of events.
//! - [`key`]: keys, in FoundationDB's tuple encoding. [`value`]: values, in
//!   MessagePack. Both to and from JSON.
//! - `meta.rs`: what a file says about itself. `error.rs`: [`StateError`].
//!
//! Not here: when to commit and how durably (`projection`), what a URL means
//! (`query`), and what plug-ins are: a table here is a name and a number.
//! `redb` appears here and in `log`, nowhere else.

mod books;
pub mod catalog;
mod commit;
mod compare;
mod dead_letter;
mod digest;
mod error;
mod folder;
mod journal;
mod kept;
pub mod key;
mod known;
mod memtable;
mod meta;
mod partition;
mod places;
mod records;
mod schemas;
mod snapshot;
mod succession;
#[cfg(test)]
mod tests;
mod tidy;
mod uncommitted;
pub mod value;
mod version;
mod view;

pub use books::{BookEntry, Books, Outgoing, Timer, Waiting};
pub use commit::{Change, Durability};
pub use compare::{Differences, RowDifference, compare};
pub use dead_letter::DeadLetter;
pub use digest::Digest;
pub use error::StateError;
pub use folder::{StateFolder, is_digest};
pub use journal::{Answered, Call, CallOutcome, Header};
pub use kept::KeptState;
pub(crate) use known::Known;
pub(crate) use memtable::Gathered;
pub use meta::Checkpoint;
pub use partition::PartitionState;
pub use schemas::{SchemaRecord, SchemaStore, TypeRecord};
pub use snapshot::KeyRange;
pub(crate) use snapshot::Snapshot;
pub(crate) use uncommitted::Uncommitted;
pub use version::VersionState;
pub use view::{Entry, View};

/// The number of a table: its place in the list that a version's file was
/// opened with, from 0.
pub type TableIndex = u32;
