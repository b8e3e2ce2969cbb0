//! The tables of the log's file and their keys.

use std::{path::Path, sync::Arc};

use redb::{Database, DatabaseError, ReadOnlyTable, ReadableTable, StorageError, Table, TableDefinition};

use super::{
    super::{LogError, block, keys::Keys},
    runs::PageKey,
};
use crate::event::{Block, Position};

/// First position and number of the piece to a piece of a block (see
/// `block.rs`); sealed ones and the tail. In pieces because redb gives a value
/// the next power of two of pages: a block in one would waste a third on average.
pub(super) const BLOCKS: TableDefinition<(Position, u32), &[u8]> = TableDefinition::new("blocks");

/// How long a piece of a block is: what fits 64 pages, beside redb's own.
pub(super) const PIECE: usize = (256 << 10) - 64;

/// The runs of the index of ids, subjects, tags and correlations: number to first position,
/// last position, number of keys, level. See `runs.rs`.
pub(super) const RUNS: TableDefinition<u64, (Position, Position, u64, u64)> = TableDefinition::new("runs");

/// The entries of the runs, some to a page.
pub(super) const PAGES: TableDefinition<PageKey, &[u8]> = TableDefinition::new("pages");

/// A run's number and the number of a piece to a piece of its filter.
pub(super) const FILTERS: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("filters");

/// Type and first position of a sealed block that has it.
pub(super) const TYPES: TableDefinition<&[u8], ()> = TableDefinition::new("types");

/// Type and first position of a sealed block, as in [`TYPES`], to the block's
/// events of that type, where they are few. See `rare.rs`.
pub(super) const RARE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rare");

/// Single numbers.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// Up to which position the log is sealed.
pub(super) const SEALED: &str = "sealed";

/// The seed of the keys.
pub(super) const SEED: &str = "seed";

/// The version of this layout.
const FORMAT: &str = "format";
const CURRENT_FORMAT: u64 = 4;

/// What all of a type's keys in [`TYPES`] begin with; no type's beginning is
/// another's.
pub(super) fn type_prefix(name: &str) -> Vec<u8> {
    [&(name.len() as u32).to_be_bytes(), name.as_bytes()].concat()
}

/// The key of a type for one block.
pub(super) fn type_key(prefix: &[u8], block: Position) -> Vec<u8> {
    [prefix, &block.to_be_bytes()].concat()
}

/// Which block a type's key is for.
pub(super) fn block_of(key: &[u8]) -> Position {
    key.last_chunk().map_or(0, |bytes| Position::from_be_bytes(*bytes))
}

/// Writes a block.
pub(super) fn insert_block(
    table: &mut Table<'_, (Position, u32), &'static [u8]>,
    first: Position,
    encoded: &[u8],
) -> Result<(), StorageError> {
    for (number, piece) in (0..).zip(encoded.chunks(PIECE)) {
        table.insert((first, number), piece)?;
    }
    Ok(())
}

/// The first position of the last block that begins at or before a position.
pub(super) fn block_before(
    table: &ReadOnlyTable<(Position, u32), &'static [u8]>,
    position: Position,
) -> Result<Option<Position>, StorageError> {
    let entry = table.range(..=(position, u32::MAX))?.next_back().transpose()?;
    Ok(entry.map(|(key, _)| key.value().0))
}

/// The first position of the first block that begins at or after a position.
pub(super) fn block_after(
    table: &ReadOnlyTable<(Position, u32), &'static [u8]>,
    position: Position,
) -> Result<Option<Position>, StorageError> {
    let entry = table.range((position, 0)..)?.next().transpose()?;
    Ok(entry.map(|(key, _)| key.value().0))
}

/// Reads and checks the block that begins at a position.
pub(super) fn read_block(
    table: &ReadOnlyTable<(Position, u32), &'static [u8]>,
    first: Position,
) -> Result<Block, LogError> {
    const ACTION: &str = "read a block";
    let mut pieces = Vec::new();
    for piece in table.range((first, 0)..=(first, u32::MAX)).doing(ACTION)? {
        pieces.push(piece.doing(ACTION)?.1);
    }
    // Made large enough at once: growing would copy what is there again.
    let mut encoded = Vec::with_capacity(pieces.iter().map(|piece| piece.value().len()).sum());
    for piece in &pieces {
        encoded.extend_from_slice(piece.value());
    }
    block::decode(&encoded.into(), first).map_err(|reason| LogError::Damaged { position: first, reason })
}

/// Opens the file, makes it and its folder if they are not there.
pub(super) fn open_file(path: &Path, cache_bytes: usize) -> Result<Database, LogError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).doing("make its folder")?;
    let database =
        redb::Builder::new().set_cache_size(cache_bytes).create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => LogError::InUse { path: path.to_owned() },
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() == std::io::ErrorKind::InvalidData =>
            {
                LogError::Foreign { path: path.to_owned(), reason: error.to_string() }
            }
            DatabaseError::UpgradeRequired(_) => {
                LogError::Foreign { path: path.to_owned(), reason: error.to_string() }
            }
            error => LogError::Storage { action: "open its file", source: Arc::new(error) },
        })?;
    // A new file is only there to stay once its folder says so.
    #[cfg(unix)]
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).doing("sync its folder")?;
    match set_up(&database)? {
        CURRENT_FORMAT => Ok(database),
        other => {
            let reason = format!(
                "it has format {other}, this program reads format {CURRENT_FORMAT}; \
                 export its events with the version that wrote it and import them into a new folder"
            );
            Err(LogError::Foreign { path: path.to_owned(), reason })
        }
    }
}

/// The format of a file. A new one gets its tables and the current format.
pub(super) fn set_up(database: &Database) -> Result<u64, LogError> {
    const ACTION: &str = "set up its tables";
    let transaction = database.begin_write().doing(ACTION)?;
    let format = {
        let mut meta = transaction.open_table(META).doing(ACTION)?;
        let format = meta.get(FORMAT).doing(ACTION)?.map(|format| format.value());
        if format.is_none() {
            meta.insert(FORMAT, CURRENT_FORMAT).doing(ACTION)?;
            meta.insert(SEALED, 0).doing(ACTION)?;
            transaction.open_table(BLOCKS).doing(ACTION)?;
            meta.insert(SEED, Keys::seed()).doing(ACTION)?;
            transaction.open_table(RUNS).doing(ACTION)?;
            transaction.open_table(PAGES).doing(ACTION)?;
            transaction.open_table(FILTERS).doing(ACTION)?;
            transaction.open_table(TYPES).doing(ACTION)?;
            transaction.open_table(RARE).doing(ACTION)?;
        }
        format
    };
    match format {
        Some(format) => {
            transaction.abort().doing(ACTION)?;
            Ok(format)
        }
        None => {
            transaction.commit().doing(ACTION)?;
            Ok(CURRENT_FORMAT)
        }
    }
}

/// Says what the log was doing when its storage failed.
pub(super) trait Doing<T> {
    fn doing(self, action: &'static str) -> Result<T, LogError>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> Doing<T> for Result<T, E> {
    fn doing(self, action: &'static str) -> Result<T, LogError> {
        self.map_err(|error| LogError::Storage { action, source: Arc::new(error) })
    }
}
