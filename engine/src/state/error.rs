//! Why state could not be opened, read or written.

use std::sync::Arc;

/// State could not be opened, read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Another process, or another part of this one, has the file open.
    #[error("{path} is in use: is another projectionist running on this data folder?")]
    InUse {
        /// The file.
        path: String,
    },
    /// The file is not what this program wrote.
    #[error(
        "{path} is damaged ({reason}): move it away and start again; state is folded anew from the event log"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A later or earlier program wrote the file in another format.
    #[error("{path} is in format {found}, this program reads and writes format {supported}")]
    Format {
        /// The file.
        path: String,
        /// The format that the file names.
        found: u32,
        /// The format that this program knows.
        supported: u32,
    },
    /// The file was made for other tables, so for another version.
    #[error("{path} holds the tables [{}], not [{}]: it belongs to another version", stored.join(", "), asked.join(", "))]
    OtherTables {
        /// The file.
        path: String,
        /// The tables that it was made for.
        stored: Vec<String>,
        /// The tables that were asked for.
        asked: Vec<String>,
    },
    /// Two tables of a version have the same name.
    #[error("table \"{name}\" is declared twice")]
    TableTwice {
        /// The name.
        name: String,
    },
    /// A table's number is beyond the list.
    #[error("there is no table number {index}: {count} are declared, numbered from 0")]
    NoTable {
        /// The number.
        index: u32,
        /// How many tables there are.
        count: usize,
    },
    /// A commit would take the checkpoint back.
    #[error("{path} is at position {at} and cannot be committed at {asked}, which is before it")]
    Backwards {
        /// The file.
        path: String,
        /// Where the checkpoint stands.
        at: u64,
        /// Where the commit would put it.
        asked: u64,
    },
    /// The partitions of a version stand at different positions.
    #[error("the partitions are at positions from {from} to {to} and catch up with one another: try again")]
    Apart {
        /// Where the last one is.
        from: u64,
        /// Where the first one is.
        to: u64,
    },
    /// Two partitions of a version have the same key, so what it has folded
    /// depends on how many there are.
    #[error(
        "key {key} of table \"{table}\" is in two partitions: the plug-in changes it at events with different \
         partition keys; let it change a row at events of one key only, or leave out `partition-by`"
    )]
    TwoPartitions {
        /// The table's name.
        table: String,
        /// The key, as JSON where it can be read.
        key: String,
    },
    /// A name that cannot be part of a path.
    #[error("\"{name}\" cannot name a state file")]
    Name {
        /// The name.
        name: String,
    },
    /// The catalog has no such version, or not in the needed station.
    #[error("the catalog cannot {action} version {digest} of \"{name}\": {reason}")]
    Catalog {
        /// What was asked for.
        action: &'static str,
        /// The plug-in's name.
        name: String,
        /// The version.
        digest: String,
        /// Why not.
        reason: String,
    },
    /// Reading or writing the file failed.
    #[error("{path}: could not {action}: {source}")]
    Storage {
        /// The file.
        path: String,
        /// What it was doing.
        action: &'static str,
        /// What went wrong.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

/// Which file an error is about; also turns redb's errors into this module's.
#[derive(Clone, Debug)]
pub(crate) struct Origin(Arc<str>);

impl Origin {
    pub(crate) fn new(path: &str) -> Self {
        Self(path.into())
    }

    pub(crate) fn path(&self) -> String {
        self.0.to_string()
    }

    /// For `map_err`: redb failed while doing `action`.
    pub(crate) fn failed<E: Into<redb::Error>>(&self, action: &'static str) -> impl FnOnce(E) -> StateError {
        move |error| self.classify(action, error.into())
    }

    fn classify(&self, action: &'static str, error: redb::Error) -> StateError {
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                StateError::InUse { path: self.path() }
            }
            redb::Error::Corrupted(reason) => self.damaged(reason),
            redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TableDoesNotExist(_)
            | redb::Error::TypeDefinitionChanged { .. } => self.damaged(error.to_string()),
            redb::Error::Io(ref io)
                if matches!(
                    io.kind(),
                    std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
                ) =>
            {
                self.damaged(io.to_string())
            }
            error => StateError::Storage { path: self.path(), action, source: Arc::new(error) },
        }
    }

    /// For `map_err`: the file system failed while doing `action`.
    pub(crate) fn io(&self, action: &'static str) -> impl FnOnce(std::io::Error) -> StateError {
        move |error| StateError::Storage { path: self.path(), action, source: Arc::new(error) }
    }

    pub(crate) fn damaged(&self, reason: impl Into<String>) -> StateError {
        StateError::Damaged { path: self.path(), reason: reason.into() }
    }
}
