//! Why state could not be read as asked.

use crate::state::StateError;

/// State could not be read as asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// There is no such table.
    #[error("there is no table \"{table}\"; {}", one_of("tables", tables))]
    NoTable {
        /// What was asked for.
        table: String,
        /// What there is.
        tables: Vec<String>,
    },
    /// The table has no such index.
    #[error("table \"{table}\" has no index \"{index}\"; {}", one_of("indexes", indexes))]
    NoIndex {
        /// The table.
        table: String,
        /// What was asked for.
        index: String,
        /// What there is.
        indexes: Vec<String>,
    },
    /// The path does not name a key of the table.
    #[error("no key of table \"{table}\": {reason}")]
    BadKey {
        /// The table.
        table: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A parameter is wrong.
    #[error("`{parameter}`: {reason}")]
    BadParameter {
        /// Its name.
        parameter: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// What the plug-in wrote cannot be shown.
    #[error("table \"{table}\" has an entry that cannot be shown, under key {key}: {reason}")]
    Unreadable {
        /// The table.
        table: String,
        /// The key, as far as it can be shown.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An index names a key that its table does not have.
    #[error(
        "index \"{index}\" has an entry {key} for which its table has no row: the plug-in did not keep it up"
    )]
    BrokenIndex {
        /// The index, by its full name.
        index: String,
        /// The key of the entry.
        key: String,
    },
    /// The state itself could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

impl QueryError {
    /// Whether the one who asked can put it right, by asking otherwise.
    pub fn is_request_fault(&self) -> bool {
        match self {
            Self::NoTable { .. } | Self::NoIndex { .. } | Self::BadKey { .. } | Self::BadParameter { .. } => {
                true
            }
            Self::Unreadable { .. } | Self::BrokenIndex { .. } | Self::State(_) => false,
        }
    }
}

fn one_of(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        return format!("it has no {what}");
    }
    format!("{what}: {}", names.join(", "))
}
